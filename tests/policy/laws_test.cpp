// What every kind of policy keeps: a new row of `AnyPolicy` gets these laws, and needs its examples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <type_traits>

#include "kedge/files/policy_file.h"
#include "kedge/policy/kinds.h"
#include "kedge/policy/reordered.h"
#include "tests/support/numbers.h"
#include "tests/support/policies.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using test::examples;
using test::random_matrix;
using test::random_vector;
using test::same_bits;
using test::two_links;

/// The inputs of a network for observations at step 0.
MatrixXd inputs(const MlpGaussian& policy, const MatrixXd& s) {
  MatrixXd x = MatrixXd::Zero(policy.shape().inputs(), s.cols());
  x.topRows(s.rows()) = s;
  return x;
}

template <class P>
class PolicyLaws : public testing::Test {
 protected:
  /// Calls check(policy, t, s) for every example at its first and its last step, at most step 9.
  template <class Check>
  void for_examples(Check check) {
    Stream random(8, 0, 0, 0);
    for (const P& policy : examples(std::type_identity<P>()))
      for (const int t : {0, std::min(policy.horizon(), 10) - 1})
        check(policy, t, random_vector(policy.observation_dim(), random));
  }
};

template <class>
struct TypesOf;
template <class... P>
struct TypesOf<std::variant<P...>> {
  using Type = testing::Types<P...>;
};
TYPED_TEST_SUITE(PolicyLaws, TypesOf<AnyPolicy>::Type);

VectorXd mean_of(const Policy& policy, int t, const VectorXd& s) {
  VectorXd a(policy.action_dim());
  policy.mean(t, s, a);
  return a;
}

VectorXd sample_of(const Policy& policy, int t, const VectorXd& s, Stream noise) {
  VectorXd a(policy.action_dim());
  policy.sample(t, s, noise, a);
  return a;
}

/// The sums over a grid around the mean: of the density p, and of p times the squared distance from the mean.
struct Integral {
  double mass = 0.0;
  VectorXd mean = VectorXd::Zero(2);
  MatrixXd cov = MatrixXd::Zero(2, 2);
};
Integral integrate(const Policy& policy, int t, const VectorXd& s) {
  const VectorXd middle = mean_of(policy, t, s);
  constexpr double h = 0.1;
  Integral sum;
  for (int i = -180; i <= 180; ++i)
    for (int j = -180; j <= 180; ++j) {
      const VectorXd d = h * VectorXd{{1.0 * i, 1.0 * j}};
      const double p = h * h * std::exp(policy.log_prob(t, s, middle + d));
      sum.mass += p;
      sum.mean += p * d;
      sum.cov += p * d * d.transpose();
    }
  return sum;
}

/// Checks that pi'(a' | s') = pi(a | s), whatever the order of the entries.
void expect_same_actions(const Policy& policy, const Policy& moved, const std::vector<Index>& s_place,
                         const std::vector<Index>& a_place) {
  Stream random(3, 0, 0, 0);
  for (const int t : {0, std::min(policy.horizon(), 10) - 1}) {
    const VectorXd s = random_vector(policy.observation_dim(), random), a = random_vector(2, random);
    VectorXd s_moved = s, a_moved = a, expected = a;
    s_moved(s_place) = s;
    a_moved(a_place) = a;
    expected(a_place) = mean_of(policy, t, s);
    EXPECT_LT((mean_of(moved, t, s_moved) - expected).norm(), 1e-12 * (1 + expected.norm()));
    EXPECT_NEAR(moved.log_prob(t, s_moved, a_moved), policy.log_prob(t, s, a),
                1e-11 * (1 + std::abs(policy.log_prob(t, s, a))));
  }
}

TYPED_TEST(PolicyLaws, ReorderedEntriesGetTheSameActions) {
  Stream random(4, 0, 0, 0);
  const auto twisted = [](VectorIn q, VectorIn qd, VectorIn qdd, VectorOut a, MatrixOut inertia) {
    VectorXd torque(2);
    MatrixXd M(2, 2);
    two_links(q.reverse(), qd.reverse(), qdd.reverse(), torque, M);
    a = torque.reverse();
    inertia = M.reverse();
  };
  for (const TypeParam& policy : examples(std::type_identity<TypeParam>())) {
    std::vector<Index> s(static_cast<std::size_t>(policy.observation_dim())), a{1, 0};
    for (std::size_t i = 0; i < s.size(); ++i) s[i] = static_cast<Index>((i + 1) % s.size());
    const AnyPolicy moved = reordered(policy, s, a);
    expect_same_actions(policy, as_policy(moved), s, a);
    const VectorXd x0 = random_vector(5, random);
    const auto chosen = policy.for_episode(x0, [] { return two_links; });
    const auto chosen_moved = as_policy(moved).for_episode(x0, [&] { return twisted; });
    ASSERT_EQ(chosen != nullptr, chosen_moved != nullptr);
    if (chosen) expect_same_actions(*chosen, *chosen_moved, s, a);
  }
}

TYPED_TEST(PolicyLaws, DensityIntegratesToOneAroundTheMean) {
  this->for_examples([](const Policy& policy, int t, const VectorXd& s) {
    const Integral p = integrate(policy, t, s);
    EXPECT_NEAR(p.mass, 1.0, 1e-10);
    EXPECT_LT(p.mean.norm(), 1e-10);
  });
}

