// What the methods that imitate trajectory optimisation share: the policy's cost as DDP sees it, the marginals, the samples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kedge/algorithms/guide.h"
#include "kedge/algorithms/network_training.h"
#include "kedge/algorithms/vgps.h"
#include "kedge/catalogue/fields.h"
#include "kedge/core/errors.h"
#include "small_tasks.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::DoubleIntegrator;
using test::random_matrix;
using test::random_vector;

MlpGaussian some_network(Index ds, Index da, Stream& random) {
  NetworkShape network;
  network.hidden = {4};
  network.input_mean = random_vector(ds, random);
  network.input_scale = VectorXd::Constant(ds, 1.5);
  network.output_scale = VectorXd::Constant(da, 2.0);
  VectorXd theta = random_theta(network, VectorXd::Constant(da, -0.3), random, 1.0, 1.0);
  return MlpGaussian(std::move(network), std::move(theta));
}

std::vector<MatrixXd> random_matrices(int count, Index rows, Index cols, Stream& random) {
  std::vector<MatrixXd> all;
  for (int i = 0; i < count; ++i) all.push_back(random_matrix(rows, cols, random));
  return all;
}

TEST(Annealed, GoesExponentiallyFromFirstToLastAndStays) {
  GuidedOptions options;
  options.alpha_first = 1.0;
  options.alpha_last = 0.1;
  options.anneal = 50;
  EXPECT_DOUBLE_EQ(annealed(options, 0), 1.0);
  EXPECT_DOUBLE_EQ(annealed(options, 25), std::sqrt(0.1));
  EXPECT_DOUBLE_EQ(annealed(options, 50), 0.1);
  EXPECT_DOUBLE_EQ(annealed(options, 400), 0.1);
  options.anneal = 0;
  EXPECT_DOUBLE_EQ(annealed(options, 0), 0.1);
}

TEST(PolicyCost, IsMinusTheLogDensityAveragedOverTheOffsets) {
  const Task task = DoubleIntegrator().task();
  Stream random(1, 0, 0, 0);
  const MlpGaussian policy = some_network(2, 1, random);
  const auto offsets = random_matrices(task.horizon, 2, 3, random), K = random_matrices(task.horizon, 1, 2, random);
  const PolicyCost cost(task, policy, offsets, K);
  const VectorXd x = random_vector(2, random), a = random_vector(1, random);
  double sum = 0.0;
  for (Index i = 0; i < 3; ++i) sum -= policy.log_prob(4, x + offsets[4].col(i), a + K[4] * offsets[4].col(i));
  EXPECT_NEAR(cost.value(4, x, a), sum / 3, 1e-12 * std::abs(sum));
}

/// Gradient and action curvature are exact; of the curvature in x, Gauss-Newton keeps J'P J, which for a network that is
/// linear is all there is.
TEST(PolicyCost, ExpansionAgreesWithDifferences) {
  const Task task = DoubleIntegrator().task();
  Stream random(2, 0, 0, 0);
  for (const bool linear : {false, true}) {
    MlpGaussian policy = some_network(2, 1, random);
    if (linear) {
      NetworkShape network = policy.shape();
      network.hidden.clear();
      VectorXd theta = random_theta(network, VectorXd::Constant(1, 0.2), random, 1.0, 1.0);
      policy = MlpGaussian(std::move(network), std::move(theta));
    }
    const PolicyCost cost(task, policy, random_matrices(task.horizon, 2, 5, random),
                          random_matrices(task.horizon, 1, 2, random));
    const VectorXd x = random_vector(2, random), a = random_vector(1, random);
    StageCost q = StageCost::zero(2, 1);
    cost.add_expansion(3, x, a, q);
    EXPECT_NEAR(q.c, cost.value(3, x, a), 1e-12 * std::abs(q.c));

    const double h = 1e-4;
    const auto f = [&](double x0, double x1, double a0) {
      return cost.value(3, x + h * test::vec({x0, x1}), a + h * test::vec({a0}));
    };
    const double tolerance = 1e-5 * (1.0 + q.Hxx.norm() + std::abs(q.Huu(0, 0)));
    EXPECT_NEAR(q.gx[0], (f(1, 0, 0) - f(-1, 0, 0)) / (2 * h), tolerance);
    EXPECT_NEAR(q.gx[1], (f(0, 1, 0) - f(0, -1, 0)) / (2 * h), tolerance);
    EXPECT_NEAR(q.gu[0], (f(0, 0, 1) - f(0, 0, -1)) / (2 * h), tolerance);
    EXPECT_NEAR(q.Huu(0, 0), (f(0, 0, 1) - 2 * f(0, 0, 0) + f(0, 0, -1)) / (h * h), tolerance);
    EXPECT_NEAR(q.Hux(0, 1), (f(0, 1, 1) - f(0, 1, -1) - f(0, -1, 1) + f(0, -1, -1)) / (4 * h * h), tolerance);
    const double mixed = (f(1, 1, 0) - f(1, -1, 0) - f(-1, 1, 0) + f(-1, -1, 0)) / (4 * h * h);
    EXPECT_NEAR(q.Hxx(0, 1), linear ? mixed : q.Hxx(0, 1), tolerance);
    MatrixXd joint(3, 3);
    joint << q.Hxx, q.Hux.transpose(), q.Hux, q.Huu;
    EXPECT_GE(joint.selfadjointView<Eigen::Lower>().eigenvalues().minCoeff(), -1e-10 * joint.norm());
  }
}

