// Episodic searches: REPS and MORE on tasks whose optimum is known. What they promise as every algorithm does: contract_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/more.h"
#include "kedge/algorithms/reps.h"
#include "kedge/core/errors.h"
#include "kedge/math/gaussian.h"
#include "kedge/rollout/rollout.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using testing::HasSubstr;

/// One step: the action is the parameter, the cost (a - target)' W (a - target), target = 0 or linear in the initial state.
class Still final : public System {
 public:
  [[nodiscard]] Index nx() const override { return 3; }
  [[nodiscard]] Index nu() const override { return 2; }
  [[nodiscard]] Index nsensor() const override { return 2; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Still>(); }
  void reset(VectorIn x) override { x_ = x; }
  [[nodiscard]] bool step(VectorIn u) override {
    missed_ = u - VectorXd{{1.0 + 2.0 * x_[0], -0.5 * x_[1]}};
    return true;
  }
  void settle() override {}
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut y) const override { y = missed_; }

 private:
  VectorXd x_ = VectorXd::Zero(3), missed_ = VectorXd::Zero(2);
};

/// Maximise minus the squared distance of the action from (1 + 2 x_0, -x_1 / 2). The observation is constant.
Task aim(double spread) {
  Task task;
  task.name = "aim";
  task.system = std::make_shared<Still>();
  task.horizon = 1;
  task.control_step = 0.1;
  task.observation = {2};
  task.observation_names = {"nothing"};
  task.control_index = {0, 1};
  task.action_names = {"a", "b"};
  task.action_low = VectorXd::Constant(2, -std::numeric_limits<double>::infinity());
  task.action_high = -task.action_low;
  task.start = {StartDistribution::Kind::uniform, VectorXd::Zero(3), VectorXd{{spread, spread, 0.0}}};
  task.cost.push_back({"missed",
                       {Source::sensor, {0, 1}, {}, VectorXd::Zero(2), true},
                       VectorXd{{1.0, 10.0}},
                       Norm::quadratic,
                       0,
                       {1, 0}});
  return task;
}

double expected_cost(const Task& task, const Policy& policy) {
  const auto batch = rollout(task, policy, {400, 12345, false}, kedge::Run{.seed = 99, .threads = 2});
  return -return_mean(*batch);
}

template <class Options>
Options aiming() {
  Options options;
  options.iterations = 60;
  options.initial_std = 0.5;
  return options;
}

TEST(Reps, FindsTheOptimumOfAQuadraticFunction) {
  const Task task = aim(0.0);
  const auto options = aiming<RepsOptions>();
  const auto result = reps(task, reps_start(task, options), options, kedge::Run{.seed = 1});
  ASSERT_EQ(result.stop, Stop::max_iterations) << result.message;
  EXPECT_LT(expected_cost(task, as_policy(result.state.policy)), 1e-4);
}

TEST(More, FindsTheOptimumOfAQuadraticFunction) {
  const Task task = aim(0.0);
  for (const auto surrogate : {MoreOptions::Surrogate::ridge, MoreOptions::Surrogate::projections})
    for (const auto schedule : {MoreOptions::Schedule::linear, MoreOptions::Schedule::exponential}) {
      auto options = aiming<MoreOptions>();
      options.surrogate = surrogate;
      options.schedule = schedule;
      options.gamma = 0.9;
      options.projections = 20;
      options.projected = 3;
      const auto result = more(task, more_start(task, options), options, kedge::Run{.seed = 1});
      ASSERT_EQ(result.stop, Stop::max_iterations) << result.message;
      EXPECT_LT(expected_cost(task, as_policy(result.state.policy)), 1e-3);
    }
}

