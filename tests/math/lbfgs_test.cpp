#include "kedge/math/lbfgs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

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

// Not inlined, as Quadratic is not: two places that call it get the same bits.
[[gnu::noinline]] double rosenbrock(VectorIn x, VectorOut g) {
  double f = 0;
  g.setZero();
  for (Index i = 0; i + 1 < x.size(); ++i) {
    const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    f += 100 * a * a + b * b;
    g[i] += -400 * a * x[i] - 2 * b;
    g[i + 1] += 200 * a;
  }
  return f;
}

/// x'Hx/2 - b'x with eigenvalues of H in [1, 1000].
struct Quadratic {
  MatrixXd H;
  VectorXd b;
  explicit Quadratic(Index n, std::uint32_t number) {
    Stream random(7, number, static_cast<std::uint32_t>(n), 0);
    const Eigen::HouseholderQR<MatrixXd> qr(random_matrix(n, n, random));
    const MatrixXd Q = qr.householderQ();
    VectorXd eigenvalue(n);
    for (Index i = 0; i < n; ++i) eigenvalue[i] = std::pow(10.0, 3 * random.uniform());
    H = Q * eigenvalue.asDiagonal() * Q.transpose();
    b = random_vector(n, random);
  }
  [[gnu::noinline]] double operator()(VectorIn x, VectorOut g) const {
    g = H * x - b;
    return 0.5 * x.dot(H * x) - b.dot(x);
  }
};

TEST(Lbfgs, FindsTheMinimumOfRosenbrock) {
  for (const Index n : {2, 10, 50}) {
    VectorXd start(n);
    for (Index i = 0; i < n; ++i) start[i] = i % 2 == 0 ? -1.2 : 1.0;
    const LbfgsResult r = lbfgs(rosenbrock, start, {});
    EXPECT_EQ(r.status, LbfgsStatus::converged) << n << ": " << r.message;
    VectorXd g(n);
    EXPECT_EQ(r.before, rosenbrock(start, g));
    EXPECT_EQ(r.after, rosenbrock(r.x, g));
    EXPECT_EQ(r.gradient, g.cwiseAbs().maxCoeff());
    EXPECT_LE(r.gradient, 1e-6);
    EXPECT_LT((r.x - VectorXd::Ones(n)).cwiseAbs().maxCoeff(), 1e-5) << n;
    EXPECT_LT(r.evaluations, 60 * n);
  }
}

TEST(Lbfgs, SolvesConvexQuadratics) {
  for (const Index n : {1, 3, 20, 100})
    for (std::uint32_t number = 0; number < 5; ++number) {
      const Quadratic q(n, number);
      Stream random(8, number, 0, 0);
      LbfgsOptions options;
      options.gradient_tolerance = 1e-5;
      const LbfgsResult r = lbfgs(q, 100 * random_vector(n, random), options);
      EXPECT_EQ(r.status, LbfgsStatus::converged) << r.message;
      EXPECT_LE((r.x - q.H.ldlt().solve(q.b)).norm(), 1e-5 * std::sqrt(static_cast<double>(n)));  // H >= I
    }
}

TEST(Lbfgs, IsInvariantToTheScaleOfTheFunction) {
  const Quadratic q(10, 1);
  Stream random(9, 0, 0, 0);
  const VectorXd start = random_vector(10, random);
  LbfgsOptions options;
  const LbfgsResult one = lbfgs(q, start, options);
  for (const int power : {-60, -3, 3, 60}) {
    const double unit = std::exp2(power);
    options.gradient_tolerance = 1e-6 * unit;
    const auto scaled = [&](VectorIn x, VectorOut g) {
      const double f = q(x, g) * unit;
      g *= unit;
      return f;
    };
    const LbfgsResult r = lbfgs(scaled, start, options);
    EXPECT_EQ(r.evaluations, one.evaluations);
    EXPECT_TRUE(same_bits(r.x, one.x));
    EXPECT_EQ(r.after, one.after * unit);
  }
}