/// Its marginals are none of its dynamics: they are what the tests ask for.
Guide some_guide(const Task& task, Stream& random) {
  const int T = task.horizon;
  Guide guide;
  guide.q.x = random_matrix(2, T + 1, random);
  guide.q.a = random_matrix(1, T, random);
  guide.q.K = random_matrices(T, 1, 2, random);
  guide.q.Sigma.assign(static_cast<std::size_t>(T), MatrixXd::Constant(1, 1, 0.3));
  for (int t = 0; t <= T; ++t) {
    const MatrixXd L = random_matrix(2, 2, random);
    guide.S.push_back(L * L.transpose());
    guide.S_wide.push_back(4.0 * guide.S.back());
  }
  guide.S[1] << 4.0, 2.0, 2.0, 1.0;  // singular
  return guide;
}

TEST(MarginalOffsets, HaveTheirCovarianceAndBeginWithTheTrajectory) {
  const Task task = DoubleIntegrator().task();
  Stream random(3, 0, 0, 0);
  const Guide guide = some_guide(task, random);
  const int count = 20000;
  const auto offsets = marginal_offsets(guide.S, count, {.seed = 1}, 2);
  ASSERT_EQ(offsets.size(), static_cast<std::size_t>(task.horizon));
  for (std::size_t t = 0; t < offsets.size(); ++t) {
    EXPECT_TRUE(offsets[t].col(0).isZero(0));
    const MatrixXd cov = offsets[t] * offsets[t].transpose() / count;
    EXPECT_LT((cov - guide.S[t]).norm(), 0.05 * guide.S[t].norm()) << "step " << t;
  }
  EXPECT_LT((offsets[1].row(0) - 2.0 * offsets[1].row(1)).norm(), 1e-9 * offsets[1].norm());
}

TEST(MarginalOffsets, DependOnTheirNameAlone) {
  const Task task = DoubleIntegrator().task();
  Stream random(4, 0, 0, 0);
  const Guide guide = some_guide(task, random);
  const auto draw = [&](const DrawName& name, int threads) { return marginal_offsets(guide.S, 5, name, threads); };
  const auto first = draw({1, 2, 3, 4}, 1);
  for (const int threads : {1, 2, 8}) {
    const auto again = draw({1, 2, 3, 4}, threads);
    for (std::size_t t = 0; t < first.size(); ++t) EXPECT_TRUE(test::same_bits(first[t], again[t]));
  }
  for (const DrawName& other : {DrawName{0, 2, 3, 4}, DrawName{1, 0, 3, 4}, DrawName{1, 2, 0, 4}, DrawName{1, 2, 3, 0}})
    EXPECT_NE(first[0], draw(other, 1)[0]);
}

TEST(GuideSamples, AreStatesOfTheMarginalsWithTheGuidesMeanActions) {
  const Task task = DoubleIntegrator().task();
  Stream random(5, 0, 0, 0);
  const std::vector<Guide> guides{some_guide(task, random), some_guide(task, random)};
  GuidedOptions options;
  options.fit_samples = 3;
  options.tail = 4;
  const FitData data = guide_samples(task, guides, Marginals::own, options, {.seed = 1}, 1);
  const FitData wide = guide_samples(task, guides, Marginals::wide, options, {.seed = 1}, 1);
  const Index T = task.horizon - 4;
  ASSERT_EQ(data.s.cols(), 2 * T * 3);
  for (Index g = 0; g < 2; ++g)
    for (Index t = 0; t < T; ++t)
      for (Index i = 0; i < 3; ++i) {
        const Index n = (g * T + t) * 3 + i;
        const auto& q = guides[static_cast<std::size_t>(g)].q;
        const VectorXd expected = q.a.col(t) + q.K[static_cast<std::size_t>(t)] * (data.s.col(n) - q.x.col(t));
        EXPECT_NEAR(data.target(0, n), expected[0], 1e-12);
        EXPECT_EQ(data.variance(0, n), 0.3);
        EXPECT_EQ(data.weight[n], 1.0);
        EXPECT_EQ(data.s.col(n) == q.x.col(t), i == 0);
        if (t == 1) continue;  // there S is not a quarter of S_wide
        EXPECT_LT((wide.s.col(n) - q.x.col(t) - 2.0 * (data.s.col(n) - q.x.col(t))).norm(), 1e-12);
      }
}

