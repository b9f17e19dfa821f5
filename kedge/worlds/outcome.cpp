#include "kedge/worlds/outcome.h"

namespace kedge {

OutcomePlaces outcome_places(const MujocoSystem& system) {
  OutcomePlaces places;
  places.state = system.nsensor();
  places.change = places.state + system.nx();
  places.sensors = places.change + system.ndx();
  places.size = places.sensors + system.nsensor();
  return places;
}

OutcomeSystem::OutcomeSystem(std::shared_ptr<const mjModel_> model, int substeps, std::vector<JointLimit> joint_limits)
    : inner_(model, substeps, std::move(joint_limits)),
      model_(std::move(model)),
      places_(outcome_places(inner_)),
      x_(VectorXd::Zero(inner_.nx())),
      y_(VectorXd::Zero(places_.size)) {}

std::unique_ptr<System> OutcomeSystem::clone() const {
  return std::make_unique<OutcomeSystem>(model_, inner_.substeps(), inner_.joint_limits());
}

void OutcomeSystem::reset(VectorIn x) {
  inner_.reset(x);
  y_.setZero();
}

bool OutcomeSystem::step(VectorIn u) {
  inner_.state(x_);
  if (!inner_.step(u)) return false;
  const Index n = inner_.nsensor();
  inner_.sensors(y_.head(n));
  auto next = y_.segment(places_.state, inner_.nx());
  inner_.state(next);
  inner_.difference(x_, next, y_.segment(places_.change, inner_.ndx()));
  if (n == 0) return true;
  inner_.settle();
  inner_.sensors(y_.segment(places_.sensors, n));
  return true;
}

void OutcomeSystem::settle() {
  inner_.settle();
  y_.setZero();
  inner_.sensors(y_.head(inner_.nsensor()));
}

World with_outcome(const std::shared_ptr<const mjModel_>& model, int substeps, std::vector<JointLimit> joint_limits) {
  auto system = std::make_shared<OutcomeSystem>(model, substeps, std::move(joint_limits));
  const OutcomePlaces places = outcome_places(system->mujoco());
  World world;
  world.system = std::move(system);
  world.outcome = places;
  return world;
}

}  // namespace kedge
