#include "kedge/update/stationary_lqr.h"

#include <Eigen/Eigenvalues>
#include <algorithm>

namespace kedge {

namespace {

constexpr double kStays = 1.0 - 1e-9;  ///< |eigenvalue| of a mode that does not die out within a billion steps
constexpr double kGrows = 1.0 + 1e-7;  ///< of one that grows; derivatives by differences have errors below that
constexpr double kUnmoved = 1e-9;      ///< share of the matrix below which a mode is not moved, or not seen

/// A left eigenvector w of F with |lambda| >= least, and |w G| ~ 0: no column of G moves that mode.
bool find_unmoved(const MatrixXd& F, const MatrixXd& G, double least, StationaryLqr& result) {
  const Eigen::EigenSolver<MatrixXd> modes(MatrixXd(F.transpose()));
  for (Index i = 0; i < F.rows(); ++i) {
    const std::complex<double> lambda = modes.eigenvalues()[i];
    if (std::abs(lambda) < least) continue;
    // rank [F - lambda I, G] < n  [Popov, Belevitch & Hautus], of complex matrices as real ones of twice the size
    const Index n = F.rows(), m = G.cols();
    MatrixXd both = MatrixXd::Zero(2 * n, 2 * (n + m));
    const MatrixXd real = F - lambda.real() * MatrixXd::Identity(n, n);
    both.topLeftCorner(n, n) = both.block(n, n, n, n) = real;
    both.block(0, n, n, n).diagonal().setConstant(lambda.imag());
    both.block(n, 0, n, n).diagonal().setConstant(-lambda.imag());
    both.block(0, 2 * n, n, m) = both.bottomRightCorner(n, m) = G;
    const Eigen::ColPivHouseholderQR<MatrixXd> qr(both);
    if (qr.matrixQR().row(2 * n - 1).tail(2 * m + 1).norm() > kUnmoved * std::abs(qr.matrixQR()(0, 0))) continue;
    result.eigenvalue = lambda;
    const VectorXd mode = MatrixXd(qr.householderQ()).col(2 * n - 1);
    (mode.head(n).cwiseAbs2() + mode.tail(n).cwiseAbs2()).maxCoeff(&result.entry);
    return true;
  }
  return false;
}

/// A'P A - ... for 2^k steps at a time; P in H. @return false if it does not converge
bool doubling(MatrixXd A, MatrixXd G, MatrixXd& H) {
  const MatrixXd I = MatrixXd::Identity(A.rows(), A.cols());
  for (int k = 0; k < 60; ++k) {
    const Eigen::PartialPivLU<MatrixXd> W(I + G * H);
    const MatrixXd WA = W.solve(A);
    const MatrixXd more = A.transpose() * H * WA;
    const MatrixXd wider = A * W.solve(G) * A.transpose();
    G += 0.5 * (wider + wider.transpose());
    H += 0.5 * (more + more.transpose());
    A = A * WA;
    if (!H.allFinite() || !G.allFinite() || !A.allFinite()) return false;
    if (more.cwiseAbs().maxCoeff() <= 1e-15 * H.cwiseAbs().maxCoeff()) return true;
  }
  return false;
}

/// True if the powers of F do not grow: no eigenvalue outside of the unit circle, and on it none with a chain of vectors.
bool is_bounded(MatrixXd F) {
  double before = 0.0;
  for (int k = 0; k < 20; ++k) {
    if (k == 10) before = F.norm();
    F = (F * F).eval();
  }
  return F.allFinite() && F.norm() <= 2.0 * std::max(1.0, before);
}

}  // namespace

StationaryLqr stationary_lqr(const MatrixXd& A, const MatrixXd& B, const StageCost& q) {
  StationaryLqr result;
  const Eigen::LLT<MatrixXd> R(q.Huu);
  if (R.info() != Eigen::Success || R.rcond() < 1e-14) {
    result.status = StationaryStatus::not_curved;
    return result;
  }
  // With du = dv - Huu^-1 Hux dx the cost has no products of dx and dv.
  const MatrixXd RS = R.solve(q.Hux);
  const MatrixXd F = A - B * RS;
  MatrixXd P = q.Hxx - q.Hux.transpose() * RS;
  P = 0.5 * (P + P.transpose()).eval();
  if (find_unmoved(A, B, kStays, result)) {
    result.status = StationaryStatus::not_stabilisable;
    return result;
  }
  const MatrixXd seen = P;
  if (find_unmoved(F.transpose(), seen, kGrows, result)) {
    result.status = StationaryStatus::not_detectable;
    return result;
  }
  result.status = StationaryStatus::no_solution;
  if (!doubling(F, B * R.solve(B.transpose()), P)) return result;
  const MatrixXd PA = P * A, PB = P * B;
  const MatrixXd K = -(q.Huu + B.transpose() * PB).llt().solve(q.Hux + B.transpose() * PA);
  if (!K.allFinite()) return result;
  if (!is_bounded(A + B * K)) {
    if (find_unmoved(F.transpose(), seen, kStays, result)) result.status = StationaryStatus::not_detectable;
    return result;
  }
  result.status = StationaryStatus::ok;
  result.K = K;
  result.P = P;
  return result;
}

}  // namespace kedge
