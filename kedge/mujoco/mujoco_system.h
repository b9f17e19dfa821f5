// MuJoCo as a System. The full state is x = [qpos, qvel, act]. MuJoCo's other data from one step to the next does not
// change (applied forces, mocap poses), or affects only sensors (time), or is reset: the warm start of the constraint
// solver is zero at the beginning of every control step, so that the next state is a function of x and u.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kedge/system/differentiable.h"
#include "kedge/system/system.h"

struct mjModel_;  // mjModel and mjData of mujoco.h, 2.2.2 and 3.x
struct mjData_;

namespace kedge {

/// Returns the reason why kedge cannot use the model; empty if it can. Reasons are: no joints or no working actuators,
/// plugins and user-defined types (their code and state are not in the model), sensor noise (it is not reproducible).
std::string unsupported(const mjModel_& model);

/// A soft limit of a joint, held by its own motor: while q is outside [low, high], the control that drives the joint is
/// not the policy's but  u = clamp(stiffness (b - q) - damping dq/dt, control_low, control_high), b the bound that q has
/// passed. Evaluated at the beginning of every sub-step.
struct JointLimit {
  Index control = 0;             ///< entry of u
  Index qpos = 0;                ///< entry of qpos
  Index qvel = 0;                ///< entry of qvel: the joint has one degree of freedom
  double low = 0.0, high = 0.0;  ///< rad or m
  double stiffness = 0.0;        ///< units of u per rad or m
  double damping = 0.0;          ///< units of u per rad/s or m/s
  double control_low = 0.0, control_high = 0.0;
};

/// Where a site is, and how it moves with the velocities of the model: v = Jp qvel, w = Jr qvel, in the world's frame.
struct SiteMotion {
  using Jacobian = Eigen::Matrix<double, 3, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Vector3d position = Eigen::Vector3d::Zero();          ///< m
  Eigen::Matrix3d rotation = Eigen::Matrix3d::Identity();      ///< its columns are the site's axes
  Eigen::Vector3d velocity = Eigen::Vector3d::Zero();          ///< m/s
  Eigen::Vector3d angular_velocity = Eigen::Vector3d::Zero();  ///< rad/s
  Jacobian Jp, Jr;                                             ///< [3, nv]
};

class MujocoSystem;

/// A system that is built around a MuJoCo model: its state begins with the model's [qpos, qvel, act], its sensors with the
/// model's.
struct AroundMujoco {
  virtual ~AroundMujoco() = default;
  [[nodiscard]] virtual const MujocoSystem& mujoco() const = 0;
};

/// Returns the MuJoCo model that a system is, or is built around; null if there is none.
const MujocoSystem* mujoco_of(const System& system);

class MujocoSystem final : public System, public Differentiable {
 public:
  /// @param model     shared by all clones and never changed; its time step is that of one sub-step
  /// @param substeps  calls of mj_step in one control step, >= 1
  /// @throws SystemError if MuJoCo cannot allocate its data
  MujocoSystem(std::shared_ptr<const mjModel_> model, int substeps, std::vector<JointLimit> joint_limits = {});

  [[nodiscard]] Index nx() const override;
  [[nodiscard]] Index nu() const override;
  [[nodiscard]] Index nsensor() const override;
  [[nodiscard]] std::unique_ptr<System> clone() const override;
  [[nodiscard]] Index ndx() const override;
  void difference(VectorIn from, VectorIn to, VectorOut dx) const override;
  void integrate(VectorIn x, VectorIn dx, VectorOut moved) const override;
  void tangent(VectorIn x, MatrixOut G) const override;
  /// Sub-step by sub-step, and with RK4 stage by stage: what a change does not touch is not computed again
  /// (step_derivatives.h). For Euler's method, and for RK4 without activations, balls and free joints.
  Outcome derivatives(VectorIn x, VectorIn u, const DifferenceSteps& steps, StepDerivatives& d) override;
  void reset(VectorIn x) override;
  /// Returns false if MuJoCo failed or warned, or if the new state is not finite or beyond 1e10. It warns of a bad number
  /// (and then resets the simulation by itself), of a singular inertia and of contacts or constraints without memory.
  [[nodiscard]] bool step(VectorIn u) override;
  [[nodiscard]] std::string trouble() const override { return trouble_; }
  [[nodiscard]] bool markov() const override;
  /// Does not disturb a simulation that is continued. If MuJoCo fails, the sensors are NaN.
  void settle() override;
  void state(VectorOut x) const override;
  void sensors(VectorOut y) const override;
  void hold(VectorIn x, VectorOut u) const override;

  /// Returns the motors on hinges and slides (model_parts.h); of several on one joint, the first.
  [[nodiscard]] std::vector<Drive> drives() const override { return drives_; }
  /// Takes controls as constant over a sub-step: the implicit damping of MuJoCo's Euler integrator counts. Laws of joint
  /// limits do not, nor do contacts with objects (trees of bodies that can move and of which no drive moves a joint): they
  /// stand still in x while the rest moves through them. Contacts with what is fixed count.
  [[nodiscard]] bool inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) override;

  /// Returns the accelerations d(qvel)/dt at state x under control u. Requires a reset afterwards.
  /// @param x [nx]  @param u [nu]  @return [nv]
  VectorXd acceleration(VectorIn x, VectorIn u);

  /// Computes where a site is at the present state and how it moves. Does not disturb a simulation that is continued.
  /// @param site its number in the model  @return false if MuJoCo failed; only `reset` is allowed then
  [[nodiscard]] bool site_motion(Index site, SiteMotion& motion);

  [[nodiscard]] const mjModel_& model() const { return *model_; }
  [[nodiscard]] int substeps() const { return substeps_; }
  [[nodiscard]] const std::vector<JointLimit>& joint_limits() const { return joint_limits_; }

 private:
  struct DeleteData {
    void operator()(mjData_* data) const;
  };
  [[nodiscard]] bool healthy() const;
  [[nodiscard]] double slope(const JointLimit& limit) const;
  /// Notes whether the simulation still is clean, and if not, why.
  void note(bool returned);
  void apply_control(VectorIn u);

  std::shared_ptr<const mjModel_> model_;
  std::unique_ptr<mjData_, DeleteData> data_;
  int substeps_;
  std::vector<JointLimit> joint_limits_;
  std::vector<Drive> drives_;
  std::vector<double> gear_;  ///< [drives]
  VectorXd sensors_;          ///< [nsensor] as `sensors` reports them
  VectorXd scratch_;          ///< [nq] used by `settle` and `site_motion`
  std::string trouble_;       ///< why the simulation is not clean
  bool clean_ = true;  ///< no failure since MuJoCo's own reset: data that `reset` leaves alone is as that reset left it
};

}  // namespace kedge
