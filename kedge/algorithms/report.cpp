#include "kedge/algorithms/report.h"

#include <fmt/format.h>

#include "kedge/math/statistics.h"

namespace kedge {

void add(Iteration& report, const std::vector<Metric>& columns) {
  report.metrics.insert(report.metrics.end(), columns.begin(), columns.end());
}

void count(const Batch& batch, std::int64_t more, LoopState& next) {
  next.rollouts_total += batch.rollouts;
  next.steps_total += simulated_steps(batch) + more;
  next.last_return_mean = return_mean(batch);
}

std::vector<Metric> common_metrics(const Epoch& epoch, const std::vector<GaussianStep>& updates,
                                   const CommonNumbers& numbers, const LoopState& before) {
  const std::vector<double> r = returns(epoch.batch);
  const auto of_updates = [&](auto field) {
    return collect<GaussianStep>(updates, [=](const GaussianStep& u) { return u.*field; });
  };
  const std::vector<double> kl = of_updates(&GaussianStep::kl);
  return {
      {"iteration", epoch.iteration},
      {"rollouts_total", static_cast<double>(before.rollouts_total + epoch.batch.rollouts)},
      {"steps_total", static_cast<double>(before.steps_total + simulated_steps(epoch.batch))},
      {"return_mean", mean(r)},
      {"return_std", population_standard_deviation(r)},
      {"return_min", minimum(r)},
      {"return_max", maximum(r)},
      {"kl_max", maximum(kl)},
      {"kl_mean", mean(kl)},
      {"entropy_mean", mean(of_updates(&GaussianStep::entropy))},
      {"eta_median", median(of_updates(&GaussianStep::eta))},
      {"omega_median", median(of_updates(&GaussianStep::omega))},
      {"ess_median", numbers.ess_median},
      {"q_r2_median", numbers.q_r2_median},
      {"improvement_predicted", numbers.improvement_predicted},
  };
}

std::vector<StepMetric> update_steps(const std::vector<GaussianStep>& updates) {
  const auto of = [&](double GaussianStep::*field) {
    return collect<GaussianStep>(updates, [=](const GaussianStep& u) { return u.*field; });
  };
  return {{"kl", of(&GaussianStep::kl)},
          {"entropy", of(&GaussianStep::entropy)},
          {"beta", of(&GaussianStep::beta)},
          {"eta", of(&GaussianStep::eta)},
          {"omega", of(&GaussianStep::omega)}};
}

double improvement_realised(const Batch& batch, const LoopState& before) {
  return before.iteration == 0 ? 0.0 : return_mean(batch) - before.last_return_mean;
}

void warn_of_saturation(const Batch& batch, const char* remedy, std::vector<std::string>& warnings) {
  if (batch.saturated > 0.1)
    warnings.push_back(
        fmt::format("{:.0f} % of the commanded actions are beyond their limits; raise the action cost or {}",
                    100.0 * batch.saturated, remedy));
}

void warn_of_divergence(const Batch& batch, std::vector<std::string>& warnings) {
  const int diverged = diverged_rollouts(batch);
  if (diverged > 0)
    warnings.push_back(fmt::format("{} of {} rollouts diverged and were left out", diverged, batch.rollouts));
}

}  // namespace kedge
