// A task as plain data: a system, a horizon, what the policy sees and commands, where it starts, what it costs, and
// what counts as success. Costs are minimised; the return is minus the summed cost.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/core/types.h"
#include "kedge/system/system.h"

namespace kedge {

/// What a cost term or a success measure looks at.
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
};

/// residual r = matrix * (entries of source) - target.
struct Residual {
  Source source = Source::state;
  std::vector<Index> index;  ///< entries of the source, not empty
  MatrixXd matrix;           ///< [n, index.size()], or empty: identity
  VectorXd target;           ///< [n]
  /// true if the residual depends on the action or is undefined without one (then it has no value at the final state)
  bool needs_action = false;
};

/// value = sum_j weight_j norm(r_j); it counts at the steps where `active`.
struct CostTerm {
  std::string name;
  Residual residual;
  VectorXd weight;  ///< [n] >= 0
  Norm norm = Norm::quadratic;
  double width = 0.0;        ///< of Norm::smooth, > 0
  std::vector<char> active;  ///< [T+1] 0 or 1; entry T: the final state (0 if the residual needs an action)
};

/// How success is read off a rollout: the mean over the steps where `active` and over the entries of |r|, or the
/// largest |r| there, is below `below`.
struct Success {
  enum class Statistic { mean_abs, max_abs };
  Residual residual;
  Statistic statistic = Statistic::mean_abs;
  double below = 0.0;
  std::vector<char> active;  ///< [T+1]
  std::string text;          ///< for people: "mean |link angle| over the last 20 steps < 0.1 rad"
};

/// Distribution of the initial state: x = mean + spread * z, z ~ N(0,1) or uniform in [-1, 1], entry by entry.
struct StartDistribution {
  enum class Kind { gaussian, uniform };
  Kind kind = Kind::gaussian;
  VectorXd mean;    ///< [nx]
  VectorXd spread;  ///< [nx] >= 0: standard deviation or half-width
};

/// A trajectory that shows how the task can be done, for algorithms that begin with one. Where it was made with the
/// task's own system, its states follow from its actions step by step (`replay_error`); a recording's need not.
struct Demonstration {
  MatrixXd state;   ///< [nx, T'+1], 1 <= T' <= T
  MatrixXd action;  ///< [da, T'], within the limits if it was made with the task's own system

  [[nodiscard]] int steps() const { return static_cast<int>(action.cols()); }  ///< T'
};

struct Task {
  std::string name;
  std::string summary;                         ///< one line
  std::shared_ptr<const System> system;        ///< prototype; workers clone it
  int horizon = 0;                             ///< T >= 1 control steps
  double control_step = 0.0;                   ///< seconds, > 0
  std::vector<Index> observation;              ///< s = x[observation], not empty
  std::vector<std::string> observation_names;  ///< [ds]
  std::vector<Index> control_index;       ///< action entry i drives control control_index[i]; other controls stay 0
  std::vector<std::string> action_names;  ///< [da]
  VectorXd action_low, action_high;       ///< [da] limits, low < high, may be infinite
  StartDistribution start;
  std::vector<CostTerm> cost;                          ///< at least one
  std::vector<Success> success;                        ///< empty, or one
  std::shared_ptr<const Demonstration> demonstration;  ///< null: none

  [[nodiscard]] Index nx() const { return system->nx(); }
  [[nodiscard]] Index ds() const { return static_cast<Index>(observation.size()); }
  [[nodiscard]] Index da() const { return static_cast<Index>(control_index.size()); }
};

/// Checks that sizes, indices and ranges fit together. @throws InputError "task.<field> = ..., but must be ..."
void validate(const Task& task);

/// The first `horizon` steps of the task, in [1, T]. What holds at its final state holds at the last one of these.
Task shortened(Task task, int horizon);

/// Draws the initial state of a rollout. All randomness comes from `noise`. @return [nx]
VectorXd sample_start(const StartDistribution& start, Stream& noise);

/// Reads the residual at one step. @param x [nx]  @param a [da] commanded  @param u [nu] applied  @param y [nsensor]
/// @param r [n], out
void residual(const Residual& residual, VectorIn x, VectorIn a, VectorIn u, VectorIn y, VectorOut r);

/// Value of a cost term at one step, whether active there or not.
double term_value(const CostTerm& term, VectorIn x, VectorIn a, VectorIn u, VectorIn y);

}  // namespace kedge
