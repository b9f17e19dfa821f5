// An episode, step by step: equal to rollouts and trajectories bit for bit; limits, costs, divergence, misuse.
#include "kedge/rollout/episode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kedge/core/errors.h"
#include "kedge/rollout/rollout.h"
#include "kedge/rollout/trajectory.h"
#include "kedge/system/linear_system.h"
#include "tests/rollout/toy.h"
#include "tests/support/allocations.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Compares the episode's present step with column (n, t) of a batch.
void expect_same(const Batch& batch, int n, int t, const EpisodeStep& step) {
  EXPECT_TRUE(same_bits(batch.terms.col(batch.at(n, t)), step.terms)) << "t = " << t;
  EXPECT_EQ(batch.cost(t, n), step.cost) << "t = " << t;
}

TEST(Episode, EqualsARolloutBitForBit) {
  const Task task = toy_task();
  const TvLinearGaussian policy = toy_policy(0.8);
  constexpr std::uint32_t iteration = 3;
  const Batch batch = *rollout(task, policy, {20, iteration, true}, kedge::Run{5, 1, {}});
  Toy system;
  Episode episode(task, system);
  VectorXd a(2);
  Index limited = 0, commanded = 0;
  for (int n = 0; n < batch.rollouts; ++n) {
    const auto name = static_cast<std::uint32_t>(n);
    Stream start(5, iteration, name, 0);
    episode.reset(sample_start(task.start, start));
    for (int t = 0; t < T && !episode.diverged(); ++t) {
      EXPECT_EQ(episode.time(), t);
      EXPECT_TRUE(same_bits(batch.state.col(batch.at(n, t)), episode.state()));
      EXPECT_TRUE(same_bits(batch.observation.col(batch.at(n, t)), episode.observation()));
      Stream noise(5, iteration, name, static_cast<std::uint32_t>(t) + 1);
      policy.sample(t, episode.observation(), noise, a);
      const EpisodeStep& step = episode.step(a);
      expect_same(batch, n, t, step);
      limited += step.limited;
      commanded += a.size();
    }
    if (!episode.diverged()) {
      EXPECT_TRUE(same_bits(batch.state.col(batch.at(n, T)), episode.state()));
      expect_same(batch, n, T, episode.finish());
    }
    EXPECT_EQ(batch.usable(n), !episode.diverged());
    EXPECT_TRUE(batch.usable(n) || batch.diverged_at[static_cast<std::size_t>(n)] == episode.time());
    EXPECT_TRUE(episode.diverged() ? std::isnan(episode.success()) : batch.success[n] == episode.success());
  }
  EXPECT_GT(usable_rollouts(batch), 5);
  EXPECT_GT(diverged_rollouts(batch), 3);
  EXPECT_EQ(batch.saturated, static_cast<double>(limited) / static_cast<double>(commanded));
}

TEST(Episode, EqualsATrajectoryBitForBit) {
  const Task task = toy_task();
  const auto law = [](int t, VectorIn x, VectorOut a) { a = vec({0.3 * t - x[0], 0.1}); };
  for (const double x0 : {0.1, 2.9}) {  // stays, diverges
    Toy system;
    const Trajectory path = simulate(task, system, vec({x0, 0, 0}), law);
    Episode episode(task, system);
    episode.reset(vec({x0, 0, 0}));
    VectorXd a(2);
    for (int t = 0; t < T && !episode.diverged(); ++t) {
      EXPECT_TRUE(same_bits(path.x.col(t), episode.state()));
      law(t, episode.state(), a);
      const EpisodeStep& step = episode.step(a);
      EXPECT_TRUE(step.diverged || same_bits(path.a.col(t), a));
      EXPECT_TRUE(same_bits(path.y.col(t), step.sensors));
      EXPECT_EQ(path.cost[t], step.cost);
    }
    EXPECT_EQ(episode.diverged(), x0 > 1.0);
    EXPECT_EQ(path.diverged_at, episode.diverged() ? episode.time() : -1);
    if (episode.diverged()) continue;
    const EpisodeStep& last = episode.finish();
    EXPECT_TRUE(same_bits(path.y.col(T), last.sensors));
    EXPECT_EQ(path.cost[T], last.cost);
    EXPECT_EQ(path.success, episode.success());
  }
}

