#include "kedge/evaluation/backward_fit.h"

#include <fmt/format.h>

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
  const auto fit = [&](Index i) {
    if (result.status != BackwardFitStatus::ok) return;
    const std::size_t t = step(i);
    if (!prepared[t]) {
      result.status = BackwardFitStatus::degenerate;
      result.message = fmt::format("step {}: no importance weight is usable or the features have lost rank", t);
      return;
    }
    auto fitted = fit_step(regression(i), task.ds(), options, t + 1 < T ? &result.fits[t + 1].v : nullptr);
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