TEST(Lbfgs, EqualsBruteForceWithinBounds) {
  // All 3^n choices of entries at a bound or free: the feasible one with the least value is the minimum.
  constexpr Index n = 5;
  for (std::uint32_t number = 0; number < 20; ++number) {
    const Quadratic q(n, number);
    const VectorXd low = VectorXd::Constant(n, -0.02), high = VectorXd::Constant(n, 0.01);
    double least = inf;
    VectorXd best(n), g(n);
    for (int code = 0; code < 243; ++code) {
      std::vector<Index> free;
      VectorXd x = VectorXd::Zero(n);
      for (Index i = 0, c = code; i < n; ++i, c /= 3)
        if (c % 3 == 0)
          free.push_back(i);
        else
          x[i] = c % 3 == 1 ? low[i] : high[i];
      if (!free.empty()) x(free) = VectorXd(MatrixXd(q.H(free, free)).ldlt().solve(VectorXd((q.b - q.H * x)(free))));
      if ((x.array() < low.array() - 1e-14).any() || (x.array() > high.array() + 1e-14).any()) continue;
      if (const double f = q(x, g); f < least) least = f, best = x;
    }
    LbfgsOptions options;
    options.lower = low;
    options.upper = high;
    options.gradient_tolerance = 1e-8;
    int outside = 0;
    const auto watched = [&](VectorIn x, VectorOut gradient) {
      outside += (x.array() < low.array()).any() || (x.array() > high.array()).any();
      return q(x, gradient);
    };
    const LbfgsResult r = lbfgs(watched, VectorXd::Zero(n), options);
    EXPECT_EQ(r.status, LbfgsStatus::converged) << r.message;
    EXPECT_LT((r.x - best).cwiseAbs().maxCoeff(), 1e-8) << number;
    EXPECT_NEAR(r.after, least, 1e-12);
    EXPECT_EQ(outside, 0);
  }
}

TEST(Lbfgs, KeepsOneSidedBoundsAndFixedEntries) {
  LbfgsOptions options;
  options.lower = VectorXd{{-inf, 2, 0.5}};
  options.upper = VectorXd{{inf, inf, 0.5}};
  const auto f = [](VectorIn x, VectorOut g) {
    g = 2 * x;
    return x.squaredNorm();
  };
  const LbfgsResult r = lbfgs(f, VectorXd{{7, 9, 0.5}}, options);
  EXPECT_EQ(r.status, LbfgsStatus::converged) << r.message;
  EXPECT_NEAR(r.x[0], 0, 1e-6);
  EXPECT_EQ(r.x[1], 2);
  EXPECT_EQ(r.x[2], 0.5);
  options.upper = {};
  EXPECT_EQ(lbfgs(f, VectorXd{{7, 9, 0.5}}, options).x[1], 2);
}

TEST(Lbfgs, IsDeterministic) {
  VectorXd start = VectorXd::Constant(30, -1);
  LbfgsOptions options;
  options.max_evaluations = 57;
  const LbfgsResult a = lbfgs(rosenbrock, start, options);
  for (int i = 0; i < 3; ++i) {
    const VectorXd disturb(1000 + i);  // other addresses
    EXPECT_TRUE(same_bits(lbfgs(rosenbrock, start, options).x, a.x));
  }
}

TEST(Lbfgs, StartsAtTheMinimumAndStaysThere) {
  const LbfgsResult r = lbfgs(rosenbrock, VectorXd::Ones(4), {});
  EXPECT_EQ(r.status, LbfgsStatus::converged);
  EXPECT_EQ(r.evaluations, 1);
  EXPECT_EQ(r.x, VectorXd::Ones(4));
}

TEST(Lbfgs, KeepsTheBestPointWhenEvaluationsRunOut) {
  for (const int most : {1, 2, 3, 7, 20}) {
    LbfgsOptions options;
    options.max_evaluations = most;
    int calls = 0;
    double least = inf;
    const auto f = [&](VectorIn x, VectorOut g) {
      ++calls;
      const double value = rosenbrock(x, g);
      least = std::min(least, value);
      return value;
    };
    const LbfgsResult r = lbfgs(f, VectorXd::Constant(6, 3), options);
    EXPECT_EQ(r.status, LbfgsStatus::max_evaluations);
    EXPECT_EQ(calls, most);
    EXPECT_EQ(r.evaluations, most);
    EXPECT_EQ(r.after, least);
    VectorXd g(6);
    EXPECT_EQ(rosenbrock(r.x, g), least);
    EXPECT_LE(r.after, r.before);
  }
}

TEST(Lbfgs, IsCancelledByItsStopToken) {
  std::stop_source source;
  LbfgsOptions options;
  options.stop = source.get_token();
  int calls = 0;
  const auto f = [&](VectorIn x, VectorOut g) {
    if (++calls == 5) source.request_stop();
    return rosenbrock(x, g);
  };
  const LbfgsResult r = lbfgs(f, VectorXd::Constant(6, 3), options);
  EXPECT_EQ(r.status, LbfgsStatus::cancelled);
  EXPECT_EQ(calls, 5);
  EXPECT_LT(r.after, r.before);
  const LbfgsResult none = lbfgs(f, VectorXd::Constant(6, 3), options);
  EXPECT_EQ(none.status, LbfgsStatus::cancelled);
  EXPECT_EQ(none.evaluations, 0);
  EXPECT_EQ(none.x, VectorXd::Constant(6, 3));
  EXPECT_TRUE(std::isnan(none.before));
}