TEST(Episode, AppliesTheActionWithinItsLimits) {
  const Task task = toy_task();
  Toy system;
  Episode episode(task, system);
  episode.reset(vec({0.1, 0, 0}));
  const EpisodeStep& step = episode.step(vec({-0.7, 0.9}));  // limits [-0.5, 0.5] and (-inf, 0.8]
  EXPECT_EQ(step.limited, 2);
  EXPECT_EQ(step.control, vec({0.8, 0, -0.5}));
  EXPECT_EQ(step.sensors, vec({0.1, 0.8})) << "at the beginning of the step";
  EXPECT_EQ(step.terms[1], 0.1 * 0.7 + 0.2 * 0.9) << "as commanded";
  EXPECT_DOUBLE_EQ(step.terms[2], 0.8 * 0.8 + 0.5 * 0.5) << "as applied";
  EXPECT_EQ(step.cost, step.terms[1] + step.terms[3]) << "the others are not active";
  EXPECT_EQ(episode.step(vec({0.5, -100})).limited, 0) << "at a limit is within it";
}

TEST(Episode, EvaluatesTheFinalStateWithoutAction) {
  const Task task = toy_task();
  Toy system;
  Episode episode(task, system);
  episode.reset(vec({0.1, 0, 0}));
  for (int t = 0; t < T; ++t) (void)episode.step(vec({0.1, -0.1}));
  EXPECT_TRUE(std::isnan(episode.success())) << "not yet finished";
  const EpisodeStep& last = episode.finish();
  EXPECT_EQ(last.control, vec({0, 0, 0}));
  EXPECT_EQ(last.limited, 0);
  EXPECT_EQ(last.sensors, vec({episode.state()[0], 0}));
  EXPECT_EQ(last.terms[1], 0.0) << "needs an action";
  EXPECT_EQ(last.cost, last.terms[0] + last.terms[3]);
  EXPECT_EQ(episode.time(), T);
  EXPECT_TRUE(std::isfinite(episode.success()));
}

TEST(Episode, KeepsTheLastStateAndNoCostOfAStepThatDiverged) {
  const Task task = toy_task();
  Toy system;
  Episode episode(task, system);
  episode.reset(vec({0.1, 0, 0}));
  (void)episode.step(vec({0.1, 0.2}));
  const VectorXd before = episode.state();
  const EpisodeStep& step = episode.step(vec({0.1, nan}));
  EXPECT_TRUE(step.diverged && episode.diverged());
  EXPECT_EQ(episode.time(), 1);
  EXPECT_EQ(episode.state(), before);
  EXPECT_EQ(step.cost, 0.0);
  EXPECT_TRUE(step.terms.isZero(0) && step.sensors.isZero(0));
  EXPECT_TRUE(std::isnan(episode.success()));
}

/// Becomes NaN after some steps and claims that this is a state.
class Liar final : public System {
 public:
  [[nodiscard]] Index nx() const override { return 1; }
  [[nodiscard]] Index nu() const override { return 1; }
  [[nodiscard]] Index nsensor() const override { return 0; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Liar>(*this); }
  void reset(VectorIn x) override { x_ = x[0]; }
  [[nodiscard]] bool step(VectorIn) override {
    if (++x_ > 3.0) x_ = nan;
    return true;
  }
  void settle() override {}
  void state(VectorOut x) const override { x[0] = x_; }
  void sensors(VectorOut) const override {}

 private:
  double x_ = 0.0;
};

/// The toy's horizon with one state, one control and a cost of the action.
Task scalar_task(std::shared_ptr<const System> system) {
  Task task = toy_task();
  task.system = std::move(system);
  task.observation = {0};
  task.control_index = {0};
  task.action_low = vec({-1});
  task.action_high = vec({1});
  task.start.mean = task.start.spread = vec({0});
  std::vector<char> steps(T + 1, 1);
  steps[T] = 0;
  task.cost = {{"effort", {Source::action, {0}, {}, vec({0}), true}, vec({1}), Norm::quadratic, 0.0, steps}};
  task.success = {{{Source::state, {0}, {}, vec({0}), false}, Success::Statistic::max_abs, 1.0, steps, ""}};
  validate(task);
  return task;
}

TEST(Episode, DivergesWhereTheSystemReachesAStateThatIsNotFinite) {
  const Task task = scalar_task(std::make_shared<Liar>());
  Liar system;
  Episode episode(task, system);
  episode.reset(vec({1}));
  EXPECT_FALSE(episode.step(vec({0})).diverged);
  EXPECT_FALSE(episode.step(vec({0})).diverged);
  EXPECT_TRUE(episode.step(vec({0})).diverged);
  EXPECT_EQ(episode.state(), vec({3}));
  EXPECT_EQ(episode.observation(), vec({3}));
}

