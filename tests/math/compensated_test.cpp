#include "kedge/math/compensated.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/numbers.h"

namespace kedge {
namespace {

using test::random_matrix;

#ifdef __SIZEOF_FLOAT128__
__extension__ using Quad = __float128;
#else
using Quad = long double;  // as precise, where there is no other
#endif

TEST(AffineDifference, IsRoundedOnce) {
  for (std::uint32_t i = 0; i < 300; ++i) {
    SCOPED_TRACE(i);
    Stream random(3, i, 0, 0);
    const Index m = 1 + i % 9, n = i % 22;
    // Two maps that agree to a part in 10^8 at points up to 10^12: doubles alone would be wrong by 10^-4.
    const MatrixXd A = random_matrix(m, n, random), B = A + 1e-8 * random_matrix(m, n, random);
    const VectorXd x = std::exp(28 * random.uniform()) * random_matrix(n, 1, random);
    const VectorXd a = random_matrix(m, 1, random) - A * x, b = random_matrix(m, 1, random) - B * x;
    const VectorXd difference = affine_difference(A, a, B, b, x);
    ASSERT_EQ(difference.size(), m);
    for (Index k = 0; k < m; ++k) {
      Quad exact = static_cast<Quad>(a[k]) - static_cast<Quad>(b[k]);
      for (Index j = 0; j < n; ++j)
        exact += (static_cast<Quad>(A(k, j)) - static_cast<Quad>(B(k, j))) * static_cast<Quad>(x[j]);
      const double expected = static_cast<double>(exact);
      EXPECT_NEAR(difference[k], expected, 2.3e-16 * std::abs(expected) + 1e-16);
    }
  }
}

}  // namespace
}  // namespace kedge
