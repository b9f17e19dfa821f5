#include "kedge/update/sample_weights.h"

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"

namespace kedge {

std::optional<SampleWeights> cost_weights(VectorIn cost, double alpha) {
  require(alpha >= 0.0 && std::isfinite(alpha), "cost weights, alpha", alpha, ">= 0 and finite");
  double least = std::numeric_limits<double>::infinity();
  for (const double c : cost) {
    if (std::isnan(c)) return std::nullopt;
    least = std::min(least, c);
  }
  if (!std::isfinite(least)) return std::nullopt;
  SampleWeights w{VectorXd(cost.size()), 0.0};
  double sum = 0.0, squares = 0.0;
  for (Index i = 0; i < cost.size(); ++i)
    sum += w.weight[i] = std::isinf(cost[i]) ? 0.0 : std::exp(-alpha * (cost[i] - least));
  w.weight /= sum;
  for (const double weight : w.weight) squares += weight * weight;
  w.effective = 1.0 / squares;
  return w;
}

std::optional<VectorXd> marginal_weights(MatrixIn d, const MatrixXd& Sigma, double cut) {
  require(cut > 0.0, "marginal weights, cut", cut, "> 0");
  if (Sigma.rows() != d.rows() || Sigma.cols() != d.rows())
    throw InputError(
        fmt::format("marginal weights: {} coordinates, but Sigma is {}x{}", d.rows(), Sigma.rows(), Sigma.cols()));
  if (!d.allFinite() || !Sigma.allFinite()) return std::nullopt;
  const Eigen::LLT<MatrixXd> llt(Sigma);
  if (llt.info() != Eigen::Success) return std::nullopt;
  const MatrixXd y = llt.matrixL().solve(MatrixXd(d));
  VectorXd w(d.cols());
  for (Index n = 0; n < w.size(); ++n) {
    double square = 0.0;
    for (Index i = 0; i < y.rows(); ++i) square += y(i, n) * y(i, n);
    w[n] = 0.5 * square > cut ? 0.0 : std::exp(-0.5 * square);
  }
  return w;
}

}  // namespace kedge