/// What is best differs from start to start: one controller for all is left with the spread, one for each is not.
TEST(Reps, WithContextFindsALinearMap) {
  const Task task = aim(1.0);
  auto options = aiming<RepsOptions>();
  options.initial_std = 1.0;
  options.rollouts = 60;
  const double one = expected_cost(
      task, as_policy(reps(task, reps_start(task, options), options, kedge::Run{.seed = 2}).state.policy));
  EXPECT_GT(one, 1.9);  // 4/3 + 10/12 is the variance that is left
  options.context = RepsOptions::ContextKind::start;
  options.features = RepsOptions::Features::linear;
  for (const std::uint64_t seed : {2, 3, 4}) {
    const auto result = reps(task, reps_start(task, options), options, kedge::Run{.seed = seed});
    ASSERT_EQ(result.stop, Stop::max_iterations) << result.message;
    ASSERT_TRUE(std::holds_alternative<ContextualPolicy>(result.state.policy));
    EXPECT_LT(expected_cost(task, as_policy(result.state.policy)), 0.1) << seed;
  }
}

TEST(More, WithContextFindsALinearMap) {
  const Task task = aim(1.0);
  auto options = aiming<MoreOptions>();
  options.context = MoreOptions::ContextKind::start;
  options.features = MoreOptions::Features::linear;
  options.initial_std = 1.0;
  options.rollouts = 40;
  const auto result = more(task, more_start(task, options), options, kedge::Run{.seed = 2});
  ASSERT_EQ(result.stop, Stop::max_iterations) << result.message;
  EXPECT_LT(expected_cost(task, as_policy(result.state.policy)), 0.05);
}

template <class State>
std::vector<Iteration> iterations_of(const Task& task, auto start, auto loop, const auto& options) {
  std::vector<Iteration> all;
  const LoopObserver<State> observe = [&](const Iteration& i, const State&, const UpdateRecord*) { all.push_back(i); };
  EXPECT_EQ(loop(task, start(task, options), options, kedge::Run{.seed = 4}, observe).stop, Stop::max_iterations);
  return all;
}

TEST(Reps, ReportsBothDivergencesAndKeepsTheirBounds) {
  RepsOptions options;
  options.iterations = 12;
  options.rollouts = 12;
  options.window = 2;
  options.controller = ControllerKind::dmp_weights;
  options.weights = 5;
  options.initial_std = 1.0;
  options.epsilon = 0.4;
  options.search_epsilon = 0.3;
  double most = 0.0;
  for (const Iteration& i : iterations_of<RepsState>(DoubleIntegrator().task(), reps_start, reps, options)) {
    EXPECT_NEAR(test::metric(i, "kl_weights"), 0.4, 1e-9);
    EXPECT_LE(test::metric(i, "kl_search"), 0.3);
    most = std::max(most, test::metric(i, "kl_search"));
  }
  EXPECT_GT(most, 0.3 * (1 - 1e-8)) << "the fit goes further than its samples: this bound acts";
}

TEST(More, KeepsItsBoundAndItsSchedule) {
  auto options = aiming<MoreOptions>();
  options.iterations = 30;
  options.epsilon = 0.5;
  options.beta0 = 0.3;
  options.least_std = 0.3;
  const Task task = aim(0.0);
  const MoreState start = more_start(task, options);
  const double least = start.first_entropy + 4 * std::log(0.3);
  double before = start.first_entropy;
  for (const Iteration& i : iterations_of<MoreState>(task, more_start, more, options)) {
    EXPECT_LE(test::metric(i, "kl_search"), 0.5 * (1 + 1e-9));
    const double entropy = test::metric(i, "search_entropy");
    EXPECT_GE(entropy, std::max(before - 0.3, least) - 1e-8);
    before = entropy;
  }
  EXPECT_NEAR(before, least, 0.5) << "the schedule acts";
}

