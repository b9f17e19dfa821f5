#include "kedge/algorithms/reckon_report.h"

#include <limits>

#include "kedge/algorithms/report.h"
#include "kedge/math/statistics.h"

namespace kedge {

Iteration reckon_report(const Task& task, const Fix& fix, double model_error, const LocalResiduals& local,
                        const Plan& plan, const ReckonState& before, const ReckonState& after) {
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  const bool first = before.iteration == 0;
  const std::vector<double> quiet = returns(fix.quiet), exploring = returns(fix.exploring);
  const int usable = usable_rollouts(fix.exploring) + usable_rollouts(fix.quiet);

  Iteration report;
  report.metrics = return_metrics(fix.exploring, before.iteration, after.rollouts_total, after.steps_total);
  add(report, {
                  {"return_median", exploring.empty() ? unknown : median(exploring)},
                  {"success_rate", success_rate(fix.exploring, task.success_limit())},
                  {"quiet_return", quiet.empty() ? unknown : mean(quiet)},
                  {"quiet_return_predicted", first ? unknown : -before.cost_predicted},
                  {"gain_ratio", fix.ratio},
                  {"reverted", static_cast<double>(fix.reverted)},
                  {"trust", after.trust},
                  {"model_error", model_error},
                  {"residual_error", local.error},
                  {"kernel_length", local.kernel.length},
                  {"kernel_noise", local.kernel.noise},
                  {"steps_accepted", static_cast<double>(plan.accepted)},
                  {"steps_tried", static_cast<double>(plan.tried)},
                  {"kl_total", plan.kl},
                  {"kl_bound", after.trust * task.horizon},
                  {"entropy_mean", plan.entropy},
                  {"model_return", -plan.cost_before},
                  {"model_return_next", -plan.cost_after},
                  {"cautious_return", -plan.cautious_before},
                  {"cautious_return_next", -plan.cautious_after},
                  {"transitions", static_cast<double>(after.data.size())},
                  {"saturated_share", fix.exploring.saturated},
                  {"diverged", static_cast<double>(fix.exploring.rollouts + fix.quiet.rollouts - usable)},
              });
  if (plan.accepted == 0)
    report.warnings.push_back("no KL step lowers the imagined cost: the policy is the one before");
  warn_of_saturation(fix.exploring, "lower initial_std", report.warnings);
  warn_of_divergence(fix.exploring, report.warnings);
  return report;
}

}  // namespace kedge
