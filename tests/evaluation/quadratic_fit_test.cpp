// The local quadratic models against a plain ridge regression by QR, and against Q-functions that are known exactly.
#include "kedge/evaluation/quadratic_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "data.h"
#include "kedge/system/linear_system.h"

namespace kedge {
namespace {

using namespace kedge::test;

/// A task of which the regression reads the horizon and where its terms are active.
Task task_with_terms(int horizon, const std::vector<std::vector<char>>& active) {
  Task task;
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(2, 2), MatrixXd::Ones(2, 1));
  task.horizon = horizon;
  for (const std::vector<char>& steps : active) task.cost.push_back({"", {}, VectorXd(), Norm::quadratic, 0.0, steps});
  return task;
}

/// The whitened states and actions of a regression, one sample a row.
MatrixXd z_of(const Regression& r) { return r.z.middleRows(1, r.n).transpose(); }

/// argmin sum_k w_k (y_k - theta'phi_k)^2 + ridge |theta without its constant|^2, by QR of the stacked system.
VectorXd plain_ridge(const MatrixXd& z, const VectorXd& w, const VectorXd& y, double ridge) {
  const Index N = z.rows(), p = feature_count(z.cols());
  MatrixXd rows = MatrixXd::Zero(N + p - 1, p);
  VectorXd right = VectorXd::Zero(N + p - 1);
  for (Index k = 0; k < N; ++k) {
    rows.row(k) = std::sqrt(w[k]) * plain_features(z.row(k).transpose());
    right[k] = std::sqrt(w[k]) * y[k];
  }
  for (Index j = 1; j < p; ++j) rows(N + j - 1, j) = std::sqrt(ridge);
  return rows.householderQr().solve(right);
}

/// How far q is from theta'phi: the largest difference over the rows of z, relative to the largest value there.
double distance(const Quadratic& q, const VectorXd& theta, const MatrixXd& z) {
  double difference = 0.0, largest = 0.0;
  for (Index k = 0; k < z.rows(); ++k) {
    const double value = theta.dot(plain_features(z.row(k).transpose()));
    difference = std::max(difference, std::abs(q(z.row(k).transpose()) - value));
    largest = std::max(largest, std::abs(value));
  }
  return difference / largest;
}

struct Problem {
  Window window;
  std::deque<Transitions> data;
  WeightedSamples samples;
  Whitening map, next_map;
  Index ds;
};

/// Three iterations, and `count` of their samples with random weights, for the regression at step `t` of the last.
Problem random_problem(Index ds, Index da, Index count, int t, std::uint64_t seed) {
  Problem p;
  p.ds = ds;
  Index total = 0;
  for (int i = 0; i < 3; ++i) {
    p.window.push_back(random_epoch({ds, da, 5, 20 + i, 3, {i}}, i, seed));
    p.data.push_back(transitions(p.window.back().batch));
    total += p.data.back().size();
  }
  Stream random(seed, 99, 0, 0);
  for (Index row = 0; row < total && static_cast<Index>(p.samples.row.size()) < count; ++row)
    if (total - row <= count - static_cast<Index>(p.samples.row.size()) ||
        random.uniform() < static_cast<double>(count) / static_cast<double>(total))
      p.samples.row.push_back(row);
  p.samples.weight = random_vector(static_cast<Index>(p.samples.row.size()), random).cwiseAbs();
  p.samples.weight /= p.samples.weight.sum();
  p.map = whitening(p.window.back().rho[static_cast<std::size_t>(t)], p.window.back().policy[t]);
  p.next_map = whitening(p.window.back().rho[static_cast<std::size_t>((t + 1) % 5)]);
  return p;
}

/// Sample k of the problem: (data set, column).
std::pair<const Transitions*, Index> find(const Problem& p, std::size_t k) {
  Index row = p.samples.row[k];
  for (const Transitions& d : p.data) {
    if (row < d.size()) return {&d, row};
    row -= d.size();
  }
  return {nullptr, 0};
}

// ---- preparation ---------------------------------------------------------------------------------------------------

TEST(PrepareRegression, RecomputesTheCostForTheStepThatIsFitted) {
  // Term 0 always, term 1 at the last two steps, term 2 at step 1 and at the final state.
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 0}, {0, 0, 0, 1, 1, 0}, {0, 1, 0, 0, 0, 1}});
  const std::vector<std::vector<int>> now = {{0}, {0, 2}, {0}, {0, 1}, {0, 1}}, at_end = {{}, {}, {}, {}, {2}};
  for (int t = 0; t < 5; ++t) {
    const Problem p = random_problem(2, 1, 130, t, 51);
    const auto r = prepare_regression(task, t, p.data, p.samples, p.map, &p.next_map, {});
    ASSERT_TRUE(r);
    for (std::size_t k = 0; k < p.samples.row.size(); ++k) {
      const auto [d, i] = find(p, k);
      double cost = 0.0;
      for (const int term : now[static_cast<std::size_t>(t)]) cost += d->terms(term, i);
      for (const int term : at_end[static_cast<std::size_t>(t)]) cost += d->next_terms(term, i);
      EXPECT_DOUBLE_EQ(r->cost[static_cast<Index>(k)], cost) << "step " << t;
      const VectorXd xi = p.next_map.W * d->next.col(i) - p.next_map.b;
      EXPECT_LT((r->next.row(static_cast<Index>(k)).transpose() - xi).norm(), 1e-11 * (1 + xi.norm()));
      const VectorXd z = p.map.W * d->x.col(i) - p.map.b;
      EXPECT_LT((z_of(*r).row(static_cast<Index>(k)).transpose() - z).norm(), 1e-11 * (1 + z.norm()));
    }
    const auto monte_carlo = prepare_regression(task, t, p.data, p.samples, p.map, &p.next_map, {1e-3, true});
    for (std::size_t k = 0; k < p.samples.row.size(); ++k) {
      const auto [d, i] = find(p, k);
      EXPECT_EQ(monte_carlo->cost[static_cast<Index>(k)], d->cost_to_go[i]);
    }
  }
}

