// The inputs and outputs of one iteration's trust-region steps, for study: `--record-updates`.
#pragma once

#include <vector>

#include "kedge/math/gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/update/gaussian_step.h"

namespace kedge {

struct UpdateRecord {
  TvLinearGaussian old_policy, new_policy;
  std::vector<Gaussian> rho;          ///< [T] state distributions of the KL; L may be empty
  std::vector<ActionQuadratic> q;     ///< [T] raw coordinates, return, maximised
  std::vector<GaussianStep> updates;  ///< [T]
  double epsilon = 0.0;               ///< bound on the KL, nats per step
};

}  // namespace kedge
