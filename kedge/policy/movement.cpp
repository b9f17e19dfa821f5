#include "kedge/policy/movement.h"

#include <cmath>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr double kLongestStep = 2e-3;  ///< s, of the integration
constexpr double kDecay = 2.0;         ///< of z over the duration
constexpr double kRate = 15.0;         ///< a times the duration

/// The shape functions f_b at phase z. @return [B]
VectorXd shapes(Index B, double z) {
  VectorXd f(B);
  for (Index b = 0; b < B; ++b) {
    const auto centre = [&](Index i) {
      return std::exp(-kDecay * static_cast<double>(i) / static_cast<double>(std::max<Index>(B - 1, 1)));
    };
    const double apart = b + 1 < B ? centre(b + 1) - centre(b) : centre(b) - centre(b - 1);
    const double distance = (z - centre(b)) / (B > 1 ? apart : 1.0);
    f[b] = std::exp(-1.5 * distance * distance);
  }
  return B > 0 ? VectorXd(f * (z / f.sum())) : f;
}

}  // namespace

MovementBasis movement_basis(int T, double step, Index weights) {
  require(T >= 1, "movement, steps", T, ">= 1");
  require(step > 0.0 && std::isfinite(step), "movement, step", step, "> 0 s");
  require(weights >= 0, "movement, weights", weights, ">= 0");
  const double D = T * step, a = kRate / D;
  const int inner = std::max(1, static_cast<int>(std::ceil(step / kLongestStep - 1e-9)));
  const double h = step / inner;
  const Index P = kWeights + weights;
  MovementBasis basis{step, MatrixXd(P, T + 1), MatrixXd(P, T + 1)};
  VectorXd y = VectorXd::Unit(P, kStart), yd = VectorXd::Unit(P, kStartVelocity), ydd(P);
  for (int t = 0; t <= T; ++t) {
    basis.position.col(t) = y;
    basis.velocity.col(t) = yd;
    for (int i = 0; i < inner; ++i) {  // at constant acceleration
      const double time = t * step + i * h;
      ydd = a * (-0.25 * a * y - yd);
      ydd[kGoal] += 0.25 * a * a;
      ydd[kGoalVelocity] += a * (1.0 - 0.25 * a * (D - time));
      ydd.tail(weights) += shapes(weights, std::exp(-kDecay * time / D));
      y += h * (yd + 0.5 * h * ydd);
      yd += h * ydd;
    }
  }
  return basis;
}

double weight_of_goal(double duration) { return 0.25 * (kRate / duration) * (kRate / duration); }

MatrixXd imitate(const MovementBasis& basis, MatrixIn position, MatrixIn velocity) {
  const Index n = position.rows(), B = basis.weights(), columns = basis.position.cols();
  if (position.cols() != columns || velocity.rows() != n || velocity.cols() != columns)
    throw InputError(fmt::format("movement: positions are {}x{}, velocities {}x{}, but the basis has {} steps", n,
                                 position.cols(), velocity.rows(), velocity.cols(), columns));
  MatrixXd parameters = MatrixXd::Zero(n, kWeights + B);
  parameters.col(kStart) = position.col(0);
  parameters.col(kStartVelocity) = velocity.col(0);
  parameters.col(kGoal) = position.col(columns - 1);
  parameters.col(kGoalVelocity) = velocity.col(columns - 1);
  if (B == 0) return parameters;
  const double unit = basis.steps() * basis.step / kRate;  // s: makes a velocity count like a position
  MatrixXd response(2 * columns, B), rest(2 * columns, n);
  response << basis.position.bottomRows(B).transpose(), unit * basis.velocity.bottomRows(B).transpose();
  rest << (position - parameters * basis.position).transpose(),
      unit * (velocity - parameters * basis.velocity).transpose();
  parameters.rightCols(B) = response.completeOrthogonalDecomposition().solve(rest).transpose();
  return parameters;
}

}  // namespace kedge
