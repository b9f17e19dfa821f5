#include "kedge/update/supervised_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using test::same_bits;
using ::testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

MlpGaussian policy(Index ds, std::vector<Index> hidden, Index da, bool output_bias, std::uint32_t number = 0) {
  Stream random(1, number, 0, 0);
  NetworkShape n{std::move(hidden),  Activation::softplus, output_bias,
                 VectorXd::Zero(ds), VectorXd::Ones(ds),   VectorXd::LinSpaced(da, 1, 2)};
  return MlpGaussian(n, random_theta(n, 0.1 * random_vector(da, random), random, 0.5, 0.5));
}

FitData data(const MlpGaussian& pi, Index N, std::uint32_t number = 0) {
  Stream random(2, number, 0, 0);
  FitData d;
  d.s = random_matrix(pi.observation_dim(), N, random);
  d.target = random_matrix(pi.action_dim(), N, random);
  d.variance = random_matrix(pi.action_dim(), N, random).array().square();
  d.weight = random_vector(N, random).array().square();
  return d;
}

FitResult fit(const MlpGaussian& pi, const FitData& d, const FitOptions& options, int threads = 1) {
  return supervised_fit(pi, d, options, Stream(3, 0, 0, 0), Run{0, threads, {}});
}

double plain_objective(const MlpGaussian& pi, const FitData& d, double decay) {
  double sum = 0;
  for (Index n = 0; n < d.s.cols(); ++n) {
    VectorXd mu(pi.action_dim());
    pi.mean(0, d.s.col(n), mu);
    for (Index i = 0; i < mu.size(); ++i)
      sum += d.weight[n] * ((std::pow(mu[i] - d.target(i, n), 2) + d.variance(i, n)) / (2 * std::pow(pi.std()[i], 2)) +
                            std::log(pi.std()[i]));
  }
  const Index head = pi.theta().size() - pi.action_dim();
  double squares = 0;
  for (Index p = 0; p < head; ++p) squares += std::pow(pi.theta()[p] * weight_mask(pi.shape())[p], 2);
  return sum / d.weight.sum() + decay * squares / 2;
}

TEST(FitObjective, IsTheFormulaAndItsGradient) {
  for (const auto& hidden : {std::vector<Index>{}, {5}, {4, 3}})
    for (const Index N : {1, 64, 150}) {
      MlpGaussian pi = policy(3, hidden, 2, true);
      const FitData d = data(pi, N);
      FitObjective objective(pi, d, 0.3, 1);
      VectorXd theta = pi.theta(), gradient(theta.size()), ignored(theta.size());
      EXPECT_NEAR(objective(theta, gradient), plain_objective(pi, d, 0.3), 1e-12);
      EXPECT_NEAR(objective.weight(), d.weight.sum(), 1e-12);
      for (Index p = 0; p < theta.size(); ++p) {
        const auto centred = [&](double h) {
          VectorXd up = theta, down = theta;
          up[p] += h;
          down[p] -= h;
          return (objective(up, ignored) - objective(down, ignored)) / (2 * h);
        };
        EXPECT_NEAR(gradient[p], (4 * centred(1e-3) - centred(2e-3)) / 3, 1e-8 * (1 + gradient.norm())) << p;
      }
    }
}

/// A linear policy with bias: its best fit is weighted least squares.
TEST(SupervisedFit, IsWeightedLeastSquaresForALinearPolicy) {
  const MlpGaussian pi = policy(3, {}, 2, true);
  const FitData d = data(pi, 300);
  MatrixXd x(4, 300);
  x << d.s, Eigen::RowVectorXd::Ones(300);
  const MatrixXd xw = x * d.weight.asDiagonal();
  const MatrixXd coefficients = (xw * x.transpose()).ldlt().solve(xw * d.target.transpose());  // [4, da]
  const MatrixXd squares = (coefficients.transpose() * x - d.target).array().square() + d.variance.array();
  const VectorXd variance = squares * d.weight / d.weight.sum();
  for (const FitMethod method : {FitMethod::lbfgs, FitMethod::adam}) {
    FitOptions options;
    options.method = method;
    options.decay = 0;
    options.gradient_tolerance = 1e-7;
    options.steps = 4000;
    const FitResult r = fit(pi, d, options);
    ASSERT_EQ(r.status, FitStatus::ok) << r.message;
    EXPECT_LT(r.after, r.before);
    const double tolerance = method == FitMethod::lbfgs ? 1e-6 : 0.03;
    const MatrixXd W = r.theta.head(6).reshaped(2, 3), b = r.theta.segment(6, 2);
    for (Index i = 0; i < 2; ++i) {
      const double scale = pi.shape().output_scale[i];
      EXPECT_LT((scale * W.row(i).transpose() - coefficients.col(i).head(3)).norm(), tolerance);
      EXPECT_NEAR(scale * b(i, 0), coefficients(3, i), tolerance);
      EXPECT_NEAR(r.theta[8 + i], 0.5 * std::log(variance[i]), tolerance);
    }
  }
}

