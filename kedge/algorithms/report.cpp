#include "kedge/algorithms/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kedge/rollout/rollout.h"

namespace kedge {

double max_of(const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); }
double min_of(const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); }
double mean_of(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}
double median_of(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const std::size_t n = v.size();
  return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

std::vector<double> returns(const Batch& batch) {
  std::vector<double> r;
  for (int n = 0; n < batch.rollouts; ++n)
    if (batch.usable(n)) r.push_back(rollout_return(batch, n));
  return r;
}

double return_mean(const Batch& batch) { return mean_of(returns(batch)); }

std::int64_t simulated_steps(const Batch& batch) {
  std::int64_t steps = 0;
  for (int n = 0; n < batch.rollouts; ++n)
    steps +=
        batch.usable(n) ? batch.horizon : std::min(batch.diverged_at[static_cast<std::size_t>(n)] + 1, batch.horizon);
  return steps;
}

double success_rate(const Task& task, const Batch& batch) {
  double successes = 0.0;
  if (!task.success.empty())
    for (int n = 0; n < batch.rollouts; ++n) successes += batch.success[n] < task.success[0].below;
  return successes / static_cast<double>(batch.rollouts);
}

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
  const double mean = mean_of(r);
  double variance = 0.0;
  for (const double value : r) variance += (value - mean) * (value - mean) / static_cast<double>(r.size());
  const auto of_updates = [&](auto field) {
    return collect<GaussianStep>(updates, [=](const GaussianStep& u) { return u.*field; });
  };
  const std::vector<double> kl = of_updates(&GaussianStep::kl);
  return {
      {"iteration", epoch.iteration},
      {"rollouts_total", static_cast<double>(before.rollouts_total + epoch.batch.rollouts)},
      {"steps_total", static_cast<double>(before.steps_total + simulated_steps(epoch.batch))},
      {"return_mean", mean},
      {"return_std", std::sqrt(variance)},
      {"return_min", min_of(r)},
      {"return_max", max_of(r)},
      {"kl_max", max_of(kl)},
      {"kl_mean", mean_of(kl)},
      {"entropy_mean", mean_of(of_updates(&GaussianStep::entropy))},
      {"eta_median", median_of(of_updates(&GaussianStep::eta))},
      {"omega_median", median_of(of_updates(&GaussianStep::omega))},
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
  const int diverged = batch.rollouts - usable_rollouts(batch);
  if (diverged > 0)
    warnings.push_back(fmt::format("{} of {} rollouts diverged and were left out", diverged, batch.rollouts));
}

}  // namespace kedge
