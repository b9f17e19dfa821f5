#include "kedge/algorithms/report.h"

#include <fmt/format.h>

#include <limits>

#include "kedge/math/statistics.h"

namespace kedge {

void add(Iteration& report, const std::vector<Metric>& columns) {
  report.metrics.insert(report.metrics.end(), columns.begin(), columns.end());
}

void add_early_ends(const Task& task, const Batch& batch, Iteration& report) {
  if (task.termination.empty()) return;
  add(report, {{"ended_early", static_cast<double>(ended_rollouts(batch)) / static_cast<double>(batch.rollouts)}});
}

void count(const Batch& batch, std::int64_t more, LoopState& next) {
  next.rollouts_total += batch.rollouts;
  next.steps_total += simulated_steps(batch) + more;
  next.last_return_mean = return_mean(batch);
}

std::vector<Metric> return_metrics(const Batch& batch, int iteration, std::int64_t rollouts_total,
                                   std::int64_t steps_total) {
  const std::vector<double> r = returns(batch);
  const auto of_returns = [&](const Statistic& statistic) {
    return r.empty() ? std::numeric_limits<double>::quiet_NaN() : statistic(r);
  };
  return {
      {"iteration", iteration},
      {"rollouts_total", static_cast<double>(rollouts_total)},
      {"steps_total", static_cast<double>(steps_total)},
      {"return_mean", of_returns(mean)},
      {"return_std", of_returns(population_standard_deviation)},
      {"return_min", of_returns(minimum)},
      {"return_max", of_returns(maximum)},
  };
}

std::vector<Metric> common_metrics(const Epoch& epoch, const std::vector<GaussianStep>& updates,
                                   const CommonNumbers& numbers, const LoopState& before) {
  const auto of_updates = [&](auto field) {
    return collect<GaussianStep>(updates, [=](const GaussianStep& u) { return u.*field; });
  };
  const std::vector<double> kl = of_updates(&GaussianStep::kl);
  Iteration report;
  report.metrics = return_metrics(epoch.batch, epoch.iteration, before.rollouts_total + epoch.batch.rollouts,
                                  before.steps_total + simulated_steps(epoch.batch));
  add(report, {
                  {"kl_max", maximum(kl)},
                  {"kl_mean", mean(kl)},
                  {"entropy_mean", mean(of_updates(&GaussianStep::entropy))},
                  {"eta_median", median(of_updates(&GaussianStep::eta))},
                  {"omega_median", median(of_updates(&GaussianStep::omega))},
                  {"ess_median", numbers.ess_median},
                  {"q_r2_median", numbers.q_r2_median},
                  {"improvement_predicted", numbers.improvement_predicted},
              });
  return report.metrics;
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
  if (diverged == 0) return;
  const std::string why = divergence_text(batch);
  warnings.push_back(fmt::format("{} of {} rollouts diverged and were left out{}", diverged, batch.rollouts,
                                 why.empty() ? "" : ": " + why));
}

}  // namespace kedge
