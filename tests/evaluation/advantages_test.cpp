#include "kedge/evaluation/advantages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kedge/evaluation/step_samples.h"
#include "tests/evaluation/data.h"

namespace kedge {
namespace {

using test::random_vector;

/// Segments of three episodes: one ended, one was cut, one has a single step.
const std::vector<Segment> kSegments = {{0, 5, 0.0}, {5, 4, 1.7}, {9, 1, -0.3}};
constexpr Index N = 10;

/// sum_l (gamma lambda)^l delta_{t+l}, as it is written.
double plain_advantage(const VectorXd& r, const VectorXd& v, const Segment& s, Index n, double gamma, double lambda) {
  double sum = 0.0;
  const Index end = s.first + s.count;
  for (Index l = 0; n + l < end; ++l) {
    const double next = n + l + 1 < end ? v[n + l + 1] : s.end_value;
    sum += std::pow(gamma * lambda, l) * (r[n + l] + gamma * next - v[n + l]);
  }
  return sum;
}

TEST(Advantages, AreTheDiscountedSumOfTheResiduals) {
  Stream random(1, 0, 0, 0);
  const VectorXd r = random_vector(N, random), v = random_vector(N, random);
  for (const double gamma : {0.0, 0.9, 1.0})
    for (const double lambda : {0.0, 0.7, 1.0}) {
      const VectorXd a = generalised_advantages(r, v, kSegments, gamma, lambda);
      for (const Segment& s : kSegments)
        for (Index n = s.first; n < s.first + s.count; ++n)
          EXPECT_NEAR(a[n], plain_advantage(r, v, s, n, gamma, lambda), 1e-13);
    }
}

TEST(Advantages, TargetsAreTheTdLambdaReturns) {
  // The lambda-return: (1 - lambda) sum_{k>=1} lambda^(k-1) G^(k), the rest of the weight on the return to the end.
  Stream random(2, 0, 0, 0);
  const VectorXd r = random_vector(N, random), v = random_vector(N, random);
  const double gamma = 0.95, lambda = 0.8;
  const VectorXd target = v + generalised_advantages(r, v, kSegments, gamma, lambda);
  for (const Segment& s : kSegments)
    for (Index n = s.first; n < s.first + s.count; ++n) {
      const Index left = s.first + s.count - n;
      double mixed = 0.0;
      for (Index k = 1; k <= left; ++k) {
        double g = std::pow(gamma, k) * (k < left ? v[n + k] : s.end_value);
        for (Index i = 0; i < k; ++i) g += std::pow(gamma, i) * r[n + i];
        mixed += (k < left ? (1 - lambda) : 1.0) * std::pow(lambda, k - 1) * g;
      }
      EXPECT_NEAR(target[n], mixed, 1e-12);
    }
}

TEST(Advantages, OfTheTrueValuesHaveMeanZero) {
  // With V = the return to go of a deterministic episode nothing is better than expected.
  const VectorXd r{{1, -2, 3}}, v{{2, 1, 3}};
  const std::vector<Segment> one = {{0, 3, 0.0}};
  EXPECT_TRUE(generalised_advantages(r, v, one, 1.0, 0.9).isZero(1e-15));
}

TEST(Advantages, AreStandardised) {
  Stream random(3, 0, 0, 0);
  const VectorXd a = 5.0 + 30.0 * random_vector(50, random).array(), z = standardised(a);
  EXPECT_NEAR(z.mean(), 0.0, 1e-14);
  EXPECT_NEAR(z.squaredNorm() / 50, 1.0, 1e-13);
  EXPECT_TRUE((z * std::sqrt((a.array() - a.mean()).square().mean())).isApprox((a.array() - a.mean()).matrix(), 1e-12));
  EXPECT_EQ(standardised(VectorXd::Constant(4, 7.0)), VectorXd::Zero(4));
}

TEST(StepSamples, AreTheUsableRolloutsStepByStep) {
  const Epoch epoch = test::random_epoch({.horizon = 4, .rollouts = 3, .diverged = {1}}, 0, 5);
  const Epoch cut = test::random_epoch({.horizon = 2, .rollouts = 1}, 0, 6);
  const StepSamples samples = step_samples({&epoch.batch, &cut.batch});
  ASSERT_EQ(samples.size(), 2 * 4 + 2);
  ASSERT_EQ(samples.segments.size(), 3u);
  EXPECT_EQ(samples.end_step, (std::vector<int>{4, 4, 2}));
  double total = 0.0;
  const auto expect_rollout = [&](std::size_t i, const Batch& batch, int n) {
    const Segment& s = samples.segments[i];
    ASSERT_EQ(s.count, batch.horizon);
    double sum = 0.0;
    for (int t = 0; t < batch.horizon; ++t) {
      EXPECT_EQ(samples.s.col(s.first + t), batch.observation.col(batch.at(n, t)));
      EXPECT_EQ(samples.a.col(s.first + t), batch.action.col(batch.step(n, t)));
      EXPECT_EQ(samples.step[static_cast<std::size_t>(s.first + t)], t);
      sum += samples.reward[s.first + t];
    }
    EXPECT_EQ(samples.end.col(static_cast<Index>(i)), batch.observation.col(batch.at(n, batch.horizon)));
    EXPECT_NEAR(sum, rollout_return(batch, n), 1e-12);
    total += sum;
  };
  expect_rollout(0, epoch.batch, 0);
  expect_rollout(1, epoch.batch, 2);
  expect_rollout(2, cut.batch, 0);
  EXPECT_NEAR(samples.reward.sum(), total, 1e-12);
}

TEST(StepSamples, OfARolloutThatEndedEarlyAreTheStepsBefore) {
  Batch batch = test::random_epoch({.horizon = 4, .rollouts = 3}, 0, 5).batch;
  batch.ended_at = {-1, 3, 4};
  batch.observation.col(batch.at(1, 4)).setConstant(std::nan(""));  // nobody looks at what follows
  batch.action.col(batch.step(1, 3)).setConstant(std::nan(""));
  batch.cost(4, 1) = 0.0;
  const StepSamples samples = step_samples({&batch});
  ASSERT_EQ(samples.size(), 4 + 3 + 4);
  EXPECT_TRUE(samples.s.allFinite() && samples.a.allFinite() && samples.end.allFinite());
  EXPECT_EQ(samples.end_step, (std::vector<int>{4, 3, 4}));
  EXPECT_EQ(samples.ended_early, (std::vector<char>{0, 1, 1}));
  EXPECT_EQ(samples.step[4 + 2], 2);
  EXPECT_EQ(samples.step[4 + 3], 0) << "the next rollout";
  EXPECT_NEAR(samples.reward.segment(4, 3).sum(), rollout_return(batch, 1), 1e-12) << "with the cost of the end";
}

TEST(StepSamples, StepsThatAreMissingAfterAnEarlyEndAreDiscountedLikeSteps) {
  const double gamma = 0.9;
  Batch batch = test::random_epoch({.horizon = 6, .rollouts = 4}, 0, 5).batch;
  batch.ended_at = {-1, 3, 6, 4};
  Task task;
  task.horizon = 6;
  const auto end = [](double cost, double missing_step) {
    return Termination{.name = "", .residual = {}, .low = {}, .high = {}, .cost = cost, .missing_step = missing_step};
  };
  task.termination = {end(1.0, 2.0), end(0.5, 7.0)};
  batch.cost(3, 1) = 1.0 + 3 * 2.0;
  batch.cost(6, 2) = 1.0;
  batch.cost(4, 3) = 0.5 + 2 * 7.0;
  const StepSamples before = step_samples({&batch});
  StepSamples samples = before;
  const VectorXd value = values_after_early_ends(task, discounted_steps(gamma, 6).reverse(), samples);
  ASSERT_EQ(value.size(), 4);
  EXPECT_EQ(value[0], 0.0) << "did not end early";
  EXPECT_EQ(value[2], 0.0) << "no step is missing";
  EXPECT_NEAR(value[1], -2.0 * (1 + gamma + gamma * gamma), 1e-14);
  EXPECT_NEAR(value[3], -7.0 * (1 + gamma), 1e-14);
  const auto last = [&](const StepSamples& s, std::size_t i) {
    return s.reward[s.segments[i].first + s.segments[i].count - 1];
  };
  EXPECT_NEAR(last(samples, 1) - last(before, 1), 6.0, 1e-14) << "the missing steps are no longer in the last reward";
  EXPECT_NEAR(last(samples, 3) - last(before, 3), 14.0, 1e-14);
  EXPECT_NEAR(samples.reward.sum(), before.reward.sum() + 20.0, 1e-12) << "no other reward moves";
  StepSamples whole = before;
  const VectorXd undiscounted = values_after_early_ends(task, discounted_steps(1.0, 6).reverse(), whole);
  EXPECT_NEAR(whole.reward.sum() + undiscounted.sum(), before.reward.sum(), 1e-12) << "returns stay what they are";
}

TEST(StepSamples, FinalCostsCanBeLeftOutButForEarlyEnds) {
  Batch batch = test::random_epoch({.horizon = 4, .rollouts = 2}, 0, 5).batch;
  batch.ended_at = {-1, 3};
  const StepSamples before = step_samples({&batch});
  StepSamples samples = before;
  leave_out_final_costs(samples);
  EXPECT_NE(batch.cost(4, 0), 0.0) << "or the test could not fail";
  for (int t = 0; t < 4; ++t) EXPECT_NEAR(samples.reward[t], -batch.cost(t, 0), 1e-14);
  EXPECT_EQ(samples.reward.tail(3), before.reward.tail(3)) << "nothing follows an early end";
}

TEST(Advantages, DiscountedStepsAreASum) {
  for (const double gamma : {0.0, 0.9, 1.0}) {
    const VectorXd worth = discounted_steps(gamma, 4);
    ASSERT_EQ(worth.size(), 5);
    for (int n = 0; n <= 4; ++n) {
      double sum = 0.0;
      for (int k = 0; k < n; ++k) sum += std::pow(gamma, k);
      EXPECT_NEAR(worth[n], sum, 1e-14) << gamma << ", " << n;
    }
  }
}

TEST(StepSamples, TimeIsTheLastInput) {
  const MatrixXd s{{1, 2}, {3, 4}};
  EXPECT_EQ(with_time(s, {0, 3}, 4), (MatrixXd{{1, 2}, {3, 4}, {0, 0.75}}));
}

}  // namespace
}  // namespace kedge
