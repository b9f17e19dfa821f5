// One model of s' = f(s, u) for all steps of all rollouts so far: an ensemble of gated networks of the change s' - s
// (docs/algorithms/reckon.md). It assumes that the observation is a state: the next one depends on nothing older.
#pragma once

#include <cstdint>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/core/option.h"
#include "kedge/core/outcome.h"
#include "kedge/core/run.h"
#include "kedge/math/gated_network.h"
#include "kedge/system/task.h"

namespace kedge {

/// The usable transitions of past iterations, one a column, oldest first: those of an iteration are T blocks, one a step,
/// of `usable` columns each.
struct TransitionStore {
  MatrixXd z;       ///< [ds + da, N] z = [s; u], u the action that the system gets (`received_action`)
  MatrixXd next;    ///< [ds, N] s'
  MatrixXd layout;  ///< [2, iterations stored] number of the iteration; its usable rollouts

  [[nodiscard]] Index size() const { return z.cols(); }
};

template <class D, class Visit>
requires IsOptions<D, TransitionStore>
void describe(D& d, Visit&& visit) {
  visit("z", d.z);
  visit("next", d.next);
  visit("layout", d.layout);
}

/// Scratch memory of `received_action`.
struct ReceivedWork {
  VectorXd x, u;
};

/// Computes what the system gets of an action: the action within its limits, or what the system's own laws hold at this
/// observation (`System::hold`; laws of what is not observed are left out). It is declared, so a model need not learn it.
/// @param s [ds]  @param a [da] as commanded  @param u [da], out
void received_action(const Task& task, VectorIn s, VectorIn a, ReceivedWork& work, VectorOut u);

/// Fills a state with observed entries. @param s [ds]  @param unobserved value of the others  @param x [nx], out
void place_observation(const Task& task, VectorIn s, double unobserved, VectorXd& x);

/// Returns the store with the usable rollouts of one more iteration. Older iterations leave it while it holds more than
/// `most` transitions.
/// @param batches of this iteration, all of the task's horizon
TransitionStore with_rollouts(const TransitionStore& past, const Task& task, int iteration,
                              const std::vector<const Batch*>& batches, Index most);

/// Returns the first observations of all stored rollouts, oldest first. @return [ds, rollouts]
MatrixXd starts(const TransitionStore& data);

/// Units in which a model sees its data: x = (z - z_mean) / z_scale, and the same for the change s' - s.
struct TransitionScale {
  VectorXd z_mean, z_scale;            ///< [ds + da]
  VectorXd change_mean, change_scale;  ///< [ds]
};

template <class S, class Visit>
requires IsOptions<S, TransitionScale>
void describe(S& s, Visit&& visit) {
  visit("z_mean", s.z_mean);
  visit("z_scale", s.z_scale);
  visit("change_mean", s.change_mean);
  visit("change_scale", s.change_scale);
}

/// Returns means and standard deviations of the transitions; 1 where an entry does not vary.
TransitionScale scale_of(const TransitionStore& data);

/// A network with its optimiser [Kingma2015].
struct EnsembleMember {
  VectorXf weights, first, second;  ///< [P] and the moments of its gradient
  double gradient_norm = 0.0;       ///< running mean
  std::int64_t steps = 0;           ///< minibatches so far
};

template <class M, class Visit>
requires IsOptions<M, EnsembleMember>
void describe(M& m, Visit&& visit) {
  const auto vector = [&](const char* name, auto& v) {
    VectorXd exact = v.template cast<double>();
    visit(name, exact);
    if constexpr (!std::is_const_v<M>) v = exact.cast<float>();
  };
  vector("weights", m.weights);
  vector("first", m.first);
  vector("second", m.second);
  visit("gradient_norm", m.gradient_norm);
  visit("steps", m.steps);
}

/// The model f_e(s, u) = s + change_mean + change_scale N_e(x); its mean over the members is fbar.
struct DynamicsEnsemble {
  GatedShape shape;
  TransitionScale scale;
  std::vector<EnsembleMember> members;

  [[nodiscard]] bool empty() const { return members.empty(); }
};

template <class D, class Visit>
requires IsOptions<D, DynamicsEnsemble>
void describe(D& d, Visit&& visit) {
  visit("inputs", d.shape.inputs);
  visit("units", d.shape.units);
  visit("outputs", d.shape.outputs);
  visit("scale", d.scale);
  visit("members", d.members);
}

/// Returns members with weights drawn from the streams `network` of the seed.
DynamicsEnsemble new_ensemble(const TransitionScale& scale, int members, Index units, std::uint64_t seed);

/// Returns the model that predicts the mean change of the data, whatever the state: what one knows without a model.
DynamicsEnsemble mean_change(const TransitionStore& data);

struct EnsembleFit {
  int batches = 400;         ///< minibatches of each member, >= 1
  int minibatch = 256;       ///< transitions of each, >= 2
  int recent = 3;            ///< half of each minibatch is from so many newest iterations, >= 1
  double huber = 0.1;        ///< error, in standard deviations of the change, from which on it counts linearly
  double first_rate = 1e-2;  ///< of Adam, falls as a half cosine ...
  double last_rate = 2e-5;   ///< ... to this
};

/// Returns the ensemble after training on the store, from where it stands. Every member draws minibatches of its own.
/// @param iteration names the random numbers  @param run  stop is polled; threads change no result
/// @return an ending if cancelled, or if a weight is not finite
Outcome<DynamicsEnsemble> fit(DynamicsEnsemble ensemble, const TransitionStore& data, const EnsembleFit& options,
                              int iteration, const Run& run);

/// Scratch memory of predictions.
struct EnsembleWork {
  MatrixXf x;
  GatedWork network;
};

/// Computes the changes of one member in units of change_scale, N_e(x).
/// @param z [ds + da, N]  @param y [ds, N], out
void scaled_changes(const DynamicsEnsemble& model, std::size_t member, MatrixIn z, EnsembleWork& work, MatrixOut y);

/// Returns the mean prediction of s' over the members. @param z [ds + da, N]  @return [ds, N]
MatrixXd predict(const DynamicsEnsemble& model, MatrixIn z);

/// Returns d fbar / d [s; u]. @param z [ds + da]  @return [ds, ds + da]
MatrixXd predict_jacobian(const DynamicsEnsemble& model, VectorIn z);

/// Returns the median over transitions and entries of |s' - fbar(s, u)| in units of change_scale: the error of the model where
/// it has not seen these transitions.
double median_error(const DynamicsEnsemble& model, const TransitionStore& data);

}  // namespace kedge