TEST(Guide, RoundTripsThroughFieldsWithItsMarginals) {
  const Task task = DoubleIntegrator().task();
  Stream random(6, 0, 0, 0);
  GuidedOptions options;
  options.noise_scale = 2.0;
  const auto T = static_cast<std::size_t>(task.horizon);
  Guide guide{some_guide(task, random).q,
              {.A = random_matrices(task.horizon, 2, 2, random),
               .B = random_matrices(task.horizon, 2, 1, random),
               .C = std::vector<MatrixXd>(T + 1, MatrixXd(0, 2)),
               .D = std::vector<MatrixXd>(T, MatrixXd(0, 1))},
              {},
              {}};
  guide = with_marginals(task, std::move(guide), nullptr, options);
  const Guide back = with_marginals(task, state_from<Guide>(fields_of(guide)), nullptr, options);
  EXPECT_EQ(back.q.x, guide.q.x);
  EXPECT_EQ(back.q.a, guide.q.a);
  EXPECT_EQ(back.q.K, guide.q.K);
  EXPECT_EQ(back.q.Sigma, guide.q.Sigma);
  EXPECT_EQ(back.lin.A, guide.lin.A);
  EXPECT_EQ(back.lin.B, guide.lin.B);
  EXPECT_EQ(back.lin.C.size(), guide.lin.C.size());
  EXPECT_EQ(back.lin.D.size(), guide.lin.D.size());
  EXPECT_EQ(back.S, guide.S);
  EXPECT_EQ(back.S_wide, guide.S_wide);
  EXPECT_NO_THROW(require_guides(task, 1, {guide}, 1));
  EXPECT_THROW(require_guides(task, 0, {guide}, 1), InputError);
  EXPECT_THROW(require_guides(task, 1, {guide}, 2), InputError);
  Task longer = task;
  ++longer.horizon;
  EXPECT_THROW(require_guides(longer, 1, {guide}, 1), InputError);
}

TEST(StartCovariance, IsThatOfTheTasksStart) {
  Task task = DoubleIntegrator().task();
  task.start.spread << 0.1, 0.4;
  EXPECT_TRUE(start_covariance(task, 2.0).isApprox(test::vec({0.04, 0.64}).asDiagonal().toDenseMatrix()));
  task.start.kind = StartDistribution::Kind::uniform;
  EXPECT_TRUE(start_covariance(task, 2.0).isApprox(test::vec({0.04 / 3, 0.64 / 3}).asDiagonal().toDenseMatrix()));
}

/// Sigma_f = (noise_scale^2 - 1) B Sigma B' on top: recursion written out.
TEST(InitialGuide, HasTheMarginalsOfItsNoiseTimesTheScale) {
  const Task task = DoubleIntegrator().task();
  GuidedOptions options;
  options.start_spread = 1.0;
  options.noise_scale = 3.0;
  auto plan = initial_guide(task, 0, nullptr, options, kedge::Run{1, 1, {}});
  ASSERT_TRUE(plan) << plan.ending().message;
  const Guide& guide = plan->guide;
  const Linearisation lin = [&] {
    SystemClones clones(*task.system, 1);
    return linearise(task, guide.q.x, guide.q.a, {}, clones);
  }();
  MatrixXd S = start_covariance(task, 1.0), S_wide = S;
  for (std::size_t t = 0; t < guide.q.K.size(); ++t) {
    EXPECT_TRUE(guide.S[t].isApprox(S, 1e-6)) << "step " << t;
    EXPECT_TRUE(guide.S_wide[t].isApprox(S_wide, 1e-6)) << "step " << t;
    const MatrixXd closed = lin.A[t] + lin.B[t] * guide.q.K[t],
                   noise = lin.B[t] * guide.q.Sigma[t] * lin.B[t].transpose();
    S = (closed * S * closed.transpose() + noise).eval();
    S_wide = (closed * S_wide * closed.transpose() + 9.0 * noise).eval();
  }
}

