// Dynamic movement primitives whose goal moves, so that a movement arrives with a velocity [Kober2010; Muelling2013]. In each
// of n coordinates, over a duration D,
//
//   g(t) = goal - goal_velocity (D - t),    z(t) = exp(-2 t / D)
//   y''  = a [ a/4 (g(t) - y) + goal_velocity - y' ] + sum_b w_b f_b(t),    f_b = psi_b(z) z / sum_c psi_c(z),   a = 15 / D
//
// psi_b: Gaussians whose centres are equally spaced in time. The movement is linear in start, goal, their velocities and the
// weights, so the equation is integrated once for each of them and a movement is a product of matrices. It is
// integrated in steps of constant acceleration of at most 2 ms.
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// The responses of a coordinate, one a row, to its parameters
///   [start, start_velocity, goal, goal_velocity, w_1, ..., w_B]
/// at the times t = 0, step, ..., T step.
struct MovementBasis {
  double step = 0.0;            ///< s
  MatrixXd position, velocity;  ///< [4 + B, T + 1]

  [[nodiscard]] int steps() const { return static_cast<int>(position.cols()) - 1; }  ///< T
  [[nodiscard]] Index weights() const { return position.rows() - 4; }                ///< B
};

/// Columns of the parameters of a movement, [n, 4 + B].
enum MovementColumn : Index { kStart, kStartVelocity, kGoal, kGoalVelocity, kWeights };

/// @param T >= 1  @param step > 0, s  @param weights B >= 0
/// @throws InputError
MovementBasis movement_basis(int T, double step, Index weights);

/// Returns the weight that pulls as strongly, while its shape function is 1, as a goal that is moved by 1: a^2 / 4.
/// @param duration D, s
double weight_of_goal(double duration);

/// Imitates a movement: start and goal are its ends, the weights fit positions, and velocities times D / 15, by least
/// squares. @param position, velocity [n, T + 1]  @return parameters [n, 4 + B]
MatrixXd imitate(const MovementBasis& basis, MatrixIn position, MatrixIn velocity);

}  // namespace kedge
