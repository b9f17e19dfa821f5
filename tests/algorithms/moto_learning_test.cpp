// MOTO on a linear-quadratic task: it learns, it keeps its bounds, and what it reports is what happened.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "kedge/algorithms/moto.h"
#include "kedge/evaluation/improvement_bound.h"
#include "kedge/evaluation/state_distribution.h"
#include "kedge/rollout/rollout.h"
#include "small_tasks.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::Contains;
using testing::HasSubstr;

TEST(Moto, ComesNearTheOptimumOfALinearQuadraticTask) {
  const DoubleIntegrator model;
  MotoOptions options = small_options();
  options.iterations = 60;
  const MotoState start = moto_start(model.task(), options);
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Recording<MotoState> r = record(model.task(), start, options, kedge::Run{seed, 2, {}});
    ASSERT_EQ(r.result.stop, Stop::max_iterations) << r.result.message;
    const double before = model.expected_cost(start.policy), after = model.expected_cost(r.result.state.policy),
                 least = model.least_cost();
    EXPECT_GT(before, 3 * least);
    EXPECT_GE(after, least * (1 - 1e-12));
    EXPECT_LT(after, 1.03 * least) << "seed " << seed;
    EXPECT_EQ(metric(r.iterations.back(), "success_rate"), 1.0);
    RecordProperty("seed_" + std::to_string(seed), std::to_string(after / least - 1.0));
  }
}

/// One run for the tests that look at what is reported.
const Recording<MotoState>& reported() {
  static const Recording<MotoState> r = [] {
    const Task task = DoubleIntegrator().task();
    return record(task, moto_start(task, small_options()), small_options(), kedge::Run{7, 2, {}});
  }();
  return r;
}

TEST(Moto, KeepsTheKlAndTheEntropyBoundInEveryStepOfEveryIteration) {
  const MotoOptions options = small_options();
  double largest_kl = 0.0, largest_fall = 0.0;
  for (const UpdateRecord& record : reported().records)
    for (int t = 0; t < record.old_policy.horizon(); ++t) {
      const double kl =
          expected_kl(record.new_policy[t], record.old_policy[t], record.rho[static_cast<std::size_t>(t)]);
      const double fall = entropy(record.old_policy[t].C) - entropy(record.new_policy[t].C);
      largest_kl = std::max(largest_kl, kl);
      largest_fall = std::max(largest_fall, fall);
    }
  EXPECT_LE(largest_kl, options.epsilon * (1 + 1e-9));
  EXPECT_GT(largest_kl, options.epsilon * (1 - 1e-9));  // and uses what it may
  EXPECT_LE(largest_fall, options.beta0 + 1e-9);
  EXPECT_GT(largest_fall, options.beta0 - 1e-9);
}

TEST(Moto, ReportsFiniteNumbersUnderTheSameNamesInEveryIteration) {
  const std::vector<std::string> common = {"iteration",  "rollouts_total", "steps_total",          "return_mean",
                                           "return_std", "return_min",     "return_max",           "kl_max",
                                           "kl_mean",    "entropy_mean",   "eta_median",           "omega_median",
                                           "ess_median", "q_r2_median",    "improvement_predicted"};
  const Recording<MotoState>& r = reported();
  ASSERT_EQ(r.iterations.size(), 30u);
  for (std::size_t i = 0; i < r.iterations.size(); ++i) {
    const Iteration& iteration = r.iterations[i];
    EXPECT_EQ(iteration.number, static_cast<int>(i));
    ASSERT_EQ(iteration.metrics.size(), r.iterations[0].metrics.size());
    for (std::size_t m = 0; m < iteration.metrics.size(); ++m) {
      EXPECT_TRUE(std::isfinite(iteration.metrics[m].second)) << iteration.metrics[m].first << " in iteration " << i;
      EXPECT_EQ(iteration.metrics[m].first, r.iterations[0].metrics[m].first);
    }
    for (std::size_t m = 0; m < common.size(); ++m) EXPECT_EQ(iteration.metrics[m].first, common[m]);
    EXPECT_EQ(metric(iteration, "iteration"), static_cast<double>(i));
    EXPECT_EQ(metric(iteration, "rollouts_total"), 20.0 * static_cast<double>(i + 1));
    EXPECT_EQ(metric(iteration, "steps_total"), 300.0 * static_cast<double>(i + 1));
    EXPECT_EQ(metric(iteration, "diverged"), 0.0);
    EXPECT_LE(metric(iteration, "kl_max"), small_options().epsilon * (1 + 1e-9));
    EXPECT_LE(metric(iteration, "kl_residual_max"), 1e-9);
    EXPECT_LE(metric(iteration, "entropy_residual_max"), 1e-9);
    EXPECT_GE(metric(iteration, "improvement_predicted"), 0.0);
    EXPECT_LE(metric(iteration, "improvement_bound"), metric(iteration, "improvement_predicted"));
    if (i > 0) {
      const Iteration& before = r.iterations[i - 1];
      EXPECT_GE(metric(iteration, "entropy_mean"), metric(before, "entropy_mean") - small_options().beta0 - 1e-9);
      EXPECT_DOUBLE_EQ(metric(iteration, "improvement_realised"),
                       metric(iteration, "return_mean") - metric(before, "return_mean"));
    }
    for (const auto& [phase, seconds] : iteration.seconds) EXPECT_GE(seconds, 0.0) << phase;
    EXPECT_GE(iteration.seconds.size(), 5u);
  }
}

