// The backward pass against Q-functions that are known exactly, and against its own steps.
#include "kedge/evaluation/backward_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "data.h"

namespace kedge {
namespace {

using namespace kedge::test;
using testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();

/// A linear-quadratic problem without noise in its dynamics, and rollouts whose starts and actions form a grid: their sample
/// means are the expectations of quadratic functions.
struct LqProblem {
  MatrixXd A, B;
  MatrixXd Qs;  ///< cost s'Qs s, at every decision step
  VectorXd qs;  ///< cost + qs's, at the last two decision steps
  MatrixXd R;   ///< cost a'R a, at every decision step
  MatrixXd Qf;  ///< cost s'Qf s at the final state
  Task task;
  Epoch epoch;

  [[nodiscard]] int T() const { return task.horizon; }
  [[nodiscard]] bool late(int t) const { return t >= T() - 2; }
};

Task lq_task(Index ds, Index da, int T) {
  const auto steps = [&](int first, int last) {
    std::vector<char> active(static_cast<std::size_t>(T) + 1, 0);
    for (int t = first; t <= last; ++t) active[static_cast<std::size_t>(t)] = 1;
    return active;
  };
  return task_with_terms(T, {steps(0, T - 1), steps(T - 2, T - 1), steps(0, T - 1), steps(T, T)}, ds, da);
}

/// [n] The digits of `number` in base 3 as nodes of mean 0 and variance 1.
VectorXd nodes(int& number, Index n) {
  VectorXd z(n);
  for (double& each : z) {
    each = std::sqrt(1.5) * (number % 3 - 1);
    number /= 3;
  }
  return z;
}

LqProblem lq_problem(Index ds, Index da, int T) {
  LqProblem p;
  Stream random(61, static_cast<std::uint32_t>(ds), static_cast<std::uint32_t>(da), 0);
  p.A = MatrixXd::Identity(ds, ds) + 0.3 * random_matrix(ds, ds, random);
  p.B = random_matrix(ds, da, random);
  const auto positive = [&](Index n) {
    const MatrixXd m = random_matrix(n, n, random);
    return MatrixXd(m * m.transpose());
  };
  p.Qs = positive(ds), p.R = positive(da), p.Qf = 10.0 * positive(ds);
  p.qs = random_vector(ds, random);
  p.task = lq_task(ds, da, T);
  const TvLinearGaussian policy = random_policy(T, da, ds, random);

  const int rollouts = static_cast<int>(std::lround(std::pow(3.0, static_cast<double>(ds + T * da))));
  p.epoch = random_epoch({ds, da, T, rollouts, 4, {}}, 0, 61);
  p.epoch.policy = policy;
  p.epoch.rho = propagate({p.A, p.B, {VectorXd::Zero(ds), MatrixXd::Zero(ds, ds), MatrixXd::Zero(ds, ds)}},
                          random_gaussian(ds, 1.0, random), policy);
  const Gaussian& start = p.epoch.rho.front();
  Batch& b = p.epoch.batch;
  for (int n = 0; n < rollouts; ++n) {
    int digits = n;
    VectorXd s = start.mean + start.L * nodes(digits, ds);
    for (int t = 0; t < T; ++t) {
      const VectorXd a = policy[t].K * s + policy[t].k + policy[t].C * nodes(digits, da);
      b.observation.col(b.at(n, t)) = s;
      b.action.col(b.step(n, t)) = a;
      b.terms.col(b.at(n, t)) << s.dot(p.Qs * s), p.qs.dot(s), a.dot(p.R * a), s.dot(p.Qf * s);
      s = (p.A * s + p.B * a).eval();
    }
    b.observation.col(b.at(n, T)) = s;
    b.terms.col(b.at(n, T)) << 0, 0, 0, s.dot(p.Qf * s);
  }
  p.epoch.rho.pop_back();
  return p;
}

TEST(FitBackwards, FindsTheExactQOfALinearQuadraticProblem) {
  for (const auto& [ds, da, T] : {std::tuple<Index, Index, int>{2, 1, 5}, {3, 1, 4}, {2, 2, 3}}) {
    const LqProblem p = lq_problem(ds, da, T);
    SampleReuse reuse(Reuse::none, 1, 0.0);
    reuse.push(p.epoch, 1);
    std::vector<Regression> workspace;
    const BackwardFit result = fit_backwards(p.task, reuse, {1e-14, false}, 1, workspace);
    ASSERT_EQ(result.status, BackwardFitStatus::ok) << result.message;
    ASSERT_EQ(result.fits.size(), static_cast<std::size_t>(T));

    // Value of the policy, V(s) = s'P s + v's + c, backwards: the return to go, so costs enter with a minus.
    MatrixXd P = -p.Qf;
    VectorXd v = VectorXd::Zero(ds);
    double c = 0.0;
    Stream random(62, 0, 0, 0);
    for (int t = T - 1; t >= 0; --t) {
      const auto at = static_cast<std::size_t>(t);
      const auto Q = [&](const VectorXd& s, const VectorXd& a) {
        const VectorXd next = p.A * s + p.B * a;
        return -s.dot(p.Qs * s) - (p.late(t) ? p.qs.dot(s) : 0.0) - a.dot(p.R * a) + next.dot(P * next) + v.dot(next) +
               c;
      };
      const LinearGaussian& pi = p.epoch.policy[t];
      const MatrixXd closed = p.A + p.B * pi.K;
      const VectorXd drift = p.B * pi.k;
      const MatrixXd P_t = -p.Qs - pi.K.transpose() * p.R * pi.K + closed.transpose() * P * closed;
      VectorXd v_t = -2 * pi.K.transpose() * p.R * pi.k + 2 * closed.transpose() * P * drift + closed.transpose() * v;
      if (p.late(t)) v_t -= p.qs;
      const double c_t = -pi.k.dot(p.R * pi.k) - (p.R * pi.Sigma).trace() + drift.dot(P * drift) +
                         (p.B.transpose() * P * p.B * pi.Sigma).trace() + v.dot(drift) + c;
      const Whitening map = whitening(p.epoch.rho[at], pi), state_map = whitening(p.epoch.rho[at]);
      for (int k = 0; k < 10; ++k) {
        const VectorXd s = random_vector(ds, random), a = random_vector(da, random);
        VectorXd x(ds + da);
        x << s, a;
        const double scale = 1.0 + std::abs(Q(s, a));
        EXPECT_NEAR(result.fits[at].q(map.W * x - map.b), Q(s, a), 1e-8 * scale) << "t = " << t;
        const double value = s.dot(P_t * s) + v_t.dot(s) + c_t;
        EXPECT_NEAR(result.fits[at].v(state_map.W * s - state_map.b), value, 1e-8 * scale) << "t = " << t;
      }
      EXPECT_NEAR(result.fits[at].r2, 1.0, 1e-9);
      EXPECT_EQ(result.samples[at].used, p.epoch.batch.rollouts);
      EXPECT_EQ(result.samples[at].left_out, 0.0);
      P = P_t, v = v_t, c = c_t;
    }
  }
}

TEST(ValueBounds, AreTheLargestCostToGoAroundWhatCostsThatAreNeverNegativeAllow) {
  std::deque<Transitions> data;
  for (int i = 0; i < 2; ++i) data.push_back(transitions(random_epoch({3, 2, 5, 24, 2, {i}}, i, 65).batch));
  for (Transitions& d : data) d.terms = d.terms.cwiseAbs(), d.next_terms = d.next_terms.cwiseAbs();
  const std::vector<ValueBounds> bounds = value_bounds(data, 5);
  for (int t = 0; t < 5; ++t) {
    double most = 0.0;
    for (const Transitions& d : data)
      for (Index i = t * d.per_step; i < (t + 1) * d.per_step; ++i) most = std::max(most, d.cost_to_go[i]);
    EXPECT_EQ(bounds[static_cast<std::size_t>(t)].low, -2.0 * most);
    EXPECT_EQ(bounds[static_cast<std::size_t>(t)].high, most);
  }
  data[1].terms(0, 7) = -1e-9;
  EXPECT_EQ(value_bounds(data, 5)[2].low, -inf);
  EXPECT_EQ(value_bounds(data, 5)[2].high, inf);
}

TEST(FitStep, CountsTheNextValueAsTheNearestThatCanBe) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 0}, {0, 0, 0, 1, 1, 1}}, 3, 2);
  SampleReuse reuse(Reuse::none, 1, 0.0);
  const Epoch epoch = random_epoch({3, 2, 5, 40, 2, {}}, 0, 66);
  reuse.push(epoch, 1);
  Regression regression;
  const WeightedSamples samples = reuse.samples(1);
  ASSERT_TRUE(
      prepare_regression({task, 1, reuse.data(), samples, reuse.density()[1], &reuse.density()[2]}, {}, regression));
  const Quadratic steep{0.0, VectorXd::Constant(3, 1e6), MatrixXd::Identity(3, 3)};
  const auto free = fit_step(regression, 3, {}, &steep, {}), held = fit_step(regression, 3, {}, &steep, {-2.0, 0.0});
  EXPECT_EQ(free->bounded, 0.0);
  EXPECT_NEAR(held->bounded, 1.0, 1e-9);  // a V of 1e6 is beyond -2 or 0 almost everywhere
  // The targets are the same as those of the values that can be.
  VectorXd target = -regression.cost;
  for (Index k = 0; k < target.size(); ++k)
    target[k] += std::clamp(steep(VectorXd(regression.next.row(k).transpose())), -2.0, 0.0);
  const auto expected = fit_quadratics(regression, target, 3, 1e-3);
  EXPECT_LT((held->q.g - expected->q.g).norm(), 1e-9);
  EXPECT_LT((held->v.g - expected->v.g).norm(), 1e-9);
}

