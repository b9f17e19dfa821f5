#include "kedge/core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace kedge {
namespace {

using Block = std::array<std::uint32_t, 4>;

TEST(Philox, GivesTheKnownAnswersOfItsAuthors) {  // Random123, kat_vectors, philox4x32 10
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t f = 0xffffffff;
  EXPECT_EQ(philox({f, f, f, f}, {f, f}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Stream, GivesTheSameNumbersForTheSameName) {
  Stream a(1, 2, 3, 4), b(1, 2, 3, 4);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.bits(), b.bits());
  Stream c(1, 2, 3, 4), d(1, 2, 3, 4);
  VectorXd z(7);
  c.normal(z);
  for (Index i = 0; i < z.size(); ++i) EXPECT_EQ(z[i], d.normal());
}

TEST(Stream, DiffersInEveryPartOfTheName) {
  // 64 bits of 10 blocks of streams whose names are permutations and neighbours of one another: no value twice
  std::set<std::uint64_t> seen;
  std::size_t drawn = 0;
  for (const std::uint64_t seed : {0ull, 1ull, 2ull, 1ull << 32, (1ull << 32) + 1, ~0ull})
    for (std::uint32_t i = 0; i < 4; ++i)
      for (std::uint32_t j = 0; j < 4; ++j)
        for (std::uint32_t k = 0; k < 4; ++k) {
          Stream s(seed, i, j, k);
          for (int n = 0; n < 20; ++n, ++drawn) seen.insert(s.bits());
        }
  EXPECT_EQ(seen.size(), drawn);
}

TEST(Stream, UniformsFillTheUnitInterval) {
  constexpr int n = 1 << 20, cells = 256;
  Stream s(5, 0, 0, 0);
  std::vector<int> count(cells);
  for (int i = 0; i < n; ++i) {
    const double u = s.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++count[static_cast<std::size_t>(u * cells)];
  }
  double chi2 = 0;
  constexpr double expected = static_cast<double>(n) / cells;
  for (const int c : count) chi2 += (c - expected) * (c - expected) / expected;
  EXPECT_NEAR(chi2, cells - 1, 5 * std::sqrt(2.0 * cells));  // 5 standard deviations
}

TEST(Stream, NormalsHaveTheMomentsAndTailsOfN01) {
  constexpr int n = 1 << 20;
  Stream s(6, 1, 2, 3);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0, last = 0;
  int beyond2 = 0, beyond4 = 0;
  for (int i = 0; i < n; ++i) {
    const double z = s.normal();
    m1 += z, m2 += z * z, m3 += z * z * z, m4 += z * z * z * z;
    lag += z * last;
    last = z;
    beyond2 += std::abs(z) > 2;
    beyond4 += std::abs(z) > 4;
  }
  const double five = 5 / std::sqrt(static_cast<double>(n));  // 5 standard errors of a quantity of variance 1
  EXPECT_NEAR(m1 / n, 0, five);
  EXPECT_NEAR(m2 / n, 1, std::sqrt(2.0) * five);
  EXPECT_NEAR(m3 / n, 0, std::sqrt(15.0) * five);
  EXPECT_NEAR(m4 / n, 3, std::sqrt(96.0) * five);
  EXPECT_NEAR(lag / n, 0, five);
  EXPECT_NEAR(beyond2, n * 0.04550026, 5 * std::sqrt(n * 0.0455));
  EXPECT_NEAR(beyond4, n * 6.334e-5, 5 * std::sqrt(n * 6.334e-5));
}

TEST(Stream, NeighboursAreUncorrelated) {
  constexpr std::uint32_t n = 1 << 16;
  double iteration = 0, rollout = 0, step = 0, seed = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    const double z = Stream(1, i, 7, 9).normal();
    iteration += z * Stream(1, i + 1, 7, 9).normal();
    rollout += z * Stream(1, i, 8, 9).normal();
    step += z * Stream(1, i, 7, 10).normal();
    seed += z * Stream(2, i, 7, 9).normal();
  }
  for (const double sum : {iteration, rollout, step, seed})
    EXPECT_LT(std::abs(sum), 5 * std::sqrt(static_cast<double>(n)));
}

// ---- the table of streams --------------------------------------------------------------------------------------------

/// True if two uses have a stream in common.
bool overlap(const StreamUse& a, const StreamUse& b) {
  return a.first_iteration <= b.last_iteration && b.first_iteration <= a.last_iteration &&
         a.first_rollout <= b.last_rollout && b.first_rollout <= a.last_rollout;
}

TEST(Streams, OfDifferentUsesAreDisjoint) {
  int shared = 0;
  for (std::size_t i = 0; i < streams::all.size(); ++i) {
    const StreamUse& a = streams::all[i];
    EXPECT_TRUE(overlap(a, a)) << a.user << " has no stream";
    for (std::size_t j = 0; j < i; ++j) {
      const StreamUse& b = streams::all[j];
      const bool never_in_one_run = &a == &streams::all.back() && &b == &streams::all.front();  // ilqr has no training
      EXPECT_EQ(overlap(a, b), never_in_one_run) << a.user << " and " << b.user;
      shared += overlap(a, b);
    }
  }
  EXPECT_EQ(shared, 1);
}

TEST(Streams, HaveTheNamesThatStoredResultsWereMadeWith) {
  EXPECT_EQ(streams::training.iteration(7), 7U);
  EXPECT_EQ(streams::training.rollout(3), 3U);
  EXPECT_EQ(streams::guide_rollouts.iteration(2), 0x40000002U);
  EXPECT_EQ(streams::candidate_rollouts.iteration(2), 0x50000002U);
  EXPECT_EQ(streams::evaluation.iteration(0), 0xffffffffU);
  EXPECT_EQ(streams::marginals.rollout(5), 0xffff0005U);
  EXPECT_EQ(streams::marginal_step(3, 17), 3U * (1U << 20) + 17U);
  EXPECT_EQ(streams::network.rollout(0), 0xfffffff0U);
  EXPECT_EQ(streams::conditions.rollout(0), 0xfffffff1U);
  EXPECT_EQ(streams::fit.rollout(0), 0xfffffff2U);
  EXPECT_EQ(streams::directions.rollout(0), 0xfffffff3U);
  EXPECT_EQ(streams::imagination.rollout(0), 0xfffffff4U);
  EXPECT_EQ(streams::parameters.rollout(0), 0xfffffff5U);
  EXPECT_EQ(streams::projections.rollout(0), 0xfffffff6U);
  EXPECT_EQ(streams::mixture.rollout(0), 0xffffffffU);
  EXPECT_EQ(streams::first_actions.rollout(0), 0U);
}

TEST(Streams, OfMarginalsDifferByDrawAndTime) {
  std::set<std::uint32_t> seen;
  for (const int draw : {0, 1, 2, streams::policy_cost_draw})
    for (const Index t : {Index{0}, Index{1}, (Index{1} << 20) - 1}) seen.insert(streams::marginal_step(draw, t));
  EXPECT_EQ(seen.size(), 12U);
  EXPECT_EQ(*seen.rbegin(), 0xffffffffU) << "the last step of the last draw is the last name";
}

}  // namespace
}  // namespace kedge
