// Reckon on a linear-quadratic task. What it promises as every algorithm does: contract_test.cpp.
#include "kedge/algorithms/reckon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "kedge/core/errors.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using test::metric;

ReckonOptions small() {
  ReckonOptions options;
  options.iterations = 8;
  options.initial_std = 2.0;
  options.units = 16;
  options.members = 3;
  options.particles = 24;
  options.first_batches = 400;
  options.batches = 30;
  return options;
}

struct Learned {
  std::vector<Iteration> iterations;
  std::vector<ReckonState> states;
  ReckonResult result;
};

Learned learn(const Task& task, ReckonState state, const ReckonOptions& options, int threads = 2) {
  Learned learned;
  learned.result = reckon(task, std::move(state), options, kedge::Run{.seed = 1, .threads = threads},
                          [&](const Iteration& i, const ReckonState& s, const UpdateRecord*) {
                            learned.iterations.push_back(i);
                            learned.states.push_back(s);
                          });
  EXPECT_EQ(learned.result.stop, Stop::max_iterations) << learned.result.message;
  return learned;
}

TEST(Reckon, FindsRiccatisPolicyOfALinearSystem) {
  const DoubleIntegrator model;
  const Task task = model.task();
  const ReckonState start = reckon_start(task, small());
  const Learned learned = learn(task, start, small());
  EXPECT_GT(model.expected_cost(start.policy), 2.0 * model.least_cost());
  EXPECT_LT(model.expected_cost(learned.result.state.policy), 1.05 * model.least_cost());
}

/// A system with a sensor for each state, and one that depends on the force: position, speed, force.
class Shown final : public System {
 public:
  explicit Shown(std::unique_ptr<System> inner) : inner_(std::move(inner)), y_(VectorXd::Zero(inner_->nx() + 1)) {}
  [[nodiscard]] Index nx() const override { return inner_->nx(); }
  [[nodiscard]] Index nu() const override { return inner_->nu(); }
  [[nodiscard]] Index nsensor() const override { return nx() + 1; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Shown>(inner_->clone()); }
  void reset(VectorIn x) override { inner_->reset(x); }
  [[nodiscard]] bool step(VectorIn u) override {
    look(u[0]);
    return inner_->step(u);
  }
  void settle() override { look(0.0); }
  void state(VectorOut x) const override { inner_->state(x); }
  void sensors(VectorOut y) const override { y = y_; }

 private:
  void look(double force) {
    VectorXd x(nx());
    inner_->state(x);
    y_ << x, force;
  }
  std::unique_ptr<System> inner_;
  VectorXd y_;
};

/// The double integrator whose costs of the state are costs of sensors that show it.
Task shown_task() {
  Task task = DoubleIntegrator().task();
  task.system = std::make_shared<Shown>(task.system->clone());
  for (CostTerm& term : task.cost)
    if (term.residual.source == Source::state) term.residual.source = Source::sensor;
  return task;
}

TEST(Reckon, LearnsFromSensorsThatShowTheStateAsFromTheState) {
  const DoubleIntegrator model;
  ReckonOptions options = small();
  options.iterations = 3;
  const Learned by_state = learn(model.task(), reckon_start(model.task(), options), options);
  const Task task = shown_task();
  const Learned by_sensor = learn(task, reckon_start(task, options), options);
  for (int t = 0; t < model.T; ++t) {
    const LinearGaussian &a = by_state.result.state.policy[t], &b = by_sensor.result.state.policy[t];
    EXPECT_LT((a.K - b.K).norm(), 0.02 * (1.0 + a.K.norm())) << t;
    EXPECT_LT((a.k - b.k).norm(), 0.02 * (1.0 + a.k.norm())) << t;
  }
  const Learned one_thread = learn(task, reckon_start(task, options), options, 1);
  EXPECT_TRUE(test::same_bits(one_thread.result.state.policy, by_sensor.result.state.policy));
}