/// Three iterations of a task of five steps.
SampleReuse random_reuse(Reuse reuse, std::uint64_t seed) {
  SampleReuse samples(reuse, 3, 1e-3);
  for (int i = 0; i < 3; ++i) samples.push(random_epoch({3, 2, 5, 24, 2, {i}}, i, seed), 1);
  return samples;
}

const std::vector<std::vector<char>> kActive = {{1, 1, 1, 1, 1, 0}, {0, 0, 0, 1, 1, 1}};

void expect_same_bits(const BackwardFit& a, const BackwardFit& b) {
  ASSERT_EQ(a.fits.size(), b.fits.size());
  for (std::size_t t = 0; t < a.fits.size(); ++t) {
    EXPECT_TRUE(same_bits(a.fits[t].q.H, b.fits[t].q.H) && same_bits(a.fits[t].v.H, b.fits[t].v.H));
    EXPECT_TRUE(same_bits(a.fits[t].q.g, b.fits[t].q.g) && same_bits(a.fits[t].v.g, b.fits[t].v.g));
    EXPECT_EQ(a.fits[t].q.c, b.fits[t].q.c);
    EXPECT_EQ(a.fits[t].r2, b.fits[t].r2);
    EXPECT_EQ(a.samples[t].effective, b.samples[t].effective);
    EXPECT_EQ(a.samples[t].used, b.samples[t].used);
  }
}

