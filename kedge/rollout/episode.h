// One episode of a task, step by step. Rollouts, trajectories and demonstrations are loops over it; other programs can
// drive it, too.
#pragma once

#include <functional>
#include <string>

#include "kedge/system/task.h"

namespace kedge {

/// A law of action: commands the action of step t. Each function that takes a law says whether it sees the state x or the
/// observation s. @param seen [nx] or [ds]  @param a [da], out
using ActionLaw = std::function<void(int t, VectorIn seen, VectorOut a)>;

/// One step of an episode at (x_t, a_t), t < T, or the final state x_T, where no action is commanded.
struct EpisodeStep {
  VectorXd control;  ///< [nu] as applied: the action within its limits; 0 at the final state
  VectorXd sensors;  ///< [nsensor] at x_t under this control

  /// [cost terms] Value of every term, whether it is active at t or not; 0 at the final state for those that need an
  /// action.
  VectorXd terms;

  double cost = 0.0;  ///< sum of the terms that are active at t
  Index limited = 0;  ///< entries of the action that are beyond their limits

  /// True if the action, the simulation or a cost term is not finite. Sensors, terms and cost are then 0.
  bool diverged = false;
};

/// An episode of a task: `reset`, T times `step`, `finish`. One that diverges ends there, and one that ends early
/// (task.termination) goes on with `finish`. Only the constructor allocates memory, and a divergence the text that says why.
///
///     Episode episode(task, system);
///     episode.reset(x0);
///     double cost = 0.0;
///     while (episode.goes_on()) cost += episode.step(act(episode.observation())).cost;
///     if (!episode.diverged()) cost += episode.finish().cost;
class Episode {
 public:
  /// @param task    valid; outlives this object
  /// @param system  a clone of the task's, used by nothing else; outlives this object
  Episode(const Task& task, System& system);
  Episode(const Episode&) = delete;
  Episode& operator=(const Episode&) = delete;

  /// Begins an episode, whatever came before. It diverges at once if the policy sees sensors that are not finite.
  /// @param x0 [nx]  @throws InputError if x0 has another size or is not finite
  void reset(VectorIn x0);

  /// Simulates the control step at time t: limits the action, steps the system, reads the sensors, evaluates costs and
  /// success. An action that is not finite diverges.
  /// @param a [da] as commanded
  /// @return the step, valid until the next call
  /// @throws InputError if `a` has another size, or if the episode has no step left: it was not begun, has made T
  ///         steps, has ended early, or has diverged
  const EpisodeStep& step(VectorIn a);

  /// Evaluates costs and success at the final state, once, after T steps; or the cost of the end of an episode that ended
  /// early, with terms of 0.
  /// @return the final state as a step without action, valid until the next call
  /// @throws InputError if the episode is not at its final state
  const EpisodeStep& finish();

  /// Returns t, the number of steps made, in [0, T]; in an episode that diverged, those before.
  [[nodiscard]] int time() const { return time_; }
  /// Returns the state x_t, finite; in an episode that diverged, the last one before. @return [nx]
  [[nodiscard]] const VectorXd& state() const { return x_; }
  /// Returns the observation of that state, s_t. @return [ds]
  [[nodiscard]] const VectorXd& observation() const { return s_; }
  /// True if a step, or the final state, diverged.
  [[nodiscard]] bool diverged() const { return phase_ == Phase::diverged; }
  /// Returns the early end that the last step led to; null: none.
  [[nodiscard]] const Termination* ended() const { return ended_; }
  /// True if a step is left: the episode has begun, has made fewer than T steps, and has not ended early or diverged.
  [[nodiscard]] bool goes_on() const { return phase_ == Phase::running && time_ < task_->horizon && !ended_; }
  /// Returns why it diverged: the simulator's words, or which number is not finite; empty if it did not.
  [[nodiscard]] const std::string& why() const { return why_; }
  /// Returns the value of the task's success measure. It is NaN before `finish`, after divergence or an early end, and if
  /// none is declared.
  [[nodiscard]] double success() const;

 private:
  enum class Phase { idle, running, finished, diverged };

  void require_phase(bool ok, const char* call) const;
  bool look();
  void observe();
  bool evaluate(VectorIn a);
  [[nodiscard]] std::string bad_sensors() const;
  [[nodiscard]] std::string bad_cost() const;
  void measure(VectorIn x, VectorIn a, VectorIn u, VectorIn y);
  const EpisodeStep& diverge(std::string why);

  const Task* task_;
  System* system_;
  Phase phase_ = Phase::idle;
  int time_ = 0;
  bool looks_ = false;         // are sensors read at s_t, before the action?
  VectorXd x_, next_, y_, s_;  // x_t, x_{t+1}, the sensors at x_t or x_{t+1} if they are looked at, and s_t
  const Termination* ended_ = nullptr;
  EpisodeStep now_;
  std::string why_;
  VectorXd residual_;                               // of the success measure
  double residual_sum_ = 0.0, residual_max_ = 0.0;  // of its absolute values so far
  Index residual_count_ = 0;
};

/// Returns the observations of states. @param x [nx, N]  @return [ds, N]
/// @throws InputError if the policy sees sensors, and one of them is not finite there
MatrixXd observations(const Task& task, MatrixIn x);

}  // namespace kedge