TEST(Reckon, RefusesSensorsThatItsModelDoesNotGive) {
  const auto refusal = [](const Task& task) {
    try {
      static_cast<void>(reckon_start(task, small()));
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  Task task = shown_task();
  EXPECT_EQ(refusal(task), "accepted");
  CostTerm force = task.cost.front();
  force.name = "force";
  force.residual = {Source::sensor, {2}, {}, VectorXd::Zero(1), true};
  force.weight = VectorXd::Ones(1);
  force.active.back() = 0;
  task.cost.push_back(force);
  EXPECT_THAT(refusal(task), testing::HasSubstr("cost force reads sensors that depend on forces"));
  task = shown_task();
  task.observation = {0};
  task.observation_names = {"position"};
  EXPECT_THAT(refusal(task), testing::HasSubstr("reads sensors, and state entry 1 is not observed"));
}

TEST(Reckon, StaysWithinTheTrustRegionInEveryIteration) {
  const Task task = DoubleIntegrator().task();
  const Learned learned = learn(task, reckon_start(task, small()), small());
  for (const Iteration& i : learned.iterations) {
    EXPECT_GT(metric(i, "kl_total"), 0.0);
    EXPECT_LE(metric(i, "kl_total"), metric(i, "kl_bound"));
  }
}

TEST(Reckon, CountsAllItsRollouts) {
  const Task task = DoubleIntegrator().task();
  ReckonOptions options = small();
  options.iterations = 3;
  const Learned learned = learn(task, reckon_start(task, options), options);
  EXPECT_EQ(learned.result.state.rollouts_total, 3 * 5);
  EXPECT_EQ(learned.result.state.steps_total, 15 * 3 * 5);
  EXPECT_EQ(learned.result.state.data.size(), 15 * 3 * 5);
}

TEST(Reckon, TakesBackAPolicyThatIsWorseThanPredictedAndLearnsOn) {
  const DoubleIntegrator model;
  const Task task = model.task();
  ReckonOptions options = small();
  options.iterations = 3;
  ReckonState misled = learn(task, reckon_start(task, options), options).result.state;
  const ReckonState before = misled;
  // As if the model had been wrong: a policy that pushes away from the goal, with a promise of a gain.
  for (int t = 0; t < task.horizon; ++t) misled.policy[t].k.array() += 30.0;
  options.iterations = 4;
  const Learned found_out = learn(task, misled, options);
  EXPECT_EQ(metric(found_out.iterations[0], "reverted"), 1.0);
  EXPECT_LT(metric(found_out.iterations[0], "gain_ratio"), 0.0);
  EXPECT_LT(found_out.states[0].trust, before.trust);
  EXPECT_EQ(found_out.states[0].base[0].iteration, 2);  // the last policy that had kept its promise
  options.iterations = 8;
  const Learned after = learn(task, found_out.result.state, options);
  EXPECT_LT(model.expected_cost(after.result.state.policy), 1.1 * model.least_cost());
}

TEST(Reckon, TakesMoreRolloutsForMoreDimensions) {
  Task task = DoubleIntegrator().task();
  EXPECT_EQ(fix_size(task, {}).exploring, 3);
  EXPECT_EQ(fix_size(task, {}).quiet, 2);
  task.observation.assign(11, 0);
  EXPECT_EQ(fix_size(task, {}).exploring, 7);
  EXPECT_EQ(fix_size(task, {}).quiet, 3);
  ReckonOptions options;
  for (const auto& [exploring, quiet] : {std::pair{1, 1}, {2, 1}, {3, 2}, {7, 3}, {14, 6}}) {
    options.rollouts = exploring;
    EXPECT_EQ(fix_size(task, options).exploring, exploring);
    EXPECT_EQ(fix_size(task, options).quiet, quiet);
  }
}

TEST(Reckon, ImaginesAtLeastOneRolloutForEachMember) {
  const Task task = DoubleIntegrator().task();
  ReckonOptions options = small();
  options.iterations = 1;
  options.particles = 2;
  options.members = 5;
  EXPECT_EQ(learn(task, reckon_start(task, options), options).result.state.model.members.size(), 5U);
}

TEST(Reckon, ImaginesAsManyRolloutsAsTheFitNeeds) {
  Task task = DoubleIntegrator().task();
  ReckonOptions options;
  EXPECT_EQ(particles_of(task, options), 48);
  options.members = 20;
  EXPECT_EQ(particles_of(task, options), 48);
  task.observation.assign(72, 0);
  EXPECT_EQ(particles_of(task, options), 2 * 73);
  options.particles = 7;
  EXPECT_EQ(particles_of(task, options), 20);
}

TEST(Reckon, RefusesFewerParticlesThanTheFitNeeds) {
  const Task task = DoubleIntegrator().task();
  ReckonOptions options = small();
  options.particles = 4;
  EXPECT_THROW(reckon_start(task, options), InputError);
  options.particles = 5;
  EXPECT_NO_THROW(reckon_start(task, options));
}

TEST(Reckon, RefusesAStateOfOtherOptions) {
  const Task task = DoubleIntegrator().task();
  ReckonOptions options = small();
  options.iterations = 1;
  const ReckonState state = learn(task, reckon_start(task, options), options).result.state;
  const auto refused = [&](auto change) {
    ReckonOptions other = options;
    other.iterations = 2;
    change(other);
    EXPECT_THROW(static_cast<void>(reckon(task, state, other, {}, {})), InputError);
  };
  refused([](ReckonOptions& o) { o.rollouts = 7; });
  refused([](ReckonOptions& o) { o.members = 5; });
  refused([](ReckonOptions& o) { o.units = 8; });
}

TEST(Reckon, ReportsANumberAfterQuietRolloutsThatDiverged) {
  const Task task = DoubleIntegrator().task();
  ReckonOptions options = small();
  options.iterations = 1;
  ReckonState state = learn(task, reckon_start(task, options), options).result.state;
  state.base[0].quiet_cost.setConstant(std::numeric_limits<double>::max());
  state.cost_before = 2.0;
  state.cost_predicted = 1.0;
  options.iterations = 2;
  EXPECT_EQ(metric(learn(task, state, options).iterations[0], "gain_ratio"), 100.0);
}

}  // namespace
}  // namespace kedge
