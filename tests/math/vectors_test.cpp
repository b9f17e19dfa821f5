// The kernels' promise: the same bits for every kind of vectors with fused multiply-adds.
#include "kedge/math/vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "kedge/core/errors.h"
#include "kedge/core/random.h"
#include "kedge/math/activation.h"
#include "kedge/math/outer_products.h"

namespace kedge {
namespace {

/// What `compute` returns under each kind of vectors.
template <class F>
std::vector<std::pair<std::string, VectorXd>> under_every_kind(const F& compute) {
  const std::string before = vectors_in_use();
  std::vector<std::pair<std::string, VectorXd>> results;
  for (const std::string& kind : vector_kinds()) {
    use_vectors(kind);
    results.emplace_back(kind, compute());
  }
  use_vectors(before);
  return results;
}

/// Fails unless fused kinds agree bit for bit, and the others to rounding.
void expect_equal(const std::vector<std::pair<std::string, VectorXd>>& results) {
  const VectorXd& best = results.front().second;
  for (const auto& [kind, result] : results) {
    SCOPED_TRACE(kind);
    const bool equal =
        std::memcmp(result.data(), best.data(), sizeof(double) * static_cast<std::size_t>(best.size())) == 0;
    EXPECT_TRUE(equal || kind == "portable");
    EXPECT_LT((result - best).cwiseAbs().maxCoeff(), 1e-12 * (1.0 + best.cwiseAbs().maxCoeff()));
  }
}

TEST(Vectors, OuterProductsAreEqualUnderEveryKind) {
  Stream random(3, 0, 0, 0);
  MatrixXd a(20, 50), b(100, 50);
  for (Index k = 0; k < 50; ++k) {
    random.normal(a.col(k));
    random.normal(b.col(k));
  }
  for (Index rows = 1; rows <= 13; ++rows)
    for (Index width = kLanes; width <= 12 * kLanes; width += kLanes) {
      std::vector<Index> row;
      for (Index r = 0; r < rows; ++r) row.push_back(r * 7 % 20);
      expect_equal(under_every_kind([&] {
        VectorXd sum = VectorXd::Constant(rows * width, 0.1);
        add_outer_products(a.data(), a.rows(), row, b.data(), b.rows(), width, a.cols(), sum.data());
        return sum;
      }));
    }
}

TEST(Vectors, ActivationsAreEqualUnderEveryKind) {
  Stream random(4, 0, 0, 0);
  VectorXd z(4096);
  random.normal(z);
  z *= 8;
  for (const auto apply : {apply_softplus, apply_tanh})
    expect_equal(under_every_kind([&] {
      VectorXd both(2 * z.size());
      both.head(z.size()) = z;
      apply(z.size(), both.data(), both.data() + z.size());
      return both;
    }));
}

TEST(Vectors, BestKindComesFirstAndIsInUse) {
  ASSERT_FALSE(vector_kinds().empty());
  EXPECT_EQ(vectors_in_use(), vector_kinds().front());
}

TEST(Vectors, UnknownKindIsRefused) {
  try {
    use_vectors("sse9");
    FAIL();
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("vectors 'sse9' are not among those of this build and processor: "));
  }
  EXPECT_EQ(vectors_in_use(), vector_kinds().front());
}

TEST(Vectors, SumAddsAllLanes) {
  const double lanes[kLanes] = {1, 2, 4, 8, 16, 32, 64, 128};
  EXPECT_EQ(sum_lanes(lanes), 255);
}

}  // namespace
}  // namespace kedge
