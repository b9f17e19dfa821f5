// The layout of stored transitions.
#include "kedge/evaluation/epoch.h"

#include <gtest/gtest.h>

#include "data.h"

namespace kedge {
namespace {

using namespace kedge::test;

TEST(Transitions, HoldEveryUsableStepOrderedByTimeAndThenByRollout) {
  for (const std::vector<int>& diverged : {std::vector<int>{}, {0}, {1, 4}, {6}}) {
    const Sizes sizes{3, 2, 4, 7, 3, diverged};
    const Batch b = random_epoch(sizes, 0, 1).batch;
    const Transitions d = transitions(b);
    const Index usable = sizes.rollouts - static_cast<Index>(diverged.size());
    ASSERT_EQ(d.per_step, usable);
    ASSERT_EQ(d.size(), usable * sizes.horizon);
    ASSERT_EQ(usable_rollouts(b), usable);
    Index row = 0;
    for (int t = 0; t < sizes.horizon; ++t) {
      const MatrixXd s = observations_at(b, t);
      ASSERT_EQ(s.cols(), usable);
      Index column = 0;
      for (int n = 0; n < sizes.rollouts; ++n) {
        if (!b.usable(n)) continue;
        EXPECT_EQ(d.x.col(row).head(3), b.observation.col(b.at(n, t)));
        EXPECT_EQ(d.x.col(row).tail(2), b.action.col(b.step(n, t)));
        EXPECT_EQ(d.next.col(row), b.observation.col(b.at(n, t + 1)));
        EXPECT_EQ(d.terms.col(row), b.terms.col(b.at(n, t)));
        EXPECT_EQ(d.next_terms.col(row), b.terms.col(b.at(n, t + 1)));
        EXPECT_NEAR(d.cost_to_go[row], b.cost.col(n).tail(sizes.horizon + 1 - t).sum(), 1e-13);
        EXPECT_EQ(s.col(column++), b.observation.col(b.at(n, t)));
        ++row;
      }
    }
    EXPECT_EQ(observations_at(b, sizes.horizon).cols(), usable);  // the final state is a state too
  }
}

TEST(Transitions, AreEmptyWithoutAUsableRollout) {
  const Batch b = random_epoch({2, 1, 3, 2, 2, {0, 1}}, 0, 1).batch;
  EXPECT_EQ(transitions(b).size(), 0);
}

}  // namespace
}  // namespace kedge