TEST(Lbfgs, ReportsValuesAndGradientsThatAreNotFinite) {
  for (const double bad : {nan, inf, -inf})
    for (const int when : {1, 4})
      for (const bool in_gradient : {false, true}) {
        int calls = 0;
        const auto f = [&](VectorIn x, VectorOut g) {
          const double value = rosenbrock(x, g);
          if (++calls < when) return value;
          if (!in_gradient) return bad;
          g[2] = bad;
          return value;
        };
        const VectorXd start = VectorXd::Constant(6, 3);
        const LbfgsResult r = lbfgs(f, start, {});
        EXPECT_EQ(r.status, LbfgsStatus::not_finite);
        EXPECT_EQ(calls, when);
        EXPECT_EQ(r.evaluations, when);
        EXPECT_THAT(r.message, HasSubstr(in_gradient ? "gradient[2] = " : "value "));
        EXPECT_THAT(r.message, HasSubstr(fmt::format("{} at evaluation {}", bad, when)));
        EXPECT_TRUE(r.x.allFinite());
        if (when == 1) {
          EXPECT_EQ(r.x, start);
        } else {
          EXPECT_LT(r.after, r.before);
        }
      }
}

TEST(Lbfgs, AWrongGradientStallsAndSaysSo) {
  const auto uphill = [](VectorIn x, VectorOut g) {
    g = -2 * x;
    return x.squaredNorm();
  };
  const LbfgsResult r = lbfgs(uphill, VectorXd::Ones(3), {});
  EXPECT_EQ(r.status, LbfgsStatus::stalled);
  EXPECT_THAT(r.message, HasSubstr("largest gradient entry 2 (tolerance 1e-06)"));
  EXPECT_EQ(r.after, r.before);
}

TEST(Lbfgs, RoundingStalls) {
  const auto flat = [](VectorIn x, VectorOut g) {  // 1e9 hides the last part of the way
    g = 2 * (x.array() - 0.3).matrix();
    return 1e9 + (x.array() - 0.3).square().sum();
  };
  LbfgsOptions options;
  options.gradient_tolerance = 1e-14;
  const LbfgsResult r = lbfgs(flat, VectorXd::Constant(3, 40), options);
  EXPECT_TRUE(r.status == LbfgsStatus::stalled || r.status == LbfgsStatus::converged) << r.message;
  EXPECT_LT(r.gradient, 1e-2);
  EXPECT_LT(r.evaluations, 200);
}

TEST(Lbfgs, PassesExceptionsOn) {
  for (const int when : {1, 4}) {
    int calls = 0;
    const auto f = [&](VectorIn x, VectorOut g) {
      if (++calls == when) throw std::runtime_error("from inside");
      return rosenbrock(x, g);
    };
    EXPECT_THROW((void)lbfgs(f, VectorXd::Constant(6, 3), {}), std::runtime_error);
    EXPECT_EQ(calls, when);
  }
}

TEST(Lbfgs, RejectsBadInput) {
  const auto message = [](const VectorXd& start, auto change) -> std::string {
    LbfgsOptions options;
    change(options);
    try {
      (void)lbfgs(rosenbrock, start, options);
      return "nothing";
    } catch (const InputError& e) {
      return e.what();
    }
  };
  const VectorXd x = VectorXd::Zero(3);
  const auto same = [](LbfgsOptions&) {};
  EXPECT_EQ(message(x, same), "nothing");
  EXPECT_THAT(message(VectorXd(), same), HasSubstr("variables = 0"));
  EXPECT_THAT(message(VectorXd{{0, nan, 0}}, same), HasSubstr("start[1] = nan"));
  EXPECT_THAT(message(VectorXd{{0, 0, inf}}, same), HasSubstr("start[2] = inf"));
  EXPECT_THAT(message(x, [](LbfgsOptions& o) { o.storage = 0; }), HasSubstr("storage = 0"));
  EXPECT_THAT(message(x, [](LbfgsOptions& o) { o.max_evaluations = 0; }), HasSubstr("max_evaluations = 0"));
  for (const double bad : {0.0, -1.0, nan, inf})
    EXPECT_THAT(message(x, [&](LbfgsOptions& o) { o.gradient_tolerance = bad; }), HasSubstr("gradient_tolerance = "));
  EXPECT_THAT(message(x, [](LbfgsOptions& o) { o.lower = VectorXd::Zero(2); }), HasSubstr("lower bounds: 2 entries"));
  EXPECT_THAT(message(x, [](LbfgsOptions& o) { o.upper = VectorXd::Zero(4); }), HasSubstr("upper bounds: 4 entries"));
  EXPECT_THAT(message(x, [](LbfgsOptions& o) { o.lower = VectorXd::Ones(3); }), HasSubstr("start[0] = 0"));
  EXPECT_THAT(message(x, [](LbfgsOptions& o) { o.upper = VectorXd::Constant(3, nan); }), HasSubstr("start[0] = 0"));
}

}  // namespace
}  // namespace kedge