/// A task whose trajectory moves has units of its own size; of what hardly moves, the guide's width is the unit: a network that
/// sees velocities of 1e-3 in units of 1e-3 cannot be fitted where the start spreads them by 1.
TEST(InitialNetwork, MeasuresInUnitsOfTheTrajectoryOrOfTheGuidesWidthWhereThatHardlyMoves) {
  const Task task = DoubleIntegrator().task();
  const int T = task.horizon;
  GuidedOptions options;
  options.start_spread = 1.0;
  auto plan = initial_guide(task, 0, nullptr, options, kedge::Run{1, 1, {}});
  ASSERT_TRUE(plan) << plan.ending().message;
  Guide guide = plan->guide;
  Eigen::Vector2d s_variance = Eigen::Vector2d::Zero();
  double a_variance = 0.0;
  for (int t = 0; t < T; ++t) {
    const auto at = static_cast<std::size_t>(t);
    s_variance += guide.S[at].diagonal() / T;
    a_variance += (guide.q.K[at] * guide.S[at] * guide.q.K[at].transpose() + guide.q.Sigma[at])(0, 0) / T;
  }
  const Eigen::Vector2d width = s_variance.cwiseSqrt();

  const auto with_size = [&](double size) {  // alternates between +-size about a mean
    for (int t = 0; t < T; ++t) {
      guide.q.x.col(t) = Eigen::Vector2d(3.0, -1.0) + (t % 2 ? size : -size) * width;
      guide.q.a(0, t) = size * std::sqrt(a_variance);
    }
    return initial_network(task, guide, options, 1).shape();
  };
  const NetworkShape moving = with_size(0.2), resting = with_size(0.05), still = with_size(0.0);
  EXPECT_TRUE(moving.input_scale.isApprox(0.2 * width, 0.01)) << moving.input_scale.transpose();
  EXPECT_NEAR(moving.output_scale[0], 0.2 * std::sqrt(a_variance), 1e-9);
  for (const NetworkShape& balancing : {resting, still}) {
    EXPECT_TRUE(balancing.input_scale.isApprox(width, 1e-9)) << balancing.input_scale.transpose();
    EXPECT_NEAR(balancing.output_scale[0], std::sqrt(a_variance), 1e-9);
  }
}

class StrayMarginals : public testing::Test {
 protected:
  StrayMarginals() {
    GuidedOptions options;
    options.start_spread = 1.0;
    options.process_std = 0.02;
    guide = initial_guide(task, 0, nullptr, options, kedge::Run{1, 1, {}})->guide;
  }
  [[nodiscard]] std::vector<MatrixXd> marginals(double gain, int stray) const {
    std::vector<MatrixXd> J = guide.q.K;
    for (MatrixXd& J_t : J) J_t *= gain;
    return stray_marginals({guide.lin.A, guide.lin.B, J, guide.q.Sigma}, Sf, guide.S, guide.S_wide, stray);
  }
  Task task = DoubleIntegrator().task();
  MatrixXd Sf = 4e-4 * MatrixXd::Identity(2, 2);
  Guide guide;
};

TEST_F(StrayMarginals, EqualTheGuidesForItsOwnGainsOrAResetAtEveryStep) {
  for (std::size_t t = 0; t < guide.S.size(); ++t) {
    EXPECT_TRUE(marginals(1.0, 20)[t].isApprox(guide.S[t], 1e-9)) << "step " << t;
    EXPECT_TRUE(marginals(0.3, 1)[t].isApprox(guide.S[t], 1e-9)) << "step " << t;
  }
}

/// The recursion written out, its bounds by the generalised eigenvectors M v = l S v, V' S V = I.
TEST_F(StrayMarginals, FollowTheNetworkAndAreNeverNarrowerThanTheGuides) {
  const std::vector<MatrixXd> P = marginals(0.7, 4);
  MatrixXd expected = guide.S.front();
  double widest = 0.0;
  for (std::size_t t = 0; t < guide.q.K.size(); ++t) {
    const MatrixXd closed = guide.lin.A[t] + 0.7 * guide.lin.B[t] * guide.q.K[t], &S = guide.S[t + 1];
    const MatrixXd M = 0.75 * (closed * expected * closed.transpose() +
                               guide.lin.B[t] * guide.q.Sigma[t] * guide.lin.B[t].transpose() + Sf) +
                       0.25 * S;
    const Eigen::GeneralizedSelfAdjointEigenSolver<MatrixXd> pencil(M, S);
    const MatrixXd SV = S * pencil.eigenvectors();
    expected = SV * pencil.eigenvalues().cwiseMax(1.0).asDiagonal() * SV.transpose();
    EXPECT_TRUE(P[t + 1].isApprox(expected, 1e-8)) << "step " << t;
    widest = std::max(widest, pencil.eigenvalues().maxCoeff());
  }
  EXPECT_GT(widest, 1.05);
}

