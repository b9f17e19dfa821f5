// Laws of TRPO's own; what every algorithm promises is in contract_test.cpp.
#include "kedge/algorithms/trpo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/trpo_update.h"
#include "kedge/algorithms/trpo_values.h"
#include "kedge/catalogue/needs.h"
#include "kedge/core/errors.h"
#include "kedge/rollout/rollout.h"
#include "kedge/update/gaussian_step.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using test::metric;
using testing::HasSubstr;

TrpoOptions small(TrpoOptions::Kind policy, TrpoOptions::Value value) {
  TrpoOptions options;
  options.iterations = 8;
  options.batch = TrpoOptions::BatchBy::rollouts;
  options.rollouts = 30;
  options.policy = policy;
  options.value = value;
  options.hidden = 8;
  options.epsilon = 0.05;
  options.initial_std = 2.0;
  options.reward_scale = 0.01;
  options.fisher_every = 1;
  options.damping = 1e-3;
  return options;
}

/// The three variants of Sec. 7.3.
std::vector<TrpoOptions> variants() {
  using O = TrpoOptions;
  return {small(O::Kind::network, O::Value::network), small(O::Kind::network, O::Value::quadratic),
          small(O::Kind::linear, O::Value::quadratic)};
}

/// Mean over the states of a batch of KL(old || now), from the policies as they are stored.
double stored_kl(const AnyPolicy& old, const AnyPolicy& now, const Batch& batch) {
  double sum = 0.0;
  for (int n = 0; n < batch.rollouts; ++n)
    for (int t = 0; t < batch.horizon; ++t) {
      const VectorXd s = batch.observation.col(batch.at(n, t));
      DiagonalGaussians p{MatrixXd(1, 1), MatrixXd(1, 1)}, q = p;
      const auto fill = [&](const AnyPolicy& any, DiagonalGaussians& out) {
        VectorXd a(1);
        as_policy(any).mean(t, s, a);
        out.mean(0, 0) = a[0];
        out.std(0, 0) = std::holds_alternative<MlpGaussian>(any) ? std::get<MlpGaussian>(any).std()[0]
                                                                 : std::get<TvLinearGaussian>(any)[t].C(0, 0);
      };
      fill(old, p);
      fill(now, q);
      sum += mean_kl(p, q);
    }
  return sum / (batch.rollouts * batch.horizon);
}

TEST(Trpo, StoredPoliciesMeetTheBoundInEveryIteration) {
  const Task task = DoubleIntegrator().task();
  for (const TrpoOptions& options : variants()) {
    const kedge::Run run{.seed = 4};
    AnyPolicy before;
    int steps = 0;
    const auto observe = [&](const Iteration& it, const TrpoState& state, const UpdateRecord*) {
      if (it.number > 0) {
        const Batch batch =
            *rollout(task, as_policy(before),
                     {.rollouts = options.rollouts, .iteration = static_cast<std::uint32_t>(it.number)}, run);
        EXPECT_NEAR(return_mean(batch), metric(it, "return_mean"), 1e-9 * std::abs(return_mean(batch)));
        const double kl = stored_kl(before, state.policy, batch);
        EXPECT_LE(kl, options.epsilon * (1 + kBoundTolerance));
        EXPECT_NEAR(kl, metric(it, "kl"), 1e-9 * options.epsilon);
        if (metric(it, "step_taken") > 0) {
          EXPECT_GT(kl, 0.0);
          EXPECT_GT(metric(it, "surrogate_gain"), 0.0);
          ++steps;
        }
      }
      before = state.policy;
    };
    const TrpoResult result = trpo(task, trpo_start(task, options), options, run, observe);
    EXPECT_EQ(result.stop, Stop::max_iterations) << result.message;
    EXPECT_GE(steps, 5);
  }
}

TEST(Trpo, LearnsTheDoubleIntegrator) {
  const DoubleIntegrator integrator;
  const Task task = integrator.task();
  for (TrpoOptions options : variants()) {
    options.iterations = 60;
    std::vector<double> means;
    const TrpoResult result = trpo(task, trpo_start(task, options), options, {.seed = 5, .threads = 2},
                                   [&](const Iteration& it, const TrpoState&, const UpdateRecord*) {
                                     means.push_back(metric(it, "return_mean"));
                                   });
    ASSERT_EQ(result.stop, Stop::max_iterations) << result.message;
    const double least = -integrator.least_cost();
    const Batch end = *rollout(task, as_policy(result.state.policy), {.rollouts = 50, .explore = false}, {.seed = 9});
    EXPECT_GT(return_mean(end) - least, 0.35 * (means.front() - least))
        << "start " << means.front() << ", best " << least;
  }
}

