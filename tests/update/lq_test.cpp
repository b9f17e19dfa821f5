// MOTO's update with the exact Q function on a linear-quadratic problem, where the optimum is known: the policy must reach
// the gains of the Riccati recursion, and the exact return must never fall.
#include <gtest/gtest.h>

#include <vector>

#include "kedge/core/random.h"
#include "kedge/update/gaussian_step.h"
#include "problems.h"

namespace kedge {
namespace {

using test::random_matrix;

constexpr int T = 20;
constexpr Index ds = 3, da = 2;

/// s' = A s + B a + c + w, w ~ N(0, W);  reward -(s'R s + a'P a)/2 for t = 0 ... T-1 and -(s'R s)/2 at t = T.
struct LqTask {
  MatrixXd A, B, W, R, P;
  VectorXd c;
  Gaussian start;
};

LqTask make_task() {
  Stream random(29, 0, 0, 0);
  LqTask task;
  task.A = MatrixXd::Identity(ds, ds) + 0.2 * random_matrix(ds, ds, random);
  task.B = random_matrix(ds, da, random);
  task.c = 0.3 * random_matrix(ds, 1, random);
  task.W = 0.01 * MatrixXd::Identity(ds, ds);
  task.R = MatrixXd::Identity(ds, ds);
  task.P = 0.5 * MatrixXd::Identity(da, da);
  task.start = *make_gaussian(3 * random_matrix(ds, 1, random), 0.5 * MatrixXd::Identity(ds, ds));
  return task;
}

/// -(s'H s)/2 + s'h + constant
struct Value {
  MatrixXd H;
  VectorXd h;
};

/// Q_t(s, a) without its terms in s alone, for the value of the next state.
ActionQuadratic action_value(const LqTask& task, const Value& next) {
  return {-(task.P + task.B.transpose() * next.H * task.B), -task.B.transpose() * next.H * task.A,
          task.B.transpose() * (next.h - next.H * task.c)};
}

/// Value at t of following a = K s + k (plus noise, which changes the constant only).
Value value_of(const LqTask& task, const Value& next, const MatrixXd& K, const VectorXd& k) {
  const MatrixXd F = task.A + task.B * K;
  const VectorXd f = task.B * k + task.c;
  return {task.R + K.transpose() * task.P * K + F.transpose() * next.H * F,
          F.transpose() * (next.h - next.H * f) - K.transpose() * task.P * k};
}

std::vector<Gaussian> state_distributions(const LqTask& task, const std::vector<LinearGaussian>& policy) {
  std::vector<Gaussian> rho{task.start};
  for (const LinearGaussian& pi : policy) {
    const MatrixXd F = task.A + task.B * pi.K;
    rho.push_back(*make_gaussian(F * rho.back().mean + task.B * pi.k + task.c,
                                 F * rho.back().cov * F.transpose() + task.B * pi.Sigma * task.B.transpose() + task.W));
  }
  return rho;
}

double expected_return(const LqTask& task, const std::vector<LinearGaussian>& policy) {
  const auto rho = state_distributions(task, policy);
  const auto square = [](const MatrixXd& m, const VectorXd& mean, const MatrixXd& cov) {
    return mean.dot(m * mean) + (m * cov).trace();
  };
  double sum = 0;
  for (std::size_t t = 0; t < rho.size(); ++t) {
    sum -= 0.5 * square(task.R, rho[t].mean, rho[t].cov);
    if (t == policy.size()) break;
    const LinearGaussian& pi = policy[t];
    sum -= 0.5 * square(task.P, pi.K * rho[t].mean + pi.k, pi.K * rho[t].cov * pi.K.transpose() + pi.Sigma);
  }
  return sum;
}

TEST(GaussianStep, ReachesTheRiccatiGainsWithMonotoneReturns) {
  const LqTask task = make_task();
  std::vector<LinearGaussian> best(T);
  Value value{task.R, VectorXd::Zero(ds)};
  for (std::size_t t = T; t-- > 0;) {
    const ActionQuadratic q = action_value(task, value);
    best[t].K = (-q.Qaa).llt().solve(q.Qas);
    best[t].k = (-q.Qaa).llt().solve(q.qa);
    value = value_of(task, value, best[t].K, best[t].k);
  }

  const TrustRegion bounds{0.2, 0.2};
  std::vector<LinearGaussian> policy(
      T, make_linear_gaussian(MatrixXd::Zero(da, ds), VectorXd::Zero(da), MatrixXd::Identity(da, da)));
  double before = expected_return(task, policy), error = 1;
  const double first = before;
  int iteration = 0, entropy_only = 0;
  for (; iteration < 100 && error > 1e-10; ++iteration) {
    const auto rho = state_distributions(task, policy);
    auto next = policy;
    Value v{task.R, VectorXd::Zero(ds)};
    error = 0;
    for (std::size_t t = T; t-- > 0;) {
      const GaussianStep u = gaussian_step(policy[t], whiten(action_value(task, v), policy[t], rho[t]), rho[t], bounds);
      ASSERT_EQ(u.status, StepStatus::ok) << u.message;
      ASSERT_LE(u.kl, bounds.epsilon * (1 + 1e-9));
      entropy_only += u.eta == 0;
      next[t] = u.next;
      v = value_of(task, v, policy[t].K, policy[t].k);  // the paper's Q: of the old policy
      error = std::max(
          {error, (next[t].K - best[t].K).cwiseAbs().maxCoeff(), (next[t].k - best[t].k).cwiseAbs().maxCoeff()});
    }
    policy = next;
    const double after = expected_return(task, policy);
    EXPECT_GE(after, before - 1e-12 * std::abs(before)) << "iteration " << iteration;
    before = after;
  }
  EXPECT_LT(error, 1e-10) << "after " << iteration << " iterations; return " << first << " -> " << before;
  EXPECT_GT(entropy_only, 0);
  RecordProperty("iterations", iteration);
}

}  // namespace
}  // namespace kedge
