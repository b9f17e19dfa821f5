// Derivatives of one sub-step of MuJoCo by differences that compute again only what a change touches: a control moves forces,
// a velocity also velocity-dependent ones, a position everything. With RK4 the differences are those of the accelerations at
// its four stages, and the chain rule does the rest. Internal to kedge/mujoco.
#pragma once

#include "kedge/system/differentiable.h"

struct mjModel_;
struct mjData_;

namespace kedge {

/// True if controls or sensors have a delay: what is on its way is state of MuJoCo (since 3.5), but not in kedge's x.
bool has_delays(const mjModel_& model);

/// False for integrators, joints and flags for which the whole step has to be simulated from every neighbour.
bool has_step_derivatives(const mjModel_& model);

/// Sub-steps and their derivatives. Allocates once, not for every sub-step.
class StepDifferences {
 public:
  /// @param model one that has_step_derivatives  @param data outlives this object
  StepDifferences(const mjModel_& model, mjData_& data);

  /// Computes the derivatives of the sub-step from the state and the control that the data holds, and makes this sub-step.
  /// The warm start of the data is used, and left as mj_step leaves it.
  /// @param out C and D have no rows unless steps.sensors  @return false after a fatal error of MuJoCo
  [[nodiscard]] bool step(const DifferenceSteps& steps, StepDerivatives& out);

 private:
  template <class Read, class Subtract>
  bool differentiate(const DifferenceSteps& steps, bool advance, const Read& read, const Subtract& subtract,
                     MatrixXd& J);
  bool euler(const DifferenceSteps& steps);
  bool runge_kutta(const DifferenceSteps& steps);
  void restore_state();
  [[nodiscard]] Index ndx() const { return 2 * nv_ + na_; }

  const mjModel_& m_;
  mjData_& d_;
  Index nq_, nv_, na_, nu_;
  VectorXd qpos_, qvel_, act_, ctrl_, warmstart_, direction_;  // of the state whose neighbours are evaluated
  VectorXd centre_, plus_, minus_, difference_;                // what evaluations there give
  VectorXd X_, X_i_, F_, sum_;                                 // of RK4: state, stage, its slope, their sum
  MatrixXd J_, stage_J_, dX_, dF_, d_sum_;                     // and derivatives
};

}  // namespace kedge