/// The noise is the best one for the mean: the objective's derivative by log_std is 0 there, and the rest of theta is as it was.
TEST(WithFittedNoise, IsTheMinimumGivenTheMean) {
  const MlpGaussian pi = policy(4, {5}, 3, true);
  const FitData d = data(pi, 300);
  const VectorXd theta = with_fitted_noise(pi, d, 2);
  const Index head = theta.size() - 3;
  EXPECT_TRUE(same_bits(theta.head(head), pi.theta().head(head)));
  VectorXd gradient(theta.size());
  const double value = FitObjective(pi, d, 0.0, 1)(theta, gradient);
  EXPECT_LT(gradient.tail(3).lpNorm<Eigen::Infinity>(), 1e-12);
  for (Index i = 0; i < 3; ++i)
    for (const double step : {-0.1, 0.1}) {
      VectorXd other = theta;
      other[head + i] += step;
      EXPECT_GT(FitObjective(pi, d, 0.0, 1)(other, gradient), value);
    }
}

TEST(WithFittedNoise, StaysInItsBox) {
  const MlpGaussian pi = policy(2, {}, 1, false);
  FitData d = data(pi, 20);
  for (Index n = 0; n < 20; ++n) pi.mean(0, d.s.col(n), d.target.col(n));
  d.variance.setZero();
  EXPECT_EQ(with_fitted_noise(pi, d, 1).tail(1)[0], FitOptions{}.log_std_low);
}

TEST(SupervisedFit, RecoversALinearTruth) {
  const MlpGaussian pi = policy(4, {}, 2, true), truth = policy(4, {}, 2, true, 1);
  FitData d = data(pi, 100);
  d.target = truth.means(d.s);
  d.variance.setConstant(0.04);
  FitOptions options;
  options.decay = 0;
  const FitResult r = fit(pi, d, options);
  ASSERT_EQ(r.status, FitStatus::ok) << r.message;
  EXPECT_LT((r.theta.head(10) - truth.theta().head(10)).norm(), 1e-5);
  EXPECT_LT((r.theta.tail(2).array() - std::log(0.2)).matrix().norm(), 1e-5);
}

TEST(SupervisedFit, RecoversANetworkTruth) {
  const MlpGaussian pi = policy(3, {5}, 2, false), truth = policy(3, {5}, 2, false, 1);
  FitData d = data(pi, 500);
  d.target = truth.means(d.s);
  d.variance.setConstant(0.04);
  for (const FitMethod method : {FitMethod::lbfgs, FitMethod::adam}) {
    FitOptions options;
    options.method = method;
    options.decay = 0;
    options.max_evaluations = 500;
    const FitResult r = fit(pi, d, options);
    ASSERT_EQ(r.status, FitStatus::ok) << r.message;
    MlpGaussian learned = pi;
    learned.set_theta(r.theta);
    EXPECT_LT((learned.means(d.s) - d.target).array().square().mean(), 0.002) << r.message;
    EXPECT_NEAR(r.after, plain_objective(learned, d, 0), 1e-12);
  }
}

TEST(SupervisedFit, IgnoresSamplesOfWeightZero) {
  const MlpGaussian pi = policy(3, {5}, 2, false);
  FitData d = data(pi, 150);
  for (Index n = 0; n < 150; n += 3) d.weight[n] = 0;
  FitData less{MatrixXd(3, 100), MatrixXd(2, 100), MatrixXd(2, 100), VectorXd(100)};
  Index kept = 0;
  for (Index n = 0; n < 150; ++n)
    if (d.weight[n] != 0) {
      less.s.col(kept) = d.s.col(n);
      less.target.col(kept) = d.target.col(n);
      less.variance.col(kept) = d.variance.col(n);
      less.weight[kept++] = d.weight[n];
    }
  ASSERT_EQ(kept, 100);
  d.target(1, 3) = nan;  // nobody looks there
  for (const FitMethod method : {FitMethod::lbfgs, FitMethod::adam}) {
    FitOptions options;
    options.method = method;
    options.steps = 200;
    const FitResult a = fit(pi, d, options), b = fit(pi, less, options);
    EXPECT_EQ(a.status, FitStatus::ok) << a.message;
    EXPECT_TRUE(same_bits(a.theta, b.theta));
    EXPECT_EQ(a.after, b.after);
  }
}

