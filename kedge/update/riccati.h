// The backward pass of iLQR: linear-quadratic control around a trajectory [Tassa2014; Levine2013, Sec. 4]. With V' the
// value at t+1,
//
//   Q_x = q.gx + A'V'_x       Q_xx = q.Hxx + A'V'_xx A
//   Q_u = q.gu + B'V'_x       Q_ux = q.Hux + B'V'_xx A       Q_uu = q.Huu + B'V'_xx B
//   k = argmin Q_u'k + k'H k / 2  (within bounds)            H = Q_uu + lambda (diag(R) + B' diag(S) B)
//   K = -H^-1 (Q_ux + lambda B' diag(S) A)                   rows of actions at a bound: 0
//   V_x  = Q_x  + Q_ux'k + K'(Q_uu k + Q_u)
//   V_xx = Q_xx + K'Q_uu K + K'Q_ux + Q_ux'K
//
// The regularisation is what changes of the action and of the next state would cost: lambda (u'R u + x''S x') / 2.
// V is the value of exactly these gains, for every lambda. Second derivatives of the dynamics are left out: iLQR, not DDP.
#pragma once

#include <string>
#include <vector>

#include "kedge/math/box_qp.h"
#include "kedge/math/lq.h"

namespace kedge {

enum class RiccatiStatus {
  ok,
  not_positive_definite,  ///< H is not, at `step`
  not_finite,             ///< a number of Q is not finite, at `step`
  undecided_bounds,       ///< which bounds hold cannot be decided in double precision, at `step`
};
const char* to_string(RiccatiStatus status);

struct RiccatiOptions {
  double lambda = 0.0;  ///< regularisation, >= 0
  VectorXd R;           ///< [da] > 0, its units: curvature of the cost by each action
  VectorXd S;           ///< [ndx] >= 0, its units for the next state; empty: none
  MatrixXd low, high;   ///< [da, T] bounds on k_t, low <= high; empty: none

  /// True: the value is that of the maximum-entropy problem. Requires lambda = 0 and no bounds.
  bool soft = false;
};

/// Gains and value, or the reason for a failure. A reused object allocates nothing for a problem of the same size.
struct Riccati {
  RiccatiStatus status = RiccatiStatus::ok;
  int step = -1;            ///< step at which it failed
  double eigenvalue = 0.0;  ///< smallest one of H there

  MatrixXd k;                 ///< [da, T]
  std::vector<MatrixXd> K;    ///< [T] [da, ndx]
  std::vector<MatrixXd> Quu;  ///< [T] [da, da] without regularisation
  /// V_t(dx) = value_t + V_x'dx + dx'V_xx dx / 2, [T+1]. Soft (costs minimised; [Levine2013] with its sign turned, see
  /// docs/algorithms/ilqr.md): V = -log of the integral of exp(-Q) over actions = min Q - da log(2 pi) / 2 + log|Quu| / 2.
  VectorXd value;
  std::vector<VectorXd> Vx;
  std::vector<MatrixXd> Vxx;
  /// The model's change of the total cost if k is taken times `a`, exactly, for every lambda and bounds:
  /// a linear + a^2 quadratic, with linear <= 0 <= quadratic where the cost is convex.
  double linear = 0.0, quadratic = 0.0;

  struct Scratch {
    VectorXd Qx, Qu, QuuK_k, p, p_x, p_u;
    MatrixXd Qxx, Qux, H, VA, VB, QuuK, SB;
    Eigen::LLT<MatrixXd> factor;
    BoxQp qp;
  } scratch;
};

/// Runs the backward pass.
/// @param problem T >= 1  @param solution out; if its status is not ok, only status, step and eigenvalue are set
/// @return solution.status == ok
[[nodiscard]] bool riccati(const LqProblem& problem, const RiccatiOptions& options, Riccati& solution);

/// Returns one sentence with the numbers that decided.
std::string describe_failure(const Riccati& solution, double lambda);

/// Returns Quu^-1 of every step, the covariance of the soft-optimal policy. @param Quu [T] positive definite
std::vector<MatrixXd> policy_covariances(const std::vector<MatrixXd>& Quu);

/// Returns the gradient of the total cost by the actions of an open-loop trajectory, by the adjoint recursion
///   p_T = q_T.gx,  p_t = q_t.gx + A'p_{t+1},  g_t = q_t.gu + B'p_{t+1}.   @return [da, T]
MatrixXd action_gradient(const LqProblem& problem);

/// Returns the covariance of dx_{t+1} from that of dx_t, whose mean is 0:
///   S' = (A + B K) S (A + B K)' + B Sigma B' + Sf                         [Levine2013, Sec. 4]
/// @param S [ndx, ndx]  @param Sf [ndx, ndx] of the noise that a step adds
MatrixXd next_covariance(const ClosedLoop& loop, std::size_t t, const MatrixXd& S, MatrixIn Sf);

/// Returns the covariances of dx_0 ... dx_T from that of dx_0, symmetric. @return [T + 1]
std::vector<MatrixXd> state_marginals(const ClosedLoop& loop, MatrixIn S0, MatrixIn Sf);

}  // namespace kedge
