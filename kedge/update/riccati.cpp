#include "kedge/update/riccati.h"

#include <fmt/format.h>

#include <cassert>
#include <cmath>
#include <numbers>

namespace kedge {

namespace {

void set_size(Index T, Index ndx, Index da, Riccati& s) {
  const auto steps = static_cast<std::size_t>(T);
  s.k.resize(da, T);
  s.K.resize(steps);
  s.Quu.resize(steps);
  s.value.resize(T + 1);
  s.Vx.resize(steps + 1);
  s.Vxx.resize(steps + 1);
  for (std::size_t t = 0; t < steps; ++t) {
    s.K[t].resize(da, ndx);
    s.Quu[t].resize(da, da);
  }
  for (std::size_t t = 0; t <= steps; ++t) {
    s.Vx[t].resize(ndx);
    s.Vxx[t].resize(ndx, ndx);
  }
  s.scratch.Qx.resize(ndx);
  s.scratch.Qu.resize(da);
  s.scratch.QuuK_k.resize(da);
  s.scratch.Qxx.resize(ndx, ndx);
  s.scratch.Qux.resize(da, ndx);
  s.scratch.H.resize(da, da);
  s.scratch.VA.resize(ndx, ndx);
  s.scratch.VB.resize(ndx, da);
  s.scratch.QuuK.resize(da, ndx);
  s.scratch.SB.resize(ndx, da);
  s.scratch.p_x.resize(ndx);
  s.scratch.p_u.resize(da);
}

/// Q of step t from the value at t + 1.
void expand_q(const MatrixXd& A, const MatrixXd& B, const StageCost& q, std::size_t t, Riccati& s) {
  auto& w = s.scratch;
  const VectorXd& Vx = s.Vx[t + 1];
  const MatrixXd& Vxx = s.Vxx[t + 1];
  w.VA.noalias() = Vxx * A;
  w.VB.noalias() = Vxx * B;
  w.Qx = q.gx;
  w.Qx.noalias() += A.transpose() * Vx;
  w.Qu = q.gu;
  w.Qu.noalias() += B.transpose() * Vx;
  w.Qxx = q.Hxx;
  w.Qxx.noalias() += A.transpose() * w.VA;
  w.Qux = q.Hux;
  w.Qux.noalias() += B.transpose() * w.VA;
  s.Quu[t] = q.Huu;
  s.Quu[t].noalias() += B.transpose() * w.VB;
}

/// k and K of step t.
RiccatiStatus gains(const MatrixXd& A, const MatrixXd& B, const RiccatiOptions& options, std::size_t t, Riccati& s) {
  auto& w = s.scratch;
  const auto column = static_cast<Index>(t);
  if (!w.Qx.allFinite() || !w.Qu.allFinite() || !w.Qxx.allFinite() || !w.Qux.allFinite() || !s.Quu[t].allFinite())
    return RiccatiStatus::not_finite;
  w.H = s.Quu[t];
  s.K[t] = -w.Qux;
  if (options.lambda > 0.0) w.H.diagonal() += options.lambda * options.R;
  if (options.lambda > 0.0 && options.S.size() > 0) {
    w.SB = (options.lambda * options.S).asDiagonal() * B;
    w.H.noalias() += B.transpose() * w.SB;
    s.K[t].noalias() -= w.SB.transpose() * A;
  }
  w.factor.compute(w.H);
  if (w.factor.info() != Eigen::Success) return RiccatiStatus::not_positive_definite;
  if (options.low.size() == 0) {
    s.k.col(column) = -w.Qu;
    w.factor.solveInPlace(s.k.col(column));
    w.factor.solveInPlace(s.K[t]);
  } else {
    if (!box_qp(w.H, w.Qu, options.low.col(column), options.high.col(column), w.qp))
      return RiccatiStatus::undecided_bounds;
    s.k.col(column) = w.qp.x;
    solve_free(w.qp, s.K[t]);
  }
  return s.K[t].allFinite() && s.k.col(column).allFinite() ? RiccatiStatus::ok : RiccatiStatus::not_finite;
}

/// The value of step t under its gains.
void set_value(double cost, bool soft, std::size_t t, Riccati& s) {
  auto& w = s.scratch;
  const auto k = s.k.col(static_cast<Index>(t));
  const MatrixXd& K = s.K[t];
  w.QuuK_k.noalias() = s.Quu[t] * k;
  const double change = k.dot(w.Qu) + 0.5 * k.dot(w.QuuK_k);
  s.quadratic += change;  // of the total for the full step: the linear part is taken off at the end
  s.value[static_cast<Index>(t)] = cost + s.value[static_cast<Index>(t) + 1] + change;
  if (soft)
    s.value[static_cast<Index>(t)] += w.factor.matrixLLT().diagonal().array().log().sum() -
                                      0.5 * static_cast<double>(k.size()) * std::log(2.0 * std::numbers::pi);

  w.QuuK_k += w.Qu;
  s.Vx[t] = w.Qx;
  s.Vx[t].noalias() += w.Qux.transpose() * k;
  s.Vx[t].noalias() += K.transpose() * w.QuuK_k;
  w.QuuK.noalias() = s.Quu[t] * K;
  w.QuuK += 2.0 * w.Qux;
  w.Qxx.noalias() += K.transpose() * w.QuuK;
  s.Vxx[t] = 0.5 * w.Qxx;
  s.Vxx[t] += 0.5 * w.Qxx.transpose();
}

/// The derivative of the total cost by the size of the step, at 0: along the feedback K without k,
///   p_t = q.gx + A'p' + K'(q.gu + B'p'),  linear = sum of k'(q.gu + B'p').
void add_slope(const MatrixXd& A, const MatrixXd& B, const StageCost& q, std::size_t t, Riccati& s) {
  auto& w = s.scratch;
  w.p_u = q.gu;
  w.p_u.noalias() += B.transpose() * w.p;
  s.linear += s.k.col(static_cast<Index>(t)).dot(w.p_u);
  w.p_x = q.gx;
  w.p_x.noalias() += A.transpose() * w.p;
  w.p_x.noalias() += s.K[t].transpose() * w.p_u;
  w.p.swap(w.p_x);
}

}  // namespace

const char* to_string(RiccatiStatus status) {
  switch (status) {
    case RiccatiStatus::ok: return "ok";
    case RiccatiStatus::not_positive_definite: return "not positive definite";
    case RiccatiStatus::not_finite: return "not finite";
    case RiccatiStatus::undecided_bounds: return "undecided bounds";
  }
  return "";
}

bool riccati(const LqProblem& problem, const RiccatiOptions& options, Riccati& s) {
  const auto& [A, B, cost] = problem;
  assert(A.size() == B.size() && cost.size() == A.size() + 1 && !A.empty());
  assert(!options.soft || (options.lambda == 0.0 && options.low.size() == 0));
  const std::size_t T = A.size();
  set_size(static_cast<Index>(T), A[0].rows(), B[0].cols(), s);
  s.status = RiccatiStatus::ok;
  s.step = -1;
  s.linear = s.quadratic = 0.0;
  s.value[static_cast<Index>(T)] = cost[T].c;
  s.Vx[T] = cost[T].gx;
  s.Vxx[T] = cost[T].Hxx;
  s.scratch.p = cost[T].gx;
  for (std::size_t t = T; t-- > 0;) {
    expand_q(A[t], B[t], cost[t], t, s);
    s.status = gains(A[t], B[t], options, t, s);
    if (s.status != RiccatiStatus::ok) {
      s.step = static_cast<int>(t);
      s.eigenvalue = s.status == RiccatiStatus::not_positive_definite
                         ? Eigen::SelfAdjointEigenSolver<MatrixXd>(s.scratch.H, Eigen::EigenvaluesOnly).eigenvalues()[0]
                         : std::nan("");
      return false;
    }
    set_value(cost[t].c, options.soft, t, s);
    add_slope(A[t], B[t], cost[t], t, s);
  }
  s.quadratic -= s.linear;
  return true;
}

std::string describe_failure(const Riccati& s, double lambda) {
  switch (s.status) {
    case RiccatiStatus::ok: return "ok";
    case RiccatiStatus::not_positive_definite:
      return fmt::format(
          "Quu is not positive definite at step {}: its smallest eigenvalue is {:.3g} with regularisation {:.3g}",
          s.step, s.eigenvalue, lambda);
    case RiccatiStatus::not_finite:
      return fmt::format("the local model is not finite at step {} (regularisation {:.3g})", s.step, lambda);
    case RiccatiStatus::undecided_bounds:
      return fmt::format("which limits hold at step {} is lost to rounding (regularisation {:.3g})", s.step, lambda);
  }
  return "";
}

std::vector<MatrixXd> policy_covariances(const std::vector<MatrixXd>& Quu) {
  std::vector<MatrixXd> Sigma;
  for (const MatrixXd& Q : Quu) {
    const MatrixXd inverse = Q.llt().solve(MatrixXd::Identity(Q.rows(), Q.cols()));
    Sigma.push_back(0.5 * (inverse + inverse.transpose()));
  }
  return Sigma;
}

MatrixXd action_gradient(const LqProblem& problem) {
  const auto& [A, B, cost] = problem;
  const std::size_t T = A.size();
  MatrixXd gradient(B[0].cols(), static_cast<Index>(T));
  VectorXd p = cost[T].gx;
  for (std::size_t t = T; t-- > 0;) {
    gradient.col(static_cast<Index>(t)) = cost[t].gu + B[t].transpose() * p;
    p = cost[t].gx + A[t].transpose() * p;
  }
  return gradient;
}

MatrixXd next_covariance(const ClosedLoop& loop, std::size_t t, const MatrixXd& S, MatrixIn Sf) {
  const auto& [A, B, K, Sigma] = loop;
  const MatrixXd closed = A[t] + B[t] * K[t];
  return closed * S * closed.transpose() + B[t] * Sigma[t] * B[t].transpose() + Sf;
}

std::vector<MatrixXd> state_marginals(const ClosedLoop& loop, MatrixIn S0, MatrixIn Sf) {
  std::vector<MatrixXd> S = {S0};
  for (std::size_t t = 0; t < loop.A.size(); ++t) {
    const MatrixXd next = next_covariance(loop, t, S[t], Sf);
    S.push_back(0.5 * (next + next.transpose()));
  }
  return S;
}

}  // namespace kedge