TEST(Trpo, NormalisesItsInputsByWhatItHasSeen) {
  const Task task = DoubleIntegrator().task();
  TrpoOptions options = variants()[0];
  options.iterations = 3;
  const TrpoState state = trpo(task, trpo_start(task, options), options, {.seed = 4}).state;
  EXPECT_EQ(state.moments.count, 3.0 * options.rollouts * task.horizon);
  const auto& policy = std::get<MlpGaussian>(state.policy);
  EXPECT_EQ(policy.shape().input_mean, state.moments.mean);
  EXPECT_EQ(policy.shape().input_scale, deviations(state.moments));
  EXPECT_EQ(state.value->network.shape().input_mean, state.moments.mean);
  EXPECT_NEAR(state.moments.mean[2], (task.horizon - 1) / 2.0 / task.horizon, 1e-12) << "the time is an input";
}

TEST(Trpo, ANewNormaliserAloneIsNoOtherPolicy) {
  const Task task = DoubleIntegrator().task();
  TrpoOptions options = variants()[0];
  const TrpoState state = trpo(task, trpo_start(task, options), options, {.seed = 4}).state;
  RunningMoments moments = state.moments;
  Stream random(1, 0, 0, 0);
  add_columns(test::random_matrix(3, 500, random), moments);
  const Network& old = std::get<MlpGaussian>(state.policy).network();
  const Network now = with_inputs(old, moments, false);
  const MatrixXd x = 0.3 * test::random_matrix(3, 50, random);
  EXPECT_LT((old.outputs(old.prepare(x)) - now.outputs(now.prepare(x))).norm(), 1e-10);
}

TEST(Trpo, StepsOfABatchAreCounted) {
  const Task task = DoubleIntegrator().task();  // 15 steps
  TrpoOptions options = variants()[0];
  options.batch = TrpoOptions::BatchBy::steps;
  options.batch_steps = 100;
  options.iterations = 2;
  const TrpoState state = trpo(task, trpo_start(task, options), options, {.seed = 4}).state;
  EXPECT_EQ(state.steps_total, 200);
  EXPECT_EQ(state.rollouts_total, 2 * 7);
  EXPECT_EQ(state.moments.count, 200.0);
  options.batch_steps = 14;
  try {
    (void)trpo_start(task, options);  // before a run has a directory
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("batch_steps = 14, but must be >= 15"));
  }
}

/// Ends the double integrator's episodes early, at a place that some reach.
Termination far_end() {
  return {.name = "far",
          .residual = {Source::state, {0}, {}, VectorXd::Zero(1), false},
          .low = VectorXd::Constant(1, 0.45),
          .high = VectorXd::Constant(1, 1.25),
          .cost = 3.0,
          .missing_step = 0.5};
}

TEST(Trpo, ABatchHasItsStepsAlsoWhereEpisodesEndEarly) {
  Task task = DoubleIntegrator().task();  // 15 steps
  task.termination = {far_end()};
  TrpoOptions options = variants()[0];
  options.batch = TrpoOptions::BatchBy::steps;
  options.batch_steps = 100;
  options.iterations = 3;
  double ended = 0.0, reported = 0.0;
  const TrpoResult result =
      trpo(task, trpo_start(task, options), options, {.seed = 4},
           [&](const Iteration& it, const TrpoState&, const UpdateRecord*) {
             ended += test::metric(it, "ended_early");
             reported = test::metric(it, "rollouts_total");
             EXPECT_EQ(test::metric(it, "steps_total"), 100.0 * (test::metric(it, "iteration") + 1.0));
             EXPECT_LE(test::metric(it, "return_max"), 0.0);
           });
  ASSERT_EQ(result.stop, Stop::max_iterations) << result.message;
  EXPECT_GT(ended, 0.0);
  EXPECT_GT(reported, 3 * 7) << "more episodes than of 15 steps would fit";
  EXPECT_EQ(result.state.moments.count, 300.0);
}

/// Every step costs `more`, made or missing.
Task dearer(Task task, double more) {
  CostTerm same = task.cost.front();  // of the steps, not of the final state
  same.name = "same";
  same.residual = {Source::state, {0}, MatrixXd::Zero(1, 1), VectorXd::Constant(1, -1.0), false};
  same.weight = VectorXd::Constant(1, more);
  same.norm = Norm::absolute;
  task.cost.push_back(same);
  for (Termination& end : task.termination) end.missing_step += more;
  return task;
}

