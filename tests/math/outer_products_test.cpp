// Sums of outer products against their definition.
#include "kedge/math/outer_products.h"

#include <gtest/gtest.h>

#include <vector>

#include "kedge/core/random.h"
#include "kedge/math/vectors.h"

namespace kedge {
namespace {

MatrixXd random_matrix(Index rows, Index cols, std::uint32_t name) {
  Stream random(71, name, 0, 0);
  MatrixXd m(rows, cols);
  for (Index j = 0; j < cols; ++j) random.normal(m.col(j));
  return m;
}

TEST(AddOuterProducts, AddsEveryProductOnce) {
  for (const Index rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 17})
    for (const Index registers : {1, 2, 3, 4, 5, 6, 7, 8, 12})
      for (const Index count : {0, 1, 2, 33}) {
        SCOPED_TRACE(testing::Message() << rows << " rows, " << registers << " registers, " << count << " products");
        const Index width = registers * kLanes;
        const MatrixXd a = random_matrix(20, 40, 1), b = random_matrix(width + 3, 40, 2);
        std::vector<Index> row;
        for (Index r = 0; r < rows; ++r) row.push_back(r * 7 % 20);  // in any order
        MatrixXd sum = random_matrix(width, rows, 3), expected = sum;
        for (Index r = 0; r < rows; ++r)
          for (Index k = 0; k < count; ++k)
            expected.col(r) += a(row[static_cast<std::size_t>(r)], k) * b.col(k).head(width);
        add_outer_products(a.data(), 20, row, b.data(), width + 3, width, count, sum.data());
        EXPECT_LT((sum - expected).cwiseAbs().maxCoeff(), 1e-13);
      }
}

}  // namespace
}  // namespace kedge
