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

double x_minus_log1p(double x) {
  if (std::abs(x) >= 0.1) return x - std::log1p(x);
  // With w = x / (2 + x): log(1 + x) = 2 (w + w^3/3 + w^5/5 + ...) and x - 2 w = x w.
  const double w = x / (2.0 + x), w2 = w * w;
  const double series = 1.0 / 3 + w2 * (1.0 / 5 + w2 * (1.0 / 7 + w2 * (1.0 / 9 + w2 * (1.0 / 11 + w2 / 13))));
  return w * (x - 2.0 * w2 * series);
}

double scale_divergence(double q) {
  const double x = (q - 1.0) * (q + 1.0);
  return std::abs(x) < 0.1 ? x_minus_log1p(x) : x - 2.0 * std::log(q);
}

double kl(const Gaussian& p, const Gaussian& q) {
  // 2 KL = tr(R R') - n - log|R R'| + |d|^2 with R = Lq^-1 Lp, lower triangular: a sum of terms >= 0,
  // sum_i [R_ii^2 - 1 - log R_ii^2] + sum_{i>j} R_ij^2 + |d|^2.
  const auto Lq = q.L.triangularView<Eigen::Lower>();
  const MatrixXd R = Lq.solve(p.L);
  double sum = Lq.solve(p.mean - q.mean).squaredNorm();
  for (Index j = 0; j < p.dim(); ++j) sum += scale_divergence(R(j, j)) + R.col(j).tail(p.dim() - j - 1).squaredNorm();
  return 0.5 * sum;
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
