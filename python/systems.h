// Systems and costs that are written in Python: slow, as each control step takes the interpreter and its lock.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <vector>

#include "kedge/system/task.h"

namespace kedge {

/// Sensors by which a task reads costs that Python computes, behind the other sensors of the system: that of a step, that of
/// the final state.
inline constexpr Index kCostSensors = 2;

/// A system by an object of Python with these methods, where x is [nx] and u [nu], arrays of float64:
///   clone()   another one
///   reset(x)  returns the state, x where it is one
///   step(u)   makes a control step; returns (x, cost): the state after it and what the step costs, >= 0
///   final()   returns what the present state costs as the last one, >= 0
/// What a method raises ends the work and reaches the caller. Each call takes the interpreter's lock.
class PySystem final : public System {
 public:
  PySystem(nanobind::object system, Index nx, Index nu);
  PySystem(const PySystem&) = delete;
  PySystem& operator=(const PySystem&) = delete;
  ~PySystem() override;

  [[nodiscard]] Index nx() const override { return x_.size(); }
  [[nodiscard]] Index nu() const override { return nu_; }
  [[nodiscard]] Index nsensor() const override { return kCostSensors; }
  [[nodiscard]] std::unique_ptr<System> clone() const override;
  void reset(VectorIn x) override;
  [[nodiscard]] bool step(VectorIn u) override;
  void settle() override;
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut y) const override { y = y_; }

 private:
  nanobind::object system_;
  Index nu_;
  VectorXd x_, y_;
};

/// Another system with costs by functions of Python: cost(x, u, y) >= 0 of a step and final(x, y) >= 0 of the last state, or
/// None, where y are the sensors of the other system.
class PyCostSystem final : public System {
 public:
  PyCostSystem(std::unique_ptr<System> system, nanobind::object cost, nanobind::object final);
  PyCostSystem(const PyCostSystem&) = delete;
  PyCostSystem& operator=(const PyCostSystem&) = delete;
  ~PyCostSystem() override;

  [[nodiscard]] Index nx() const override { return system_->nx(); }
  [[nodiscard]] Index nu() const override { return system_->nu(); }
  [[nodiscard]] Index nsensor() const override { return y_.size(); }
  [[nodiscard]] Index ndx() const override { return system_->ndx(); }
  void difference(VectorIn from, VectorIn to, VectorOut dx) const override { system_->difference(from, to, dx); }
  void integrate(VectorIn x, VectorIn dx, VectorOut moved) const override { system_->integrate(x, dx, moved); }
  void tangent(VectorIn x, MatrixOut G) const override { system_->tangent(x, G); }
  [[nodiscard]] std::unique_ptr<System> clone() const override;
  void reset(VectorIn x) override { system_->reset(x); }
  [[nodiscard]] bool step(VectorIn u) override;
  [[nodiscard]] std::string trouble() const override { return system_->trouble(); }
  [[nodiscard]] bool markov() const override { return system_->markov(); }
  void settle() override;
  void state(VectorOut x) const override { system_->state(x); }
  void sensors(VectorOut y) const override { y = y_; }
  [[nodiscard]] std::vector<Drive> drives() const override { return system_->drives(); }
  [[nodiscard]] bool inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) override {
    return system_->inverse_dynamics(x, acceleration, u, inertia);
  }

 private:
  std::unique_ptr<System> system_;
  nanobind::object cost_, final_;
  VectorXd x_, y_;
};

/// What a task says of a system that is written in Python.
struct PyTaskWords {
  std::string name, summary;
  int horizon = 0;
  double control_step = 0.0;
  std::vector<Index> observation;  ///< entries of x
  std::vector<std::string> observation_names, action_names;
  VectorXd action_low, action_high;
  VectorXd start_mean, start_spread;
  bool uniform_start = false;

  Index ended = -1;           ///< entry of x that is 1 where an episode has ended early, else 0; -1: none
  double missing_step = 0.0;  ///< cost of each step that is then not made
  bool has_final = false;     ///< does the last state cost anything?
};

/// Returns the task of a `PySystem`, checked. @throws InputError
Task python_task(const PyTaskWords& words, nanobind::object system);

/// Returns the task with its costs replaced by those of a `PyCostSystem`, checked.
Task with_cost(const Task& task, nanobind::object cost, nanobind::object final);

}  // namespace kedge