TEST(PrepareRegression, InUsedMemoryIsTheSameBitForBit) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem large = random_problem(3, 2, 200, 2, 61), other = random_problem(2, 1, 150, 2, 62);
  const VectorXd v = VectorXd::LinSpaced(feature_count(3), -1.0, 2.0);
  const Quadratic next_v = quadratic_from_features(v, 3);
  for (const Index count : {1, 70, 200, 300}) {  // fewer samples than the memory was made for, as many, and more
    SCOPED_TRACE(count);
    const Problem p = random_problem(3, 2, count, 2, 63);
    const auto fresh = prepare_regression(task, 2, p.data, p.samples, p.map, &p.next_map, {});
    const auto fit = fit_step(*fresh, 3, {}, &next_v);
    for (const Problem* before : {&large, &other}) {
      auto used = prepare_regression(task, 2, before->data, before->samples, before->map, &before->next_map, {});
      used = prepare_regression(task, 2, p.data, p.samples, p.map, &p.next_map, {}, std::move(*used));
      const auto again = fit_step(*used, 3, {}, &next_v);
      EXPECT_TRUE(same_bits(used->factor, fresh->factor));
      EXPECT_TRUE(same_bits(again->q.H, fit->q.H) && same_bits(again->v.H, fit->v.H));
      EXPECT_EQ(again->q.c, fit->q.c);
    }
  }
}