TEST(Trpo, ACostOfEveryStepThatItIsToldChangesNothing) {
  using enum TrpoOptions::TimeLimit;
  for (const auto& [ends, time_limit] : {std::pair{false, seen}, {true, seen}, {false, cut}, {true, cut}}) {
    Task task = DoubleIntegrator().task();
    if (time_limit == cut) task = test::with_steady_costs(std::move(task));
    if (ends) task.termination = {far_end()};
    TrpoOptions options = variants()[0];
    options.time_limit = time_limit;
    options.batch = TrpoOptions::BatchBy::steps;
    options.batch_steps = 100;  // cuts a rollout
    options.iterations = 3;
    options.cg_iterations = 4;  // later ones make much of what was rounded
    const auto learn = [&](const Task& of, double usual_cost) {
      options.usual_cost = usual_cost;
      return std::get<MlpGaussian>(trpo(of, trpo_start(of, options), options, {.seed = 4}).state.policy).theta();
    };
    const double more = 7.0;
    const VectorXd theta = learn(task, 0.0), told = learn(dearer(task, more), more),
                   untold = learn(dearer(task, more), 0.0);
    EXPECT_LT((told - theta).norm(), 1e-8 * theta.norm())
        << "episodes end early: " << ends << ", cut: " << (time_limit == cut);
    EXPECT_GT((untold - theta).norm(), 1e-4 * theta.norm()) << "or the test could not fail";
  }
}

/// Generalised advantages as they are defined, one sample at a time, where the time limit is a cut [Pardo2018].
VectorXd plain_advantages(const Task& task, const Batch& batch, const Network& v, const TrpoOptions& o) {
  const double forever = 1.0 / (1.0 - o.discount);
  const Termination& end = task.termination.front();
  std::vector<double> all;
  for (int n = 0; n < batch.rollouts; ++n) {
    const int T = batch.steps(n);
    const bool ended = batch.end(n) >= 0;
    const auto V = [&](int t) {
      if (ended && t == T) return -o.reward_scale * end.missing_step * forever;
      VectorXd y(1);
      v.output(batch.observation.col(batch.at(n, t)), y);
      return y[0] - o.reward_scale * o.usual_cost * forever;
    };
    for (int t = 0; t < T; ++t) {
      double A = 0.0;
      for (int i = t; i < T; ++i) {
        const double cost = batch.cost(i, n) + (ended && i == T - 1 ? end.cost : 0.0);
        A += std::pow(o.discount * o.lambda, i - t) * (-o.reward_scale * cost + o.discount * V(i + 1) - V(i));
      }
      all.push_back(A);
    }
  }
  return Eigen::Map<VectorXd>(all.data(), static_cast<Index>(all.size()));
}

TEST(Trpo, VGoesOnWhereTheTimeLimitIsACut) {
  Task task = test::with_steady_costs(DoubleIntegrator().task());
  task.termination = {far_end()};
  TrpoOptions options = variants()[0];
  options.time_limit = TrpoOptions::TimeLimit::cut;
  options.usual_cost = 0.3;
  const TrpoState state = trpo(task, trpo_start(task, options), options, {.seed = 4}).state;
  EXPECT_EQ(std::get<MlpGaussian>(state.policy).clock(), 0);
  const Batch batch = *rollout(task, as_policy(state.policy), {.rollouts = 40}, {.seed = 8});
  ASSERT_GT(std::ranges::count(batch.ended_at, -1), 5);
  ASSERT_LT(std::ranges::count(batch.ended_at, -1), 35);

  StepSamples samples = step_samples({&batch});
  const VectorXd after = scaled_rewards(task, options, samples);
  auto v = evaluated(task, state, batch, samples, after, options, 1);
  ASSERT_TRUE(static_cast<bool>(v));
  for (std::size_t i = 0; i < samples.segments.size(); ++i)
    samples.segments[i].end_value = v->at_ends[static_cast<Index>(i)];
  const VectorXd advantage =
      generalised_advantages(samples.reward, v->at_samples, samples.segments, options.discount, options.lambda);
  const VectorXd plain = plain_advantages(task, batch, state.value->network, options);
  EXPECT_LT((advantage - plain).norm(), 1e-12 * plain.norm());
}

