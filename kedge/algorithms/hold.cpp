#include "kedge/algorithms/hold.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/evaluation/linearisation.h"
#include "kedge/evaluation/trajectory_cost.h"
#include "kedge/policy/trajectory_policy.h"
#include "kedge/rollout/rollout.h"
#include "kedge/rollout/trajectory.h"
#include "kedge/system/clones.h"
#include "kedge/update/stationary_lqr.h"

namespace kedge {

namespace {

[[noreturn]] void refuse(const std::string& why) { throw InputError(fmt::format("hold: {}", why)); }

/// Is a term active in a step that is held?
bool held(const std::vector<char>& active) { return active.back() != 0 || active[active.size() - 2] != 0; }

/// A state and an action, with f(x, a) (-) x and the local models there.
struct Point {
  VectorXd x, a;
  VectorXd change;  ///< [ndx]
  MatrixXd A, B;
  StageCost q;
};

/// @param one  the task of one held step  @param why  out, where it fails
bool look(const Task& one, SystemClones& clones, Point& at, std::string& why) {
  const Trajectory step = simulate(one, clones.of(0), at.x, [&](int, VectorIn, VectorOut a) { a = at.a; });
  if (step.diverged_at >= 0) {
    why = step.why;
    return false;
  }
  Linearisation lin = linearise(one, step.x, step.a, {}, clones);
  if (lin.diverged_at >= 0) {
    why = lin.why;
    return false;
  }
  at.change.resize(one.system->ndx());
  one.system->difference(at.x, step.x.col(1), at.change);
  at.q = trajectory_cost(one, step.x, step.a, step.y, lin, 1)[0];
  at.A = std::move(lin.A[0]);
  at.B = std::move(lin.B[0]);
  return true;
}

/// The Newton step (dx, da) of "minimise q subject to f(x, a) = x": the smallest one where it is not unique.
VectorXd newton_step(const Point& at) {
  const Index n = at.A.rows(), m = at.B.cols();
  MatrixXd kkt = MatrixXd::Zero(2 * n + m, 2 * n + m);
  kkt.topLeftCorner(n, n) = at.q.Hxx;
  kkt.block(n, 0, m, n) = at.q.Hux;
  kkt.block(0, n, n, m) = at.q.Hux.transpose();
  kkt.block(n, n, m, m) = at.q.Huu;
  kkt.bottomLeftCorner(n, n) = at.A - MatrixXd::Identity(n, n);
  kkt.block(n + m, n, n, m) = at.B;
  kkt.topRightCorner(n + m, n) = kkt.bottomLeftCorner(n, n + m).transpose();
  VectorXd right(2 * n + m);
  right << -at.q.gx, -at.q.gu, -at.change;
  Eigen::CompleteOrthogonalDecomposition<MatrixXd> solver;
  solver.setThreshold(1e-10);  // above the rounding of the differences
  return solver.compute(kkt).solve(right).head(n + m);
}

/// @param at  in: x, a where the search begins; out: the rest
void find_rest(const Task& one, SystemClones& clones, Point& at) {
  constexpr int most = 50;
  const Index n = one.system->ndx();
  std::string why;
  for (int i = 0; i < most; ++i) {
    if (!look(one, clones, at, why)) break;
    const VectorXd step = newton_step(at);
    if (!step.allFinite()) break;
    const double size = 1.0 + std::max(at.x.cwiseAbs().maxCoeff(), at.a.cwiseAbs().maxCoeff());
    if (step.cwiseAbs().maxCoeff() <= 1e-7 * size && at.change.cwiseAbs().maxCoeff() <= 1e-9 * size) return;
    VectorXd moved(at.x.size());
    one.system->integrate(at.x, step.head(n), moved);
    at.x = moved;
    at.a += step.tail(at.a.size());
  }
  refuse(fmt::format("there is no rest near the end of the trajectory{}{}", why.empty() ? "" : ": ", why));
}

void require_within_limits(const Task& task, const VectorXd& a) {
  for (Index j = 0; j < a.size(); ++j)
    if (task.limited(j, a[j]) != a[j])
      refuse(fmt::format("the rest where the trajectory ends asks for {} = {:.3g}, but its limits are {:.3g} to {:.3g}",
                         task.action_names[static_cast<std::size_t>(j)], a[j], task.action_low[j],
                         task.action_high[j]));
}

/// An entry of dx, for people.
std::string entry_name(const Task& task, Index entry) {
  const auto seen = std::ranges::find(task.observation, entry);
  if (task.system->ndx() != task.nx() || seen == task.observation.end())
    return fmt::format("coordinate {} of the state", entry);
  return task.observation_names[static_cast<std::size_t>(seen - task.observation.begin())];
}

/// The gains at the rest. @param at  the rest
StationaryLqr regulator(const Task& task, const Point& at) {
  StationaryLqr lqr = stationary_lqr(at.A, at.B, at.q);
  const auto mode = [&] {
    return fmt::format("a mode with eigenvalue {:.4g}{:+.4g}i, largest in {}", lqr.eigenvalue.real(),
                       lqr.eigenvalue.imag(), entry_name(task, lqr.entry));
  };
  switch (lqr.status) {
    case StationaryStatus::ok: return lqr;
    case StationaryStatus::not_curved: refuse("an action costs nothing at the end of the task; give it a cost there");
    case StationaryStatus::not_stabilisable:
      refuse(fmt::format("the rest cannot be stabilised: no action moves {}", mode()));
    case StationaryStatus::not_detectable:
      refuse(fmt::format("no cost at the end of the task sees {}, which would run away; give it a cost there", mode()));
    case StationaryStatus::no_solution: refuse("the Riccati equation of the rest has no stabilising solution");
  }
  return lqr;
}

/// K [da, ds] of the observation, from that of the whole state, K_raw [da, nx].
MatrixXd gains_on_observation(const Task& task, const MatrixXd& K_raw) {
  MatrixXd K = MatrixXd::Zero(task.da(), task.ds());
  for (Index i = 0; i < task.nx(); ++i) {
    const auto seen = std::ranges::find(task.observation, i);
    if (seen != task.observation.end())
      K.col(seen - task.observation.begin()) = K_raw.col(i);
    else if (!K_raw.col(i).isZero(0.0))
      refuse(fmt::format("the regulator feeds back the whole state, but the policy does not see entry {} of it", i));
  }
  return K;
}

/// Checks that the held trajectory comes nearer to the rest, as the regulator's value measures it.
void require_held(const Task& task, const TvLinearGaussian& policy, int steps, const Point& rest,
                  const StationaryLqr& lqr, const Run& run) {
  Task middle = held_task(task, steps);
  middle.start.spread.setZero();
  const auto batch = rollout(middle, policy, {.rollouts = 1, .explore = false}, run);
  if (!batch) throw Cancelled("interrupted");
  if (!batch->usable(0) || batch->end(0) >= 0) refuse("held, the trajectory diverges or ends early");
  const auto value = [&](int t) {
    VectorXd dx(lqr.P.rows());
    task.system->difference(rest.x, batch->state.col(batch->at(0, t)), dx);
    return dx.dot(lqr.P * dx);
  };
  const double first = value(task.horizon), last = value(middle.horizon);
  if (last > first + 1e-12 * lqr.P.trace())
    refuse(fmt::format(
        "the rest nearest to the end of the trajectory is not reached from there: the cost to go grows from "
        "{:.3g} to {:.3g}",
        first, last));
}

/// The state and the last action, within its limits, of the noiseless trajectory from the middle of the start.
Point end_of_trajectory(const Task& task, const TvLinearGaussian& policy, const Run& run) {
  Task middle = task;
  middle.start.spread.setZero();
  const auto nominal = rollout(middle, policy, {.rollouts = 1, .explore = false}, run);
  if (!nominal) throw Cancelled("interrupted");
  if (!nominal->usable(0) || nominal->end(0) >= 0) refuse("the trajectory from the middle of the start ends early");
  Point end;
  end.x = nominal->state.col(nominal->at(0, task.horizon));
  end.a = nominal->action.col(nominal->step(0, task.horizon - 1));
  for (Index i = 0; i < end.a.size(); ++i) end.a[i] = task.limited(i, end.a[i]);
  return end;
}

/// The task of one held step. Its actions have no limits: those of the rest count, not those on the way to it.
Task one_held_step(const Task& task) {
  Task one = held_task(task, 1);
  one.horizon = 1;
  for (CostTerm& term : one.cost) term.active = {term.active[static_cast<std::size_t>(task.horizon)], 0};
  one.action_low.setConstant(-std::numeric_limits<double>::infinity());
  one.action_high.setConstant(std::numeric_limits<double>::infinity());
  one.success.clear();
  one.termination.clear();
  return one;
}

bool is_stationary(const TvLinearGaussian& policy) {
  for (int t = 1; t < policy.horizon(); ++t)
    if (policy[t].K != policy[0].K || policy[t].k != policy[0].k) return false;
  return true;
}

AnyPolicy lasting(const Task& task, const TvLinearGaussian& policy, int steps, const Run& run) {
  std::vector<LinearGaussian> all;
  for (int t = 0; t < policy.horizon(); ++t) all.push_back(policy[t]);
  LinearGaussian tail = all.back();
  const auto with_tail = [&] {
    all.resize(all.size() + static_cast<std::size_t>(steps), tail);
    return TvLinearGaussian(std::move(all));
  };
  if (is_stationary(policy)) return with_tail();

  Point rest = end_of_trajectory(task, policy, run);
  SystemClones clones(*task.system, 1);
  find_rest(one_held_step(task), clones, rest);
  require_within_limits(task, rest.a);
  const StationaryLqr lqr = regulator(task, rest);
  const TrajectoryPolicy around{rest.x, rest.a, {lqr.K}, {tail.Sigma}};
  const LinearGaussian whole = to_tv_linear_gaussian(around, tangent_maps(*task.system, rest.x))[0];
  tail.K = gains_on_observation(task, whole.K);
  tail.k = whole.k;
  TvLinearGaussian lasts = with_tail();
  require_held(task, lasts, steps, rest, lqr, run);
  return lasts;
}

AnyPolicy lasting(const Task&, const MlpGaussian& policy, int, const Run&) {
  if (policy.clock() > 0) refuse("the network sees the time, which ends with its horizon");
  return policy;
}

AnyPolicy lasting(const Task&, const DmpPolicy&, int, const Run&) {
  refuse("the policy is a movement, which ends with its horizon");
}

AnyPolicy lasting(const Task& task, const ContextualPolicy& policy, int steps, const Run& run) {
  const AnyPolicy middle = std::visit([&](const auto& p) { return lasting(task, p, steps, run); }, policy.middle());
  const auto controller = [](const auto& p) -> Controller {
    if constexpr (std::is_constructible_v<Controller, decltype(p)>) return p;
    refuse("the chosen controller ends with its horizon");
  };
  return ContextualPolicy(policy.context(), policy.map(), std::visit(controller, middle));
}

}  // namespace

Task held_task(const Task& task, int steps) {
  Task longer = task;
  longer.horizon += steps;
  const auto T = static_cast<std::size_t>(task.horizon), end = static_cast<std::size_t>(longer.horizon);
  for (CostTerm& term : longer.cost) {
    term.active[T] = static_cast<char>(held(term.active));
    term.active.resize(end + 1, term.active[T]);
    term.active[end] = term.residual.needs_action ? char{0} : term.active[T];
  }
  for (Success& success : longer.success) {
    std::fill(success.active.begin(), success.active.end(), char{0});
    success.active.resize(end + 1, 1);
    success.active[T] = 1;
    success.active[end] = static_cast<char>(!success.residual.needs_action);
    success.text = success_text(success, fmt::format("{}..{} (held)", T, end));
  }
  return longer;
}

AnyPolicy held_policy(const Task& task, const AnyPolicy& policy, int steps, const Run& run) {
  return std::visit([&](const auto& p) { return lasting(task, p, steps, run); }, policy);
}

}  // namespace kedge
