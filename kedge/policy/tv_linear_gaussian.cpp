#include "kedge/policy/tv_linear_gaussian.h"

#include <cmath>
#include <numbers>

#include "kedge/core/errors.h"
#include "kedge/math/gaussian.h"
#include "kedge/policy/gains.h"

namespace kedge {

LinearGaussian make_linear_gaussian(MatrixXd K, VectorXd k, const MatrixXd& Sigma) {
  if (K.rows() != k.size() || Sigma.rows() != k.size() || Sigma.cols() != k.size())
    throw InputError(
        fmt::format("linear-Gaussian policy: K is {}x{}, k has {} entries, Sigma is {}x{}, but da must agree", K.rows(),
                    K.cols(), k.size(), Sigma.rows(), Sigma.cols()));
  if (!K.allFinite()) throw InputError("linear-Gaussian policy: K contains a number that is not finite");
  auto noise = make_gaussian(std::move(k), Sigma);
  if (!noise) throw InputError("linear-Gaussian policy: k is not finite or Sigma is not positive definite");
  return {std::move(K), std::move(noise->mean), std::move(noise->cov), std::move(noise->L)};
}

TvLinearGaussian TvLinearGaussian::constant(int horizon, Index ds, VectorIn mean_action, VectorIn std) {
  const MatrixXd Sigma = std.array().square().matrix().asDiagonal();
  const auto step = make_linear_gaussian(MatrixXd::Zero(mean_action.size(), ds), mean_action, Sigma);
  return TvLinearGaussian(std::vector<LinearGaussian>(static_cast<std::size_t>(horizon), step));
}

void TvLinearGaussian::mean(int t, VectorIn s, VectorOut a) const {
  const LinearGaussian& pi = (*this)[t];
  a.setZero();
  add_gains(pi.K, s, a);
  a += pi.k;
}

void TvLinearGaussian::sample(int t, VectorIn s, Stream& noise, VectorOut a) const {
  const LinearGaussian& pi = (*this)[t];
  mean(t, s, a);
  for (Index j = 0; j < a.size(); ++j) {  // a += C z, column by column: no temporary
    const double z = noise.normal();
    for (Index i = j; i < a.size(); ++i) a[i] += pi.C(i, j) * z;
  }
}

double TvLinearGaussian::log_prob(int t, VectorIn s, VectorIn a) const {
  const LinearGaussian& pi = (*this)[t];
  const VectorXd d = pi.C.triangularView<Eigen::Lower>().solve(a - pi.K * s - pi.k);
  const double n = static_cast<double>(a.size());
  return -0.5 * (d.squaredNorm() + n * std::log(2.0 * std::numbers::pi) + log_det(pi.C));
}

}  // namespace kedge
