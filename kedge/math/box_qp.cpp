#include "kedge/math/box_qp.h"

#include <algorithm>
#include <limits>

namespace kedge {

namespace {

/// Cholesky factor of the free rows and columns.
bool factorise(MatrixIn H, BoxQp& qp) {
  Index row = 0;
  for (Index i = 0; i < H.rows(); ++i) {
    if (!qp.free[static_cast<std::size_t>(i)]) continue;
    Index col = 0;
    for (Index j = 0; j <= i; ++j)
      if (qp.free[static_cast<std::size_t>(j)]) qp.factor(row, col++) = H(i, j);
    ++row;
  }
  MatrixOut corner(qp.factor.topLeftCorner(row, row));
  return Eigen::LLT<MatrixOut>(corner).info() == Eigen::Success;
}

/// Moves the free entries towards their minimum until one meets its bound. @return that entry; -1: the minimum is reached
Index advance(VectorIn low, VectorIn high, BoxQp& qp) {
  double share = 1.0;
  Index blocking = -1;
  for (Index i = 0; i < qp.x.size(); ++i) {
    if (!qp.free[static_cast<std::size_t>(i)]) continue;
    const double room = (qp.step[i] < 0.0 ? low[i] : high[i]) - qp.x[i];
    if (std::abs(qp.step[i]) * share <= std::abs(room)) continue;
    share = room / qp.step[i];
    blocking = i;
  }
  qp.x += share * qp.step;
  qp.x = qp.x.cwiseMax(low).cwiseMin(high);  // rounding
  if (blocking >= 0) qp.x[blocking] = qp.step[blocking] < 0.0 ? low[blocking] : high[blocking];
  return blocking;
}

/// The held entry from whose bound the objective falls fastest. @return -1: none, to rounding
Index to_release(VectorIn low, VectorIn high, double scale, const BoxQp& qp) {
  Index worst = -1;
  double most = 1e-13 * scale;
  for (Index i = 0; i < qp.x.size(); ++i) {
    if (qp.free[static_cast<std::size_t>(i)] || low[i] == high[i]) continue;
    const double fall = qp.x[i] == low[i] ? -qp.gradient[i] : qp.gradient[i];
    if (!(fall > most)) continue;
    most = fall;
    worst = i;
  }
  return worst;
}

}  // namespace

void solve_free(const BoxQp& qp, MatrixOut R) {
  Index n = 0;
  for (Index i = 0; i < R.rows(); ++i)
    if (qp.free[static_cast<std::size_t>(i)]) R.row(n++) = R.row(i);
  const auto L = qp.factor.topLeftCorner(n, n).triangularView<Eigen::Lower>();
  if (n > 0) {
    L.solveInPlace(R.topRows(n));
    L.transpose().solveInPlace(R.topRows(n));
  }
  for (Index i = R.rows() - 1; i >= 0; --i) {
    if (qp.free[static_cast<std::size_t>(i)])
      R.row(i) = R.row(--n);
    else
      R.row(i).setZero();
  }
}

bool box_qp(MatrixIn H, VectorIn g, VectorIn low, VectorIn high, BoxQp& qp) {
  const Index n = g.size();
  qp.factor.resize(n, n);
  qp.gradient.resize(n);
  qp.x.resize(n);
  for (Index i = 0; i < n; ++i) qp.x[i] = std::clamp(0.0, low[i], high[i]);
  qp.free.assign(static_cast<std::size_t>(n), 1);
  if (!factorise(H, qp)) return false;

  const Index most_steps = 100 + 10 * n;  // each step holds or releases one entry
  for (Index k = 0; k < most_steps; ++k) {
    qp.gradient.noalias() = H * qp.x;
    qp.gradient += g;
    qp.step = -qp.gradient;
    solve_free(qp, qp.step);
    if (!qp.step.allFinite()) return false;
    if (const Index hit = advance(low, high, qp); hit >= 0) {
      qp.free[static_cast<std::size_t>(hit)] = 0;
    } else {
      qp.gradient.noalias() = H * qp.x;
      const double scale = std::max(g.lpNorm<Eigen::Infinity>(), qp.gradient.lpNorm<Eigen::Infinity>());
      qp.gradient += g;
      const Index out = to_release(low, high, scale, qp);
      if (out < 0) return true;
      qp.free[static_cast<std::size_t>(out)] = 1;
    }
    if (!factorise(H, qp)) return false;
  }
  return false;
}

}  // namespace kedge
