#include "kedge/math/running_moments.h"

#include <gtest/gtest.h>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

TEST(RunningMoments, AreThoseOfAllVectorsHoweverTheyArrive) {
  Stream random(1, 0, 0, 0);
  MatrixXd x = test::random_matrix(3, 100, random);
  x.row(1).array() += 1e6;  // far from zero: the deviation must not drown
  const VectorXd mean = x.rowwise().mean();
  const VectorXd deviation = ((x.colwise() - mean).cwiseAbs2().rowwise().sum() / 100.0).cwiseSqrt();
  for (const int block : {1, 7, 100}) {
    RunningMoments moments(3);
    for (Index first = 0; first < 100; first += block)
      add_columns(x.middleCols(first, std::min<Index>(block, 100 - first)), moments);
    EXPECT_EQ(moments.count, 100.0);
    EXPECT_LT((moments.mean - mean).cwiseQuotient(mean).cwiseAbs().maxCoeff(), 1e-12) << block;
    EXPECT_LT((deviations(moments) - deviation).cwiseAbs().maxCoeff(), 1e-8) << block;
  }
}

TEST(RunningMoments, HaveADeviationOfOneWhereThereIsNoSpread) {
  RunningMoments moments(2);
  EXPECT_EQ(deviations(moments), VectorXd::Ones(2));
  add_columns(MatrixXd(2, 0), moments);
  EXPECT_EQ(moments.count, 0.0);
  add_columns(VectorXd{{1, 5}}, moments);
  EXPECT_EQ(deviations(moments), VectorXd::Ones(2));
  add_columns(VectorXd{{3, 5}}, moments);
  EXPECT_NEAR(deviations(moments)[0], 1.0, 1e-15);
  EXPECT_EQ(deviations(moments)[1], 1.0);
}

}  // namespace
}  // namespace kedge