TEST(SupervisedFit, CountsARepeatedSampleTwice) {
  const MlpGaussian pi = policy(3, {5}, 2, false);
  FitData d = data(pi, 100), twice = data(pi, 100);
  d.weight.setConstant(1);
  d.weight[40] = 2;
  twice.weight.setConstant(1);
  const auto repeat = [](const MatrixXd& m) {
    MatrixXd longer(m.rows(), m.cols() + 1);
    longer << m.leftCols(41), m.rightCols(60);
    return longer;
  };
  twice = {repeat(twice.s), repeat(twice.target), repeat(twice.variance), VectorXd::Ones(101)};
  FitOptions options;
  options.max_evaluations = 30;
  options.steps = 200;
  const FitResult a = fit(pi, d, options), b = fit(pi, twice, options);
  EXPECT_EQ(a.status, FitStatus::ok) << a.message;
  EXPECT_LT((a.theta - b.theta).norm(), 1e-7);
  EXPECT_NEAR(a.after, b.after, 1e-12);
  options.method = FitMethod::adam;
  EXPECT_TRUE(same_bits(fit(pi, d, options).theta, fit(pi, twice, options).theta));
}

TEST(SupervisedFit, DoesNotDependOnThreads) {
  const MlpGaussian pi = policy(17, {10}, 6, false);
  const FitData d = data(pi, 5000);
  for (const FitMethod method : {FitMethod::lbfgs, FitMethod::adam}) {
    FitOptions options;
    options.method = method;
    options.max_evaluations = 15;
    options.steps = 10;
    options.minibatch = 3000;
    options.learning_rate = 0.001;
    const FitResult one = fit(pi, d, options, 1);
    EXPECT_EQ(one.status, FitStatus::ok) << one.message;
    for (const int threads : {2, 8}) EXPECT_TRUE(same_bits(fit(pi, d, options, threads).theta, one.theta));
  }
}

TEST(SupervisedFit, KeepsLogStdInItsBox) {
  MlpGaussian pi = policy(3, {5}, 2, false);
  FitData d = data(pi, 100);
  d.target = pi.means(d.s);
  d.variance.row(0).setZero();  // asks for none at all
  d.variance.row(1).setConstant(100);
  for (const FitMethod method : {FitMethod::lbfgs, FitMethod::adam}) {
    FitOptions options;
    options.method = method;
    options.log_std_low = -0.5;
    options.log_std_high = 0.7;
    options.learning_rate = 0.003;
    const FitResult r = fit(pi, d, options);
    ASSERT_EQ(r.status, FitStatus::ok) << r.message;
    EXPECT_GE(r.theta.tail(2).minCoeff(), -0.5);
    EXPECT_LE(r.theta.tail(2).maxCoeff(), 0.7);
    EXPECT_EQ(r.theta.tail(2)[0], -0.5);
    EXPECT_EQ(r.theta.tail(2)[1], 0.7);
  }
  VectorXd theta = pi.theta();
  theta.tail(2) << -3, 5;  // begins outside
  d.variance.setOnes();
  pi.set_theta(theta);
  FitOptions options;
  options.log_std_low = -1;
  options.log_std_high = 1;
  const FitResult r = fit(pi, d, options);
  ASSERT_EQ(r.status, FitStatus::ok) << r.message;
  EXPECT_GE(r.theta.tail(2).minCoeff(), -1);
  EXPECT_LE(r.theta.tail(2).maxCoeff(), 1);
}

