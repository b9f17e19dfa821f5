#include "kedge/policy/dmp.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/policy/gains.h"

namespace kedge {

namespace {

constexpr double kFrequency = 10.0;      ///< 1/s: w where the control step is short
constexpr double kLargestAdvance = 0.5;  ///< w times the control step: beyond 1 the sampled controller is unstable

void check(const Tracking& tracking, Index da, Index ds) {
  const auto entries = [&](const std::vector<Index>& index) {
    return static_cast<Index>(index.size()) == da &&
           std::ranges::all_of(index, [&](Index i) { return i >= 0 && i < ds; });
  };
  bool ok = entries(tracking.position) && entries(tracking.velocity) && tracking.low.size() == da &&
            tracking.high.size() == da && tracking.std.size() == da;
  for (Index i = 0; ok && i < da; ++i)
    ok = tracking.low[i] < tracking.high[i] && tracking.std[i] > 0.0 && std::isfinite(tracking.std[i]);
  if (!ok)
    throw InputError(
        fmt::format("dmp: entries, limits or standard deviations do not fit {} actions and {} observations", da, ds));
}

}  // namespace

DmpPolicy::DmpPolicy(MatrixXd movement, double step, Tracking tracking, std::vector<MatrixXd> K, MatrixXd k)
    : movement_(std::move(movement)), tracking_(std::move(tracking)), K_(std::move(K)), k_(std::move(k)) {
  const Index da = k_.rows(), ds = observation_dim();
  bool ok = da >= 1 && ds >= 1 && k_.cols() == horizon() && movement_.rows() == da && movement_.cols() >= kWeights &&
            step > 0.0 && std::isfinite(step);
  for (const MatrixXd& gain : K_) ok = ok && gain.rows() == da && gain.cols() == ds;
  if (!ok) throw InputError("dmp: movement, K and k do not agree in size, or its step is not > 0 s");
  check(tracking_, da, ds);
  if (!finite()) throw InputError("dmp: movement, K or k has a number that is not finite");
  basis_ = std::make_shared<MovementBasis>(movement_basis(horizon(), step, movement_.cols() - kWeights));
}

DmpPolicy DmpPolicy::track(MatrixXd movement, std::shared_ptr<const MovementBasis> basis, Tracking tracking, Index ds,
                           const InverseDynamics& model) {
  const Index da = movement.rows();
  check(tracking, da, ds);
  const double w = std::min(kFrequency, kLargestAdvance / basis->step);
  const MatrixXd y = movement * basis->position, yd = movement * basis->velocity;
  DmpPolicy policy;
  policy.k_ = MatrixXd(da, basis->steps());
  VectorXd reference(da);
  MatrixXd M(da, da);
  for (Index t = 0; t < policy.k_.cols(); ++t) {  // in the middle of the control step
    model(0.5 * (y.col(t) + y.col(t + 1)), 0.5 * (yd.col(t) + yd.col(t + 1)), (yd.col(t + 1) - yd.col(t)) / basis->step,
          reference, M);
    MatrixXd K = MatrixXd::Zero(da, ds);
    for (Index j = 0; j < da; ++j) {
      K.col(tracking.position[static_cast<std::size_t>(j)]) -= w * w * M.col(j);
      K.col(tracking.velocity[static_cast<std::size_t>(j)]) -= 2.0 * w * M.col(j);
    }
    policy.k_.col(t) = reference + M * (w * w * y.col(t) + 2.0 * w * yd.col(t));
    policy.K_.push_back(std::move(K));
  }
  policy.movement_ = std::move(movement);
  policy.basis_ = std::move(basis);
  policy.tracking_ = std::move(tracking);
  return policy;
}

bool DmpPolicy::finite() const {
  return movement_.allFinite() && k_.allFinite() &&
         std::ranges::all_of(K_, [](const MatrixXd& K) { return K.allFinite(); });
}

void DmpPolicy::mean(int t, VectorIn s, VectorOut a) const {
  a = k_.col(t);
  add_gains(K_[static_cast<std::size_t>(t)], s, a);
  for (Index i = 0; i < a.size(); ++i) a[i] = std::clamp(a[i], tracking_.low[i], tracking_.high[i]);  // NaN stays NaN
}

void DmpPolicy::sample(int t, VectorIn s, Stream& noise, VectorOut a) const {
  mean(t, s, a);
  for (Index i = 0; i < a.size(); ++i) a[i] += tracking_.std[i] * noise.normal();
}

double DmpPolicy::log_prob(int t, VectorIn s, VectorIn a) const {
  VectorXd middle(action_dim());
  mean(t, s, middle);
  double sum = 0.0;
  for (Index i = 0; i < middle.size(); ++i) {
    const double d = (a[i] - middle[i]) / tracking_.std[i];
    sum += 0.5 * (d * d + std::log(2.0 * std::numbers::pi)) + std::log(tracking_.std[i]);
  }
  return -sum;
}

}  // namespace kedge
