#include "kedge/algorithms/moto_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "kedge/evaluation/improvement_bound.h"
#include "kedge/evaluation/whitening.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

template <class T>
std::vector<double> collect(const std::vector<T>& items, const std::function<double(const T&)>& value) {
  std::vector<double> values;
  for (const T& item : items) values.push_back(value(item));
  return values;
}

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

/// Mean of |xi|^2 / ds over the states of the present rollouts: 1 if rho~_t describes them, below 1 if it is too wide.
double spread_of(const MatrixXd& s, const Gaussian& rho) {
  const MatrixXd xi = rho.L.triangularView<Eigen::Lower>().solve(s.colwise() - rho.mean);
  return xi.squaredNorm() / static_cast<double>(xi.size());
}

/// max |A_t(s)| over the states of the present rollouts.
double largest_advantage(const Quadratic& advantage, const MatrixXd& s, const Gaussian& rho) {
  const MatrixXd xi = rho.L.triangularView<Eigen::Lower>().solve(s.colwise() - rho.mean);
  double largest = 0.0;
  for (Index n = 0; n < xi.cols(); ++n) largest = std::max(largest, std::abs(advantage(xi.col(n))));
  return largest;
}

}  // namespace

double return_mean(const Batch& batch) { return mean_of(returns(batch)); }

std::int64_t simulated_steps(const Batch& batch) {
  std::int64_t steps = 0;
  for (int n = 0; n < batch.rollouts; ++n)
    steps +=
        batch.usable(n) ? batch.horizon : std::min(batch.diverged_at[static_cast<std::size_t>(n)] + 1, batch.horizon);
  return steps;
}

Iteration moto_report(const Task& task, const Epoch& epoch, const std::vector<Gaussian>& previous_rho,
                      const std::vector<QuadraticFit>& fits, const std::vector<MotoUpdate>& updates,
                      const std::vector<StepDiagnostics>& steps, const MotoState& before) {
  const std::size_t T = updates.size();
  const std::vector<double> r = returns(epoch.batch);
  const double mean = mean_of(r);
  double variance = 0.0;
  for (const double value : r) variance += (value - mean) * (value - mean) / static_cast<double>(r.size());
  const int diverged = epoch.batch.rollouts - static_cast<int>(r.size());

  const auto of_updates = [&](auto field) {
    return collect<MotoUpdate>(updates, [=](const MotoUpdate& u) { return u.*field; });
  };
  const auto of_steps = [&](auto field) {
    return collect<StepDiagnostics>(steps, [=](const StepDiagnostics& d) { return d.*field; });
  };
  const std::vector<double> kl_reached = of_updates(&MotoUpdate::kl), gain = of_updates(&MotoUpdate::gain);
  const std::vector<double> curvature = of_updates(&MotoUpdate::qaa_max);
  const std::vector<double> effective = of_steps(&StepDiagnostics::effective_samples),
                            r2 = of_steps(&StepDiagnostics::r2);

  std::vector<double> state_kl(T, 0.0), spread(T), delta(T);
  for (std::size_t t = 0; t < T; ++t) {
    const MatrixXd s = observations_at(epoch.batch, static_cast<int>(t));
    if (!previous_rho.empty()) state_kl[t] = kl(epoch.rho[t], previous_rho[t]);
    spread[t] = spread_of(s, epoch.rho[t]);
    delta[t] = largest_advantage(
        expected_advantage(fits[t].q, epoch.policy[static_cast<int>(t)], updates[t].next, epoch.rho[t]), s,
        epoch.rho[t]);
  }
  const auto not_concave = std::count_if(curvature.begin(), curvature.end(), [](double c) { return c > 0; });
  double successes = 0.0;
  if (!task.success.empty())
    for (int n = 0; n < epoch.batch.rollouts; ++n) successes += epoch.batch.success[n] < task.success[0].below;

  Iteration report;
  report.number = epoch.iteration;
  report.metrics = {
      {"iteration", epoch.iteration},
      {"rollouts_total", static_cast<double>(before.rollouts_total + epoch.batch.rollouts)},
      {"steps_total", static_cast<double>(before.steps_total + simulated_steps(epoch.batch))},
      {"return_mean", mean},
      {"return_std", std::sqrt(variance)},
      {"return_min", min_of(r)},
      {"return_max", max_of(r)},
      {"kl_max", max_of(kl_reached)},
      {"kl_mean", mean_of(kl_reached)},
      {"entropy_mean", mean_of(of_updates(&MotoUpdate::entropy))},
      {"eta_median", median_of(of_updates(&MotoUpdate::eta))},
      {"omega_median", median_of(of_updates(&MotoUpdate::omega))},
      {"ess_median", median_of(effective)},
      {"q_r2_median", median_of(r2)},
      {"improvement_predicted", std::accumulate(gain.begin(), gain.end(), 0.0)},
      {"improvement_realised", before.iteration == 0 ? 0.0 : mean - before.last_return_mean},
      {"improvement_bound", improvement_bound(gain, delta, kl_reached)},
      {"return_median", median_of(r)},
      {"success_rate", successes / static_cast<double>(epoch.batch.rollouts)},
      {"ess_min", min_of(effective)},
      {"samples_used_median", median_of(of_steps(&StepDiagnostics::samples_used))},
      {"weight_left_out_max", max_of(of_steps(&StepDiagnostics::weight_left_out))},
      {"q_r2_min", min_of(r2)},
      {"qaa_max", max_of(curvature)},
      {"not_concave_share", static_cast<double>(not_concave) / static_cast<double>(T)},
      {"kl_residual_max", max_of(of_updates(&MotoUpdate::kl_residual))},
      {"entropy_residual_max", max_of(of_updates(&MotoUpdate::entropy_residual))},
      {"state_kl_max", max_of(state_kl)},
      {"state_kl_mean", mean_of(state_kl)},
      {"state_spread_median", median_of(spread)},
      {"saturated_share", epoch.batch.saturated},
      {"diverged", static_cast<double>(diverged)},
  };

  const auto features = static_cast<double>(feature_count(task.ds() + task.da()));
  if (median_of(effective) < features)
    report.warnings.push_back(
        fmt::format("few effective samples: {:.0f} for {:.0f} features (median over steps); raise rollouts, window or "
                    "gamma, or lower epsilon",
                    median_of(effective), features));
  if (epoch.batch.saturated > 0.1)
    report.warnings.push_back(fmt::format(
        "{:.0f} % of the commanded actions are beyond their limits; raise the action cost or lower initial_std",
        100.0 * epoch.batch.saturated));
  if (median_of(spread) < 0.3)
    report.warnings.push_back(
        fmt::format("the state distribution lags: the present states fill {:.0f} % of its variance (median over "
                    "steps); lower gamma or epsilon",
                    100.0 * median_of(spread)));
  if (median_of(r2) < 0.5)
    report.warnings.push_back(fmt::format(
        "the quadratic Q explains only {:.0f} % of its targets (median over steps); raise rollouts or lower epsilon",
        100.0 * median_of(r2)));
  if (diverged > 0)
    report.warnings.push_back(
        fmt::format("{} of {} rollouts diverged and were left out", diverged, epoch.batch.rollouts));
  return report;
}

}  // namespace kedge
