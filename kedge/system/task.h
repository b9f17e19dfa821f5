// A task as plain data: a system, a horizon, the observation and the action, the start, the cost and the measure of
// success. Costs are minimised; the return is minus the summed cost.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/core/types.h"
#include "kedge/system/system.h"

namespace kedge {

/// The vector from which a residual reads.
enum class Source {
  state,    ///< entries of the full state x
  action,   ///< entries of the action a as commanded, before limits
  control,  ///< entries of the control u as applied, after limits
  sensor,   ///< entries of the sensor vector y
};

enum class Norm {
  quadratic,  ///< r^2
  absolute,   ///< |r|
  smooth,     ///< sqrt(r^2 + width^2) - width: quadratic near 0, linear far away
  bounded,    ///< r^2 width^2 / (r^2 + width^2): quadratic near 0, at most width^2
  distance,   ///< of all entries together: sqrt(sum_j weight_j r_j^2 + width^2) - width; the weights are inside
};

/// A residual r = matrix * (entries of source) - target; of angles, moved by whole turns into [-pi, pi].
struct Residual {
  Source source = Source::state;
  std::vector<Index> index;  ///< entries of the source, not empty
  MatrixXd matrix;           ///< [n, index.size()], or empty: identity
  VectorXd target;           ///< [n]

  /// True if the residual depends on the action or is undefined without one. It then has no value at the final state.
  bool needs_action = false;

  bool angle = false;  ///< entries are angles, rad: a whole turn is no difference

  /// The four entries are a quaternion q of norm 1, without a matrix, and r = +q - target or -q - target, whichever is
  /// smaller: q and -q are one attitude. Between attitudes that are an angle theta apart, |r| = 2 sin(theta / 4).
  bool quaternion = false;

  std::vector<std::string> names = {};  ///< [index.size()] of the entries, for people; may be empty
};

/// A cost sum_j weight_j norm(r_j), which counts at the steps where it is active.
struct CostTerm {
  std::string name;
  Residual residual;
  VectorXd weight;  ///< [n] >= 0
  Norm norm = Norm::quadratic;
  double width = 0.0;  ///< width of Norm::smooth and Norm::bounded, > 0; of Norm::distance, >= 0

  /// [T+1] 0 or 1. Entry T is the final state: 0 if the residual needs an action.
  std::vector<char> active;
};

/// The measure of success. A rollout succeeds if the mean of |r| over its entries and over the active steps, or the
/// largest |r| there, or the largest Euclidean norm of all entries at a step, is below `below`.
struct Success {
  enum class Statistic { mean_abs, max_abs, max_distance };
  Residual residual;
  Statistic statistic = Statistic::mean_abs;
  double below = 0.0;
  std::vector<char> active;  ///< [T+1]
  std::string text;          ///< for people: "mean |link angle| over the last 20 steps < 0.1 rad"
};

/// An early end. An episode ends at the first of its states s_t, t = 1 ... T, where an entry of the residual is not within
/// [low, high]. That state costs `cost` and `missing_step` for each of the T - t steps that are not made, and nothing else.
struct Termination {
  std::string name;
  Residual residual;          ///< needs no action
  VectorXd low, high;         ///< [n] low < high, may be infinite
  double cost = 0.0;          ///< >= 0
  double missing_step = 0.0;  ///< >= 0
};

/// The distribution of the initial state: x = mean + spread * z, z ~ N(0, 1) or uniform in [-1, 1], entry by entry.
struct StartDistribution {
  enum class Kind { gaussian, uniform };
  Kind kind = Kind::gaussian;
  VectorXd mean;    ///< [nx]
  VectorXd spread;  ///< [nx] >= 0: standard deviation or half-width
};

/// A trajectory that shows how the task can be done, for algorithms that begin with one. If it was made with the task's
/// own system, its states follow from its actions step by step (`replay_error`); those of a recording need not.
struct Demonstration {
  MatrixXd state;   ///< [nx, T'+1], 1 <= T' <= T
  MatrixXd action;  ///< [da, T'], within the limits if it was made with the task's own system

