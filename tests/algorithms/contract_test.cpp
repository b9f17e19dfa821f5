// What every algorithm promises, by being a row of the table: the same bytes for any number of threads and however often it
// was stopped, wherever a stop request meets it; a usable policy at every end; refusal of what is not its own. Each row is
// tried with its defaults and with each choice of each of its options.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>

#include "kedge/catalogue/catalogue.h"
#include "kedge/core/errors.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using test::same;
using test::same_bits;
using testing::HasSubstr;

constexpr int kIterations = 4;

/// Sizes that make a run short. An option that an algorithm does not have is left out.
const std::map<std::string, OptionValue> kSmall = {
    {"iterations", std::int64_t{kIterations}},
    {"rollouts", std::int64_t{12}},
    {"hidden", std::int64_t{3}},
    {"fit_samples", std::int64_t{6}},
    {"policy_samples", std::int64_t{4}},
    {"first_evaluations", std::int64_t{150}},
    {"evaluations", std::int64_t{20}},
    {"start_spread", 1.0},
    {"alpha_first", 10.0},
    {"alpha_last", 10.0},
    {"initial_std", 3.0},
    {"epsilon", 0.2},
    {"beta0", 0.1},
    {"clusters", std::int64_t{2}},
    {"first_batches", std::int64_t{20}},
    {"batches", std::int64_t{2}},
    {"units", std::int64_t{8}},
    {"members", std::int64_t{2}},
    {"particles", std::int64_t{12}},
    {"guide_rollouts", std::int64_t{8}},
    {"batch_steps", std::int64_t{130}},  // the last rollout is cut
    {"guide_tolerance", 0.0},            // the guide takes several steps, between which it can be stopped
};

void set(Options& options, const std::string& name, const OptionValue& value) {
  for (Option& option : options) {
    if (option.name != name) continue;
    const auto* number = std::get_if<double>(&value);
    option.value =
        number && std::holds_alternative<ActionNumbers>(option.value) ? OptionValue{ActionNumbers(*number)} : value;
  }
}

