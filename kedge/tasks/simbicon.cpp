#include "kedge/tasks/simbicon.h"

#include <algorithm>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/mujoco/guard.h"

namespace kedge {

namespace {

constexpr int kPatience = 1000;  ///< control steps that are waited for a strike of the left foot
constexpr double kFallen = 0.5;  ///< of the standing height of the hips: a body below has fallen

/// What the controller sees of a state besides the joints.
struct Balance {
  double com = 0.0, com_velocity = 0.0;  ///< along x
  double left_ankle = 0.0, right_ankle = 0.0;
  bool left_contact = false, right_contact = false;  ///< the foot touches something
};

/// Kinematics and contacts of a state, in a simulation of its own.
class Observer {
 public:
  explicit Observer(std::shared_ptr<const mjModel> model) : model_(std::move(model)) {
    mjData* data = nullptr;
    if (!call_mujoco([&] { data = mj_makeData(model_.get()); }) || !data)
      throw SystemError("MuJoCo cannot allocate the memory of a simulation");
    data_.reset(data, mj_deleteData);
  }

  Balance look(const SimbiconBody& body, VectorIn x) {
    const mjModel& m = *model_;
    mjData& d = *data_;
    std::copy_n(x.data(), m.nq, d.qpos);
    std::copy_n(x.data() + m.nq, m.nv, d.qvel);
    Balance b;
    const bool returned = call_mujoco([&] {
      mj_fwdPosition(&m, &d);
      mj_fwdVelocity(&m, &d);
      mj_subtreeVel(&m, &d);
    });
    if (!returned) return b;  // the simulation itself will fail in the same way
    b.com = d.subtree_com[0];
    b.com_velocity = d.subtree_linvel[0];
    b.left_ankle = d.xpos[3 * body.left.foot];
    b.right_ankle = d.xpos[3 * body.right.foot];
    b.left_contact = touches(body.left.foot);
    b.right_contact = touches(body.right.foot);
    return b;
  }

  /// Height of a body's lowest sphere above the ground, z = 0, with the positions of the last `look`.
  double lowest(int body) const {
    double height = std::numeric_limits<double>::infinity();
    for (int i = 0; i < model_->ngeom; ++i)
      if (model_->geom_bodyid[i] == body && model_->geom_type[i] == mjGEOM_SPHERE)
        height = std::min(height, data_->geom_xpos[3 * i + 2] - model_->geom_size[3 * i]);
    return height;
  }

 private:
  bool touches(int body) const {
    for (int i = 0; i < data_->ncon; ++i)
      if (model_->geom_bodyid[data_->contact[i].geom1] == body || model_->geom_bodyid[data_->contact[i].geom2] == body)
        return true;
    return false;
  }

  std::shared_ptr<const mjModel> model_;
  std::shared_ptr<mjData> data_;
};

/// The machine of four phases.
class Walk {
 public:
  Walk(std::shared_ptr<const mjModel> model, const SimbiconBody& body, const SimbiconOptions& options,
       double control_step)
      : body_(body), o_(options), control_step_(control_step), observer_(std::move(model)) {}

  /// The next state: time goes on by one control step.
  void advance(VectorIn x) {
    balance_ = observer_.look(body_, x);
    ++steps_;
    const bool strike = left_stands() ? balance_.right_contact : balance_.left_contact;
    const bool over = placing() ? strike : time() >= o_.gait.dwell - 1e-9;
    if (!over) return;
    phase_ = (phase_ + 1) % 4;
    steps_ = 0;
  }

  /// Torques at the state of the last `advance` (or `begin`). @param a [da], out: entries of the six motors
  void command(VectorIn x, VectorOut a) const {
    const SimbiconBody::Leg& stance = left_stands() ? body_.left : body_.right;
    const SimbiconBody::Leg& swing = left_stands() ? body_.right : body_.left;
    const SimbiconTargets& target = placing() ? o_.gait.place : o_.gait.lift;
    const double kp = o_.stiffness, kd = o_.damping;
    const auto angle = [&](const Motor& joint) { return x[joint.q]; };

    const double d = balance_.com - (left_stands() ? balance_.left_ankle : balance_.right_ankle);
    const double v = balance_.com_velocity;
    const double pitch = x[body_.pitch], pitch_velocity = x[body_.pitch_velocity];
    const double torso = kp * (target.torso - pitch) - kd * pitch_velocity;
    const double swing_target = target.swing_hip + target.position_feedback * d + target.velocity_feedback * v;
    const double swing_hip =
        kp * (swing_target - pitch - angle(swing.motor[0])) - kd * (pitch_velocity + x[swing.motor[0].v]);

    const auto apply = [&](const SimbiconBody::Leg& leg, int joint, double torque) {
      a[leg.action[joint]] = std::clamp(torque, -o_.torque_limit, o_.torque_limit) / leg.motor[joint].gear;
    };
    apply(swing, 0, swing_hip);
    apply(swing, 1, kp * (target.swing_knee - angle(swing.motor[1])));
    apply(swing, 2, kp * (target.swing_ankle - angle(swing.motor[2])));
    apply(stance, 0, -torso - swing_hip);
    apply(stance, 1, kp * (target.stance_knee - angle(stance.motor[1])));
    apply(stance, 2, kp * (target.stance_ankle - angle(stance.motor[2])));
  }

