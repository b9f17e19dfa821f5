#include "kedge/evaluation/whitening.h"

#include <algorithm>

#include "kedge/math/outer_products.h"
#include "kedge/math/vectors.h"

namespace kedge {

Whitening whitening(const Gaussian& rho, const LinearGaussian& pi) {
  const Index ds = rho.dim(), da = pi.k.size();
  const MatrixXd C_inverse = inverse_of_lower(pi.C);
  const Whitening state = whitening(rho);
  Whitening map{MatrixXd::Zero(ds + da, ds + da), VectorXd(ds + da),
                log_normaliser(ds + da, log_det(rho.L) + log_det(pi.C))};
  map.W.topLeftCorner(ds, ds) = state.W;
  map.W.bottomLeftCorner(da, ds).noalias() = -C_inverse * pi.K;
  map.W.bottomRightCorner(da, da) = C_inverse;
  map.b << state.b, C_inverse * pi.k;
  return map;
}

void whiten_rows(const Whitening& map, Eigen::Ref<MatrixXd> z) {
  for (Index i = z.cols() - 1; i >= 0; --i) {  // W is lower triangular: in place from the last row up
    z.col(i) = map.W(i, i) * z.col(i) - VectorXd::Constant(z.rows(), map.b[i]);
    for (Index j = 0; j < i; ++j) z.col(i) += map.W(i, j) * z.col(j);
  }
}

MatrixXd homogeneous(const Whitening& map) {
  const Index n = map.dim();
  MatrixXd H = MatrixXd::Zero(padded(n + 1), n + 1);
  H(0, 0) = 1.0;
  H.block(1, 0, n, 1) = -map.b;
  H.block(1, 1, n, n) = map.W;
  return H;
}

void whiten_chosen(const MatrixXd& H, const MatrixXd& x, std::span<const Index> first, Eigen::Ref<MatrixXd> z) {
  for (Index k = 0; k < z.cols(); ++k) std::copy_n(H.data(), H.rows(), &z(0, k));
  add_outer_products(x.data(), 1, first, &H(0, 1), H.rows(), H.rows(), x.rows(), z.data());
}

}  // namespace kedge