/// The expected cost of the first and of the last policy of a search. Forces are limited: networks at random throw the mass
/// far away.
struct Learned {
  double first = 0.0, last = 0.0;
};
template <class Options>
Learned learned(ControllerKind kind, double initial_std, auto start, auto loop) {
  const Task task = DoubleIntegrator().task(1e100, 10.0);
  Options options;
  options.iterations = 60;
  options.rollouts = 40;
  options.controller = kind;
  options.initial_std = initial_std;
  options.hidden = 2;
  options.weights = 3;
  auto state = start(task, options);
  const double first = expected_cost(task, as_policy(state.policy));
  const auto result = loop(task, std::move(state), options, kedge::Run{.seed = 3, .threads = 2}, {});
  EXPECT_EQ(result.stop, Stop::max_iterations) << result.message;
  return {first, expected_cost(task, as_policy(result.state.policy))};
}

TEST(EpisodicSearch, ImprovesEveryKindOfController) {
  const double least = DoubleIntegrator().least_cost();
  for (const auto& [kind, initial_std] :
       {std::pair{ControllerKind::linear, 0.1}, std::pair{ControllerKind::network, 0.3},
        std::pair{ControllerKind::dmp, 1.0}, std::pair{ControllerKind::dmp_weights, 1.0}}) {
    SCOPED_TRACE(static_cast<int>(kind));
    for (const Learned& cost : {learned<RepsOptions>(kind, initial_std, reps_start, reps),
                                learned<MoreOptions>(kind, initial_std, more_start, more)})
      EXPECT_LT(cost.last, least + 0.5 * (cost.first - least));
  }
}

TEST(More, FindsGainsNearTheOptimum) {
  EXPECT_LT(learned<MoreOptions>(ControllerKind::linear, 0.1, more_start, more).last,
            1.3 * DoubleIntegrator().least_cost());
}

TEST(EpisodicSearch, BeginsAtTheDemonstration) {
  Task task = DoubleIntegrator().task();
  Demonstration shown{MatrixXd(2, task.horizon + 1), MatrixXd::Zero(1, task.horizon)};
  for (int t = 0; t <= task.horizon; ++t) {
    const double s = t / 15.0;
    shown.state.col(t) << 1.0 - s * s * (3.0 - 2.0 * s), -6.0 * s * (1.0 - s) / 1.5;
  }
  task.demonstration = std::make_shared<Demonstration>(shown);
  RepsOptions options;
  options.controller = ControllerKind::dmp;
  const RepsState start = reps_start(task, options);
  task.start.spread.setZero();
  task.start.mean = shown.state.col(0);
  const auto batch = rollout(task, as_policy(start.policy), {1, 0, false}, kedge::Run{});
  EXPECT_LT((batch->state.row(0) - shown.state.row(0)).cwiseAbs().maxCoeff(), 1e-2);
}

TEST(EpisodicSearch, SaysWhatAControllerNeeds) {
  const auto message = [](const Task& task, RepsOptions options) -> std::string {
    try {
      static_cast<void>(reps_start(task, options));
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  RepsOptions dmp;
  dmp.controller = ControllerKind::dmp;
  EXPECT_THAT(message(aim(1.0), dmp), HasSubstr("controller = dmp needs actions that drive one coordinate each"));
  Task blind = DoubleIntegrator().task();
  blind.observation = {0};
  blind.observation_names = {"x"};
  EXPECT_THAT(message(blind, dmp), HasSubstr("the observation of the task double_integrator has not all"));
  RepsOptions context;
  context.context = RepsOptions::ContextKind::start;
  EXPECT_THAT(message(aim(0.0), context), HasSubstr("context = start, but the start of the task aim never varies"));
  EXPECT_EQ(message(aim(1.0), context), "");
}

TEST(EpisodicSearch, TheTaskMayNameItsContext) {
  Task task = aim(1.0);
  task.context = {1};
  RepsOptions options;
  options.context = RepsOptions::ContextKind::start;
  options.features = RepsOptions::Features::linear;
  EXPECT_EQ(reps_start(task, options).search.K.cols(), 1);
  task.context.clear();
  EXPECT_EQ(reps_start(task, options).search.K.cols(), 2);
}

}  // namespace
}  // namespace kedge
