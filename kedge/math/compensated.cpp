// Compiled with -ffp-contract=off: a product that is fused into the next sum would not be the one whose error is known.
#include "kedge/math/compensated.h"

#include <cmath>

namespace kedge {

namespace {

/// sum + error is the number meant; error is what rounding took from sum.
struct Sums {
  VectorXd sum, error;
};

/// Adds x to the sums (TwoSum: the rounding error of a sum of two doubles is a double).
inline void add(double x, double& sum, double& error) {
  const double before = sum;
  sum += x;
  const double added = sum - before;
  error += (before - (sum - added)) + (x - added);
}

/// Adds scale * A x (TwoProduct: so is the one of a product). @param scale 1 or -1
void add_product(const MatrixXd& A, const VectorXd& x, double scale, Sums& to) {
  for (Index j = 0; j < A.cols(); ++j) {
    const double xj = scale * x[j];
    for (Index i = 0; i < A.rows(); ++i) {
      const double product = A(i, j) * xj;
      add(product, to.sum[i], to.error[i]);
      to.error[i] += std::fma(A(i, j), xj, -product);
    }
  }
}

}  // namespace

VectorXd affine_difference(const MatrixXd& A, const VectorXd& a, const MatrixXd& B, const VectorXd& b,
                           const VectorXd& x) {
  Sums sums{a, VectorXd::Zero(a.size())};
  for (Index i = 0; i < b.size(); ++i) add(-b[i], sums.sum[i], sums.error[i]);
  add_product(A, x, 1.0, sums);
  add_product(B, x, -1.0, sums);
  return sums.sum + sums.error;
}

}  // namespace kedge