struct Variant {
  const Algorithm* algorithm;
  std::string name;
  Options options;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

/// The task of a variant: with a demonstration for those that begin with one, without costs of the end for those that know none.
/// @param edge beyond which the simulation diverges
Task task_of(const Variant& variant, double edge = 1e100) {
  Task task = DoubleIntegrator().task(edge);
  if (variant.name.ends_with("_cut")) return test::with_steady_costs(std::move(task));
  if (!variant.name.ends_with("_demonstration")) return task;
  constexpr int kSteps = 10;
  Demonstration shown{MatrixXd(task.nx(), kSteps + 1), MatrixXd::Constant(task.da(), kSteps, -0.1)};
  const auto system = DoubleIntegrator().task().system->clone();
  system->reset(task.start.mean);
  for (int t = 0; t <= kSteps; ++t) {
    system->state(shown.state.col(t));
    if (t < kSteps) static_cast<void>(system->step(shown.action.col(t)));
  }
  task.demonstration = std::make_shared<const Demonstration>(std::move(shown));
  return task;
}

bool allows(const Algorithm& algorithm, const Options& options) {
  try {
    algorithm.check(options);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

/// The options themselves if they are allowed together; else with the first choice of one other option that makes them so.
std::optional<Options> allowed_from(const Algorithm& algorithm, const Options& options, const std::string& kept) {
  if (allows(algorithm, options)) return options;
  for (const Option& other : options)
    for (const std::string& choice : other.names) {
      Options changed = options;
      set(changed, other.name, choice);
      if (other.name != kept && allows(algorithm, changed)) return changed;
    }
  return std::nullopt;
}

std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const Algorithm& algorithm : algorithms()) {
    Options options = algorithm.options();
    for (const auto& [name, value] : kSmall) set(options, name, value);
    all.push_back({&algorithm, algorithm.name, options});
    const auto add = [&](const Option& option, const OptionValue& value, const std::string& text) {
      if (value == option.value) return;
      Options changed = options;
      set(changed, option.name, value);
      if (auto allowed = allowed_from(algorithm, changed, option.name))
        all.push_back({&algorithm, fmt::format("{}_{}_{}", algorithm.name, option.name, text), *allowed});
    };
    for (const Option& option : options) {
      if (std::holds_alternative<bool>(option.value)) {
        add(option, true, "true");
        add(option, false, "false");
      }
      for (const std::string& choice : option.names) add(option, choice, choice);
    }
  }
  return all;
}

/// Everything that an observer sees, and the result.
struct Watched {
  std::vector<Iteration> iterations;
  std::vector<Snapshot> snapshots;
  TrainingEnd end;
};

Watched watch(const Variant& v, const Task& task, const Run& run, int iterations = kIterations,
              const Fields* from = nullptr) {
  Options options = v.options;
  set(options, "iterations", std::int64_t{iterations});
  Watched w;
  w.end = v.algorithm->train({.task = task,
                              .options = options,
                              .run = run,
                              .from = from,
                              .observe = [&](const Iteration& i, const Snapshot& s, const UpdateRecord*) {
                                w.iterations.push_back(i);
                                w.snapshots.push_back(s);
                              }});
  return w;
}

void expect_same(const Watched& a, const Watched& b) {
  EXPECT_EQ(a.end.stop, b.end.stop);
  EXPECT_EQ(a.end.message, b.end.message);
  EXPECT_TRUE(same_bits(a.end.state.fields, b.end.state.fields));
  ASSERT_EQ(a.iterations.size(), b.iterations.size());
  for (std::size_t i = 0; i < a.iterations.size(); ++i) EXPECT_TRUE(same(a.iterations[i], b.iterations[i])) << i;
}

void expect_usable(const AnyPolicy& policy, const Task& task) {
  VectorXd a = VectorXd::Constant(task.da(), std::numeric_limits<double>::quiet_NaN());
  as_policy(policy).mean(0, task.start.mean(task.observation), a);
  EXPECT_TRUE(a.allFinite());
}

class Contract : public testing::TestWithParam<Variant> {};
INSTANTIATE_TEST_SUITE_P(Algorithms, Contract, testing::ValuesIn(variants()),
                         [](const testing::TestParamInfo<Variant>& variant) { return variant.param.name; });

TEST_P(Contract, ResultsDoNotDependOnThreads) {
  const Task task = task_of(GetParam());
  const Watched one = watch(GetParam(), task, {.seed = 3, .threads = 1});
  ASSERT_NE(one.end.stop, Stop::numerical_failure) << one.end.message;
  ASSERT_FALSE(one.iterations.empty());
  for (const int threads : {2, 8}) expect_same(one, watch(GetParam(), task, {.seed = 3, .threads = threads}));
}

TEST_P(Contract, ContinuingFromASavedStateEqualsNeverHavingStopped) {
  const Task task = task_of(GetParam());
  const Watched whole = watch(GetParam(), task, {.seed = 8});
  for (std::size_t k = 1; k <= whole.snapshots.size(); ++k) {
    SCOPED_TRACE(k);
    const Watched rest =
        watch(GetParam(), task, {.seed = 8, .threads = 2}, kIterations, &whole.snapshots[k - 1].fields);
    EXPECT_TRUE(same_bits(rest.end.state.fields, whole.end.state.fields));
    ASSERT_EQ(rest.iterations.size(), whole.iterations.size() - k);
    for (std::size_t i = 0; i < rest.iterations.size(); ++i)
      EXPECT_TRUE(same(rest.iterations[i], whole.iterations[k + i])) << i;
  }
}

/// The double integrator, of which an episode ends where the position leaves a range that it often leaves.
Task ending_task(const Variant& variant) {
  Task task = task_of(variant);
  task.termination = {{"far",
                       {Source::state, {0}, {}, VectorXd::Zero(1), false},
                       VectorXd::Constant(1, 0.45),
                       VectorXd::Constant(1, 1.25),
                       3.0,
                       0.5}};
  return task;
}

TEST_P(Contract, EarlyEndsAreLearnedFromOrRefused) {
  const Variant& v = GetParam();
  const Task task = ending_task(v);
  const std::string name = v.algorithm->name;
  const bool quadratic = name == "trpo" && option_value(v.options, "value") == OptionValue{std::string("quadratic")};
  if (quadratic || (name != "trpo" && name != "reps" && name != "more" && name != "random_search")) {
    EXPECT_THAT([&] { (void)v.algorithm->start(task, v.options); },
                testing::ThrowsMessage<InputError>(HasSubstr("an episode can end early")));
    const Fields other = v.algorithm->start(task_of(v), v.options).fields;
    EXPECT_THROW((void)watch(v, task, {.seed = 3}, 1, &other), InputError) << "also with a state of another task";
    return;
  }
  const Watched one = watch(v, task, {.seed = 3, .threads = 1});
  ASSERT_NE(one.end.stop, Stop::numerical_failure) << one.end.message;
  double ended = 0.0;
  for (const Iteration& it : one.iterations) ended += test::metric(it, "ended_early");
  EXPECT_GT(ended, 0.0);
  expect_same(one, watch(v, task, {.seed = 3, .threads = 2}));
  const Watched rest = watch(v, task, {.seed = 3}, kIterations, &one.snapshots[1].fields);
  EXPECT_TRUE(same_bits(rest.end.state.fields, one.end.state.fields));
}

TEST_P(Contract, ZeroIterationsReturnTheStart) {
  const Task task = task_of(GetParam());
  const Watched w = watch(GetParam(), task, {}, 0);
  EXPECT_EQ(w.end.stop, Stop::max_iterations);
  EXPECT_EQ(w.end.message, "0 iterations done");
  EXPECT_TRUE(w.iterations.empty());
  EXPECT_TRUE(same_bits(w.end.state.fields, GetParam().algorithm->start(task, GetParam().options).fields));
  expect_usable(w.end.state.policy, task);
}

TEST_P(Contract, IterationsAreShownOnceAndInOrderWithTheSameColumns) {
  const Task task = task_of(GetParam());
  const Watched w = watch(GetParam(), task, {.seed = 3, .threads = 2});
  const auto names = [](const auto& metrics) {
    std::vector<std::string> all;
    for (const auto& [name, value] : metrics) all.push_back(name);
    return all;
  };
  const std::vector<std::string> first = {"iteration",  "rollouts_total", "steps_total", "return_mean",
                                          "return_std", "return_min",     "return_max"};
  for (std::size_t i = 0; i < w.iterations.size(); ++i) {
    const Iteration& it = w.iterations[i];
    EXPECT_EQ(it.number, static_cast<int>(i));
    EXPECT_EQ(w.snapshots[i].loop.iteration, it.number + 1);
    EXPECT_EQ(test::metric(it, "rollouts_total"), static_cast<double>(w.snapshots[i].loop.rollouts_total));
    EXPECT_EQ(test::metric(it, "steps_total"), static_cast<double>(w.snapshots[i].loop.steps_total));
    ASSERT_GE(it.metrics.size(), first.size());
    for (std::size_t m = 0; m < first.size(); ++m) EXPECT_EQ(it.metrics[m].first, first[m]);
    EXPECT_EQ(names(it.metrics), names(w.iterations.front().metrics));
    EXPECT_EQ(names(it.seconds), names(w.iterations.front().seconds));
    EXPECT_EQ(names(it.steps), names(w.iterations.front().steps));
    for (const auto& [name, value] : it.metrics) EXPECT_TRUE(std::isfinite(value)) << name;
    expect_usable(w.snapshots[i].policy, task);
  }
}

/// What `kedge validate` says of an iteration. Derivatives are not in `steps_total` of iLQR (docs/algorithms/ilqr.md); a first
/// DDP of methods with a guide ends before its last iteration where it converges, as it does here.
TEST_P(Contract, NeedsAboutAsManyStepsAsItSays) {
  if (GetParam().algorithm->name == std::string("ilqr")) GTEST_SKIP();
  const bool guided = GetParam().algorithm->initial_trajectory != nullptr;
  const Task task = task_of(GetParam());
  const Watched w = watch(GetParam(), task, {.seed = 3});
  double longest = 0.0, before = 0.0;
  for (const Snapshot& s : w.snapshots) {
    const auto all = static_cast<double>(s.loop.steps_total);
    longest = std::max(longest, all - std::exchange(before, all));
  }
  const double said = GetParam().algorithm->needs(task, GetParam().options, 1).steps;
  EXPECT_GE(said, longest / 3);
  if (!guided) {
    EXPECT_LE(said, longest * 3);
  }
}

TEST_P(Contract, RunsWithoutObserver) {
  const Task task = task_of(GetParam());
  const TrainingEnd end =
      GetParam().algorithm->train({.task = task, .options = GetParam().options, .run = {.seed = 3}});
  EXPECT_TRUE(same_bits(end.state.fields, watch(GetParam(), task, {.seed = 3}).end.state.fields));
}

/// A system that asks for a stop in its n-th step.
class Stopping final : public System {
 public:
  struct Trigger {
    std::atomic<std::int64_t> left;
    std::stop_source stop;
  };
  Stopping(std::unique_ptr<System> system, Trigger& trigger) : system_(std::move(system)), trigger_(trigger) {}
  [[nodiscard]] Index nx() const override { return system_->nx(); }
  [[nodiscard]] Index nu() const override { return system_->nu(); }
  [[nodiscard]] Index nsensor() const override { return system_->nsensor(); }
  [[nodiscard]] std::unique_ptr<System> clone() const override {
    return std::make_unique<Stopping>(system_->clone(), trigger_);
  }
  void reset(VectorIn x) override { system_->reset(x); }
  [[nodiscard]] bool step(VectorIn u) override {
    if (--trigger_.left == 0) trigger_.stop.request_stop();
    return system_->step(u);
  }
  void settle() override { system_->settle(); }
  void state(VectorOut x) const override { system_->state(x); }
  void sensors(VectorOut y) const override { system_->sensors(y); }
  [[nodiscard]] std::vector<Drive> drives() const override { return system_->drives(); }
  [[nodiscard]] bool inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) override {
    return system_->inverse_dynamics(x, acceleration, u, inertia);
  }