double mean(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return 0.5 * (v[(v.size() - 1) / 2] + v[v.size() / 2]);
}

TEST(Moto, ReportsTheNumbersOfTheStoredRolloutsAndUpdates) {
  const Recording<MotoState>& r = reported();
  const MotoState& state = r.result.state;
  const Iteration& last = r.iterations.back();
  const Epoch& epoch = state.window.back();
  ASSERT_EQ(epoch.iteration, 29);
  const Batch& batch = epoch.batch;
  std::vector<double> returns;
  double arrived = 0;
  for (int n = 0; n < batch.rollouts; ++n) {
    returns.push_back(-batch.cost.col(n).sum());
    arrived += std::abs(batch.state(0, batch.at(n, batch.horizon))) < 0.1;
  }
  double variance = 0;
  for (const double value : returns) variance += std::pow(value - mean(returns), 2) / 20;
  EXPECT_NEAR(metric(last, "return_mean"), mean(returns), 1e-12 * std::abs(mean(returns)));
  EXPECT_NEAR(metric(last, "return_std"), std::sqrt(variance), 1e-9);
  EXPECT_EQ(metric(last, "return_min"), *std::min_element(returns.begin(), returns.end()));
  EXPECT_EQ(metric(last, "return_max"), *std::max_element(returns.begin(), returns.end()));
  EXPECT_EQ(metric(last, "return_median"), median(returns));
  EXPECT_EQ(metric(last, "success_rate"), arrived / 20);
  EXPECT_EQ(state.last_return_mean, metric(last, "return_mean"));

  const UpdateRecord& record = r.records.back();
  std::vector<double> kl_reached, entropies, eta, omega, delta, gain;
  double state_kl_max = 0;
  for (int t = 0; t < 15; ++t) {
    const auto at = static_cast<std::size_t>(t);
    const GaussianStep& u = record.updates[at];
    kl_reached.push_back(expected_kl(record.new_policy[t], record.old_policy[t], record.rho[at]));
    entropies.push_back(entropy(record.new_policy[t].C));
    eta.push_back(u.eta), omega.push_back(u.omega), gain.push_back(u.gain);
    state_kl_max = std::max(state_kl_max, kl(record.rho[at], state.window[state.window.size() - 2].rho[at]));
    // The largest change of Q's expectation at a visited state, from the raw Q.
    const ActionQuadratic& q = record.q[at];
    const auto expected = [&](const LinearGaussian& pi, const VectorXd& s) {
      const VectorXd a = pi.K * s + pi.k;
      return 0.5 * a.dot(q.Qaa * a) + 0.5 * (q.Qaa * pi.Sigma).trace() + a.dot(q.Qas * s) + a.dot(q.qa);
    };
    double largest = 0;
    for (int n = 0; n < batch.rollouts; ++n) {
      const VectorXd s = batch.observation.col(batch.at(n, t));
      largest = std::max(largest, std::abs(expected(record.new_policy[t], s) - expected(record.old_policy[t], s)));
    }
    delta.push_back(largest);
  }
  EXPECT_NEAR(metric(last, "kl_max"), *std::max_element(kl_reached.begin(), kl_reached.end()), 1e-12);
  EXPECT_NEAR(metric(last, "kl_mean"), mean(kl_reached), 1e-12);
  EXPECT_NEAR(metric(last, "entropy_mean"), mean(entropies), 1e-12);
  EXPECT_EQ(metric(last, "eta_median"), median(eta));
  EXPECT_EQ(metric(last, "omega_median"), median(omega));
  EXPECT_NEAR(metric(last, "state_kl_max"), state_kl_max, 1e-12);
  const double predicted = std::accumulate(gain.begin(), gain.end(), 0.0);
  EXPECT_DOUBLE_EQ(metric(last, "improvement_predicted"), predicted);
  EXPECT_NEAR(metric(last, "improvement_bound"), improvement_bound(gain, delta, kl_reached),
              1e-6 * std::abs(metric(last, "improvement_bound")));
}

