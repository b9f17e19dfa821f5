// Random update problems: the same number gives the same problem on every machine.
#pragma once

#include <cstdint>

#include "kedge/core/random.h"
#include "kedge/update/gaussian_step.h"
#include "tests/support/numbers.h"

namespace kedge::test {

struct Problem {
  LinearGaussian pi;
  Gaussian rho;
  ActionQuadratic q;
  TrustRegion bounds;

  [[nodiscard]] Index da() const { return pi.k.size(); }
  [[nodiscard]] Index ds() const { return rho.mean.size(); }
  [[nodiscard]] bool q_is_zero() const { return q.Qaa.isZero(0) && q.Qas.isZero(0) && q.qa.isZero(0); }
};

/// An old policy and a state distribution in units of 0.1 to 10, standard deviations over a factor of 25.
Problem random_setting(Index da, Index ds, Stream& random);

/// Problem `number`: da = 1 ... 9, ds = 1 ... 21, Q of scale 1e-2 ... 1e6 (every 16th: 1e-12 ... 1e12), epsilon 1e-3 ... 2,
/// entropy_drop > 0, = 0, none, or negative and feasible. In turns of ten, the curvature of Q in the action is
///   0 concave   1 indefinite   2 convex   3 zero   4 concave and nearly isotropic, old policy nearly optimal
///   5 singular and concave   6 indefinite, no slope along the direction of largest curvature (the hard case of vector
///   trust regions)   7 indefinite, no slope at all   8 concave with eigenvalues over six decades   9 as 4, or Q = 0
Problem random_problem(std::uint32_t number);

/// The new policy by the library.
GaussianStep update(const Problem& p);

/// Largest entropy gain, nats, within a KL of epsilon.
double max_entropy_gain(double epsilon, Index da);

}  // namespace kedge::test