 private:
  std::unique_ptr<System> system_;
  Trigger& trigger_;
};

/// Whatever the algorithm is doing when it is asked to stop, it hands over the state of a completed iteration, bit for bit
/// that of a run that was not stopped.
TEST_P(Contract, AStopRequestAtAnyStepLeavesACompletedIteration) {
  const Task task = task_of(GetParam());
  const auto stopped_at = [&](std::int64_t step, std::int64_t* steps = nullptr) {
    Stopping::Trigger trigger{step, {}};
    Task stopping = task;
    stopping.system = std::make_shared<Stopping>(task.system->clone(), trigger);
    const Watched w = watch(GetParam(), stopping, {.seed = 5, .threads = 1, .stop = trigger.stop.get_token()});
    if (steps) *steps = step - trigger.left;
    return w;
  };
  std::int64_t steps = 0;
  const Watched whole = stopped_at(std::numeric_limits<std::int64_t>::max(), &steps);
  ASSERT_GT(steps, 100);
  int cancelled = 0;
  constexpr int places = 100;
  for (int i = 0; i < places; ++i) {
    const std::int64_t step = 1 + steps * i / places;
    SCOPED_TRACE(fmt::format("step {} of {}", step, steps));
    const Watched w = stopped_at(step);
    const auto done = static_cast<std::size_t>(w.end.state.loop.iteration);
    expect_usable(w.end.state.policy, task);
    if (w.end.stop == Stop::cancelled) {
      ++cancelled;
      EXPECT_EQ(w.end.message, fmt::format("cancelled after {} iterations", done));
    }
    ASSERT_LE(done, whole.snapshots.size());
    const Fields& expected =
        done == 0 ? GetParam().algorithm->start(task, GetParam().options).fields : whole.snapshots[done - 1].fields;
    if (w.end.stop == Stop::cancelled) {
      EXPECT_TRUE(same_bits(w.end.state.fields, expected));
    }
  }
  EXPECT_GT(cancelled, places / 2);
}

