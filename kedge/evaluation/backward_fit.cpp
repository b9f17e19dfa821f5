#include "kedge/evaluation/backward_fit.h"

#include <fmt/format.h>

#include <algorithm>

#include "kedge/core/parallel.h"

namespace kedge {

const char* to_string(BackwardFitStatus status) {
  switch (status) {
    case BackwardFitStatus::ok: return "ok";
    case BackwardFitStatus::degenerate: return "degenerate";
    case BackwardFitStatus::not_finite: return "not finite";
  }
  return "?";
}

std::vector<ValueBounds> value_bounds(const std::deque<Transitions>& data, int horizon) {
  bool never_negative = true;
  VectorXd most = VectorXd::Zero(horizon + 1);  // cost to go
  for (const Transitions& d : data) {
    never_negative = never_negative && (d.terms.array() >= 0).all() && (d.next_terms.array() >= 0).all();
    for (int t = 0; t < horizon && d.per_step > 0; ++t)
      most[t] = std::max(most[t], d.cost_to_go.segment(t * d.per_step, d.per_step).maxCoeff());
  }
  std::vector<ValueBounds> bounds(static_cast<std::size_t>(horizon) + 1);
  for (std::size_t t = 0; t < bounds.size() && never_negative; ++t) {
    const double range = most[static_cast<Index>(t)];
    bounds[t] = {-2.0 * range, range};
  }
  return bounds;
}

BackwardFit fit_backwards(const Task& task, const SampleReuse& reuse, const RegressionOptions& options, int threads,
                          std::vector<Regression>& workspace) {
  const auto T = static_cast<std::size_t>(task.horizon);
  workspace.resize(static_cast<std::size_t>(ahead(threads)));
  BackwardFit result;
  result.fits.resize(T);
  result.samples.resize(T);
  std::vector<char> prepared(T);
  // The i-th step that is fitted, and the memory of its regression.
  const auto step = [&](Index i) { return T - 1 - static_cast<std::size_t>(i); };
  const auto regression = [&](Index i) -> Regression& {
    return workspace[static_cast<std::size_t>(i) % workspace.size()];
  };

  const auto prepare = [&](Index i) {
    const std::size_t t = step(i);
    const WeightedSamples samples = reuse.samples(static_cast<int>(t));
    result.samples[t] = {samples.effective, static_cast<double>(samples.weight.size()), samples.left_out};
    const Whitening* next_map = t + 1 < T ? &reuse.density()[t + 1] : nullptr;
    prepared[t] = prepare_regression({task, static_cast<int>(t), reuse.data(), samples, reuse.density()[t], next_map},
                                     options, regression(i));
  };
  const std::vector<ValueBounds> bounds = value_bounds(reuse.data(), task.horizon);
  const auto fit = [&](Index i) {
    if (result.status != BackwardFitStatus::ok) return;
    const std::size_t t = step(i);
    if (!prepared[t]) {
      result.status = BackwardFitStatus::degenerate;
      result.message = fmt::format("step {}: no importance weight is usable or the features have lost rank", t);
      return;
    }
    auto fitted =
        fit_step(regression(i), task.ds(), options, t + 1 < T ? &result.fits[t + 1].v : nullptr, bounds[t + 1]);
    if (!fitted) {
      result.status = BackwardFitStatus::not_finite;
      result.message = fmt::format("step {}: the fitted Q-function is not finite", t);
      return;
    }
    result.fits[t] = std::move(*fitted);
  };
  parallel_then_in_order(task.horizon, threads, prepare, fit);
  if (result.status != BackwardFitStatus::ok) result.fits.clear();
  return result;
}

}  // namespace kedge