TEST(PrepareRegression, FactorsTheGramMatrixOfTheFeatures) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  for (const Index count : {1, 31, 32, 33, 200}) {  // around the size of a block
    const Problem p = random_problem(3, 2, count, 2, 52);
    const auto r = prepare_regression(task, 2, p.data, p.samples, p.map, &p.next_map, {});
    ASSERT_TRUE(r);
    const MatrixXd z = z_of(*r);
    const Index features = feature_count(5);
    MatrixXd gram = MatrixXd::Identity(features, features) * RegressionOptions{}.ridge;
    gram(0, 0) = 0.0;
    for (Index k = 0; k < count; ++k) {
      const VectorXd phi = plain_features(z.row(k).transpose());
      gram += r->weight[k] * phi * phi.transpose();
    }
    const MatrixXd L = r->factor.topRows(features).triangularView<Eigen::Lower>();
    EXPECT_LT((L * L.transpose() - gram).norm(), 1e-12 * gram.norm());
  }
}

TEST(PrepareRegression, IsRefusedWithoutSamples) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem p = random_problem(2, 1, 50, 1, 53);
  EXPECT_FALSE(prepare_regression(task, 1, p.data, WeightedSamples{}, p.map, &p.next_map, {}));
}

// ---- fits ----------------------------------------------------------------------------------------------------------

TEST(FitQuadratics, IsTheWeightedRidgeRegressionOfQAndOfV) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  for (const auto& [ds, da] : {std::pair<Index, Index>{1, 1}, {2, 1}, {4, 2}, {8, 4}})
    for (const Index count : {40, 150, 290})
      for (const double ridge : {1e-6, 1e-3, 10.0})
        for (const double offset : {0.0, -1e7}) {  // returns of -1e7 with differences of order 1e4
          const Problem p = random_problem(ds, da, count, 3, 54);
          auto r = prepare_regression(task, 3, p.data, p.samples, p.map, &p.next_map, {ridge, false});
          ASSERT_TRUE(r);
          Stream random(54, 98, 0, 0);
          const VectorXd y = 1e4 * random_vector(r->z.cols(), random) + VectorXd::Constant(r->z.cols(), offset);
          const auto fit = fit_quadratics(*r, y, ds, ridge);
          ASSERT_TRUE(fit);
          const double mean = r->weight.dot(y);
          const VectorXd centred =
              y - VectorXd::Constant(y.size(), mean);  // the constant is free: moves it and nothing else
          const MatrixXd z = z_of(*r);
          VectorXd q = plain_ridge(z, r->weight, centred, ridge),
                   v = plain_ridge(z.leftCols(ds), r->weight, centred, ridge);
          Quadratic q_fit = fit->q, v_fit = fit->v;
          q_fit.c -= mean;
          v_fit.c -= mean;
          EXPECT_LT(distance(q_fit, q, z), 1e-9) << ds << " " << da << " " << count << " " << ridge;
          EXPECT_LT(distance(v_fit, v, z.leftCols(ds)), 1e-9);

          double error = 0.0, variance = 0.0;
          for (Index k = 0; k < y.size(); ++k) {
            error += r->weight[k] * std::pow(centred[k] - q.dot(plain_features(z.row(k).transpose())), 2);
            variance += r->weight[k] * centred[k] * centred[k];
          }
          EXPECT_NEAR(fit->r2, 1.0 - error / variance, 1e-9);
        }
}

TEST(FitQuadratics, RecoversAQuadraticFunction) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem p = random_problem(3, 2, 250, 0, 55);
  const auto r = prepare_regression(task, 0, p.data, p.samples, p.map, &p.next_map, {1e-13, false});
  ASSERT_TRUE(r);
  Stream random(55, 98, 0, 0);
  const VectorXd theta = random_vector(feature_count(5), random);
  const Quadratic truth = quadratic_from_features(theta, 5);
  const MatrixXd z = z_of(*r);
  VectorXd y(z.rows());
  for (Index k = 0; k < y.size(); ++k) y[k] = truth(z.row(k).transpose());
  const auto fit = fit_quadratics(*r, y, 3, 1e-13);
  ASSERT_TRUE(fit);
  EXPECT_LT((fit->q.H - truth.H).cwiseAbs().maxCoeff(), 1e-9);
  EXPECT_LT((fit->q.g - truth.g).cwiseAbs().maxCoeff(), 1e-9);
  EXPECT_NEAR(fit->q.c, truth.c, 1e-9);
  EXPECT_NEAR(fit->r2, 1.0, 1e-9);
}

