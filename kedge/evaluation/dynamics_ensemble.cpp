#include "kedge/evaluation/dynamics_ensemble.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/core/parallel.h"
#include "kedge/math/statistics.h"

namespace kedge {
namespace {

constexpr float kDecay1 = 0.9F, kDecay2 = 0.999F, kTiny = 1e-8F;
/// A gradient longer than this many times its running mean is cut to that.
constexpr double kLongest = 3.0, kMeanDecay = 0.99;

VectorXd deviations(const MatrixXd& x, const VectorXd& mean) {
  VectorXd d = ((x.colwise() - mean).cwiseAbs2().rowwise().mean()).cwiseSqrt();
  for (double& entry : d)
    if (!(entry > 0.0)) entry = 1.0;
  return d;
}

MatrixXf scaled_inputs(const TransitionScale& scale, MatrixIn z) {
  return ((z.colwise() - scale.z_mean).array().colwise() / scale.z_scale.array()).cast<float>();
}

/// One step of Adam along a gradient whose length is kept within its usual one.
void adam(EnsembleMember& m, VectorXf& gradient, double rate) {
  const double norm = gradient.norm();
  m.gradient_norm = m.steps == 0 ? norm : kMeanDecay * m.gradient_norm + (1.0 - kMeanDecay) * norm;
  if (norm > kLongest * m.gradient_norm) gradient *= static_cast<float>(kLongest * m.gradient_norm / norm);
  ++m.steps;
  m.first = kDecay1 * m.first + (1.0F - kDecay1) * gradient;
  m.second = kDecay2 * m.second + (1.0F - kDecay2) * gradient.cwiseAbs2();
  const double steps = static_cast<double>(m.steps);
  const auto correct1 = static_cast<float>(1.0 / (1.0 - std::pow(double{kDecay1}, steps)));
  const auto correct2 = static_cast<float>(1.0 / (1.0 - std::pow(double{kDecay2}, steps)));
  m.weights.array() -=
      static_cast<float>(rate) * correct1 * m.first.array() / ((correct2 * m.second.array()).sqrt() + kTiny);
}

/// Trains one member. @return false if stopped
bool train(const GatedShape& shape, EnsembleMember& member, const MatrixXf& x, const MatrixXf& y, Index first_recent,
           const EnsembleFit& options, Stream random, const std::stop_token& stop) {
  const auto draw = [&](Index low, Index high) {
    return low + static_cast<Index>(random.uniform() * static_cast<double>(high - low));
  };
  const Index n = x.cols(), half = options.minibatch / 2;
  MatrixXf batch_x(x.rows(), options.minibatch), batch_y(y.rows(), options.minibatch), dy;
  VectorXf gradient_of_batch;
  GatedWork work;
  for (int b = 0; b < options.batches; ++b) {
    if (stop.stop_requested()) return false;
    for (Index i = 0; i < options.minibatch; ++i) {
      const Index from = draw(i < half ? first_recent : 0, n);
      batch_x.col(i) = x.col(from);
      batch_y.col(i) = y.col(from);
    }
    outputs(shape, member.weights, batch_x, work);
    // Pseudo-Huber loss: d/de width^2 (sqrt(1 + (e / width)^2) - 1)
    dy = work.y - batch_y;
    const auto width = static_cast<float>(options.huber);
    dy.array() /= (1.0F + (dy.array() / width).square()).sqrt() * static_cast<float>(options.minibatch);
    gradient(shape, member.weights, dy, work, gradient_of_batch);
    const double done = static_cast<double>(b) / options.batches;
    const double rate =
        options.last_rate + 0.5 * (options.first_rate - options.last_rate) * (1.0 + std::cos(std::numbers::pi * done));
    adam(member, gradient_of_batch, rate);
  }
  return true;
}

}  // namespace

void place_observation(const Task& task, VectorIn s, double unobserved, VectorXd& x) {
  x.setConstant(task.nx(), unobserved);
  for (Index i = 0; i < task.ds(); ++i) x[task.observation[static_cast<std::size_t>(i)]] = s[i];
}

void received_action(const Task& task, VectorIn s, VectorIn a, ReceivedWork& work, VectorOut u) {
  place_observation(task, s, std::numeric_limits<double>::quiet_NaN(), work.x);
  work.u.resize(task.system->nu());
  task.control(a, work.u);
  task.system->hold(work.x, work.u);
  for (Index i = 0; i < task.da(); ++i) u[i] = work.u[task.control_index[static_cast<std::size_t>(i)]];
}

TransitionStore with_rollouts(const TransitionStore& past, const Task& task, int iteration,
                              const std::vector<const Batch*>& batches, Index most) {
  const Index ds = task.ds(), da = task.da(), T = task.horizon;
  Index usable = 0;
  for (const Batch* batch : batches) usable += usable_rollouts(*batch);
  Index drop = 0, first = 0;
  while (drop < past.layout.cols() && past.size() - first + usable * T > most)
    first += static_cast<Index>(past.layout(1, drop++)) * T;
  const Index kept = past.size() - first, iterations = past.layout.cols() - drop;
  TransitionStore store{MatrixXd(ds + da, kept + usable * T), MatrixXd(ds, kept + usable * T),
                        MatrixXd(2, iterations + 1)};
  if (iterations > 0) {
    store.z.leftCols(kept) = past.z.rightCols(kept);
    store.next.leftCols(kept) = past.next.rightCols(kept);
    store.layout.leftCols(iterations) = past.layout.rightCols(iterations);
  }
  store.layout.rightCols(1) << iteration, static_cast<double>(usable);
  Index column = kept;
  ReceivedWork work;
  for (int t = 0; t < task.horizon; ++t)
    for (const Batch* batch : batches)
      for (int n = 0; n < batch->rollouts; ++n) {
        if (!batch->usable(n)) continue;
        store.z.col(column).head(ds) = batch->observation.col(batch->at(n, t));
        received_action(task, batch->observation.col(batch->at(n, t)), batch->action.col(batch->step(n, t)), work,
                        store.z.col(column).tail(da));
        store.next.col(column++) = batch->observation.col(batch->at(n, t + 1));
      }
  return store;
}

MatrixXd starts(const TransitionStore& data) {
  const auto rollouts = static_cast<Index>(data.layout.row(1).sum());
  const Index ds = data.next.rows(), T = rollouts == 0 ? 0 : data.size() / rollouts;
  MatrixXd s(ds, rollouts);
  Index first = 0, from = 0;
  for (Index i = 0; i < data.layout.cols(); ++i) {
    const auto usable = static_cast<Index>(data.layout(1, i));
    s.middleCols(first, usable) = data.z.topRows(ds).middleCols(from, usable);
    first += usable;
    from += usable * T;
  }
  return s;
}

TransitionScale scale_of(const TransitionStore& data) {
  const MatrixXd change = data.next - data.z.topRows(data.next.rows());
  TransitionScale scale{data.z.rowwise().mean(), {}, change.rowwise().mean(), {}};
  scale.z_scale = deviations(data.z, scale.z_mean);
  scale.change_scale = deviations(change, scale.change_mean);
  return scale;
}

DynamicsEnsemble new_ensemble(const TransitionScale& scale, int members, Index units, std::uint64_t seed) {
  DynamicsEnsemble ensemble{{scale.z_mean.size(), units, scale.change_mean.size()}, scale, {}};
  for (int e = 0; e < members; ++e) {
    Stream random(seed, streams::network.iteration(0), streams::network.rollout(0), static_cast<std::uint32_t>(e));
    EnsembleMember member;
    member.weights = random_weights(ensemble.shape, random);
    member.first = member.second = VectorXf::Zero(member.weights.size());
    ensemble.members.push_back(std::move(member));
  }
  return ensemble;
}

DynamicsEnsemble mean_change(const TransitionStore& data) {
  DynamicsEnsemble model = new_ensemble(scale_of(data), 1, 1, 0);
  model.members[0].weights.setZero();
  return model;
}

Outcome<DynamicsEnsemble> fit(DynamicsEnsemble ensemble, const TransitionStore& data, const EnsembleFit& options,
                              int iteration, const Run& run) {
  const Index ds = data.next.rows();
  const MatrixXf x = scaled_inputs(ensemble.scale, data.z);
  const MatrixXf y = (((data.next - data.z.topRows(ds)).colwise() - ensemble.scale.change_mean).array().colwise() /
                      ensemble.scale.change_scale.array())
                         .cast<float>();
  Index recent = 0;
  const Index stored = data.layout.cols();
  for (Index i = std::max(Index{0}, stored - options.recent); i < stored; ++i)
    recent += static_cast<Index>(data.layout(1, i));
  const auto all_rollouts = static_cast<Index>(data.layout.row(1).sum());
  const Index first_recent = recent == 0 ? 0 : data.size() / all_rollouts * (all_rollouts - recent);
  std::atomic<bool> stopped = false;
  parallel_for(static_cast<Index>(ensemble.members.size()), run.threads, [&](Index e) {
    const Stream random(run.seed, streams::fit.iteration(iteration), streams::fit.rollout(0),
                        static_cast<std::uint32_t>(e));
    if (!train(ensemble.shape, ensemble.members[static_cast<std::size_t>(e)], x, y, first_recent, options, random,
               run.stop))
      stopped = true;
  });
  if (stopped) return cancelled();
  for (const EnsembleMember& member : ensemble.members)
    if (!member.weights.allFinite()) return failure("the model of the dynamics: a weight is not finite");
  return ensemble;
}

void scaled_changes(const DynamicsEnsemble& model, std::size_t member, MatrixIn z, EnsembleWork& work, MatrixOut y) {
  work.x = scaled_inputs(model.scale, z);
  outputs(model.shape, model.members[member].weights, work.x, work.network);
  y = work.network.y.cast<double>();
}

MatrixXd predict(const DynamicsEnsemble& model, MatrixIn z) {
  const Index ds = model.shape.outputs;
  MatrixXd sum = MatrixXd::Zero(ds, z.cols()), y(ds, z.cols());
  EnsembleWork work;
  for (std::size_t e = 0; e < model.members.size(); ++e) {
    scaled_changes(model, e, z, work, y);
    sum += y;
  }
  sum /= static_cast<double>(model.members.size());
  return (model.scale.change_scale.asDiagonal() * sum + z.topRows(ds)).colwise() + model.scale.change_mean;
}

MatrixXd predict_jacobian(const DynamicsEnsemble& model, VectorIn z) {
  const Index ds = model.shape.outputs;
  const MatrixXf x = scaled_inputs(model.scale, z);
  MatrixXd J = MatrixXd::Zero(ds, z.size());
  for (const EnsembleMember& member : model.members)
    J += jacobian(model.shape, member.weights, x.col(0)).cast<double>();
  J = model.scale.change_scale.asDiagonal() * J * model.scale.z_scale.cwiseInverse().asDiagonal() /
      static_cast<double>(model.members.size());
  J.leftCols(ds) += MatrixXd::Identity(ds, ds);
  return J;
}

double median_error(const DynamicsEnsemble& model, const TransitionStore& data) {
  const MatrixXd error = model.scale.change_scale.cwiseInverse().asDiagonal() * (data.next - predict(model, data.z));
  const MatrixXd absolute = error.cwiseAbs();
  return median({absolute.data(), absolute.data() + absolute.size()});
}

}  // namespace kedge