TEST_F(StrayMarginals, OfAnUnstableNetworkAreAtMostTwentyTimesAsWideAsTheGuides) {
  const std::vector<MatrixXd> P = marginals(-3.0, 1000);
  for (std::size_t t = 1; t < P.size(); ++t)
    EXPECT_LE((P[t] * guide.S[t].inverse()).eigenvalues().real().maxCoeff(), 400.0 * (1.0 + 1e-6)) << "step " << t;
  EXPECT_GT((P.back() * guide.S.back().inverse()).eigenvalues().real().maxCoeff(), 399.0);
}

TEST(NetworkGains, AreTheDerivativeOfItsMean) {
  const Task task = DoubleIntegrator().task();
  Stream random(8, 0, 0, 0);
  const MatrixXd x = random_matrix(2, 4, random);
  const NetworkShape network{.hidden = {3},
                             .activation = Activation::softplus,
                             .output_bias = false,
                             .input_mean = VectorXd::Zero(2),
                             .input_scale = VectorXd::Ones(2),
                             .output_scale = VectorXd::Ones(1)};
  const MlpGaussian policy(network, random_theta(network, VectorXd::Zero(1), random));
  const std::vector<MatrixXd> J = network_gains(task, policy, x);
  ASSERT_EQ(J.size(), 3U);
  VectorXd above(1), below(1);
  for (Index t = 0; t < 3; ++t)
    for (Index i = 0; i < 2; ++i) {
      policy.mean(0, x.col(t) + 1e-5 * VectorXd::Unit(2, i), above);
      policy.mean(0, x.col(t) - 1e-5 * VectorXd::Unit(2, i), below);
      EXPECT_NEAR(J[static_cast<std::size_t>(t)](0, i), (above[0] - below[0]) / 2e-5, 1e-8);
    }
}

TEST(GuidedOptions, RefusesWhatIsImpossible) {
  const auto refused = [](const char* name, const auto& change) {
    VgpsOptions options;
    change(options);
    try {
      options.validate();
      ADD_FAILURE() << name;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(name));
    }
  };
  refused("iterations", [](VgpsOptions& o) { o.iterations = -1; });
  refused("rollouts", [](VgpsOptions& o) { o.rollouts = 0; });
  refused("hidden", [](VgpsOptions& o) { o.hidden = 0; });
  refused("layers", [](VgpsOptions& o) { o.layers = 0; });
  refused("alpha_first", [](VgpsOptions& o) { o.alpha_first = 0.0; });
  refused("alpha_last", [](VgpsOptions& o) { o.alpha_last = -1.0; });
  refused("anneal", [](VgpsOptions& o) { o.anneal = -1; });
  refused("initial_iterations", [](VgpsOptions& o) { o.initial_iterations = -1; });
  refused("guide_iterations", [](VgpsOptions& o) { o.guide_iterations = 0; });
  refused("guide_tolerance", [](VgpsOptions& o) { o.guide_tolerance = -0.1; });
  refused("stray", [](VgpsOptions& o) { o.stray = -1; });
  refused("policy_samples", [](VgpsOptions& o) { o.policy_samples = 0; });
  refused("start_spread", [](VgpsOptions& o) { o.start_spread = -1.0; });
  refused("process_std", [](VgpsOptions& o) { o.process_std = -1.0; });
  refused("noise_scale", [](VgpsOptions& o) { o.noise_scale = 0.9; });
  refused("fit_samples", [](VgpsOptions& o) { o.fit_samples = 0; });
  refused("first_evaluations", [](VgpsOptions& o) { o.first_evaluations = 0; });
  refused("evaluations", [](VgpsOptions& o) { o.evaluations = 0; });
  refused("resample", [](VgpsOptions& o) { o.resample = -1; });
  refused("tail", [](VgpsOptions& o) { o.tail = -1; });
  refused("weight_decay", [](VgpsOptions& o) { o.weight_decay = -1.0; });
  GuidedOptions whole_tail;
  whole_tail.tail = 15;
  EXPECT_THROW(require_guidable(DoubleIntegrator().task(), whole_tail), InputError);
}

}  // namespace
}  // namespace kedge