  /// The state that a walk begins with: standing on the left leg, the sole on the ground, the right leg lifted.
  VectorXd begin(const Task& task) {
    VectorXd x = task.start.mean;
    const auto pose = [&](const SimbiconBody::Leg& leg, std::array<double, 3> angles) {
      for (std::size_t i = 0; i < 3; ++i) x[leg.motor[i].q] = angles[i];
    };
    pose(body_.left, {-0.1, -0.05, 0.15});
    pose(body_.right, {0.3, -0.5, 0.2});
    x[body_.x_velocity] = o_.start_speed;
    observer_.look(body_, x);
    x[body_.z] -= observer_.lowest(body_.left.foot);
    balance_ = observer_.look(body_, x);
    phase_ = 0;
    steps_ = 0;
    return x;
  }

  [[nodiscard]] int phase() const { return phase_; }
  [[nodiscard]] double time() const { return steps_ * control_step_; }  ///< s in this phase

 private:
  [[nodiscard]] bool left_stands() const { return phase_ < 2; }
  [[nodiscard]] bool placing() const { return phase_ % 2 == 1; }

  const SimbiconBody& body_;
  const SimbiconOptions& o_;
  double control_step_;
  Observer observer_;
  Balance balance_;
  int phase_ = 0;
  int steps_ = 0;  ///< in this phase
};

}  // namespace

const std::vector<SimbiconGait>& simbicon_gaits() {
  //                                c_d  c_v  torso  hip   knee   ankle  knee  ankle (swing, then stance)
  static const std::vector<SimbiconGait> gaits{
      {"walk", 0.30, /*     lift */ {0.0, 0.2, 0.0, 0.40, -1.10, 0.20, -0.05, 0.20},
       /*                  place */ {2.2, 0.0, 0.0, -0.70, -0.05, 0.20, -0.10, 0.20}},
      {"crouch", 0.30, /*   lift */ {0.0, 0.2, -0.2, 1.10, -2.17, 0.62, -0.97, 0.44},
       /*                  place */ {2.2, 0.0, -0.3, -0.70, -0.05, 0.20, -0.92, 0.44}},
      {"high_step", 0.30, /*lift */ {0.0, 0.2, 0.0, 1.00, -2.40, 0.20, -0.05, 0.20},
       /*                  place */ {2.0, 0.0, 0.0, -0.70, -0.05, 0.20, -0.10, 0.20}},
  };
  return gaits;
}

SimbiconBody simbicon_body(const mjModel& model, const std::vector<Motor>& motors) {
  SimbiconBody body;
  const auto root = [&](const char* name, int type) {
    const int joint = mj_name2id(&model, mjOBJ_JOINT, name);
    if (joint < 0 || model.jnt_type[joint] != type)
      throw InputError(fmt::format("the model has no {} joint \"{}\", which this controller needs",
                                   type == mjJNT_SLIDE ? "slide" : "hinge", name));
    return joint;
  };
  const int x = root("root_x", mjJNT_SLIDE), pitch = root("root_pitch", mjJNT_HINGE);
  body.x = model.jnt_qposadr[x];
  body.x_velocity = model.nq + model.jnt_dofadr[x];
  body.z = model.jnt_qposadr[root("root_z", mjJNT_SLIDE)];
  body.pitch = model.jnt_qposadr[pitch];
  body.pitch_velocity = model.nq + model.jnt_dofadr[pitch];
  const auto leg = [&](const std::string& side) {
    SimbiconBody::Leg result;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string name = side + std::array{"_hip", "_knee", "_ankle"}[i];
      const auto found = std::find_if(motors.begin(), motors.end(), [&](const Motor& m) { return m.joint == name; });
      if (found == motors.end())
        throw InputError(fmt::format("no action drives a joint \"{}\", which this controller needs", name));
      result.action[i] = found - motors.begin();
      result.motor[i] = *found;
    }
    result.foot = model.jnt_bodyid[mj_name2id(&model, mjOBJ_JOINT, (side + "_ankle").c_str())];
    bool sphere = false;
    for (int i = 0; i < model.ngeom; ++i)
      sphere |= model.geom_bodyid[i] == result.foot && model.geom_type[i] == mjGEOM_SPHERE;
    if (!sphere) throw InputError(fmt::format("the body of joint \"{}_ankle\" has no sphere to stand on", side));
    return result;
  };
  body.left = leg("left");
  body.right = leg("right");
  return body;
}

Demonstration simbicon_walk(const Task& task, std::shared_ptr<const mjModel> model, const SimbiconBody& body,
                            const SimbiconOptions& options, int steps, const std::stop_token& stop) {
  Walk walk(std::move(model), body, options, task.control_step);
  const VectorXd standing = walk.begin(task);
  int walked = 0;  // control steps, warm-up included
  const auto walk_on = [&](int t, VectorIn x, VectorOut a) {
    if (stop.stop_requested()) throw Cancelled("interrupted while a demonstration was made");
    if (t > 0) walk.advance(x);
    if (x[body.z] < kFallen * standing[body.z])
      throw InputError(fmt::format("the body falls after {} control steps", walked));
    ++walked;
    a.setZero();
    walk.command(x, a);
  };

  bool found = false;
  const DemonstrationLaw warm_up = [&](int t, VectorIn x, VectorOut a) {
    walk_on(t, x, a);
    found = t >= options.skip && walk.phase() == 0 && walk.time() >= options.after_strike - 1e-9;
    return !found;
  };
  VectorXd start = record(task, warm_up, standing, options.skip + kPatience).state.rightCols(1);
  if (!found) throw InputError(fmt::format("no foot strikes any more after {} control steps", options.skip));

  start[body.x] = 0.0;
  const DemonstrationLaw go_on = [&](int t, VectorIn x, VectorOut a) {
    walk_on(t, x, a);
    return true;
  };
  return record(task, go_on, start, steps);
}

}  // namespace kedge
