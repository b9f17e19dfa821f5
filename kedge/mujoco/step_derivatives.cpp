#include "kedge/mujoco/step_derivatives.h"

#include <mujoco/mujoco.h>

#include <algorithm>

#include "kedge/mujoco/guard.h"

namespace kedge {

namespace {

/// Since 3.5.
template <class Model>
bool has_history(const Model& m) {
  if constexpr (requires { m.nhistory; })
    return m.nhistory > 0;
  else
    return false;
}

Eigen::Map<const VectorXd> view(const mjtNum* from, Index n) { return {from, n}; }
void restore(const VectorXd& from, mjtNum* to) { std::copy_n(from.data(), from.size(), to); }

}  // namespace

bool has_delays(const mjModel& m) { return has_history(m); }

bool has_step_derivatives(const mjModel& m) {
  if (m.opt.integrator == mjINT_EULER) return true;
  const auto is_scalar = [](int type) { return type == mjJNT_HINGE || type == mjJNT_SLIDE; };
  return m.opt.integrator == mjINT_RK4 && m.na == 0 && std::all_of(m.jnt_type, m.jnt_type + m.njnt, is_scalar);
}

StepDifferences::StepDifferences(const mjModel& m, mjData& d)
    : m_(m),
      d_(d),
      nq_(static_cast<Index>(m.nq)),
      nv_(static_cast<Index>(m.nv)),
      na_(static_cast<Index>(m.na)),
      nu_(static_cast<Index>(m.nu)),
      direction_(VectorXd::Zero(nv_)) {}

void StepDifferences::restore_state() {
  restore(qpos_, d_.qpos);
  restore(qvel_, d_.qvel);
  restore(act_, d_.act);
}

/// Computes J = dz/d(q, v, act, u), z being what `read` finds after an evaluation of the forward dynamics; centre_ is that of
/// the state itself.
/// @param advance the evaluation ends with a step of Euler's method  @param J [size of z, ndx + nu], out
template <class Read, class Subtract>
bool StepDifferences::differentiate(const DifferenceSteps& steps, bool advance, const Read& read,
                                    const Subtract& subtract, MatrixXd& J) {
  qpos_ = view(d_.qpos, nq_);
  qvel_ = view(d_.qvel, nv_);
  act_ = view(d_.act, na_);
  ctrl_ = view(d_.ctrl, nu_);
  warmstart_ = view(d_.qacc_warmstart, nv_);
  const auto evaluate = [&](int skip, VectorXd& z) {
    restore(warmstart_, d_.qacc_warmstart);
    const bool fine = call_mujoco([&] {
      mj_forwardSkip(&m_, &d_, skip, steps.sensors ? 0 : 1);
      if (&z == &centre_) std::copy_n(d_.qacc, nv_, warmstart_.data());  // where the neighbours' solutions are near
      if (advance) mj_Euler(&m_, &d_);
    });
    if (fine) read(z);
    if (advance) restore_state();
    return fine;
  };
  if (!evaluate(mjSTAGE_NONE, centre_)) return false;

  for (Index i = 0; i < nu_; ++i) {
    auto column = J.col(ndx() + i);
    column.setZero();
    const double h = steps.control_step[i];
    if (h == 0.0) continue;
    if (steps.centred) {  // (4 f(h) - f(2 h) - 3 f(0)) / (2 h): of second order, and on one side of a limit
      d_.ctrl[i] = ctrl_[i] + 2.0 * h;
      if (!evaluate(mjSTAGE_VEL, minus_)) return false;
      subtract(centre_, minus_, difference_);
      column = difference_ / (-2.0 * h);
    }
    d_.ctrl[i] = ctrl_[i] + h;
    if (!evaluate(mjSTAGE_VEL, plus_)) return false;
    d_.ctrl[i] = ctrl_[i];
    subtract(centre_, plus_, difference_);
    column += difference_ * ((steps.centred ? 2.0 : 1.0) / h);
  }
  const auto by = [&](Index j, int skip, const auto& move) {
    const double h = steps.state;
    bool fine = true;
    if (steps.centred) {
      move(-h);
      fine = evaluate(skip, minus_);
    }
    move(h);
    fine = fine && evaluate(skip, plus_);
    move(0.0);
    subtract(steps.centred ? minus_ : centre_, plus_, difference_);
    J.col(j) = difference_ / (steps.centred ? 2.0 * h : h);
    return fine;
  };
  bool fine = true;
  for (Index i = 0; fine && i < na_; ++i)
    fine = by(2 * nv_ + i, mjSTAGE_VEL, [&](double h) { d_.act[i] = act_[i] + h; });
  for (Index i = 0; fine && i < nv_; ++i) fine = by(nv_ + i, mjSTAGE_POS, [&](double h) { d_.qvel[i] = qvel_[i] + h; });
  for (Index i = 0; fine && i < nv_; ++i)
    fine = by(i, mjSTAGE_NONE, [&](double h) {
      restore(qpos_, d_.qpos);
      if (h == 0.0) return;
      direction_[i] = h;
      mj_integratePos(&m_, d_.qpos, direction_.data(), 1.0);
      direction_[i] = 0.0;
    });
  restore(warmstart_, d_.qacc_warmstart);
  return fine;
}

/// One step of Euler's method: z is the next state.
bool StepDifferences::euler(const DifferenceSteps& steps) {
  const Index nx = nq_ + nv_ + na_, ny = J_.rows() - ndx();
  for (VectorXd* z : {&centre_, &plus_, &minus_}) z->resize(nx + ny);
  difference_.resize(ndx() + ny);
  const auto read = [&](VectorXd& z) {
    double* to = std::copy_n(d_.qpos, nq_, z.data());
    to = std::copy_n(d_.qvel, nv_, to);
    to = std::copy_n(d_.act, na_, to);
    std::copy_n(d_.sensordata, ny, to);
  };
  const auto subtract = [&](const VectorXd& from, const VectorXd& to, VectorXd& dz) {
    mj_differentiatePos(&m_, dz.data(), 1.0, from.data(), to.data());
    dz.tail(ndx() + ny - nv_) = to.tail(nx + ny - nq_) - from.tail(nx + ny - nq_);
  };
  if (!differentiate(steps, true, read, subtract, J_)) return false;
  const double* from = centre_.data();
  std::copy_n(from, nq_, d_.qpos);
  std::copy_n(from + nq_, nv_, d_.qvel);
  std::copy_n(from + nq_ + nv_, na_, d_.act);
  return true;
}

/// MuJoCo's RK4 from X = (q, v), where dq/dt = v and dv/dt = z:
///   F_i = F(X_i),  X_1 = X + h F_0 / 2,  X_2 = X + h F_1 / 2,  X_3 = X + h F_2,  X' = X + h (F_0 + 2 F_1 + 2 F_2 + F_3) / 6,
/// and the same of their derivatives by X and u.
bool StepDifferences::runge_kutta(const DifferenceSteps& steps) {
  const Index n = 2 * nv_, ny = J_.rows() - n, columns = J_.cols();
  const double h = m_.opt.timestep;
  constexpr double next[] = {0.5, 0.5, 1.0}, share[] = {1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0};
  const auto subtract = [](const VectorXd& from, const VectorXd& to, VectorXd& dz) { dz = to - from; };
  X_.resize(n);
  X_ << view(d_.qpos, nv_), view(d_.qvel, nv_);
  X_i_ = X_;
  F_.resize(n);
  sum_.setZero(n);
  dX_.setIdentity(n, columns);
  dF_.resize(n, columns);
  d_sum_.setZero(n, columns);
  DifferenceSteps of_stage = steps;
  for (int stage = 0; stage < 4; ++stage) {
    of_stage.sensors = steps.sensors && stage == 0;  // they belong to the beginning of the step
    const Index rows = nv_ + (of_stage.sensors ? ny : 0);
    for (VectorXd* z : {&centre_, &plus_, &minus_, &difference_}) z->resize(rows);
    stage_J_.resize(rows, columns);
    const auto read = [&](VectorXd& z) { std::copy_n(d_.sensordata, rows - nv_, std::copy_n(d_.qacc, nv_, z.data())); };
    if (!differentiate(of_stage, false, read, subtract, stage_J_)) return false;
    if (of_stage.sensors) J_.bottomRows(ny) = stage_J_.bottomRows(ny);
    F_ << X_i_.tail(nv_), centre_.head(nv_);
    dF_.topRows(nv_) = dX_.bottomRows(nv_);
    dF_.bottomRows(nv_).noalias() = stage_J_.topRows(nv_).leftCols(n).lazyProduct(dX_);
    dF_.bottomRightCorner(nv_, columns - n) += stage_J_.topRows(nv_).rightCols(columns - n);
    sum_ += share[stage] * F_;
    d_sum_ += share[stage] * dF_;
    if (stage < 3) {
      X_i_ = X_ + h * next[stage] * F_;
      dX_ = h * next[stage] * dF_;
      dX_.leftCols(n).diagonal().array() += 1.0;
    } else {
      X_i_ = X_ + h * sum_;
    }
    std::copy_n(X_i_.data(), nv_, d_.qpos);
    std::copy_n(X_i_.data() + nv_, nv_, d_.qvel);
  }
  J_.topRows(n) = h * d_sum_;
  J_.topLeftCorner(n, n).diagonal().array() += 1.0;
  return true;
}

bool StepDifferences::step(const DifferenceSteps& steps, StepDerivatives& out) {
  const Index ny = steps.sensors ? static_cast<Index>(m_.nsensordata) : 0;
  J_.resize(ndx() + ny, ndx() + nu_);
  if (!(m_.opt.integrator == mjINT_RK4 ? runge_kutta(steps) : euler(steps))) return false;
  out.A = J_.topLeftCorner(ndx(), ndx());
  out.B = J_.topRightCorner(ndx(), nu_);
  out.C = J_.bottomLeftCorner(ny, ndx());
  out.D = J_.bottomRightCorner(ny, nu_);
  return true;
}

}  // namespace kedge
