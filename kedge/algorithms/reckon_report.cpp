#include "kedge/algorithms/reckon_report.h"

#include "kedge/algorithms/report.h"
#include "kedge/math/statistics.h"

namespace kedge {

Iteration reckon_report(const Task& task, const Fix& fix, double model_error, const LocalResiduals& local,
                        const Plan& plan, const ReckonState& before, const ReckonState& after) {
  std::vector<double> quiet;  // of one that diverged the part before
  for (int n = 0; n < fix.quiet.rollouts; ++n) quiet.push_back(rollout_return(fix.quiet, n));
  const double predicted = before.iteration == 0 ? mean(quiet) : -before.cost_predicted;
  const int usable = usable_rollouts(fix.exploring) + usable_rollouts(fix.quiet);

  Iteration report;
  report.metrics = return_metrics(fix.exploring, before.iteration, after.rollouts_total, after.steps_total);
  add(report, {
                  {"return_median", median(returns(fix.exploring))},
                  {"success_rate", success_rate(fix.exploring, task.success_limit())},
                  {"quiet_return", mean(quiet)},
                  {"quiet_return_predicted", predicted},
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
    report.warnings.emplace_back("no KL step lowers the imagined cost: the policy stays as it was");
  warn_of_saturation(fix.exploring, "lower initial_std", report.warnings);
  warn_of_divergence(fix.exploring, report.warnings);
  return report;
}

}  // namespace kedge
