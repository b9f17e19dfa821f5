// Iterative linear-quadratic regulator [LiTodorov2004], with limits by projected steps [Tassa2014] and the covariance of the
// maximum-entropy problem [Levine2013, Sec. 4]. Symbols, equations, schedule and deviations: docs/algorithms/ilqr.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kedge/algorithms/training.h"
#include "kedge/evaluation/linearisation.h"
#include "kedge/math/lq.h"
#include "kedge/policy/trajectory_policy.h"
#include "kedge/rollout/trajectory.h"
#include "kedge/update/riccati.h"

namespace kedge {

/// A cost of every step t < T beside the task's own. Const and thread-safe.
struct ExtraCost {
  virtual ~ExtraCost() = default;
  /// @param x [nx]  @param a [da] as commanded
  [[nodiscard]] virtual double value(int t, VectorIn x, VectorIn a) const = 0;
  /// Adds its second-order model around (x, a), in tangent coordinates.
  virtual void add_expansion(int t, VectorIn x, VectorIn a, StageCost& q) const = 0;
};

/// minimise  scale * (cost of the task) + extra  over the actions of one trajectory from x0.
struct IlqrProblem {
  const Task& task;
  double scale = 1.0;  ///< > 0
  const ExtraCost* extra = nullptr;
  VectorXd x0;  ///< [nx]
};

struct IlqrOptions {
  int iterations = 100;      ///< >= 0
  double tolerance = 1e-7;   ///< converged if a step improves the cost by less than this share of it, in [1e-12, 1]
  double improvement = 0.0;  ///< or by less than this, units of the cost, >= 0
  double lambda = 1.0;       ///< regularisation at the start, in units of the curvature of the action cost, >= 0
  int backtracks = 6;        ///< step sizes 1, 1/2, ... 2^-backtracks, >= 0
  bool box = false;  ///< keep the actions within their limits; false: an action beyond is only cut off by the simulator
  LinearisationOptions differences;

  // Of training alone:
  double cost_scale = 1.0;     ///< IlqrProblem::scale: the covariance of the policy is Quu^-1 of the scaled cost, > 0
  double initial_noise = 0.0;  ///< standard deviation of noise on the first actions, units of the action, >= 0

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

/// One iteration: one linearisation, one accepted step.
struct IlqrIteration {
  double cost = 0.0;       ///< after it
  double predicted = 0.0;  ///< fall of the cost that the local model promised for the accepted step
  double realised = 0.0;   ///< and that it brought
  double lambda = 0.0;     ///< regularisation of the accepted step
  double step = 0.0;       ///< its size, in (0, 1]
  double gradient = 0.0;   ///< largest derivative of the cost by an action, before it; 0 for actions that a limit holds
  int rollouts = 0;        ///< simulated by the line search
};

enum class IlqrStop {
  converged,
  max_iterations,
  no_step,                ///< no step of any size under any regularisation lowers the cost
  not_positive_definite,  ///< nor can regularisation make Quu so; or, at the end, without it Quu is not
  diverged,               ///< the first trajectory, or a neighbour of the last one
  cancelled,
};

/// A trajectory and the local models around it.
struct IlqrPoint {
  Trajectory path;
  double cost = 0.0;  ///< of the problem: scaled, with the extra
  double lambda = 0.0;
  Linearisation lin;
  std::vector<StageCost> costs;  ///< [T+1] of the problem
  VectorXd R;                    ///< [da] units of the regularisation: mean curvature of the cost by each action
};

/// The iterations, one by one. Between calls everything that they go on from is in `point`.
class Ilqr {
 public:
  /// @param problem, options outlive this object
  /// @throws InputError unless the problem has the sizes of the task
  Ilqr(const IlqrProblem& problem, const IlqrOptions& options, int threads);

  /// Rolls out the first trajectory and expands it. With `box` actions are moved into their limits.
  /// @param known derivatives along that trajectory, null: not known
  /// @return false: it diverged; `message` says where
  bool start(const ActionLaw& law, double lambda, const Linearisation* known = nullptr);

  /// One iteration. @return nullopt if it made a step; else why not, with `message`
  std::optional<IlqrStop> iterate(IlqrIteration& done);

  /// The policy around the trajectory: gains without regularisation, Sigma = Quu^-1.
  /// @return nullopt if there is none: Quu is not positive definite; `message` says where
  std::optional<TrajectoryPolicy> policy();

  [[nodiscard]] const IlqrPoint& point() const { return point_; }
  [[nodiscard]] IlqrPoint& point() { return point_; }
  [[nodiscard]] const std::string& message() const { return message_; }  ///< the numbers that decided, of a failure
  [[nodiscard]] std::int64_t simulated_steps() const { return simulated_steps_; }  ///< of trajectories, so far

 private:
  Trajectory rollout(const ActionLaw& law);
  [[nodiscard]] double total(const Trajectory& path) const;
  bool expand(Linearisation lin);
  Linearisation derivatives();
  bool backward(double lambda);
  [[nodiscard]] double gradient() const;
  [[nodiscard]] double least_improvement() const;
  bool line_search(IlqrIteration& done);

  const IlqrProblem& problem_;
  const IlqrOptions& options_;
  SystemClones clones_;
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
  double cost = 0.0;                 ///< of the problem
  double task_cost = 0.0;            ///< of the task alone
  std::int64_t simulated_steps = 0;  ///< control steps, of trajectories and of derivatives
  double lambda = 0.0;               ///< to go on from
  std::vector<IlqrIteration> history;
};

/// Runs up to options.iterations iterations.
/// @param first the law of the first trajectory, for instance `open_loop(actions)`, or a feedback law around another one
/// @param known derivatives along the first trajectory, as `options.differences` make them; null: not known
/// @throws InputError if options or problem are wrong
[[nodiscard]] IlqrSolution ilqr_optimise(const IlqrProblem& problem, const ActionLaw& first, const IlqrOptions& options,
                                         const Run& run, const Linearisation* known = nullptr);

/// a_t, whatever the state. @param a [da, T], copied
ActionLaw open_loop(MatrixXd a);
/// a_t + K_t (x (-) x_t): the mean of a trajectory policy. @param policy, system outlive the law
ActionLaw mean_of(const TrajectoryPolicy& policy, const System& system);

/// @throws InputError unless the observation is the whole state, in order
void require_full_state(const Task& task);

/// The actions that optimisation begins with: those of the task's demonstration, and where there is none or it has ended,
/// the middle of the limits (0 where infinite). @return [da, T]
MatrixXd first_actions(const Task& task);

/// The state before the first iteration: the first actions, and a policy of them without feedback.
/// @throws InputError if the task is not valid or does not observe its whole state
TrainingState ilqr_start(const Task& task, const IlqrOptions& options);

/// Runs iterations state.iteration ... options.iterations - 1 from the mean of the task's start. The policy is that around
/// the last trajectory, its covariance Quu^-1.
/// @throws InputError if options, task and state do not fit together. Numerical failure is a result, not an exception.
[[nodiscard]] TrainingResult ilqr(const Task& task, TrainingState state, const IlqrOptions& options, const Run& run,
                                  const TrainingObserver& observe = {});

}  // namespace kedge
