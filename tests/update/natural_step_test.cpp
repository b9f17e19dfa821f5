#include "kedge/update/natural_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/update/gaussian_step.h"
#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;
using test::random_vector;
using Status = NaturalStepStatus;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr Index P = 6;

/// A bound that is quadratic but for a share of third order, and a surrogate that is linear but for a curvature.
struct Valley {
  MatrixXd F;
  VectorXd g;
  double cubic = 0.0, bend = 0.0;
  std::vector<VectorXd> seen = {};

  explicit Valley(std::uint32_t number) {
    Stream random(1, number, 0, 0);
    const MatrixXd root = random_matrix(P, 2 * P, random);
    F = root * root.transpose() / P;
    g = random_vector(P, random);
  }
  NaturalStepProblem problem(const VectorXd& start = VectorXd::Zero(P)) {
    return {start, g, [this](const VectorXd& v) -> VectorXd { return F * v; },
            [this, start](const VectorXd& theta) {
              seen.push_back(theta);
              const VectorXd d = theta - start;
              const double model = 0.5 * d.dot(F * d);
              return Measured{model * (1.0 + cubic * std::sqrt(model)), g.dot(d) - bend * d.squaredNorm()};
            }};
  }
};

NaturalStepOptions undamped() { return {.epsilon = 0.1, .cg_iterations = 50, .damping = 0.0}; }

TEST(NaturalStep, IsTheConstrainedMaximumWhereTheModelIsExact) {
  for (std::uint32_t number = 0; number < 10; ++number) {
    Valley valley(number);
    Stream random(2, number, 0, 0);
    const VectorXd start = random_vector(P, random);
    NaturalStepOptions options = undamped();
    const VectorXd d = valley.F.llt().solve(valley.g);
    const VectorXd best = std::sqrt(2 * options.epsilon / valley.g.dot(d)) * d;
    options.lengths = 3;
    const NaturalStep step = natural_step(valley.problem(start), options);
    ASSERT_EQ(step.status, Status::ok) << step.message;
    // Rounding may put the first length beyond the bound; the next one is 2 % shorter.
    EXPECT_LT((step.theta - start - step.length * best).norm(), 1e-7 * best.norm());
    EXPECT_GE(step.length, 0.97);
    EXPECT_LE(step.measured.kl, options.epsilon * (1 + kBoundTolerance));
    EXPECT_NEAR(step.predicted, step.measured.gain, 1e-9);
  }
}

TEST(NaturalStep, MeetsTheBoundAsMeasuredHoweverWrongTheModel) {
  for (std::uint32_t number = 0; number < 10; ++number)
    for (const double cubic : {-0.5, 0.01, 1.0, 30.0, 1e3}) {
      Valley valley(number);
      valley.cubic = cubic;
      const NaturalStep step = natural_step(valley.problem(), undamped());
      ASSERT_EQ(step.status, Status::ok) << step.message;
      EXPECT_LE(step.measured.kl, 0.1 * (1 + kBoundTolerance));
      EXPECT_GT(step.measured.gain, 0.0);
      EXPECT_EQ(valley.seen.back(), step.theta) << "what is returned is what was measured";
      if (cubic > 0) {
        EXPECT_GT(step.measured.kl, 0.02) << "and no step is much shorter than it must be";
      }
    }
}

TEST(NaturalStep, ReferenceRuleAcceptsHalfMoreThanTheBound) {
  Valley valley(0);
  valley.cubic = 1.0;  // the first length has a KL of 0.13
  NaturalStepOptions options = undamped();
  options.rule = KlRule::reference;
  const NaturalStep step = natural_step(valley.problem(), options);
  ASSERT_EQ(step.status, Status::ok);
  EXPECT_EQ(step.lengths, 1);
  EXPECT_GT(step.measured.kl, 0.12);
  valley.cubic = 3.0;
  const NaturalStep halved = natural_step(valley.problem(), options);
  EXPECT_EQ(halved.length, 0.5);
}

