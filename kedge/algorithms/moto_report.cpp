#include "kedge/algorithms/moto_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kedge/algorithms/report.h"
#include "kedge/evaluation/improvement_bound.h"
#include "kedge/math/statistics.h"

namespace kedge {

namespace {

/// Returns warnings in words for diagnostics that turned bad. @param effective, spread, r2 [T]
std::vector<std::string> warnings_of(const Task& task, const Batch& batch, const std::vector<double>& effective,
                                     const std::vector<double>& spread, const std::vector<double>& r2) {
  std::vector<std::string> warnings;
  const auto features = static_cast<double>(feature_count(task.ds() + task.da()));
  if (median(effective) < features)
    warnings.push_back(
        fmt::format("few effective samples: {:.0f} for {:.0f} features (median over steps); raise rollouts, window or "
                    "gamma, or lower epsilon",
                    median(effective), features));
  warn_of_saturation(batch, "lower initial_std", warnings);
  if (median(spread) < 0.3)
    warnings.push_back(
        fmt::format("the state distribution lags: the present states fill {:.0f} % of its variance (median over "
                    "steps); lower gamma or epsilon",
                    100.0 * median(spread)));
  if (median(r2) < 0.5)
    warnings.push_back(fmt::format(
        "the quadratic Q explains only {:.0f} % of its targets (median over steps); raise rollouts or lower epsilon",
        100.0 * median(r2)));
  return warnings;
}

/// Warns of fits that know better than the data: costs are never negative, so no value is above 0 and no policy gains
/// more than the present one loses.
/// @param gain  largest one of a step  @param most  gain that any policy can have
void warn_of_runaway(const BackwardFit& model, double gain, double most, std::vector<std::string>& warnings) {
  constexpr double kNoticeable = 0.05;
  const char* remedy = "raise rollouts or ridge, lower epsilon, or set targets=monte_carlo with reuse=iterations";
  const std::vector<double> bounded =
      collect<QuadraticFit>(model.fits, [](const QuadraticFit& f) { return f.bounded; });
  const auto steps = std::count_if(bounded.begin(), bounded.end(), [](double b) { return b > kNoticeable; });
  if (steps > 0)
    warnings.push_back(
        fmt::format("the fitted V leaves what the costs allow at {} of {} steps, for up to {:.0f} % of the samples, "
                    "and was bounded by the returns seen: the states pile up (stops, contacts) or are too few; {}",
                    steps, bounded.size(), 100.0 * maximum(bounded), remedy));
  if (gain > most)
    warnings.push_back(
        fmt::format("the fitted Q of one step promises an improvement of {:.3g}, more than the {:.3g} that "
                    "any policy can bring; {}",
                    gain, most, remedy));
}

}  // namespace

Iteration moto_report(const Task& task, const Epoch& epoch, const BackwardFit& model,
                      const std::vector<GaussianStep>& updates, const StepDiagnostics& diagnostics,
                      const MotoState& before) {
  const auto of_updates = [&](auto field) {
    return collect<GaussianStep>(updates, [=](const GaussianStep& u) { return u.*field; });
  };
  const auto of_samples = [&](double SampleUse::*field) {
    return collect<SampleUse>(model.samples, [=](const SampleUse& s) { return s.*field; });
  };
  const std::vector<double> kl_reached = of_updates(&GaussianStep::kl), gain = of_updates(&GaussianStep::gain);
  const std::vector<double> curvature = of_updates(&GaussianStep::qaa_max);
  const std::vector<double> effective = of_samples(&SampleUse::effective);
  const std::vector<double> r2 = collect<QuadraticFit>(model.fits, [](const QuadraticFit& f) { return f.r2; });
  const auto& [state_kl, spread, advantage] = diagnostics;

  const double gains = std::accumulate(gain.begin(), gain.end(), 0.0);
  const double most = std::max(0.0, -return_mean(epoch.batch));
  const double predicted = std::min(gains, most);

  const auto not_concave = std::count_if(curvature.begin(), curvature.end(), [](double c) { return c > 0; });
  Iteration report;
  report.metrics = common_metrics(epoch, updates, {median(effective), median(r2), predicted}, before);
  add(report, {
                  {"improvement_realised", improvement_realised(epoch.batch, before)},
                  {"improvement_bound", improvement_bound(gain, advantage, kl_reached)},
                  {"return_median", median(returns(epoch.batch))},
                  {"success_rate", success_rate(epoch.batch, task.success_limit())},
                  {"ess_min", minimum(effective)},
                  {"samples_used_median", median(of_samples(&SampleUse::used))},
                  {"weight_left_out_max", maximum(of_samples(&SampleUse::left_out))},
                  {"q_r2_min", minimum(r2)},
                  {"qaa_max", maximum(curvature)},
                  {"not_concave_share", static_cast<double>(not_concave) / static_cast<double>(updates.size())},
                  {"kl_residual_max", maximum(of_updates(&GaussianStep::kl_residual))},
                  {"entropy_residual_max", maximum(of_updates(&GaussianStep::entropy_residual))},
                  {"state_kl_max", maximum(state_kl)},
                  {"state_kl_mean", mean(state_kl)},
                  {"state_spread_median", median(spread)},
                  {"saturated_share", epoch.batch.saturated},
                  {"diverged", static_cast<double>(diverged_rollouts(epoch.batch))},
              });

  report.steps = update_steps(updates);
  report.steps.emplace_back("ess", effective);
  report.steps.emplace_back("r2", r2);

  report.warnings = warnings_of(task, epoch.batch, effective, spread, r2);
  warn_of_runaway(model, maximum(gain), most, report.warnings);
  warn_of_divergence(epoch.batch, report.warnings);
  return report;
}

}  // namespace kedge