TEST_P(Contract, AFailureKeepsThePolicyAndSaysWhy) {
  const Task task = task_of(GetParam(), 0.5);  // the start is beyond the edge: everything diverges
  const Watched w = watch(GetParam(), task, {.seed = 3});
  EXPECT_EQ(w.end.stop, Stop::numerical_failure);
  EXPECT_THAT(w.end.message, HasSubstr("iteration 0: "));
  EXPECT_THAT(w.end.message, HasSubstr("diverged"));
  EXPECT_TRUE(w.iterations.empty());
  EXPECT_TRUE(same_bits(w.end.state.fields, GetParam().algorithm->start(task, GetParam().options).fields));
  expect_usable(w.end.state.policy, task);
}

TEST_P(Contract, ForeignStatesAreRefused) {
  const Task task = task_of(GetParam());
  const Watched w = watch(GetParam(), task, {.seed = 3}, 2);
  const Fields& own = w.end.state.fields;
  const auto refused = [&](const Task& other, const Fields& fields) {
    EXPECT_THROW(GetParam().algorithm->check_state(other, GetParam().options, fields), InputError);
    EXPECT_THROW(
        (void)GetParam().algorithm->train({.task = other, .options = GetParam().options, .run = {}, .from = &fields}),
        InputError);
  };
  EXPECT_NO_THROW(GetParam().algorithm->check_state(task, GetParam().options, own));
  Task longer = task;
  ++longer.horizon;
  for (CostTerm& term : longer.cost) term.active.push_back(0);
  for (Success& success : longer.success) success.active.push_back(0);
  Task wider = task_of(GetParam());
  wider.observation = {0};
  wider.observation_names = {"x"};
  refused(wider, own);
  const bool stationary = std::holds_alternative<MlpGaussian>(w.end.state.policy);
  if (!stationary) refused(longer, own);
  for (std::size_t i = 0; i < own.size(); ++i) {
    Fields missing = own, renamed = own, extra = own;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    refused(task, missing);
    renamed[i].name += "x";
    refused(task, renamed);
    if (i == 0) {
      extra.push_back({"foreign", 1.0});
      refused(task, extra);
    }
  }
  for (const Algorithm& other : algorithms())
    if (&other != GetParam().algorithm) {
      Options options = other.options();
      EXPECT_THROW(other.check_state(task, options, own), InputError) << other.name;
    }
}