// ---- the record of updates -----------------------------------------------------------------------------------------

TEST(MotoRecord, HoldsTheProblemsAndTheirSolutions) {
  const Recording<MotoState>& r = reported();
  ASSERT_EQ(r.records.size(), 30u);
  for (std::size_t i = 0; i < r.records.size(); ++i) {
    const UpdateRecord& record = r.records[i];
    EXPECT_TRUE(same_bits(record.new_policy, r.policies[i]));
    EXPECT_TRUE(i == 0 || same_bits(record.old_policy, r.policies[i - 1]));
    EXPECT_EQ(record.epsilon, small_options().epsilon);
    ASSERT_EQ(record.q.size(), 15u);
    ASSERT_EQ(record.updates.size(), 15u);
    ASSERT_EQ(record.rho.size(), 15u);
    for (int t = 0; t < 15; ++t) {
      const auto at = static_cast<std::size_t>(t);
      const LinearGaussian &before = record.old_policy[t], &after = record.new_policy[t];
      const ActionQuadratic& q = record.q[at];
      const GaussianStep& u = record.updates[at];
      EXPECT_EQ(u.status, StepStatus::ok);
      // The solution in raw coordinates, Sec. 3.2: F = (eta Sigma^-1 - Qaa)^-1, ...
      const MatrixXd precision = before.Sigma.inverse();
      const MatrixXd F = (u.eta * precision - q.Qaa).inverse();
      const MatrixXd K = F * (u.eta * precision * before.K + q.Qas), Sigma = (u.eta + u.omega) * F;
      const VectorXd k = F * (u.eta * precision * before.k + q.qa);
      EXPECT_LT((after.K - K).norm(), 1e-7 * (1 + K.norm())) << "iteration " << i << ", t = " << t;
      EXPECT_LT((after.k - k).norm(), 1e-7 * (1 + k.norm() + K.norm()));
      EXPECT_LT((after.Sigma - Sigma).norm(), 1e-7 * Sigma.norm());
      // The KL that was reached, from the raw policies
      const MatrixXd dK = after.K - before.K;
      const VectorXd dk = dK * record.rho[at].mean + after.k - before.k;
      const double kl =
          0.5 * ((precision * after.Sigma).trace() - 1.0 - std::log((precision * after.Sigma).determinant()) +
                 dk.dot(precision * dk) + (dK.transpose() * precision * dK * record.rho[at].cov).trace());
      EXPECT_NEAR(u.kl, kl, 1e-9);
      // The gain: E Q under rho, new minus old
      const auto expected = [&](const LinearGaussian& pi) {
        const VectorXd m = pi.K * record.rho[at].mean + pi.k;
        const MatrixXd second = m * m.transpose() + pi.K * record.rho[at].cov * pi.K.transpose() + pi.Sigma;
        const MatrixXd cross = record.rho[at].cov * pi.K.transpose() + record.rho[at].mean * m.transpose();  // E s a'
        return 0.5 * (q.Qaa * second).trace() + (q.Qas * cross).trace() + q.qa.dot(m);
      };
      const double gain = expected(after) - expected(before);
      EXPECT_NEAR(u.gain, gain, 1e-7 * (1 + std::abs(gain)));
    }
  }
}

TEST(MotoRecord, IsMadeOnlyOnRequestAndChangesNothing) {
  const Task task = DoubleIntegrator().task();
  MotoOptions options = small_options();
  options.iterations = 5;
  std::vector<TvLinearGaussian> policies;
  const MotoResult result = moto(task, moto_start(task, options), options, kedge::Run{7, 1, {}},
                                 [&](const Iteration&, const MotoState& state, const UpdateRecord* record) {
                                   EXPECT_EQ(record, nullptr);
                                   policies.push_back(state.policy);
                                 });
  ASSERT_EQ(policies.size(), 5U) << result.message;
  for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(same_bits(policies[i], reported().policies[i]));
}

// ---- ablations -----------------------------------------------------------------------------------------------------

