#include "kedge/algorithms/controllers.h"

#include <algorithm>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

constexpr double kNoise = 1e-3;        ///< standard deviation of a controller, in half ranges of the action
constexpr double kLeastShare = 0.1;    ///< least unit of a coordinate, as a share of the largest of any
constexpr double kLeastSpread = 1e-3;  ///< less than this is no spread of an observation

/// The spread of each observation along the demonstration; 1 where there is none. @return [ds]
VectorXd observation_spread(const Task& task) {
  VectorXd spread = VectorXd::Ones(task.ds());
  if (!task.demonstration) return spread;
  const MatrixXd s = observations(task, task.demonstration->state);
  const VectorXd deviation =
      ((s.colwise() - s.rowwise().mean().eval()).cwiseAbs2().rowwise().sum() / static_cast<double>(s.cols()))
          .cwiseSqrt();
  for (Index i = 0; i < spread.size(); ++i)
    if (deviation[i] > kLeastSpread) spread[i] = deviation[i];
  return spread;
}

ControllerFamily linear_family(const Task& task) {
  const Index ds = task.ds(), da = task.da(), gains = da * ds, P = gains + da;
  const VectorXd range = half_range(task), spread = observation_spread(task);
  const VectorXd middle = observations(task, task.start.mean);
  ControllerFamily family{linear_controller(task, MatrixXd::Zero(da, ds), task.resting_action()), VectorXd::Zero(P),
                          MatrixXd::Zero(P, P)};
  family.origin.tail(da) = task.resting_action();
  for (Index j = 0; j < ds; ++j)
    for (Index i = 0; i < da; ++i) {
      const Index at = j * da + i;
      family.basis(at, at) = range[i] / spread[j];
      family.basis(gains + i, at) = -range[i] / spread[j] * middle[j];  // observations count from the middle
    }
  for (Index i = 0; i < da; ++i) family.basis(gains + i, gains + i) = range[i];
  return family;
}

NetworkShape network_shape(const Task& task, int hidden) {
  return {.hidden = {Index{hidden}},
          .output_bias = true,
          .input_mean = observations(task, task.start.mean),
          .input_scale = observation_spread(task),
          .output_scale = half_range(task)};
}

ControllerFamily network_family(const Task& task, int hidden) {
  const VectorXd range = half_range(task);
  const NetworkShape shape = network_shape(task, hidden);
  const Index P = weight_count(shape);
  VectorXd theta = VectorXd::Zero(parameter_count(shape));
  theta.segment(P - task.da(), task.da()) = task.resting_action().cwiseQuotient(range);
  theta.tail(task.da()) = (kNoise * range).array().log();
  ControllerFamily family{MlpGaussian(shape, theta), theta.head(P), MatrixXd::Identity(P, P)};
  return family;
}

/// The coordinates of the actions along the demonstration, held at its end until the horizon, or at rest. @return [da, T + 1] each
struct Shown {
  MatrixXd position, velocity;
};
Shown shown_movement(const Task& task, const std::vector<Drive>& drives) {
  const Index da = task.da(), T = task.horizon;
  Shown shown{MatrixXd(da, T + 1), MatrixXd::Zero(da, T + 1)};
  for (Index i = 0; i < da; ++i) {
    const Drive& drive = drives[static_cast<std::size_t>(i)];
    if (!task.demonstration) {
      shown.position.row(i).setConstant(task.start.mean[drive.position]);
      continue;
    }
    const MatrixXd& x = task.demonstration->state;
    const Index steps = x.cols();
    shown.position.row(i).setConstant(x(drive.position, steps - 1));
    shown.position.row(i).head(steps) = x.row(drive.position);
    shown.velocity.row(i).head(steps) = x.row(drive.velocity);
  }
  return shown;
}

/// The largest of each row, at least a share of the largest of all; `otherwise` if nothing moves.
VectorXd units(const MatrixXd& size, const VectorXd& otherwise) {
  const VectorXd largest = size.cwiseAbs().rowwise().maxCoeff();
  const double most = largest.maxCoeff();
  return most > 1e-9 ? VectorXd(largest.cwiseMax(kLeastShare * most)) : otherwise;
}