TEST(Episode, ResetForgetsTheEpisodeBefore) {
  const Task task = toy_task();
  Toy system, other;
  Episode used(task, system), fresh(task, other);
  const auto run = [&](Episode& episode, int steps) {
    double total = 0.0;
    for (int t = 0; t < steps; ++t) total += episode.step(vec({0.2, -0.1})).cost;
    return total;
  };
  fresh.reset(vec({0.1, 0.2, 0}));
  const double expected = run(fresh, T) + fresh.finish().cost;
  const std::vector<std::function<void()>> pasts = {[] {}, [&] { run(used, 3); }, [&] { run(used, T); },
                                                    [&] { run(used, T), (void)used.finish(); },
                                                    [&] {
                                                      (void)used.step(vec({nan, 0}));
                                                    }};
  for (const auto& past : pasts) {
    used.reset(vec({0.5, 0, 0}));
    past();
    used.reset(vec({0.1, 0.2, 0}));
    EXPECT_EQ(used.time(), 0);
    EXPECT_FALSE(used.diverged());
    EXPECT_TRUE(std::isnan(used.success()));
    EXPECT_EQ(run(used, T) + used.finish().cost, expected);
    EXPECT_EQ(used.success(), fresh.success());
  }
}

/// The message of the InputError that `call` throws.
std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Episode, RejectsStepsItDoesNotHave) {
  const Task task = toy_task();
  Toy system;
  Episode episode(task, system);
  const auto step = [&] { (void)episode.step(vec({0, 0})); };
  const auto finish = [&] { (void)episode.finish(); };
  EXPECT_EQ(refusal(step), "episode: step is impossible, because it was not begun");
  EXPECT_EQ(refusal(finish), "episode: finish is impossible, because it was not begun");
  episode.reset(vec({0, 0, 0}));
  step();
  EXPECT_EQ(refusal(finish), "episode: finish is impossible, because it has made 1 of 7 steps");
  for (int t = 1; t < T; ++t) step();
  EXPECT_EQ(refusal(step), "episode: step is impossible, because it has made 7 of 7 steps");
  finish();
  EXPECT_EQ(refusal(step), "episode: step is impossible, because it is finished");
  EXPECT_EQ(refusal(finish), "episode: finish is impossible, because it is finished");
  episode.reset(vec({5, 0, 0}));
  step();
  ASSERT_TRUE(episode.diverged());
  EXPECT_EQ(refusal(step), "episode: step is impossible, because it has diverged at step 0");
  EXPECT_EQ(refusal(finish), "episode: finish is impossible, because it has diverged at step 0");
}

TEST(Episode, RejectsStatesAndActionsThatDoNotFit) {
  const Task task = toy_task();
  Toy system;
  Episode episode(task, system);
  EXPECT_THAT(refusal([&] { episode.reset(vec({0, 0})); }), HasSubstr("initial state size = 2, but must be 3"));
  EXPECT_THAT(refusal([&] { episode.reset(vec({0, nan, 0})); }), HasSubstr("initial state = not finite"));
  episode.reset(vec({0, 0, 0}));
  EXPECT_THAT(refusal([&] { (void)episode.step(vec({0})); }), HasSubstr("action size = 1, but must be 2"));
  EXPECT_FALSE(episode.step(vec({0, 0})).diverged) << "a refused action changes nothing";
  EXPECT_EQ(episode.time(), 1);
}

#ifdef KEDGE_COUNT_ALLOCATIONS
TEST(Episode, AllocatesNothingAfterConstruction) {
  const auto linear = std::make_shared<LinearSystem>(0.9 * MatrixXd::Identity(1, 1), MatrixXd::Ones(1, 1));
  Task task = scalar_task(linear);
  CostTerm& wide = task.cost.emplace_back(task.cost.front());
  wide.residual = {Source::state, std::vector<Index>(40, 0), {}, VectorXd::Zero(40), false};
  wide.weight = VectorXd::Ones(40);
  CostTerm& mixed = task.cost.emplace_back(wide);
  mixed.residual.matrix = MatrixXd::Identity(40, 40);
  validate(task);
  LinearSystem system = *linear;
  Episode episode(task, system);
  const VectorXd x0 = vec({0.5}), a = vec({2});
  double total = 0.0;
  const long before = allocations;
  for (int repetition = 0; repetition < 3; ++repetition) {
    episode.reset(x0);
    for (int t = 0; t < T; ++t) total += episode.step(a).cost;
    total += episode.finish().cost + episode.success();
  }
  EXPECT_EQ(allocations, before);
  EXPECT_GT(total, 0.0);
  const Episode another(task, system);
  EXPECT_GT(allocations, before) << "the counter counts";
}
#endif

