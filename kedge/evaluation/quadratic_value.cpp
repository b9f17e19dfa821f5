#include "kedge/evaluation/quadratic_value.h"

#include <fmt/format.h>

#include <optional>

#include "kedge/evaluation/backward_fit.h"
#include "kedge/evaluation/state_distribution.h"

namespace kedge {

namespace {

/// Coordinates of the actions for the regressions, whatever policy made them: mean and deviations at each step.
std::optional<TvLinearGaussian> action_coordinates(const Batch& batch) {
  const Index ds = batch.observation.rows(), da = batch.action.rows();
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < batch.horizon; ++t) {
    MatrixXd a(da, usable_rollouts(batch));
    Index column = 0;
    for (int n = 0; n < batch.rollouts; ++n)
      if (batch.usable(n)) a.col(column++) = batch.action.col(batch.step(n, t));
    const auto fitted = fit_gaussian(a, VectorXd::Ones(a.cols()), 1e-6, 1e-8);
    if (!fitted) return std::nullopt;
    steps.push_back({MatrixXd::Zero(da, ds), fitted->mean, fitted->cov, fitted->L});
  }
  return TvLinearGaussian(std::move(steps));
}

}  // namespace

double QuadraticValue::operator()(int t, VectorIn s) const {
  if (t >= static_cast<int>(v.size())) return 0.0;
  const Whitening& m = map[static_cast<std::size_t>(t)];
  return v[static_cast<std::size_t>(t)](m.W * s - m.b);
}

Outcome<QuadraticValue> fit_quadratic_value(const Task& task, const Batch& batch, double discount, double ridge,
                                            int threads) {
  const int usable = usable_rollouts(batch);
  const auto unusable = [&] {
    return failure(fmt::format("V cannot be fitted: {} of {} rollouts are usable", usable, batch.rollouts));
  };
  if (usable < 2) return unusable();
  auto actions = action_coordinates(batch);
  if (!actions) return unusable();
  Window window;
  window.push_back({0, std::move(*actions), {}, batch});
  auto rho = mixture_state_distribution(window, 0.0, threads);
  if (!rho) return unusable();
  QuadraticValue value;
  for (const Gaussian& each : *rho) value.map.push_back(whitening(each));
  window.change(0).rho = std::move(*rho);

  SampleReuse own(Reuse::none, 1, 0.0);
  own.push(window.back(), threads);
  std::vector<Regression> workspace;
  BackwardFit model =
      fit_backwards(task, own, {.ridge = ridge, .monte_carlo = false, .discount = discount}, threads, workspace);
  if (model.status != BackwardFitStatus::ok) return failure(model.message);
  for (QuadraticFit& fit : model.fits) value.v.push_back(std::move(fit.v));
  return value;
}

}  // namespace kedge
