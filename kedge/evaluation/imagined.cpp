#include "kedge/evaluation/imagined.h"

#include <limits>

#include "kedge/core/parallel.h"
#include "kedge/evaluation/cost_expansion.h"

namespace kedge {
namespace {

/// Adds the predicted changes of one member, or of the mean, to observations that are whole rows of particles.
class Stepper {
 public:
  Stepper(const ImaginedDynamics& model, Predictor predictor, std::size_t part, Index count)
      : model_(model), mean_(predictor == Predictor::mean), part_(part), y_(model.low.size(), count), change_(y_) {}

  /// @param z [ds + da, count]  @param next [ds, count], out
  void step(int t, const MatrixXd& z, MatrixXd& next) {
    const DynamicsEnsemble& ensemble = model_.ensemble;
    const TransitionScale& scale = ensemble.scale;
    const LocalResidual& local = model_.local.steps[static_cast<std::size_t>(t)];
    const MatrixXd x = (z.colwise() - scale.z_mean).array().colwise() / scale.z_scale.array();
    change_.noalias() =
        (mean_ ? local.mean_coefficients : local.coefficients[part_]) * kernel_values(model_.local.kernel, local.x, x);
    if (mean_) {
      const double share = 1.0 / static_cast<double>(ensemble.members.size());
      for (std::size_t e = 0; e < ensemble.members.size(); ++e) {
        scaled_changes(ensemble, e, z, work_, y_);
        change_ += share * y_;
      }
    } else {
      scaled_changes(ensemble, part_, z, work_, y_);
      change_ += y_;
    }
    next = z.topRows(change_.rows()) + ((scale.change_scale.asDiagonal() * change_).colwise() + scale.change_mean);
    next = next.array()
               .max(model_.low.replicate(1, next.cols()).array())
               .min(model_.high.replicate(1, next.cols()).array());
  }

 private:
  const ImaginedDynamics& model_;
  bool mean_;
  std::size_t part_;
  EnsembleWork work_;
  MatrixXd y_, change_;
};

/// Sensors at a state; NaN where it is not finite.
void read_sensors(VectorIn x, System& system, VectorOut y) {
  if (!x.allFinite()) {
    y.setConstant(std::numeric_limits<double>::quiet_NaN());
    return;
  }
  system.reset(x);
  system.settle();
  system.sensors(y);
}

/// Evaluates the cost terms of one rollout, which has its observations and actions.
/// @param system null where no cost reads a sensor
void evaluate_costs(const Task& task, Batch& batch, int n, System* system) {
  VectorXd x, u(task.system->nu());
  VectorXd sensors = VectorXd::Zero(system ? system->nsensor() : 0);
  const VectorXd no_action = VectorXd::Zero(task.da());
  for (int t = 0; t <= batch.horizon; ++t) {
    const Index column = batch.at(n, t);
    place_observation(task, batch.observation.col(column), 0.0, x);
    batch.state.col(column) = x;
    if (system) read_sensors(x, *system, sensors);
    const bool acts = t < batch.horizon;
    const VectorXd a = acts ? VectorXd(batch.action.col(batch.step(n, t))) : no_action;
    task.control(a, u);
    for (std::size_t j = 0; j < task.cost.size(); ++j) {
      const CostTerm& term = task.cost[j];
      if (!acts && term.residual.needs_action) continue;
      const double value = term_value(term, x, a, u, sensors);
      batch.terms(static_cast<Index>(j), column) = value;
      if (term.active[static_cast<std::size_t>(t)]) batch.cost(t, n) += value;
    }
  }
}

}  // namespace

void set_range(const TransitionStore& data, ImaginedDynamics& model) {
  const Index ds = data.next.rows();
  const VectorXd low = data.next.rowwise().minCoeff().cwiseMin(data.z.topRows(ds).rowwise().minCoeff());
  const VectorXd high = data.next.rowwise().maxCoeff().cwiseMax(data.z.topRows(ds).rowwise().maxCoeff());
  model.low = low - 0.25 * (high - low);
  model.high = high + 0.25 * (high - low);
}

Batch imagine(const Task& task, const TvLinearGaussian& policy, const ImaginedDynamics& model,
              const Particles& particles, Predictor predictor, double spread, SystemClones& clones) {
  const Index N = particles.start.cols(), ds = task.ds(), da = task.da(), T = task.horizon;
  const auto parts = static_cast<Index>(model.ensemble.members.size());
  Batch batch = empty_batch(static_cast<int>(N), task.horizon, task.nx(), ds, da, static_cast<Index>(task.cost.size()));
  const bool senses = reads_unobserved(task);
  parallel_for(parts, clones.threads(), [&](Index part, int worker) {
    const Index first = part * N / parts, count = (part + 1) * N / parts - first;
    Stepper stepper(model, predictor, static_cast<std::size_t>(part), count);
    ReceivedWork work;
    MatrixXd s = particles.start.middleCols(first, count), z(ds + da, count), next(ds, count);
    for (int t = 0; t <= T; ++t) {
      for (Index n = 0; n < count; ++n) batch.observation.col(batch.at(static_cast<int>(first + n), t)) = s.col(n);
      if (t == T) break;
      const LinearGaussian& pi = policy[t];
      const MatrixXd a =
          ((pi.K * s).colwise() + pi.k) + spread * (pi.C * particles.noise.middleCols(t * N + first, count));
      z.topRows(ds) = s;
      for (Index n = 0; n < count; ++n) {
        batch.action.col(batch.step(static_cast<int>(first + n), t)) = a.col(n);
        received_action(task, s.col(n), a.col(n), work, z.col(n).tail(da));
      }
      stepper.step(t, z, next);
      s.swap(next);
    }
    for (Index n = first; n < first + count; ++n) {
      const int rollout = static_cast<int>(n);
      evaluate_costs(task, batch, rollout, senses ? &clones.of(worker) : nullptr);
      if (!batch.cost.col(n).allFinite()) batch.diverged_at[static_cast<std::size_t>(n)] = 0;
    }
  });
  return batch;
}

MatrixXd sensors_of_states(const Task& task, const Batch& batch, SystemClones& clones) {
  MatrixXd y = MatrixXd::Zero(task.system->nsensor(), batch.state.cols());
  parallel_for(batch.rollouts, clones.threads(), [&](Index i, int worker) {
    const int n = static_cast<int>(i);
    if (!batch.usable(n)) return;
    for (int t = 0; t <= batch.horizon; ++t)
      read_sensors(batch.state.col(batch.at(n, t)), clones.of(worker), y.col(batch.at(n, t)));
  });
  return y;
}

}  // namespace kedge