TEST(SupervisedFit, FailuresAreTypedAndKeepTheOldPolicy) {
  const MlpGaussian pi = policy(3, {5}, 2, false);
  const auto run = [&](auto change) {
    FitData d = data(pi, 100);
    FitOptions options;
    change(d, options);
    const FitResult r = fit(pi, d, options);
    EXPECT_TRUE(same_bits(r.theta, pi.theta()));
    return std::pair(r.status, r.message);
  };
  using Pair = std::pair<FitStatus, std::string>;
  const auto expect = [](const Pair& found, FitStatus status, const char* words) {
    EXPECT_EQ(found.first, status) << found.second;
    EXPECT_THAT(found.second, HasSubstr(words));
  };
  expect(run([](FitData& d, FitOptions&) { d.weight.setZero(); }), FitStatus::no_weight, "all 100 samples");
  expect(run([](FitData& d, FitOptions&) {
           d = {d.s.leftCols(0), d.target.leftCols(0), d.variance.leftCols(0), {}};
         }),
         FitStatus::no_weight, "all 0 samples");
  for (const double bad : {nan, inf}) {
    expect(run([&](FitData& d, FitOptions&) { d.s(2, 7) = bad; }), FitStatus::not_finite, "state entry 2 of sample 7");
    expect(run([&](FitData& d, FitOptions&) { d.target(1, 7) = bad; }), FitStatus::not_finite, "target entry 1 of");
    expect(run([&](FitData& d, FitOptions&) { d.variance(0, 7) = bad; }), FitStatus::not_finite, "variance entry 0 of");
    expect(run([&](FitData& d, FitOptions&) { d.weight[7] = bad; }), FitStatus::not_finite, "weight 0 of sample 7");
  }
  expect(run([](FitData& d, FitOptions&) { d.target(0, 0) = 1e200; }), FitStatus::not_finite, "old policy is inf");
  expect(run([](FitData&, FitOptions& o) { o.max_evaluations = 1; }), FitStatus::no_improvement, "1 evaluations");
  const auto adam = [&](double rate) {
    return run([&](FitData&, FitOptions& o) {
      o.method = FitMethod::adam;
      o.steps = 5;
      o.learning_rate = rate;
    });
  };
  expect(adam(5), FitStatus::no_improvement, "5 evaluations (Adam)");
  expect(adam(1e200), FitStatus::not_finite, "learning rate 1e+200");
}

TEST(SupervisedFit, IsCancelledByItsStopToken) {
  const MlpGaussian pi = policy(3, {5}, 2, false);
  std::stop_source source;
  source.request_stop();
  for (const FitMethod method : {FitMethod::lbfgs, FitMethod::adam}) {
    FitOptions options;
    options.method = method;
    const FitResult r =
        supervised_fit(pi, data(pi, 100), options, Stream(3, 0, 0, 0), kedge::Run{0, 1, source.get_token()});
    EXPECT_EQ(r.status, FitStatus::cancelled);
    EXPECT_TRUE(same_bits(r.theta, pi.theta()));
  }
}

TEST(SupervisedFit, RejectsBadInput) {
  const MlpGaussian pi = policy(3, {5}, 2, false);
  const auto message = [&](auto change) -> std::string {
    FitData d = data(pi, 10);
    FitOptions options;
    change(d, options);
    try {
      (void)fit(pi, d, options);
      return "nothing";
    } catch (const InputError& e) {
      return e.what();
    }
  };
  EXPECT_THAT(message([](FitData& d, FitOptions&) { d.s = MatrixXd::Zero(4, 10); }), HasSubstr("states 4x10"));
  EXPECT_THAT(message([](FitData& d, FitOptions&) { d.target = MatrixXd::Zero(2, 9); }), HasSubstr("targets 2x9"));
  EXPECT_THAT(message([](FitData& d, FitOptions&) { d.variance = MatrixXd::Zero(1, 10); }),
              HasSubstr("variances 1x10"));
  EXPECT_THAT(message([](FitData& d, FitOptions&) { d.weight = VectorXd::Ones(9); }), HasSubstr("weights 9"));
  EXPECT_THAT(message([](FitData& d, FitOptions&) { d.weight[3] = -1; }), HasSubstr("weight -1"));
  EXPECT_THAT(message([](FitData& d, FitOptions&) { d.variance(1, 3) = -2; }), HasSubstr("variance -2"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.decay = -1; }), HasSubstr("decay = -1"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.log_std_low = -400; }), HasSubstr("log_std_low = -400"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.log_std_high = 400; }), HasSubstr("log_std_high = 400"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.log_std_high = -10; }), HasSubstr("must be <= log_std_high"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.steps = 0; }), HasSubstr("steps = 0"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.minibatch = 0; }), HasSubstr("minibatch = 0"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.learning_rate = 0; }), HasSubstr("learning_rate = 0"));
  EXPECT_THAT(message([](FitData&, FitOptions& o) { o.max_evaluations = 0; }), HasSubstr("max_evaluations = 0"));
  EXPECT_THROW(
      FitObjective(pi, {MatrixXd::Zero(3, 1), MatrixXd::Zero(2, 1), MatrixXd::Zero(2, 1), VectorXd::Zero(1)}, 0, 1),
      InputError);
}

}  // namespace
}  // namespace kedge