/// Entries of the observation that read entries of the state.
std::vector<Index> observed(const Task& task, const std::vector<Drive>& drives, Index Drive::*entry) {
  std::vector<Index> places;
  for (const Drive& drive : drives) {
    const auto found = std::ranges::find(task.observation, drive.*entry);
    if (found == task.observation.end())
      throw InputError(
          fmt::format("controller = dmp follows positions and velocities of the coordinates that actions drive, but "
                      "the observation of the task {} has not all of them",
                      task.name));
    places.push_back(found - task.observation.begin());
  }
  return places;
}

ControllerFamily dmp_family(const Task& task, bool all, int weights) {
  const std::vector<Drive> drives = driven(task);
  const auto system = task.system->clone();
  const InverseDynamics model = inverse_dynamics(task, *system);
  if (!model)
    throw InputError(
        fmt::format("controller = dmp needs actions that drive one coordinate each, and a system with inverse "
                    "dynamics, which the task {} has not",
                    task.name));
  Tracking tracking{observed(task, drives, &Drive::position), observed(task, drives, &Drive::velocity), task.action_low,
                    task.action_high, kNoise * half_range(task)};
  const auto basis = std::make_shared<MovementBasis>(movement_basis(task.horizon, task.control_step, weights));
  const Shown shown = shown_movement(task, drives);
  const Index da = task.da(), columns = all ? 2 + weights : 2;
  const MatrixXd movement = imitate(*basis, shown.position, shown.velocity);
  const VectorXd excursion = units(shown.position.colwise() - shown.position.col(0).eval(), VectorXd::Ones(da));
  const double duration = task.horizon * task.control_step;
  MatrixXd unit(da, columns);
  unit.col(0) = excursion;
  unit.col(1) = units(shown.velocity, 4.0 / duration * excursion);
  if (all) unit.rightCols(weights).colwise() = weight_of_goal(duration) * excursion;
  DmpPolicy policy = DmpPolicy::track(movement, basis, std::move(tracking), task.ds(), model);
  if (!policy.finite())
    throw InputError(
        fmt::format("controller = dmp: the inverse dynamics of the task {} fails along its demonstration", task.name));
  return {std::move(policy), movement.middleCols(kGoal, columns).reshaped(), unit.reshaped().asDiagonal()};
}

}  // namespace

VectorXd half_range(const Task& task) {
  VectorXd half = 0.5 * (task.action_high - task.action_low);
  for (double& h : half)
    if (!std::isfinite(h)) h = 1.0;
  return half;
}

TvLinearGaussian linear_controller(const Task& task, const MatrixXd& K, VectorIn k) {
  TvLinearGaussian policy = TvLinearGaussian::constant(task.horizon, task.ds(), k, kNoise * half_range(task));
  for (int t = 0; t < task.horizon; ++t) policy[t].K = K;
  return policy;
}

Index family_size(const Task& task, ControllerKind kind, int hidden, int weights) {
  switch (kind) {
    case ControllerKind::linear: return task.da() * (task.ds() + 1);
    case ControllerKind::network: return weight_count(network_shape(task, hidden));
    case ControllerKind::dmp: return 2 * task.da();
    case ControllerKind::dmp_weights: return (2 + weights) * task.da();
  }
  return 0;
}

ControllerFamily controller_family(const Task& task, ControllerKind kind, int hidden, int weights) {
  validate(task);
  switch (kind) {
    case ControllerKind::linear: return linear_family(task);
    case ControllerKind::network: return network_family(task, hidden);
    case ControllerKind::dmp: return dmp_family(task, false, weights);
    case ControllerKind::dmp_weights: return dmp_family(task, true, weights);
  }
  return {};
}

Context context_of(const Task& task, bool squares) {
  std::vector<Index> entries = task.context;
  if (entries.empty())
    for (Index i = 0; i < task.nx(); ++i)
      if (task.start.spread[i] > 0.0) entries.push_back(i);
  if (entries.empty())
    throw InputError(fmt::format("context = start, but the start of the task {} never varies", task.name));
  Context context{entries, task.start.mean(entries), task.start.spread(entries), squares};
  for (double& scale : context.scale)
    if (scale == 0.0) scale = 1.0;
  return context;
}

}  // namespace kedge