TEST_P(Contract, NumbersOfASavedStateThatAreImpossibleAreRefused) {
  const Task task = task_of(GetParam());
  const Watched w = watch(GetParam(), task, {.seed = 3}, 2);
  for (std::size_t i = 0; i < w.end.state.fields.size(); ++i) {
    Fields bad = w.end.state.fields;
    Field& field = bad[i];
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const bool free = field.name == "last_return_mean" || field.name.ends_with("success");
    if (auto* array = std::get_if<MatrixXd>(&field.value)) {
      if (array->size() == 0 || free) continue;
      (*array)(0, 0) = nan;
    } else if (auto* number = std::get_if<double>(&field.value)) {
      if (free) continue;
      *number = nan;
    } else {
      field.value = std::int64_t{-1};
    }
    EXPECT_THROW(GetParam().algorithm->check_state(task, GetParam().options, bad), InputError) << field.name;
  }
}

TEST(Catalogue, NamesAreDifferentAndFound) {
  for (const Algorithm& algorithm : algorithms()) EXPECT_EQ(&find_algorithm(algorithm.name), &algorithm);
  try {
    find_algorithm("mota");
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("unknown algorithm 'mota'; did you mean \"moto\"?"));
  }
}

TEST(Catalogue, EveryOptionIsDescribed) {
  for (const Algorithm& algorithm : algorithms())
    for (const Option& option : algorithm.options()) {
      EXPECT_FALSE(option.meaning.empty()) << algorithm.name << " " << option.name;
      EXPECT_FALSE(option.meaning.ends_with(".")) << algorithm.name << " " << option.name;
      if (const auto* word = std::get_if<std::string>(&option.value)) {
        EXPECT_THAT(option.names, testing::Contains(*word));
      }
    }
}

}  // namespace
}  // namespace kedge