TEST(FitQuadratics, OfARewardThatIsShiftedIsShiftedAndOfAScaledOneIsScaled) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem p = random_problem(2, 2, 100, 0, 56);
  const auto r = prepare_regression(task, 0, p.data, p.samples, p.map, &p.next_map, {0.1, false});
  ASSERT_TRUE(r);
  Stream random(56, 98, 0, 0);
  const VectorXd y = random_vector(r->z.cols(), random);
  const auto base = fit_quadratics(*r, y, 2, 0.1);
  const auto shifted = fit_quadratics(*r, y + VectorXd::Constant(y.size(), 1000.0), 2, 0.1);
  EXPECT_LT((shifted->q.H - base->q.H).norm() + (shifted->v.H - base->v.H).norm(), 1e-10);
  EXPECT_LT((shifted->q.g - base->q.g).norm() + (shifted->v.g - base->v.g).norm(), 1e-10);
  EXPECT_NEAR(shifted->q.c - base->q.c, 1000.0, 1e-9);
  EXPECT_NEAR(shifted->v.c - base->v.c, 1000.0, 1e-9);
  EXPECT_NEAR(shifted->r2, base->r2, 1e-9);
  const auto scaled = fit_quadratics(*r, 1024.0 * y, 2, 0.1);  // a power of two: nothing is rounded
  EXPECT_TRUE(same_bits(scaled->q.H, MatrixXd(1024.0 * base->q.H)));
  EXPECT_EQ(scaled->r2, base->r2);
}

TEST(FitQuadratics, OfConstantTargetsIsTheirConstant) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem p = random_problem(2, 1, 100, 0, 57);
  const auto r = prepare_regression(task, 0, p.data, p.samples, p.map, &p.next_map, {});
  const auto fit = fit_quadratics(*r, VectorXd::Constant(r->z.cols(), 0.0), 2, 1e-3);
  EXPECT_EQ(fit->q.c, 0.0);
  EXPECT_TRUE(fit->q.H.isZero(0) && fit->q.g.isZero(0));
  EXPECT_EQ(fit->r2, 1.0);
}

TEST(FitQuadratics, IsRefusedWhereItsTargetsOrFeaturesAreNotFinite) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  Problem p = random_problem(2, 1, 100, 0, 58);
  const auto r = prepare_regression(task, 0, p.data, p.samples, p.map, &p.next_map, {});
  VectorXd y = VectorXd::Ones(r->z.cols());
  EXPECT_TRUE(fit_quadratics(*r, y, 2, 1e-3));
  y[3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(fit_quadratics(*r, y, 2, 1e-3));

  p.data[0].x.col(p.samples.row[0]).setConstant(1e200);  // its squares overflow
  const auto overflown = prepare_regression(task, 0, p.data, p.samples, p.map, &p.next_map, {});
  EXPECT_FALSE(overflown && fit_quadratics(*overflown, VectorXd::Ones(100), 2, 1e-3));
}

// ---- the backward pass ---------------------------------------------------------------------------------------------

/// A linear-quadratic problem without noise, sampled on Gauss-Hermite grids, so that sample means are expectations.
struct LqProblem {
  int T = 5;
  MatrixXd A, B;
  MatrixXd Qs;  ///< cost s'Qs s, always
  VectorXd qs;  ///< cost + qs's, at the steps of `late`
  MatrixXd R;   ///< cost a'R a, at decision steps
  MatrixXd Qf;  ///< cost s'Qf s at the final state
  std::vector<char> late = {0, 0, 0, 1, 1, 0};
  Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 0}, {0, 0, 0, 1, 1, 0}, {1, 1, 1, 1, 1, 0}, {0, 0, 0, 0, 0, 1}});
  TvLinearGaussian policy;
  std::vector<Gaussian> rho;
  std::deque<Transitions> data;
  std::vector<WeightedSamples> samples;
};

