#include "kedge/algorithms/gps_report.h"

#include <fmt/format.h>

#include "kedge/algorithms/report.h"
#include "kedge/math/statistics.h"

namespace kedge {

Iteration gps_report(const Task& task, const Epoch& epoch, const DynamicsFit& fit, const KlLqrUpdate& update,
                     double step_size, Index components, const GpsState& before) {
  const int usable = usable_rollouts(epoch.batch);
  const auto entropy_residual = [](const GaussianStep& u) { return u.entropy_residual; };

  Iteration report;
  report.metrics = common_metrics(
      epoch, update.steps, {static_cast<double>(usable), median(fit.r2), update.cost_old - update.cost_new}, before);
  add(report, {
                  {"improvement_realised", improvement_realised(epoch.batch, before)},
                  {"return_median", median(returns(epoch.batch))},
                  {"success_rate", success_rate(epoch.batch, task.success_limit())},
                  {"step_size", step_size},
                  {"kl_total", update.kl},
                  {"kl_residual_max", update.kl_residual},
                  {"entropy_residual_max", maximum(collect<GaussianStep>(update.steps, entropy_residual))},
                  {"model_return", -update.cost_old},
                  {"model_return_next", -update.cost_new},
                  {"dynamics_r2_min", minimum(fit.r2)},
                  {"mixture_components", static_cast<double>(components)},
                  {"dual_evaluations", static_cast<double>(update.evaluations)},
                  {"saturated_share", epoch.batch.saturated},
                  {"diverged", static_cast<double>(epoch.batch.rollouts - usable)},
              });

  report.steps = update_steps(update.steps);
  report.steps.emplace_back("ess", std::vector<double>(fit.r2.size(), usable));
  report.steps.emplace_back("r2", fit.r2);

  const Index coefficients = task.ds() + task.da() + 1;
  if (components == 0 && usable < coefficients + 2)
    report.warnings.push_back(fmt::format(
        "few rollouts: {} for dynamics with {} coefficients an observation; raise rollouts, or set prior=gmm", usable,
        coefficients));
  warn_of_saturation(epoch.batch, "lower initial_std", report.warnings);
  warn_of_divergence(epoch.batch, report.warnings);
  return report;
}

}  // namespace kedge
