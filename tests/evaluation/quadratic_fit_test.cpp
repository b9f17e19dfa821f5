// The local quadratic models against a plain ridge regression by QR, and against Q-functions that are known exactly.
#include "kedge/evaluation/quadratic_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "data.h"

namespace kedge {
namespace {

using namespace kedge::test;

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

/// The regression of step t of the task for the samples of the problem; nullopt if it is refused.
std::optional<Regression> prepared(const Task& task, int t, const Problem& p, const RegressionOptions& options = {},
                                   Regression memory = {}) {
  if (!prepare_regression({task, t, p.data, p.samples, p.map, &p.next_map}, options, memory)) return std::nullopt;
  return memory;
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

TEST(PrepareRegression, RecomputesTheCostForTheFittedStep) {
  // Term 0 always, term 1 at the last two steps, term 2 at step 1 and at the final state.
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 0}, {0, 0, 0, 1, 1, 0}, {0, 1, 0, 0, 0, 1}});
  const std::vector<std::vector<int>> now = {{0}, {0, 2}, {0}, {0, 1}, {0, 1}}, at_end = {{}, {}, {}, {}, {2}};
  for (int t = 0; t < 5; ++t) {
    const Problem p = random_problem(2, 1, 130, t, 51);
    const auto r = prepared(task, t, p);
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
    const auto monte_carlo = prepared(task, t, p, {1e-3, true});
    for (std::size_t k = 0; k < p.samples.row.size(); ++k) {
      const auto [d, i] = find(p, k);
      EXPECT_EQ(monte_carlo->cost[static_cast<Index>(k)], d->cost_to_go[i]);
    }
  }
}

TEST(PrepareRegression, DoesNotDependOnReusedMemory) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem large = random_problem(3, 2, 200, 2, 61), other = random_problem(2, 1, 150, 2, 62);
  const VectorXd v = VectorXd::LinSpaced(feature_count(3), -1.0, 2.0);
  const Quadratic next_v = quadratic_from_features(v, 3);
  for (const Index count : {1, 70, 200, 300}) {  // fewer samples than the memory was made for, as many, and more
    SCOPED_TRACE(count);
    const Problem p = random_problem(3, 2, count, 2, 63);
    const auto fresh = prepared(task, 2, p);
    const auto fit = fit_step(*fresh, 3, {}, &next_v, {});
    for (const Problem* before : {&large, &other}) {
      auto used = prepared(task, 2, *before);
      used = prepared(task, 2, p, {}, std::move(*used));
      const auto again = fit_step(*used, 3, {}, &next_v, {});
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
    const auto r = prepared(task, 2, p);
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

TEST(PrepareRegression, RejectsAnEmptySetOfSamples) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  Problem p = random_problem(2, 1, 50, 1, 53);
  p.samples = {};
  EXPECT_FALSE(prepared(task, 1, p));
}

// ---- fits ----------------------------------------------------------------------------------------------------------

TEST(FitQuadratics, IsTheWeightedRidgeRegressionOfQAndOfV) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  for (const auto& [ds, da] : {std::pair<Index, Index>{1, 1}, {2, 1}, {4, 2}, {8, 4}})
    for (const Index count : {40, 150, 290})
      for (const double ridge : {1e-6, 1e-3, 10.0})
        for (const double offset : {0.0, -1e7}) {  // returns of -1e7 with differences of order 1e4
          const Problem p = random_problem(ds, da, count, 3, 54);
          auto r = prepared(task, 3, p, {ridge, false});
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
  const auto r = prepared(task, 0, p, {1e-13, false});
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

TEST(FitQuadratics, IsEquivariantToRewardShiftAndScale) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem p = random_problem(2, 2, 100, 0, 56);
  const auto r = prepared(task, 0, p, {0.1, false});
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

TEST(FitQuadratics, FitsConstantTargetsByTheirConstant) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  const Problem p = random_problem(2, 1, 100, 0, 57);
  const auto r = prepared(task, 0, p);
  const auto fit = fit_quadratics(*r, VectorXd::Constant(r->z.cols(), 0.0), 2, 1e-3);
  EXPECT_EQ(fit->q.c, 0.0);
  EXPECT_TRUE(fit->q.H.isZero(0) && fit->q.g.isZero(0));
  EXPECT_EQ(fit->r2, 1.0);
}

TEST(FitQuadratics, RejectsTargetsOrFeaturesThatAreNotFinite) {
  const Task task = task_with_terms(5, {{1, 1, 1, 1, 1, 1}});
  Problem p = random_problem(2, 1, 100, 0, 58);
  const auto r = prepared(task, 0, p);
  VectorXd y = VectorXd::Ones(r->z.cols());
  EXPECT_TRUE(fit_quadratics(*r, y, 2, 1e-3));
  y[3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(fit_quadratics(*r, y, 2, 1e-3));

  p.data[0].x.col(p.samples.row[0]).setConstant(1e200);  // its squares overflow
  const auto overflown = prepared(task, 0, p);
  EXPECT_FALSE(overflown && fit_quadratics(*overflown, VectorXd::Ones(100), 2, 1e-3));
}

}  // namespace
}  // namespace kedge
