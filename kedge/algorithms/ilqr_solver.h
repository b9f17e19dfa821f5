// Optimisation of one trajectory by the iterative linear-quadratic regulator [LiTodorov2004], with limits by projected
// steps [Tassa2014] and the covariance of the maximum-entropy problem [Levine2013, Sec. 4]. Symbols, equations,
// schedule and deviations: docs/algorithms/ilqr.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kedge/core/option.h"
#include "kedge/core/run.h"
#include "kedge/evaluation/linearisation.h"
#include "kedge/math/lq.h"
#include "kedge/policy/trajectory_policy.h"
#include "kedge/rollout/trajectory.h"
#include "kedge/system/clones.h"
#include "kedge/system/task.h"
#include "kedge/update/riccati.h"

namespace kedge {

/// A cost of every step t < T in addition to the task's own. Const and thread-safe.
struct ExtraCost {
  virtual ~ExtraCost() = default;
  /// Returns the cost. @param x [nx]  @param a [da] as commanded
  [[nodiscard]] virtual double value(int t, VectorIn x, VectorIn a) const = 0;
  /// Adds its second-order model around (x, a), in tangent coordinates.
  virtual void add_expansion(int t, VectorIn x, VectorIn a, StageCost& q) const = 0;
};

/// Minimise  scale * (cost of the task) + extra  over the actions of one trajectory from x0.
struct IlqrProblem {
  const Task& task;
  double scale = 1.0;  ///< > 0
  const ExtraCost* extra = nullptr;
  VectorXd x0;  ///< [nx]
};

/// `describe` below gives the meaning and the range of each option.
struct IlqrSolverOptions {
  int iterations = 100;
  double tolerance = 1e-7;
  double improvement = 0.0;
  double lambda = 1.0;
  int backtracks = 6;
  bool damp_states = false;
  bool box = false;
  LinearisationOptions differences;

  /// @throws InputError naming option, value and rule
  void validate() const { require_in_range(*this); }
};

template <class O, class Visit>
void describe_solver(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0),
        {"derivative passes at most, each with one step; 0: nothing is learned"});
  visit("tolerance", o.tolerance, between(1e-12, 1),
        {"converged if a step improves the cost by less than this share of it"});
  visit("improvement", o.improvement, at_least(0), {"converged if a step improves the cost by less than this", "cost"});
  visit("lambda", o.lambda, between(0, 1e10),
        {"regularisation of the first step, in units of the mean curvature of the cost by each action"});
  visit("damp_states", o.damp_states, TrueOrFalse{},
        {"regularise the change of the next state, too, in units of the mean curvature of the cost by each of its "
         "entries; false: that of the action alone"});
  visit("backtracks", o.backtracks, between(0, 40),
        {"step sizes that the line search tries: 1, 1/2, ... 2^-backtracks"});
  visit("box", o.box, TrueOrFalse{},
        {"keep the actions within their limits (Box-DDP); false: the simulation cuts them off"});
  visit("centred", o.differences.centred, TrueOrFalse{},
        {"finite differences of second order; false: one-sided ones, half the simulations, for which steps of 1e-7 and "
         "1e-5 are best"});
  visit("state_step", o.differences.state_step, above(0), {"step of the finite differences by entries of the state"});
  visit("action_step", o.differences.action_step, above(0),
        {"step of the finite differences by entries of the action", "units of the action"});
}

template <class O, class Visit>
requires IsOptions<O, IlqrSolverOptions>
void describe(O& o, Visit&& visit) { describe_solver(o, visit); }

/// One iteration: one linearisation, one accepted step.
struct IlqrIteration {
  double cost = 0.0;       ///< cost after it
  double predicted = 0.0;  ///< fall of the cost under the local model for the accepted step
  double realised = 0.0;   ///< fall of the cost in the simulation
  double lambda = 0.0;     ///< regularisation of the accepted step
  double step = 0.0;       ///< its size, in (0, 1]
  double gradient = 0.0;   ///< largest derivative of the cost by an action, before it; 0 for actions that a limit holds
  int rollouts = 0;        ///< simulated by the line search
};

enum class IlqrStop {
  converged,
  max_iterations,
  no_step,                ///< no step of any size under any regularisation lowers the cost
  not_positive_definite,  ///< Quu is not so under any regularisation, or not without it at the end
  diverged,               ///< the first trajectory, or a neighbour of the last one
};

/// A trajectory and the local models around it.
struct IlqrPoint {
  Trajectory path;
  double cost = 0.0;  ///< cost of the problem: scaled, with the extra cost
  double lambda = 0.0;
  Linearisation lin;
  std::vector<StageCost> costs;  ///< [T+1] of the problem
  VectorXd R;                    ///< [da] units of the regularisation: mean curvature of the cost by each action
  VectorXd S;                    ///< [ndx] by each entry of the state; empty: the state is not regularised
};

