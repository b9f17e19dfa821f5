// What a simulator may offer beside System: a quicker way to the derivatives of a control step than to simulate the step from
// every neighbour of its state and control.
#pragma once

#include "kedge/core/types.h"

namespace kedge {

/// How Differentiable::derivatives takes its differences.
struct DifferenceSteps {
  bool centred = true;   ///< errors of order step^2; false: half the work, errors of order step
  double state = 0.0;    ///< step of the entries of dx, > 0
  double control = 0.0;  ///< step of the entries of u where the system needs one, > 0
  VectorXd
      control_step;  ///< [nu] signed: u and u + 2 control_step lie within the limits; 0: this column is not asked for
  bool sensors = false;  ///< C and D are asked for
};

/// First derivatives of one control step, in tangent coordinates: A = dx'/dx, B = dx'/du, C = dy/dx, D = dy/du.
struct StepDerivatives {
  MatrixXd A, B;  ///< [ndx, ndx], [ndx, nu]
  MatrixXd C, D;  ///< [nsensor, ndx], [nsensor, nu]
};

struct Differentiable {
  virtual ~Differentiable() = default;
  enum class Outcome { found, diverged, unsupported };
  /// Computes the derivatives of the control step (System::step) from x under u. A reset is needed afterwards.
  /// @param x [nx]  @param u [nu]  @param d out if `found`: A and B, with steps.sensors C and D too
  /// @return unsupported: there is no quicker way, for this model
  virtual Outcome derivatives(VectorIn x, VectorIn u, const DifferenceSteps& steps, StepDerivatives& d) = 0;
};

}  // namespace kedge