LqProblem lq_problem(Index ds, Index da) {
  LqProblem p;
  Stream random(61, static_cast<std::uint32_t>(ds), 0, 0);
  p.A = MatrixXd::Identity(ds, ds) + 0.3 * random_matrix(ds, ds, random);
  p.B = random_matrix(ds, da, random);
  const auto positive = [&](Index n) {
    const MatrixXd m = random_matrix(n, n, random);
    return MatrixXd(m * m.transpose());
  };
  p.Qs = positive(ds), p.R = positive(da), p.Qf = 10.0 * positive(ds);
  p.qs = random_vector(ds, random);
  p.policy = random_policy(p.T, da, ds, random);
  const Grid grid = gauss_hermite(ds + da);
  const Index N = grid.z.rows();
  Transitions d;
  d.per_step = N;
  d.x.resize(ds + da, N * p.T);
  d.next.resize(ds, N * p.T);
  d.terms.resize(4, N * p.T);
  d.next_terms.resize(4, N * p.T);
  d.cost_to_go = VectorXd::Zero(N * p.T);
  for (int t = 0; t < p.T; ++t) {
    p.rho.push_back(random_gaussian(ds, 1.0, random));
    const Gaussian& rho = p.rho.back();
    WeightedSamples samples;
    samples.weight = grid.weight;
    for (Index k = 0; k < N; ++k) {
      const Index i = t * N + k;
      const VectorXd s = rho.mean + rho.L * grid.z.row(k).head(ds).transpose();
      const VectorXd a = p.policy[t].K * s + p.policy[t].k + p.policy[t].C * grid.z.row(k).tail(da).transpose();
      const VectorXd next = p.A * s + p.B * a;
      d.x.col(i) << s, a;
      d.next.col(i) = next;
      d.terms.col(i) << s.dot(p.Qs * s), p.qs.dot(s), a.dot(p.R * a), s.dot(p.Qf * s);
      d.next_terms.col(i) << 0, 0, 0, next.dot(p.Qf * next);
      samples.row.push_back(i);
    }
    p.samples.push_back(samples);
  }
  p.data.push_back(d);
  return p;
}