TEST(FitBackwards, DoesNotDependOnThreadsOrReusedMemory) {
  const Task task = task_with_terms(5, kActive, 3, 2);
  for (const Reuse mode : {Reuse::none, Reuse::iterations, Reuse::time_and_iterations}) {
    const SampleReuse reuse = random_reuse(mode, 63), other = random_reuse(mode, 64);
    std::vector<Regression> fresh;
    const BackwardFit one = fit_backwards(task, reuse, {}, 1, fresh);
    ASSERT_EQ(one.status, BackwardFitStatus::ok) << one.message;
    for (const int threads : {1, 2, 8}) {
      std::vector<Regression> workspace;
      (void)fit_backwards(task, other, {}, threads, workspace);
      expect_same_bits(fit_backwards(task, reuse, {}, threads, workspace), one);
    }
  }
}

TEST(FitBackwards, FitsEveryStepAloneToMonteCarloTargets) {
  const Task task = task_with_terms(5, kActive, 3, 2);
  const SampleReuse reuse = random_reuse(Reuse::iterations, 65);
  const RegressionOptions options{1e-3, true};
  std::vector<Regression> workspace;
  const BackwardFit result = fit_backwards(task, reuse, options, 2, workspace);
  ASSERT_EQ(result.status, BackwardFitStatus::ok) << result.message;
  for (std::size_t t = 0; t < 5; ++t) {
    const WeightedSamples samples = reuse.samples(static_cast<int>(t));
    Regression r;
    ASSERT_TRUE(prepare_regression({task, static_cast<int>(t), reuse.data(), samples, reuse.density()[t], nullptr},
                                   options, r));
    const auto alone = fit_quadratics(r, -r.cost, 3, options.ridge);
    EXPECT_TRUE(same_bits(result.fits[t].q.H, alone->q.H));
    EXPECT_EQ(result.fits[t].q.c, alone->q.c);
    EXPECT_EQ(result.samples[t].effective, samples.effective);
    EXPECT_EQ(result.samples[t].left_out, samples.left_out);
  }
}

TEST(FitBackwards, NamesTheStepThatFails) {
  const Task task = task_with_terms(5, kActive, 3, 2);
  const auto outcome = [&](auto spoil) {
    Epoch epoch = random_epoch({3, 2, 5, 24, 2, {}}, 0, 66);
    spoil(epoch.batch);
    SampleReuse reuse(Reuse::none, 1, 0.0);
    reuse.push(epoch, 1);
    std::vector<Regression> workspace;
    BackwardFit first = fit_backwards(task, reuse, {}, 1, workspace);
    EXPECT_EQ(fit_backwards(task, reuse, {}, 8, workspace).message, first.message);
    EXPECT_TRUE(first.fits.empty());
    return first;
  };
  const BackwardFit cost = outcome([](Batch& b) { b.terms(0, b.at(7, 2)) = inf; });
  EXPECT_EQ(cost.status, BackwardFitStatus::not_finite);
  EXPECT_THAT(cost.message, HasSubstr("step 2: "));

  const BackwardFit state = outcome([](Batch& b) { b.observation.col(b.at(7, 3)).setConstant(1e200); });
  EXPECT_EQ(state.status, BackwardFitStatus::degenerate);
  EXPECT_THAT(state.message, HasSubstr("step 3: "));

  const BackwardFit none = outcome([](Batch& b) { b.diverged_at.assign(b.diverged_at.size(), 0); });
  EXPECT_EQ(none.status, BackwardFitStatus::degenerate);
  EXPECT_THAT(none.message, HasSubstr("step 4: "));
}

}  // namespace
}  // namespace kedge
