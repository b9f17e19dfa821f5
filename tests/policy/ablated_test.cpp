// A policy that does not see some observations acts as if they always had their means.
#include "kedge/policy/ablated.h"

#include <gtest/gtest.h>

#include "kedge/core/errors.h"
#include "tests/support/policies.h"

namespace kedge {
namespace {

using test::all_examples;
using test::random_matrix;
using test::random_vector;

constexpr int kSteps = 2;  // the shortest of the examples

std::shared_ptr<const Policy> shared(const AnyPolicy& policy) {
  return {&as_policy(policy), [](const Policy*) {}};
}

struct Act {
  VectorXd mean, sample;
  double log_prob;
};

Act act(const Policy& policy, int t, const VectorXd& s) {
  const Index da = policy.action_dim();
  Act act{VectorXd(da), VectorXd(da), policy.log_prob(t, s, VectorXd::LinSpaced(da, -0.2, 0.3))};
  policy.mean(t, s, act.mean);
  Stream noise(3, 0, 0, 0);
  policy.sample(t, s, noise, act.sample);
  return act;
}

void expect_same(const Act& a, const Act& b) {
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.sample, b.sample);
  EXPECT_EQ(a.log_prob, b.log_prob);
}

Batch batch_of(const MatrixXd& observation, int rollouts) {
  Batch batch = empty_batch(rollouts, kSteps, 1, observation.rows(), 1, 1);
  batch.diverged_at.assign(static_cast<std::size_t>(rollouts), -1);
  batch.observation = observation;
  return batch;
}

TEST(Ablated, ReadsTheMeansOfTheUsableRolloutsWhateverTheObservationIs) {
  Stream random(5, 0, 0, 0);
  for (const AnyPolicy& policy : all_examples()) {
    const Policy& whole = as_policy(policy);
    Batch batch = batch_of(random_matrix(whole.observation_dim(), 3 * (kSteps + 1), random), 3);
    batch.diverged_at[1] = 0;
    const AblatedPolicy blind = without_observations(shared(policy), {0}, batch);
    ASSERT_EQ(blind.observation_dim(), whole.observation_dim());
    ASSERT_EQ(blind.action_dim(), whole.action_dim());
    ASSERT_EQ(blind.horizon(), kSteps);
    for (int t = 0; t < kSteps; ++t) {
      const VectorXd s = random_vector(whole.observation_dim(), random);
      VectorXd other = s, middle = s;
      other[0] += 1.0;
      middle[0] = (batch.observation(0, batch.at(0, t)) + batch.observation(0, batch.at(2, t))) / 2;
      expect_same(act(blind, t, s), act(blind, t, other));
      expect_same(act(blind, t, s), act(whole, t, middle));
      if (!std::holds_alternative<TvLinearGaussian>(policy) || s.size() == 1) continue;
      other[1] += 1.0;
      EXPECT_NE(act(blind, t, other).mean, act(blind, t, s).mean) << "it sees the others";
    }
  }
}

TEST(Ablated, DoesNotSeeWithTheControllerOfAnEpisodeEither) {
  Stream random(6, 0, 0, 0);
  for (const ContextualPolicy& policy : test::examples(std::type_identity<ContextualPolicy>())) {
    const AnyPolicy any = policy;
    const VectorXd x0 = random_vector(6, random);
    const auto model = [] { return InverseDynamics(test::two_links); };
    const Batch batch = batch_of(random_matrix(policy.observation_dim(), kSteps + 1, random), 1);
    const auto blind = without_observations(shared(any), {0}, batch).for_episode(x0, model);
    const auto whole = policy.for_episode(x0, model);
    ASSERT_TRUE(blind);
    VectorXd s = random_vector(policy.observation_dim(), random);
    const Act seen = act(*blind, 1, s);
    s[0] = batch.observation(0, batch.at(0, 1));
    expect_same(seen, act(*whole, 1, s));
  }
}

TEST(Ablated, NeedsARolloutWithMeans) {
  const AnyPolicy policy = all_examples().front();
  Batch batch = batch_of(MatrixXd::Zero(3, kSteps + 1), 1);
  batch.diverged_at[0] = 0;
  EXPECT_THROW(without_observations(shared(policy), {0}, batch), SystemError);
}

}  // namespace
}  // namespace kedge