TEST(FitBackwards, FindsTheExactQOfALinearQuadraticProblem) {
  for (const auto& [ds, da] : {std::pair<Index, Index>{2, 1}, {3, 2}}) {
    const LqProblem p = lq_problem(ds, da);
    const RegressionOptions options{1e-14, false};
    std::vector<Regression> regressions;
    std::vector<Whitening> maps;
    for (const Gaussian& rho : p.rho) maps.push_back(whitening(rho));
    for (int t = 0; t < p.T; ++t) {
      const auto at = static_cast<std::size_t>(t);
      auto r = prepare_regression(p.task, t, p.data, p.samples[at], whitening(p.rho[at], p.policy[t]),
                                  t + 1 < p.T ? &maps[at + 1] : nullptr, options);
      ASSERT_TRUE(r);
      regressions.push_back(std::move(*r));
    }
    int failed = -1;
    const auto fits = fit_backwards(regressions, ds, options, nullptr, failed);
    ASSERT_TRUE(fits);
    EXPECT_EQ(failed, -1);

    // In two parts it is the same.
    std::vector<Regression> late(regressions.begin() + 2, regressions.end());
    regressions.resize(2);
    const auto late_fits = fit_backwards(late, ds, options, nullptr, failed);
    const auto early_fits = fit_backwards(regressions, ds, options, &late_fits->front().v, failed);
    EXPECT_TRUE(same_bits(early_fits->front().q.H, fits->front().q.H));
    EXPECT_EQ(early_fits->front().q.c, fits->front().q.c);

    // Value of the policy, V(s) = s'P s + v's + c, backwards: the return to go, so costs enter with a minus.
    MatrixXd P = -p.Qf;
    VectorXd v = VectorXd::Zero(ds);
    double c = 0.0;
    Stream random(62, 0, 0, 0);
    for (int t = p.T - 1; t >= 0; --t) {
      const auto at = static_cast<std::size_t>(t);
      const auto Q = [&](const VectorXd& s, const VectorXd& a) {
        const VectorXd next = p.A * s + p.B * a;
        return -s.dot(p.Qs * s) - (p.late[at] ? p.qs.dot(s) : 0.0) - a.dot(p.R * a) + next.dot(P * next) + v.dot(next) +
               c;
      };
      const LinearGaussian& pi = p.policy[t];
      const MatrixXd closed = p.A + p.B * pi.K;
      const VectorXd drift = p.B * pi.k;
      const MatrixXd P_t = -p.Qs - pi.K.transpose() * p.R * pi.K + closed.transpose() * P * closed;
      VectorXd v_t = -2 * pi.K.transpose() * p.R * pi.k + 2 * closed.transpose() * P * drift + closed.transpose() * v;
      if (p.late[at]) v_t -= p.qs;
      const double c_t = -pi.k.dot(p.R * pi.k) - (p.R * pi.Sigma).trace() + drift.dot(P * drift) +
                         (p.B.transpose() * P * p.B * pi.Sigma).trace() + v.dot(drift) + c;
      const Whitening map = whitening(p.rho[at], pi);
      for (int k = 0; k < 10; ++k) {
        const VectorXd s = random_vector(ds, random), a = random_vector(da, random);
        VectorXd x(ds + da);
        x << s, a;
        const double scale = 1.0 + std::abs(Q(s, a));
        EXPECT_NEAR((*fits)[at].q(map.W * x - map.b), Q(s, a), 1e-8 * scale) << "t = " << t;
        const double value = s.dot(P_t * s) + v_t.dot(s) + c_t;
        EXPECT_NEAR((*fits)[at].v(maps[at].W * s - maps[at].b), value, 1e-8 * scale) << "t = " << t;
      }
      EXPECT_NEAR((*fits)[at].r2, 1.0, 1e-9);
      P = P_t, v = v_t, c = c_t;
    }
  }
}

TEST(FitBackwards, WithMonteCarloTargetsFitsEveryStepAlone) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const RegressionOptions options{1e-3, true};
  std::vector<Regression> regressions;
  for (int t = 0; t < 5; ++t) {
    const Problem p = random_problem(2, 1, 100, t, 59);
    regressions.push_back(*prepare_regression(task, t, p.data, p.samples, p.map, &p.next_map, options));
  }
  int failed = -1;
  const auto fits = fit_backwards(regressions, 2, options, nullptr, failed);
  ASSERT_TRUE(fits);
  for (std::size_t t = 0; t < 5; ++t) {
    const auto alone = fit_quadratics(regressions[t], -regressions[t].cost, 2, options.ridge);
    EXPECT_TRUE(same_bits((*fits)[t].q.H, alone->q.H));
    EXPECT_EQ((*fits)[t].q.c, alone->q.c);
  }
}

TEST(FitBackwards, NamesTheStepThatFailed) {
  LqProblem p = lq_problem(2, 1);
  p.data[0].terms.col(p.data[0].per_step * 2 + 3).setConstant(std::numeric_limits<double>::infinity());
  std::vector<Regression> regressions;
  std::vector<Whitening> maps;
  for (const Gaussian& rho : p.rho) maps.push_back(whitening(rho));
  for (int t = 0; t < p.T; ++t) {
    const auto at = static_cast<std::size_t>(t);
    regressions.push_back(*prepare_regression(p.task, t, p.data, p.samples[at], whitening(p.rho[at], p.policy[t]),
                                              t + 1 < p.T ? &maps[at + 1] : nullptr, {}));
  }
  int failed = -1;
  EXPECT_FALSE(fit_backwards(regressions, 2, {}, nullptr, failed));
  EXPECT_EQ(failed, 2);
}

}  // namespace
}  // namespace kedge
