#include "systems.h"

#include <fmt/format.h>
#include <nanobind/eigen/dense.h>

#include <limits>
#include <utility>

#include "kedge/core/errors.h"

namespace nb = nanobind;

namespace kedge {

namespace {

/// Copies a state of Python. @throws InputError if it has another size
void take(nb::handle from, VectorXd& to, const char* what) {
  auto value = nb::cast<VectorXd>(from);
  require(value.size() == to.size(), what, value.size(), fmt::format("{}", to.size()).c_str());
  to = std::move(value);
}

/// Returns a cost of Python. One that is not finite is for Episode to see. @throws InputError if it is negative
double cost_of(nb::handle value, const char* what) {
  const auto cost = static_cast<double>(nb::float_(value));
  if (cost < 0.0) throw InputError(fmt::format("{} = {}, but must be >= 0", what, cost));
  return cost;
}

/// A cost that the system computes: the value of a sensor.
CostTerm cost_of_sensor(const char* name, Index sensor, bool needs_action, std::vector<char> active) {
  CostTerm term;
  term.name = name;
  term.residual.source = Source::sensor;
  term.residual.index = {sensor};
  term.residual.target = VectorXd::Zero(1);
  term.residual.needs_action = needs_action;
  term.weight = VectorXd::Ones(1);
  term.norm = Norm::absolute;
  term.active = std::move(active);
  return term;
}

/// The cost of every step and, if there is one, that of the final state: the last sensors of the system.
std::vector<CostTerm> costs_of_python(const System& system, int horizon, bool has_final) {
  const auto states = static_cast<std::size_t>(horizon) + 1;
  std::vector<char> steps(states, 1), end(states, 0);
  steps.back() = 0;
  end.back() = 1;
  const Index first = system.nsensor() - kCostSensors;
  std::vector<CostTerm> costs{cost_of_sensor("step", first, true, std::move(steps))};
  if (has_final) costs.push_back(cost_of_sensor("final", first + 1, false, std::move(end)));
  return costs;
}

}  // namespace

PySystem::PySystem(nb::object system, Index nx, Index nu)
    : system_(std::move(system)), nu_(nu), x_(VectorXd::Zero(nx)), y_(VectorXd::Zero(kCostSensors)) {}

PySystem::~PySystem() {
  const nb::gil_scoped_acquire lock;
  system_.reset();
}

std::unique_ptr<System> PySystem::clone() const {
  const nb::gil_scoped_acquire lock;
  return std::make_unique<PySystem>(nb::object(system_.attr("clone")()), nx(), nu_);
}

void PySystem::reset(VectorIn x) {
  const nb::gil_scoped_acquire lock;
  take(system_.attr("reset")(VectorXd(x)), x_, "size of the state that reset returns");
}

bool PySystem::step(VectorIn u) {
  const nb::gil_scoped_acquire lock;
  const nb::object after = system_.attr("step")(VectorXd(u));
  take(after[0], x_, "size of the state that step returns");
  y_ << cost_of(after[1], "cost of a step"), 0.0;
  return true;
}

void PySystem::settle() {
  const nb::gil_scoped_acquire lock;
  y_ << 0.0, cost_of(system_.attr("final")(), "cost of the final state");
}

PyCostSystem::PyCostSystem(std::unique_ptr<System> system, nb::object cost, nb::object final)
    : system_(std::move(system)),
      cost_(std::move(cost)),
      final_(std::move(final)),
      x_(system_->nx()),
      y_(VectorXd::Zero(system_->nsensor() + kCostSensors)) {}

PyCostSystem::~PyCostSystem() {
  const nb::gil_scoped_acquire lock;
  cost_.reset();
  final_.reset();
}

std::unique_ptr<System> PyCostSystem::clone() const {
  const nb::gil_scoped_acquire lock;
  return std::make_unique<PyCostSystem>(system_->clone(), cost_, final_);
}

bool PyCostSystem::step(VectorIn u) {
  system_->state(x_);
  if (!system_->step(u)) return false;
  system_->sensors(y_.head(system_->nsensor()));
  const nb::gil_scoped_acquire lock;
  const VectorXd own = y_.head(system_->nsensor());
  y_.tail(kCostSensors) << cost_of(cost_(x_, VectorXd(u), own), "cost of a step"), 0.0;
  return true;
}

void PyCostSystem::settle() {
  system_->settle();
  system_->state(x_);
  system_->sensors(y_.head(system_->nsensor()));
  const nb::gil_scoped_acquire lock;
  const VectorXd own = y_.head(system_->nsensor());
  y_.tail(kCostSensors) << 0.0, final_.is_none() ? 0.0 : cost_of(final_(x_, own), "cost of the final state");
}

Task python_task(const PyTaskWords& words, nb::object system) {
  require(words.horizon >= 1, "horizon", words.horizon, ">= 1");
  Task task;
  task.name = words.name;
  task.summary = words.summary;
  task.system = std::make_shared<PySystem>(std::move(system), words.start_mean.size(), words.action_low.size());
  task.horizon = words.horizon;
  task.control_step = words.control_step;
  task.observation = words.observation;
  task.observation_names = words.observation_names;
  for (Index i = 0; i < task.system->nu(); ++i) task.control_index.push_back(i);
  task.action_names = words.action_names;
  task.action_low = words.action_low;
  task.action_high = words.action_high;
  task.start.kind = words.uniform_start ? StartDistribution::Kind::uniform : StartDistribution::Kind::gaussian;
  task.start.mean = words.start_mean;
  task.start.spread = words.start_spread;
  task.cost = costs_of_python(*task.system, task.horizon, words.has_final);
  if (words.ended >= 0) {
    Termination early;
    early.name = "terminated, as ends = True";
    early.residual.index = {words.ended};
    early.residual.target = VectorXd::Zero(1);
    early.low = VectorXd::Constant(1, -std::numeric_limits<double>::infinity());
    early.high = VectorXd::Constant(1, 0.5);
    early.missing_step = words.missing_step;
    task.termination.push_back(std::move(early));
  }
  validate(task);
  return task;
}

Task with_cost(const Task& task, nb::object cost, nb::object final) {
  Task changed = task;
  const bool has_final = !final.is_none();
  changed.system = std::make_shared<PyCostSystem>(task.system->clone(), std::move(cost), std::move(final));
  changed.cost = costs_of_python(*changed.system, changed.horizon, has_final);
  validate(changed);
  return changed;
}

}  // namespace kedge