/// The iterations, one by one. Between calls `point` is the whole state of the optimisation.
class Ilqr {
 public:
  /// @param problem, options, clones outlive this object. Solvers that do not run at the same time can share clones.
  /// @throws InputError unless the problem has the sizes of the task
  Ilqr(const IlqrProblem& problem, const IlqrSolverOptions& options, SystemClones& clones);

  /// Rolls out the first trajectory and expands it. With `box` actions are moved into their limits.
  /// @param known derivatives along that trajectory, null: not known
  /// @return false if it diverged; `message` names the step
  bool start(const ActionLaw& law, double lambda, const Linearisation* known = nullptr);

  /// Runs one iteration. @return nullopt if it made a step; else the reason, with `message`
  std::optional<IlqrStop> iterate(IlqrIteration& done);

  /// Returns the policy around the trajectory: gains without regularisation and without limits, which the simulation
  /// enforces, Sigma = Quu^-1. Returns nullopt if Quu is not positive definite; `message` names the step.
  std::optional<TrajectoryPolicy> policy();

  /// Returns the cost without the scale: that of the task, where there is no extra cost.
  [[nodiscard]] double unscaled_cost() const { return point_.cost / problem_.scale; }
  /// Says that the iterations have converged with a step. @param done of the present point
  [[nodiscard]] std::string settled_text(const IlqrIteration& done) const;

  /// Returns true if the step improved the cost by so little that the iterations have converged.
  [[nodiscard]] bool settled(const IlqrIteration& done) const { return done.realised < least_improvement(); }

  [[nodiscard]] const IlqrPoint& point() const { return point_; }
  /// Returns the point by moving it out; the solver must not be used afterwards.
  [[nodiscard]] IlqrPoint release() { return std::move(point_); }
  [[nodiscard]] const std::string& message() const { return message_; }            ///< numbers that decided a failure
  [[nodiscard]] std::int64_t simulated_steps() const { return simulated_steps_; }  ///< control steps of trajectories

 private:
  Trajectory rollout(const ActionLaw& law);
  [[nodiscard]] double total(const Trajectory& path) const;
  bool expand(Linearisation lin);
  Linearisation derivatives();
  bool backward(double lambda);
  [[nodiscard]] std::string failure_text(double lambda) const;
  [[nodiscard]] double gradient() const;
  [[nodiscard]] double least_improvement() const;
  bool line_search(IlqrIteration& done);

  const IlqrProblem& problem_;
  const IlqrSolverOptions& options_;
  SystemClones& clones_;
  IlqrPoint point_;
  Riccati riccati_;
  RiccatiOptions regularised_;
  std::string message_;
  std::int64_t simulated_steps_ = 0;
};

struct IlqrSolution {
  IlqrStop stop = IlqrStop::max_iterations;
  std::string message;  ///< one sentence with the numbers that decided
  /// The best trajectory. Its gains are those without regularisation; K and Sigma are empty if there are none
  /// (not_positive_definite, diverged).
  TrajectoryPolicy q;
  Linearisation lin;                 ///< around q
  double cost = 0.0;                 ///< cost of the problem
  double task_cost = 0.0;            ///< cost of the task alone
  std::int64_t simulated_steps = 0;  ///< control steps, of trajectories and of derivatives
  double lambda = 0.0;               ///< regularisation to continue with
  std::vector<IlqrIteration> history;
};

/// Runs up to options.iterations iterations. A stop request leaves no solution, because that would depend on
/// time.
/// @param first the law of the first trajectory, for instance `open_loop(actions)`, or a feedback law around another one
/// @param known derivatives along the first trajectory, as `options.differences` make them; null: not known
/// @return nullopt if run.stop was requested before the end
/// @throws InputError if options or problem are wrong
[[nodiscard]] std::optional<IlqrSolution> ilqr_optimise(const IlqrProblem& problem, const ActionLaw& first,
                                                        const IlqrSolverOptions& options, const Run& run,
                                                        const Linearisation* known = nullptr);

/// Returns the law a_t, without feedback. @param a [da, T], copied
ActionLaw open_loop(MatrixXd a);
/// Returns the law a_t + K_t (x (-) x_t), the mean of a trajectory policy. @param policy, system outlive the law
ActionLaw mean_of(const TrajectoryPolicy& policy, const System& system);

/// Returns the actions that optimisation begins with: those of the task's demonstration, and the middle of the limits
/// (0 where they are infinite) where there is none or it has ended.
/// @return [da, T]
MatrixXd first_actions(const Task& task);

}  // namespace kedge
