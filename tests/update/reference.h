// The policy update once more, slowly and independently: the two-dimensional dual of the paper in raw coordinates
// [Akrour2018, App. A, with the corrected gradient], in long double, by nested bisection.
#pragma once

#include <optional>

#include "problems.h"

namespace kedge::test {

using Real = long double;
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic>;
using Vector = Eigen::Matrix<Real, Eigen::Dynamic, 1>;

/// A policy in raw coordinates.
struct RawPolicy {
  Matrix K;
  Vector k;
  Matrix Sigma;
};
RawPolicy raw(const LinearGaussian& pi);

/// E Q(s, a) without q(s); E KL(p || q); H(p): textbook formulas with inverses and determinants.
Real expected_return(const Problem& problem, const RawPolicy& p);
Real expected_divergence(const Problem& problem, const RawPolicy& p, const RawPolicy& q);
Real policy_entropy(const RawPolicy& p);
/// H(pi) - entropy_drop.
Real lower_bound(const Problem& problem);

/// The dual function of the paper and its gradient. Terms that are multiplied by eta = 0 or omega = 0 are left out, so
/// that infinite bounds are allowed there.
struct PaperDual {
  Real value, d_eta, d_omega;
  RawPolicy policy;  ///< the primal solution that belongs to (eta, omega)
};
/// @return nullopt outside the domain: eta Sigma^-1 - Qaa must be positive definite and eta + omega > 0.
std::optional<PaperDual> paper_dual(const Problem& problem, Real eta, Real omega);

struct ReferenceSolution {
  Real eta, omega;
  RawPolicy policy;
};
/// For feasible problems with Q != 0 and finite epsilon.
ReferenceSolution solve_slowly(const Problem& problem);

}  // namespace kedge::test