TEST(Trpo, RefusesACutOfWhatHasAnEnd) {
  const Task task = DoubleIntegrator().task();  // the final state has a cost of its own
  TrpoOptions options = variants()[0];
  options.time_limit = TrpoOptions::TimeLimit::cut;
  const auto refusal = [&](const Task& of) {
    try {
      (void)trpo_start(of, options);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal(task), HasSubstr("counts at some steps only"));
  const Task steady = test::with_steady_costs(task);
  EXPECT_EQ(refusal(steady), "");
  EXPECT_THROW((void)trpo(task, trpo_start(steady, options), options, {}), InputError);
  options.discount = 1.0;
  EXPECT_THAT(refusal(steady), HasSubstr("needs discount < 1"));
  options.discount = 0.9;
  options.value = TrpoOptions::Value::quadratic;
  EXPECT_THAT(refusal(steady), HasSubstr("needs value = network"));
}

TEST(Trpo, DrawsItsFirstWeightsAsAsked) {
  const Task task = DoubleIntegrator().task();
  TrpoOptions options = variants()[0];
  options.iterations = 1;
  options.lengths = 1;
  options.epsilon = 1e6;  // no step: the policy is that of the first weights
  options.first_weights = TrpoOptions::FirstWeights::orthogonal;
  const TrpoState state = trpo(task, trpo_start(task, options), options, {.seed = 4}).state;
  const VectorXd& theta = std::get<MlpGaussian>(state.policy).theta();  // 3 inputs, 2 layers of 8, 1 output
  const Eigen::Map<const MatrixXd> first(theta.data(), 8, 3), second(theta.data() + 32, 8, 8),
      last(theta.data() + 104, 1, 8);
  EXPECT_LT((first.transpose() * first - 2.0 * MatrixXd::Identity(3, 3)).norm(), 1e-12);
  EXPECT_LT((second.transpose() * second - 2.0 * MatrixXd::Identity(8, 8)).norm(), 1e-12);
  EXPECT_NEAR(last.norm(), 0.01, 1e-14);
}

TEST(Trpo, NeedsTheMemoryOfTheStepsOfABatch) {
  const Task task = DoubleIntegrator().task();  // 15 steps
  TrpoOptions options = variants()[0];
  const auto bytes = [&] { return needs(task, options, 1).bytes; };
  options.rollouts = 2;
  const double two = bytes();
  options.batch = TrpoOptions::BatchBy::steps;
  options.batch_steps = 2 * 15;
  EXPECT_EQ(bytes(), two);
  options.batch_steps = 2 * 15 + 3;
  EXPECT_DOUBLE_EQ(bytes(), two * (2 * 16 + 4) / (2 * 16)) << "a rollout of n steps has n + 1 states";
}

TEST(Trpo, KeepsThePolicyWhereNoStepIsAllowed) {
  const Task task = DoubleIntegrator().task();
  TrpoOptions options = variants()[0];
  options.lengths = 1;
  options.epsilon = 50.0;  // the first length misses the bound: the KL is not quadratic so far
  int kept = 0;
  AnyPolicy before;
  const TrpoResult result =
      trpo(task, trpo_start(task, options), options, {.seed = 4},
           [&](const Iteration& it, const TrpoState& state, const UpdateRecord*) {
             if (it.number > 0 && metric(it, "step_taken") == 0.0) {
               ++kept;
               EXPECT_EQ(std::get<MlpGaussian>(state.policy).theta(), std::get<MlpGaussian>(before).theta());
               EXPECT_EQ(metric(it, "kl"), 0.0);
               EXPECT_THAT(it.warnings, testing::Contains(HasSubstr("no step: ")));
             }
             before = state.policy;
           });
  EXPECT_EQ(result.stop, Stop::max_iterations);
  EXPECT_GT(kept, 0);
}

TEST(Trpo, AQuadraticValueNeedsTwoRollouts) {
  const Task task = DoubleIntegrator().task();
  TrpoOptions options = variants()[1];
  options.batch = TrpoOptions::BatchBy::steps;
  options.batch_steps = 15;
  const TrpoResult result = trpo(task, trpo_start(task, options), options, {.seed = 4});
  EXPECT_EQ(result.stop, Stop::numerical_failure);
  EXPECT_THAT(result.message, HasSubstr("V cannot be fitted: 1 of 1 rollouts are usable"));
}

TEST(Trpo, RefusesAStateOfOtherOptions) {
  const Task task = DoubleIntegrator().task();
  for (const TrpoOptions& made : variants())
    for (TrpoOptions used : variants()) {
      const bool fits = made.policy == used.policy && made.value == used.value;
      used.iterations = 0;
      if (fits) {
        EXPECT_NO_THROW((void)trpo(task, trpo_start(task, made), used, {}));
        used.time_limit = TrpoOptions::TimeLimit::end;
      }
      EXPECT_THROW((void)trpo(task, trpo_start(task, made), used, {}), InputError);
    }
}

}  // namespace
}  // namespace kedge
