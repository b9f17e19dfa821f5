// What a control step leads to, as sensors of that step: for rewards of the next state and of the way to it, as Gymnasium's are
// (docs/tasks.md, "after:" and "change:").
#pragma once

#include <memory>
#include <vector>

#include "kedge/mujoco/mujoco_system.h"
#include "kedge/worlds/world.h"

namespace kedge {

/// Returns the places of a model's outcome.
OutcomePlaces outcome_places(const MujocoSystem& system);

/// A MuJoCo model whose sensors at (x_t, u_t) end with the state that the step leads to. After `settle`, which makes no step,
/// those entries are 0.
class OutcomeSystem final : public System, public AroundMujoco {
 public:
  /// Parameters as of MujocoSystem. @throws SystemError
  OutcomeSystem(std::shared_ptr<const mjModel_> model, int substeps, std::vector<JointLimit> joint_limits = {});

  [[nodiscard]] Index nx() const override { return inner_.nx(); }
  [[nodiscard]] Index nu() const override { return inner_.nu(); }
  [[nodiscard]] Index nsensor() const override { return places_.size; }
  [[nodiscard]] std::unique_ptr<System> clone() const override;
  [[nodiscard]] Index ndx() const override { return inner_.ndx(); }
  void difference(VectorIn from, VectorIn to, VectorOut dx) const override { inner_.difference(from, to, dx); }
  void integrate(VectorIn x, VectorIn dx, VectorOut moved) const override { inner_.integrate(x, dx, moved); }
  void tangent(VectorIn x, MatrixOut G) const override { inner_.tangent(x, G); }
  void reset(VectorIn x) override;
  [[nodiscard]] bool step(VectorIn u) override;
  [[nodiscard]] std::string trouble() const override { return inner_.trouble(); }
  [[nodiscard]] bool markov() const override { return inner_.markov(); }
  void settle() override;
  void state(VectorOut x) const override { inner_.state(x); }
  void sensors(VectorOut y) const override { y = y_; }
  void hold(VectorIn x, VectorOut u) const override { inner_.hold(x, u); }
  [[nodiscard]] std::vector<Drive> drives() const override { return inner_.drives(); }
  [[nodiscard]] bool inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) override {
    return inner_.inverse_dynamics(x, acceleration, u, inertia);
  }
  [[nodiscard]] const MujocoSystem& mujoco() const override { return inner_; }

 private:
  MujocoSystem inner_;
  std::shared_ptr<const mjModel_> model_;
  OutcomePlaces places_;
  VectorXd x_;  ///< [nx] the state before the step
  VectorXd y_;  ///< [nsensor] as `sensors` reports them
};

/// Makes the world of a model. Parameters as of the system. @throws SystemError
World with_outcome(const std::shared_ptr<const mjModel_>& model, int substeps, std::vector<JointLimit> joint_limits);

}  // namespace kedge