// ---- early ends, and sensors that the policy sees -------------------------------------------------------------------

/// The toy, which ends where its first state leaves [-1, 1]. @param by_sensor  the same, as the sensor shows it
Task ending_toy(bool by_sensor) {
  Task task = toy_task();
  const Source source = by_sensor ? Source::sensor : Source::state;
  task.termination = {{"far", {source, {0}, {}, vec({0.1}), false}, vec({-1}), vec({1}), 5.0, 0.25}};
  validate(task);
  return task;
}

TEST(EarlyEnd, CostsWhatIsDeclaredAndNothingElse) {
  const Task task = ending_toy(false);
  Toy system;
  Episode episode(task, system);
  episode.reset(vec({0.7, 0, 0}));
  int steps = 0;
  while (episode.goes_on()) {
    EXPECT_EQ(episode.ended(), nullptr);
    (void)episode.step(vec({0.1, 0.4}));
    ++steps;
  }
  ASSERT_EQ(episode.ended(), &task.termination[0]);
  EXPECT_LT(steps, T);
  EXPECT_EQ(episode.time(), steps);
  EXPECT_GT(episode.state()[0], 1.1);
  EXPECT_THROW((void)episode.step(vec({0, 0})), InputError) << "it has ended";
  const EpisodeStep& last = episode.finish();
  EXPECT_EQ(last.cost, 5.0 + 0.25 * (T - steps));
  EXPECT_TRUE(last.terms.isZero(0.0));
  EXPECT_FALSE(episode.diverged());
  EXPECT_TRUE(std::isnan(episode.success())) << "an early end is no success";
  EXPECT_THROW((void)episode.finish(), InputError) << "once";
  episode.reset(vec({0.1, 0, 0}));
  EXPECT_TRUE(episode.goes_on()) << "as if nothing had come before";
}

TEST(EarlyEnd, OfABatchStaysWhereItEnded) {
  const Task task = ending_toy(false), whole = toy_task();
  const TvLinearGaussian policy = toy_policy(0.8);
  const Batch batch = *rollout(task, policy, {40, 3, true}, kedge::Run{5, 1, {}});
  const Batch all = *rollout(whole, policy, {40, 3, true}, kedge::Run{5, 1, {}});
  EXPECT_GT(ended_rollouts(batch), 10);
  EXPECT_LT(ended_rollouts(batch), 40);
  std::int64_t steps = 0;
  for (int n = 0; n < 40; ++n) {
    if (!batch.usable(n)) {
      steps += batch.diverged_at[static_cast<std::size_t>(n)] + 1;
      continue;
    }
    int end = 1;  // by the rollout that goes on
    while (end <= T && std::abs(all.state(0, all.at(n, end)) - 0.1) <= 1.0) ++end;
    EXPECT_EQ(batch.end(n), end > T ? -1 : end);
    EXPECT_EQ(batch.steps(n), std::min(end, T));
    steps += batch.steps(n);
    for (int t = 0; t <= T; ++t) {
      EXPECT_TRUE(same_bits(batch.state.col(batch.at(n, t)), all.state.col(all.at(n, std::min(t, end)))));
      if (t < std::min(end, T + 1)) {
        EXPECT_EQ(batch.cost(t, n), all.cost(t, n));
      } else {
        EXPECT_EQ(batch.cost(t, n), t == end ? 5.0 + 0.25 * (T - end) : 0.0);
        EXPECT_TRUE(batch.terms.col(batch.at(n, t)).isZero(0.0));
      }
      if (t >= end && t < T) {
        EXPECT_TRUE(batch.action.col(batch.step(n, t)).isZero(0.0));
      }
    }
  }
  EXPECT_EQ(simulated_steps(batch), steps);
}

