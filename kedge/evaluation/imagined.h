// Rollouts imagined with a model of the dynamics, as a Batch like any other (docs/algorithms/reckon.md).
#pragma once

#include "kedge/evaluation/local_residual.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/clones.h"

namespace kedge {

/// f_t(s, u): the ensemble, corrected around the present trajectory; s' stays within the range of the data and a quarter more.
struct ImaginedDynamics {
  DynamicsEnsemble ensemble;
  LocalResiduals local;
  VectorXd low, high;  ///< [ds]
};

/// Returns the range of the observations in the data, wider by a quarter on each side, as `low` and `high`.
void set_range(const TransitionStore& data, ImaginedDynamics& model);

/// The starts and the draws of imagined rollouts. Policies that are compared meet the same ones.
struct Particles {
  MatrixXd start;  ///< [ds, N]
  MatrixXd noise;  ///< [da, T N] N(0, 1), column t N + n
};

/// Which prediction a rollout follows.
enum class Predictor {
  mean,     ///< fbar of all members
  members,  ///< the n-th of E equal parts of the particles follows member n
};

/// Imagines one rollout for each particle under a ~ K_t s + k_t + spread C_t xi. The cost terms are those of the task, which
/// must be functions of observation and action (`require_expandable`): sensors are read from the system at the imagined
/// states, by its kinematics and not by its dynamics. A rollout that is no longer finite has diverged.
/// @param spread share of the policy's noise, >= 0  @param clones of the task's system; their number changes no result
Batch imagine(const Task& task, const TvLinearGaussian& policy, const ImaginedDynamics& model,
              const Particles& particles, Predictor predictor, double spread, SystemClones& clones);

/// Returns the sensors at the states of a batch whose rollouts are whole, under no control.
/// @return [nsensor, columns of batch.state]; columns of rollouts that diverged are 0
MatrixXd sensors_of_states(const Task& task, const Batch& batch, SystemClones& clones);

}  // namespace kedge
