// The stored data of one iteration, and its transitions in the layout that the regressions read.
#pragma once

#include <vector>

#include "kedge/core/batch.h"
#include "kedge/math/gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// One iteration's rollouts, the policy that made them, and its estimated state distribution.
struct Epoch {
  int iteration = 0;
  TvLinearGaussian policy;
  std::vector<Gaussian> rho;  ///< [T] rho~_t, over observations
  Batch batch;
};

/// The usable transitions of a batch, one sample a column, ordered by time step and within it by rollout: those of step t
/// are columns t * per_step ... (t + 1) * per_step - 1.
struct Transitions {
  Index per_step = 0;   ///< usable rollouts
  MatrixXd x;           ///< [ds + da, n] observation and action, (s, a)
  MatrixXd next;        ///< [ds, n] next observation, s'
  MatrixXd terms;       ///< [cost terms, n] at (s, a)
  MatrixXd next_terms;  ///< [cost terms, n] at s'
  VectorXd cost_to_go;  ///< [n] summed cost from this step to the end of its own rollout

  [[nodiscard]] Index size() const { return x.cols(); }
};
Transitions transitions(const Batch& batch);

}  // namespace kedge