TEST(EarlyEnd, BySensorIsThatByTheStateItShows) {
  const TvLinearGaussian policy = toy_policy(0.8);
  const Batch by_state = *rollout(ending_toy(false), policy, {30, 3, true}, kedge::Run{5, 1, {}});
  const Batch by_sensor = *rollout(ending_toy(true), policy, {30, 3, true}, kedge::Run{5, 3, {}});
  EXPECT_TRUE(same_bits(by_state.state, by_sensor.state));
  EXPECT_TRUE(same_bits(by_state.cost, by_sensor.cost));
  EXPECT_EQ(by_state.ended_at, by_sensor.ended_at);
}

TEST(ObservedSensor, IsThatOfTheStateBeforeTheAction) {
  Task by_sensor = toy_task();
  by_sensor.observation = {1, 3};  // sensor 0 is the first state
  validate(by_sensor);
  EXPECT_TRUE(by_sensor.observes_sensors());
  const TvLinearGaussian policy = toy_policy(0.8);
  const Batch of_state = *rollout(toy_task(), policy, {20, 3, true}, kedge::Run{5, 1, {}});
  const Batch of_sensor = *rollout(by_sensor, policy, {20, 3, true}, kedge::Run{5, 2, {}});
  EXPECT_TRUE(same_bits(of_state.action, of_sensor.action)) << "the policy acts on the same numbers";
  EXPECT_TRUE(same_bits(of_state.cost, of_sensor.cost)) << "looking changes no cost and no sensor of the step";
  const MatrixXd x = of_state.state.leftCols(5);
  EXPECT_TRUE(same_bits(observations(by_sensor, x), of_sensor.observation.leftCols(5).eval()));
  EXPECT_TRUE(same_bits(observations(toy_task(), x), observations(by_sensor, x)));
}

TEST(ObservedSensor, ThatIsNotFiniteDiverges) {
  Task task = toy_task();
  task.observation = {1, 3};
  task.system = std::make_shared<BlindToy>();
  BlindToy system;
  Episode episode(task, system);
  episode.reset(vec({0.1, 0, 0}));
  EXPECT_TRUE(episode.diverged());
  EXPECT_EQ(episode.why(), "a sensor is not finite");
  EXPECT_FALSE(episode.goes_on());
  EXPECT_THROW((void)observations(task, vec({0.1, 0, 0})), InputError);
  const Batch batch = *rollout(task, toy_policy(0.8), {3, 3, true}, kedge::Run{5, 1, {}});
  EXPECT_EQ(diverged_rollouts(batch), 3);
  EXPECT_TRUE(batch.observation.allFinite());
}

// ---- episodes of one's own -----------------------------------------------------------------------------------------

TEST(RunEpisodes, GivesEachEpisodeItsStateAndItsLaw) {
  const Task task = toy_task();
  const auto plan = [](int n, System&) {
    return EpisodePlan{vec({0.1 * n, 0, 0}), [n](int t, VectorIn s, VectorOut a) {
                         a = vec({0.1 * n, s[1] - 0.1 * t});
                       }};
  };
  const Batch one = *run_episodes(task, 8, plan, kedge::Run{0, 1, {}});
  for (int n = 0; n < 8; ++n) {
    Toy system;
    const EpisodePlan of_n = plan(n, system);
    const auto law = [&](int t, VectorIn x, VectorOut a) { of_n.law(t, vec({x[1], x[0]}), a); };
    const Trajectory path = simulate(task, system, of_n.x0, law);
    EXPECT_TRUE(same_bits(one.state.middleCols(one.at(n, 0), T + 1).eval(), path.x));
    EXPECT_TRUE(same_bits(one.action.middleCols(one.step(n, 0), T).eval(), path.a));
    EXPECT_TRUE(same_bits(one.cost.col(n), path.cost));
  }
  const Batch four = *run_episodes(task, 8, plan, kedge::Run{9, 4, {}});
  EXPECT_TRUE(same_bits(one.state, four.state)) << "neither threads nor the seed count";
}

TEST(RunEpisodes, RejectsAnInitialStateThatDoesNotFit) {
  const auto plan = [](int, System&) { return EpisodePlan{vec({0}), [](int, VectorIn, VectorOut a) { a.setZero(); }}; };
  for (const int threads : {1, 2})
    EXPECT_THROW((void)run_episodes(toy_task(), 4, plan, kedge::Run{0, threads, {}}), InputError);
}

}  // namespace
}  // namespace kedge