TEST(Moto, LearnsWithEveryOptionOfThePaper) {
  const DoubleIntegrator model;
  const Task task = model.task();
  struct Ablation {
    const char* name;
    std::function<void(MotoOptions&)> set;
  };
  const std::vector<Ablation> ablations = {
      {"no reuse", [](MotoOptions& o) { o.reuse = Reuse::none, o.rollouts = 60; }},
      {"over time", [](MotoOptions& o) { o.reuse = Reuse::time; }},
      {"over iterations", [](MotoOptions& o) { o.reuse = Reuse::iterations; }},
      {"no entropy constraint", [](MotoOptions& o) { o.entropy_constraint = false; }},
      {"Monte Carlo",
       [](MotoOptions& o) { o.reuse = Reuse::none, o.rollouts = 60, o.targets = MotoOptions::Targets::monte_carlo; }},
      {"Monte Carlo over iterations",
       [](MotoOptions& o) { o.reuse = Reuse::iterations, o.targets = MotoOptions::Targets::monte_carlo; }},
      {"forward state distribution",
       [](MotoOptions& o) { o.state_distribution = MotoOptions::StateDistribution::forward; }},
      {"one iteration", [](MotoOptions& o) { o.window = 1; }},
      {"gamma 0", [](MotoOptions& o) { o.gamma = 0.0; }},
      {"gamma 1", [](MotoOptions& o) { o.gamma = 1.0; }},
      {"all weights", [](MotoOptions& o) { o.weight_cutoff = 0.0; }},
  };
  for (const Ablation& ablation : ablations) {
    SCOPED_TRACE(ablation.name);
    MotoOptions options = small_options();
    options.iterations = 25;
    ablation.set(options);
    const MotoState start = moto_start(task, options);
    const Recording<MotoState> r = record(task, start, options, kedge::Run{3, 2, {}});
    ASSERT_EQ(r.result.stop, Stop::max_iterations) << r.result.message;
    for (const Iteration& iteration : r.iterations) {
      for (const auto& [name, value] : iteration.metrics) EXPECT_TRUE(std::isfinite(value)) << name;
      EXPECT_LE(metric(iteration, "kl_max"), options.epsilon * (1 + 1e-9));
      EXPECT_LE(metric(iteration, "weight_left_out_max"), options.weight_cutoff);
    }
    EXPECT_LT(model.expected_cost(r.result.state.policy), 0.6 * model.expected_cost(start.policy));
    EXPECT_LE(static_cast<int>(r.result.state.window.size()), options.window);
  }
}

// ---- warnings ------------------------------------------------------------------------------------------------------

std::vector<std::string> warnings_of(const Task& task, const MotoOptions& options) {
  std::vector<std::string> warnings;
  for (const Iteration& iteration : record(task, moto_start(task, options), options, kedge::Run{1, 1, {}}).iterations)
    warnings.insert(warnings.end(), iteration.warnings.begin(), iteration.warnings.end());
  return warnings;
}

TEST(Moto, WarnsInWordsWhenADiagnosticTurnsBad) {
  const DoubleIntegrator model;
  MotoOptions options = small_options();
  options.iterations = 1;
  EXPECT_TRUE(warnings_of(model.task(), options).empty());

  MotoOptions few = options;
  few.rollouts = 5;
  few.reuse = Reuse::none;
  EXPECT_THAT(warnings_of(model.task(), few), Contains(HasSubstr("few effective samples: 5 for 10 features")));

  EXPECT_THAT(warnings_of(model.task(1e100, 0.5), options),
              Contains(HasSubstr("% of the commanded actions are beyond their limits")));

  Task noise = model.task();  // a reward that no quadratic explains
  noise.cost.resize(1);
  noise.cost[0].residual.matrix = 1e8 * MatrixXd::Identity(2, 2);
  noise.cost[0].norm = Norm::absolute;
  noise.start.mean.setZero();
  MotoOptions single = options;
  single.reuse = Reuse::none;
  single.rollouts = 200;
  single.ridge = 1e4;  // nor may it try
  EXPECT_THAT(warnings_of(noise, single), Contains(HasSubstr("the quadratic Q explains only")));

  MotoOptions stale = options;
  stale.iterations = 25;
  stale.gamma = 1.0;
  stale.window = 25;
  stale.epsilon = 1.0;
  EXPECT_THAT(warnings_of(model.task(), stale), Contains(HasSubstr("the state distribution lags")));

  MotoOptions wide = options;
  wide.initial_std = 8.0;
  EXPECT_THAT(warnings_of(model.task(1.6), wide), Contains(HasSubstr("of 20 rollouts diverged and were left out")));
}

}  // namespace
}  // namespace kedge