  /// Returns T'.
  [[nodiscard]] int steps() const { return static_cast<int>(action.cols()); }
};

struct Task {
  std::string name;
  std::string summary;                         ///< one line
  std::shared_ptr<const System> system;        ///< prototype; workers clone it
  int horizon = 0;                             ///< T >= 1 control steps
  double control_step = 0.0;                   ///< seconds, > 0
  std::vector<Index> observation;              ///< s = [x; y][observation], not empty: entry nx + j is sensor j
  std::vector<std::string> observation_names;  ///< [ds]

  /// [da] Action entry i drives control control_index[i]; controls that no action drives stay 0.
  std::vector<Index> control_index;

  std::vector<std::string> action_names;  ///< [da]
  VectorXd action_low, action_high;       ///< [da] limits, low < high, may be infinite
  StartDistribution start;

  /// Entries of the initial state by which a controller may be chosen for each episode; empty: those whose start varies.
  std::vector<Index> context;

  std::vector<CostTerm> cost;                          ///< at least one
  std::vector<Success> success;                        ///< empty, or one
  std::vector<Termination> termination = {};           ///< empty: every episode has T steps
  std::shared_ptr<const Demonstration> demonstration;  ///< null: none

  [[nodiscard]] Index nx() const { return system->nx(); }
  [[nodiscard]] Index ds() const { return static_cast<Index>(observation.size()); }
  [[nodiscard]] Index da() const { return static_cast<Index>(control_index.size()); }

  /// True if the policy sees sensors, which must not depend on the control.
  [[nodiscard]] bool observes_sensors() const {
    return std::ranges::any_of(observation, [&](Index i) { return i >= nx(); });
  }

  /// Returns entry i of an action, moved within its limits; NaN stays NaN. @param i in [0, da)
  [[nodiscard]] double limited(Index i, double a) const { return std::clamp(a, action_low[i], action_high[i]); }
  /// Sets the system's controls to the action within its limits, and to 0 where no action drives them. Of two actions that
  /// drive the same control, the later one counts.
  /// @param a [da]  @param u [nu], out  @return number of entries of `a` that are beyond their limits, or NaN
  Index control(VectorIn a, VectorOut u) const;
  /// Returns the middle of the limits, 0 where one of them is infinite. @return [da]
  [[nodiscard]] VectorXd resting_action() const;
  /// Returns the value below which the success measure means success; NaN, which nothing is below, if there is no measure.
  [[nodiscard]] double success_limit() const;
};

/// Checks that sizes, indices and ranges fit together. @throws InputError "task.<field> = ..., but must be ..."
void validate(const Task& task);

/// Returns the first `horizon` steps of the task. Terms of its final state then apply to the last remaining state.
/// @param horizon in [1, T]  @throws InputError if it is not
Task shortened(Task task, int horizon);

/// Draws the initial state of a rollout. All randomness comes from `noise`. @return [nx]
VectorXd sample_start(const StartDistribution& start, Stream& noise);

/// Returns the first early end that a state asks for; null: none. @param x [nx]  @param y [nsensor]
const Termination* termination_at(const Task& task, VectorIn x, VectorIn y);

/// Moves angles by whole turns into [-pi, pi]. @param angles [n] rad, in and out
void wrap(VectorOut angles);

/// Returns 1 or -1, the sign with which a quaternion is nearer to a target. @param q, target [4]
double quaternion_sign(VectorIn q, VectorIn target);

/// Computes the residual of one step. @param x [nx]  @param a [da] commanded  @param u [nu] applied  @param y [nsensor]
/// @param r [n], out
void residual(const Residual& residual, VectorIn x, VectorIn a, VectorIn u, VectorIn y, VectorOut r);

/// Returns the value of a cost term at one step, whether it is active there or not. Parameters as above.
double term_value(const CostTerm& term, VectorIn x, VectorIn a, VectorIn u, VectorIn y);

/// Returns the entries of a residual for people, "qpos:a - 0.5, 2 qpos:b - qpos:c", cut short where there are many.
std::string residual_text(const Residual& residual);

/// Returns what a measure of success computes, "largest |sensor:x[0], sensor:x[1] - 1| at steps last 5 < 0.1".
/// @param steps  its steps, for people
std::string success_text(const Success& success, const std::string& steps);

/// Returns the action that drives a control, the last one that names it; -1 if none does, so that the control stays 0.
/// @param control in [0, nu)
Index driver_of(const Task& task, Index control);

}  // namespace kedge
