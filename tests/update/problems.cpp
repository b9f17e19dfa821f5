#include "problems.h"

#include <Eigen/Eigenvalues>
#include <cmath>
#include <limits>

namespace kedge::test {

namespace {

double between(double low, double high, Stream& random) { return low + (high - low) * random.uniform(); }
double log_between(double low, double high, Stream& random) {
  return std::exp(between(std::log(low), std::log(high), random));
}

/// A covariance with standard deviations between scale/5 and 5 scale along random directions.
MatrixXd random_covariance(Index n, double scale, Stream& random) {
  const MatrixXd S = random_matrix(n, n, random);
  const MatrixXd U = Eigen::SelfAdjointEigenSolver<MatrixXd>(S + S.transpose()).eigenvectors();
  VectorXd std(n);
  for (Index i = 0; i < n; ++i) std[i] = log_between(scale / 5, 5 * scale, random);
  return U * std.cwiseAbs2().asDiagonal() * U.transpose();
}

}  // namespace

Problem random_setting(Index da, Index ds, Stream& random) {
  Problem p;
  const double action = log_between(0.1, 10, random), state = log_between(0.1, 10, random);
  p.pi = make_linear_gaussian(action / state * random_matrix(da, ds, random), action * random_matrix(da, 1, random),
                              random_covariance(da, action, random));
  p.rho = *make_gaussian(state * random_matrix(ds, 1, random), random_covariance(ds, state, random));
  return p;
}

double max_entropy_gain(double epsilon, Index da) {
  // (da/2) log r with r - 1 - log r = 2 epsilon / da, r > 1
  const double n = static_cast<double>(da);
  double low = 1.0, high = 4.0 + 4.0 * epsilon / n;
  for (int i = 0; i < 200; ++i) {
    const double r = 0.5 * (low + high);
    (r - 1.0 - std::log(r) < 2.0 * epsilon / n ? low : high) = r;
  }
  return 0.5 * n * std::log(low);
}

Problem random_problem(std::uint32_t number) {
  Stream random(7, number, 0, 0);
  const Index da = 1 + static_cast<Index>(random.bits() % 9), ds = 1 + static_cast<Index>(random.bits() % 21);
  Problem p = random_setting(da, ds, random);

  WhitenedQuadratic w;
  const MatrixXd S = random_matrix(da, da, random) / std::sqrt(static_cast<double>(da));
  const MatrixXd I = MatrixXd::Identity(da, da);
  w.B = random_matrix(da, ds, random) / std::sqrt(static_cast<double>(ds));
  w.g = random_matrix(da, 1, random);
  switch (number % 10) {
    case 0: w.A = -S * S.transpose(); break;
    case 1: w.A = S + S.transpose(); break;
    case 2: w.A = S * S.transpose(); break;
    case 3: w.A = MatrixXd::Zero(da, da); break;
    case 4:
    case 9:
      w.A = -I - 0.1 * (S + S.transpose());
      w.B *= 0.05;
      w.g *= 0.05;
      break;
    case 5: w.A = -S.col(0) * S.col(0).transpose(); break;
    case 6: w.A = S + S.transpose() + I; break;
    case 7: w.A = S + S.transpose(); break;
    case 8: {
      const MatrixXd U = Eigen::SelfAdjointEigenSolver<MatrixXd>(S + S.transpose()).eigenvectors();
      VectorXd lambda(da);
      for (Index i = 0; i < da; ++i) lambda[i] = -log_between(1e-3, 1e3, random);
      w.A = U * lambda.asDiagonal() * U.transpose();
      break;
    }
  }
  if (number % 10 == 6) {
    const VectorXd u = Eigen::SelfAdjointEigenSolver<MatrixXd>(w.A).eigenvectors().col(da - 1);
    w.B -= u * (u.transpose() * w.B);
    w.g -= u * u.dot(w.g);
  }
  if (number % 10 == 7) w.B.setZero(), w.g.setZero();
  const double scale = number % 16 == 0 ? log_between(1e-12, 1e12, random) : log_between(1e-2, 1e6, random);
  const double size = number % 40 == 9 ? 0.0 : scale;  // Q = 0
  w.A *= size, w.B *= size, w.g *= size;
  p.q = unwhiten(w, p.pi, p.rho);

  p.bounds.epsilon = log_between(1e-3, 2, random);
  switch (random.bits() % 8) {
    case 0: p.bounds.entropy_drop = std::nullopt; break;
    case 1: p.bounds.entropy_drop = between(-0.9, 0, random) * max_entropy_gain(p.bounds.epsilon, da); break;
    case 2: p.bounds.entropy_drop = 0.0; break;
    case 3: p.bounds.entropy_drop = between(1, 10, random); break;
    default: p.bounds.entropy_drop = log_between(1e-3, 1, random);
  }
  return p;
}

GaussianStep update(const Problem& p) { return gaussian_step(p.pi, whiten(p.q, p.pi, p.rho), p.rho, p.bounds); }

}  // namespace kedge::test
