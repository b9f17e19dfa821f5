#include "kedge/math/gaussian.h"

#include <cmath>
#include <numbers>

namespace kedge {

std::optional<Gaussian> make_gaussian(VectorXd mean, const MatrixXd& cov) {
  Gaussian g;
  g.mean = std::move(mean);
  g.cov = 0.5 * (cov + cov.transpose());
  if (!g.mean.allFinite() || !g.cov.allFinite()) return std::nullopt;
  const Eigen::LLT<MatrixXd> llt(g.cov);
  if (llt.info() != Eigen::Success) return std::nullopt;
  g.L = llt.matrixL();
  return g;
}

double log_det(MatrixIn L) { return 2.0 * L.diagonal().array().log().sum(); }

double kl(const Gaussian& p, const Gaussian& q) {
  const auto Lq = q.L.triangularView<Eigen::Lower>();
  const MatrixXd W = Lq.solve(p.L);  // tr(Sq^-1 Sp) = |Lq^-1 Lp|_F^2
  const VectorXd d = Lq.solve(p.mean - q.mean);
  const double n = static_cast<double>(p.dim());
  return 0.5 * (W.squaredNorm() + d.squaredNorm() - n + log_det(q.L) - log_det(p.L));
}

double entropy(MatrixIn L) {
  const double n = static_cast<double>(L.rows());
  return 0.5 * (n * (1.0 + std::log(2.0 * std::numbers::pi)) + log_det(L));
}

std::optional<Gaussian> fit_gaussian(MatrixIn x, VectorIn w, double relative, double absolute) {
  const double total = w.sum();
  if (!(total > 0.0) || !std::isfinite(total)) return std::nullopt;
  const VectorXd mean = x * w / total;
  const MatrixXd d = x.colwise() - mean;
  MatrixXd cov = d * (w / total).asDiagonal() * d.transpose();
  const VectorXd ridge = relative * cov.diagonal() + VectorXd::Constant(x.rows(), absolute);
  cov.diagonal() += ridge;
  return make_gaussian(mean, cov);
}

}  // namespace kedge