TEST(NaturalStep, DampingShortensTheFirstLengthOfTheReferenceOnly) {
  Valley valley(3);
  NaturalStepOptions options = undamped();
  options.damping = 0.5;
  const VectorXd d = (valley.F + 0.5 * MatrixXd::Identity(P, P)).llt().solve(valley.g);
  const NaturalStep exact = natural_step(valley.problem(), options);
  EXPECT_NEAR(exact.theta.norm(), exact.length * std::sqrt(0.2 / d.dot(valley.F * d)) * d.norm(), 1e-7);
  options.rule = KlRule::reference;
  const NaturalStep reference = natural_step(valley.problem(), options);
  EXPECT_NEAR(reference.theta.norm(), std::sqrt(0.2 / d.dot(valley.g)) * d.norm(), 1e-7);
}

TEST(NaturalStep, ShortensUntilTheSurrogateImproves) {
  Valley valley(1);
  const double best = std::sqrt(0.2 / valley.g.dot(valley.F.llt().solve(valley.g)));
  valley.bend = 3.0 * valley.g.dot(valley.F.llt().solve(valley.g)) /
                (best * valley.F.llt().solve(valley.g).squaredNorm());  // the gain is positive below a third
  const NaturalStep step = natural_step(valley.problem(), undamped());
  ASSERT_EQ(step.status, Status::ok);
  EXPECT_LT(step.length, 0.34);
  EXPECT_GT(step.measured.gain, 0.0);
}

void expect_no_step(const NaturalStep& step, Status status, const VectorXd& start) {
  EXPECT_EQ(step.status, status) << to_string(step.status);
  EXPECT_NE(step.message, "");
  EXPECT_EQ(step.theta, start);
  EXPECT_EQ(step.measured.kl, 0.0);
  EXPECT_EQ(step.measured.gain, 0.0);
}

TEST(NaturalStep, StaysWhereNoLengthHelps) {
  Valley valley(2);
  const VectorXd start = VectorXd::Ones(P);
  NaturalStepProblem problem = valley.problem(start);
  int calls = 0;
  problem.measure = [&](const VectorXd&) { return ++calls, Measured{1e-3, -1.0}; };
  expect_no_step(natural_step(problem, undamped()), Status::no_length, start);
  EXPECT_EQ(calls, 10);
  problem.measure = [](const VectorXd&) { return Measured{1e-3, 0.0}; };  // not worse is not better
  expect_no_step(natural_step(problem, undamped()), Status::no_length, start);
  problem.measure = [](const VectorXd&) { return Measured{nan, 1.0}; };
  expect_no_step(natural_step(problem, undamped()), Status::no_length, start);
  problem.measure = [](const VectorXd&) { return Measured{0.01, nan}; };
  expect_no_step(natural_step(problem, undamped()), Status::no_length, start);
}

TEST(NaturalStep, SaysWhyThereIsNoDirection) {
  Valley valley(2);
  const VectorXd start = VectorXd::Ones(P);
  NaturalStepProblem problem = valley.problem(start);
  problem.gradient.setZero();
  expect_no_step(natural_step(problem, undamped()), Status::no_gradient, start);
  problem.gradient[2] = nan;
  expect_no_step(natural_step(problem, undamped()), Status::not_finite, start);
  problem = valley.problem(start);
  problem.fisher = [](const VectorXd& v) -> VectorXd { return -v; };
  expect_no_step(natural_step(problem, undamped()), Status::not_positive, start);
  problem.fisher = [](const VectorXd& v) -> VectorXd { return VectorXd::Zero(v.size()); };
  expect_no_step(natural_step(problem, undamped()), Status::not_positive, start);
  problem.fisher = [](const VectorXd& v) -> VectorXd { return nan * v; };
  expect_no_step(natural_step(problem, undamped()), Status::not_finite, start);
}

TEST(NaturalStep, RefusesWhatIsImpossible) {
  Valley valley(2);
  const auto with = [&](auto change) {
    NaturalStepOptions options = undamped();
    NaturalStepProblem problem = valley.problem();
    change(options, problem);
    EXPECT_THROW((void)natural_step(problem, options), InputError);
  };
  with([](auto& o, auto&) { o.epsilon = 0.0; });
  with([](auto& o, auto&) { o.damping = -1.0; });
  with([](auto& o, auto&) { o.lengths = 0; });
  with([](auto& o, auto&) { o.cg_iterations = 0; });
  with([](auto&, auto& p) { p.gradient = VectorXd::Ones(P + 1); });
}

}  // namespace
}  // namespace kedge