TYPED_TEST(PolicyLaws, SamplesHaveTheMeanAndCovarianceOfTheDensity) {
  this->for_examples([](const Policy& policy, int t, const VectorXd& s) {
    const MatrixXd S = integrate(policy, t, s).cov;
    const VectorXd middle = mean_of(policy, t, s);
    constexpr int n = 1 << 14;
    VectorXd mean = VectorXd::Zero(2);
    MatrixXd cov = MatrixXd::Zero(2, 2);
    for (std::uint32_t i = 0; i < n; ++i) {
      const VectorXd d = sample_of(policy, t, s, Stream(1, 0, i, 0)) - middle;
      mean += d / n;
      cov += d * d.transpose() / n;
    }
    const double five = 5 / std::sqrt(static_cast<double>(n));
    for (Index i = 0; i < 2; ++i) {
      EXPECT_NEAR(mean[i], 0, five * std::sqrt(S(i, i)));
      for (Index j = 0; j < 2; ++j)
        EXPECT_NEAR(cov(i, j), S(i, j), five * std::sqrt(S(i, i) * S(j, j) + S(i, j) * S(i, j)));
    }
  });
}

TYPED_TEST(PolicyLaws, SamplesDependOnTheStreamOnly) {
  this->for_examples([](const Policy& policy, int t, const VectorXd& s) {
    EXPECT_EQ(sample_of(policy, t, s, Stream(1, 2, 3, 4)), sample_of(policy, t, s, Stream(1, 2, 3, 4)));
    EXPECT_NE(sample_of(policy, t, s, Stream(1, 2, 3, 4)), sample_of(policy, t, s, Stream(1, 2, 3, 5)));
  });
}

TYPED_TEST(PolicyLaws, ScoreAgreesWithDifferencesOfTheDensity) {
  if constexpr (requires(const TypeParam& p, MatrixXd m, VectorXd w) { p.log_prob_gradient(m, m, w); }) {
    Stream random(9, 0, 0, 0);
    for (TypeParam policy : examples(std::type_identity<TypeParam>())) {
      constexpr Index N = 70;
      const MatrixXd s = random_matrix(policy.observation_dim(), N, random), a = random_matrix(2, N, random);
      const VectorXd w = random_vector(N, random), theta = policy.theta(),
                     score = policy.log_prob_gradient(inputs(policy, s), a, w);
      ASSERT_EQ(score.size(), theta.size());
      for (Index i = 0; i < theta.size(); ++i) {
        const auto value = [&](double step) {
          VectorXd moved = theta;
          moved[i] += step;
          policy.set_theta(moved);
          double sum = 0.0;
          for (Index n = 0; n < N; ++n) sum += w[n] * policy.log_prob(0, s.col(n), a.col(n));
          return sum;
        };
        const auto centred = [&](double h) { return (value(h) - value(-h)) / (2 * h); };
        EXPECT_NEAR(score[i], (4 * centred(1e-3) - centred(2e-3)) / 3, 1e-7 * (1 + score.norm()));
      }
    }
  } else {
    GTEST_SKIP() << "no gradient by a vector of parameters";
  }
}

TYPED_TEST(PolicyLaws, SavedPoliciesActAsBeforeBitForBit) {
  const TemporaryFolder folder;
  this->for_examples([&](const TypeParam& policy, int t, const VectorXd& s) {
    save_policy(folder.path("policy.h5"), policy, {});
    const AnyPolicy loaded = load_policy(folder.path("policy.h5")).policy;
    ASSERT_TRUE(std::holds_alternative<TypeParam>(loaded));
    const Policy& read = as_policy(loaded);
    EXPECT_EQ(read.horizon(), policy.horizon());
    EXPECT_TRUE(same_bits(mean_of(read, t, s), mean_of(policy, t, s)));
    const VectorXd a = sample_of(policy, t, s, Stream(1, 2, 3, 4));
    EXPECT_TRUE(same_bits(sample_of(read, t, s, Stream(1, 2, 3, 4)), a));
    EXPECT_EQ(read.log_prob(t, s, a), policy.log_prob(t, s, a));
    EXPECT_EQ(policy_bytes(loaded, {}), policy_bytes(policy, {}))
        << "nothing is lost, and equal contents are equal bytes";
  });
}

TYPED_TEST(PolicyLaws, SavedPoliciesChooseAsBeforeBitForBit) {
  const TemporaryFolder folder;
  const VectorXd x0 = VectorXd::LinSpaced(6, -1.0, 2.0);
  const auto model = [] { return InverseDynamics(two_links); };
  this->for_examples([&](const TypeParam& policy, int t, const VectorXd& s) {
    save_policy(folder.path("policy.h5"), policy, {});
    const AnyPolicy loaded = load_policy(folder.path("policy.h5")).policy;
    const auto before = policy.for_episode(x0, model), after = as_policy(loaded).for_episode(x0, model);
    ASSERT_EQ(before == nullptr, after == nullptr);
    if (!before) return;
    EXPECT_TRUE(same_bits(mean_of(*before, t, s), mean_of(*after, t, s)));
    EXPECT_NE(mean_of(*before, t, s), mean_of(policy, t, s)) << "the initial state counts";
  });
}

TEST(PolicyKinds, HaveDistinctNames) {
  std::set<std::string> names;
  for (const PolicyKind& kind : policy_kinds()) {
    EXPECT_TRUE(names.insert(kind.name).second);
    EXPECT_NE(std::string(kind.summary), "");
  }
  EXPECT_EQ(names.size(), std::variant_size_v<AnyPolicy>);
  EXPECT_STREQ(policy_kind(TvLinearGaussian()), "tv_linear_gaussian");
  EXPECT_STREQ(policy_kind(MlpGaussian()), "mlp_gaussian");
}

}  // namespace
}  // namespace kedge
