// The outer loop of every algorithm: it begins, times, reports and commits iterations, and ends the run.
//
//   Loop loop(std::move(state), options.iterations, run, observe);
//   while (loop.next()) {
//     auto batch = rollout(task, loop.state().policy, ...);
//     if (!batch) return loop.end(cancelled());
//     loop.lap("rollouts");
//     ...
//     loop.commit(std::move(next), std::move(report));
//   }
//   return loop.done();
//
// The loop owns the state. Nothing but `commit` changes it, so however an iteration ends early, the state is that after
// the last completed iteration, and continuing from it gives the same numbers as never having stopped.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/core/outcome.h"
#include "kedge/core/run.h"

namespace kedge {

struct UpdateRecord;  // update_record.h

/// The common part of the states of all algorithms. An algorithm's state adds its policy and its own data.
/// `describe(state, visit)` calls visit(name, field) for every field.
struct LoopState {
  int iteration = 0;  ///< iterations completed
  std::int64_t rollouts_total = 0;
  std::int64_t steps_total = 0;   ///< control steps simulated
  double last_return_mean = 0.0;  ///< mean return of the rollouts of the last completed iteration; NaN if all diverged
};

template <class State, class Visit>
void describe_loop(State& s, Visit&& visit) {
  visit("iteration", s.iteration);
  visit("rollouts_total", s.rollouts_total);
  visit("steps_total", s.steps_total);
  visit.any("last_return_mean", s.last_return_mean);  // NaN if all rollouts diverged
}

/// How a loop ended.
template <class State>
struct LoopResult {
  Stop stop = Stop::max_iterations;
  std::string message;  ///< one sentence with the numbers that decided
  State state;          ///< `state.policy` is the last accepted policy, usable for every `stop`
};

/// Called after each completed iteration, on the calling thread. `record` is null unless run.record_updates.
template <class State>
using LoopObserver = std::function<void(const Iteration&, const State&, const UpdateRecord* record)>;

template <class State>
class Loop {
 public:
  /// @param iterations total, those that the state has completed included  @param run, observe outlive the loop
  Loop(State state, int iterations, const Run& run, const LoopObserver<State>& observe)
      : state_(std::move(state)), iterations_(iterations), run_(run), observe_(observe) {}

  /// Begins the next iteration. Returns false if all are done or a stop was requested; `done` tells the two apart.
  bool next() {
    if (state_.iteration >= iterations_ || run_.stop.stop_requested()) return false;
    seconds_.clear();
    last_ = Clock::now();
    return true;
  }

  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] int iteration() const { return state_.iteration; }  ///< number of the present iteration

  /// Ends a phase of the iteration: its wall time is that since the phase before.
  void lap(const char* phase) {
    const Clock::time_point now = Clock::now();
    seconds_.emplace_back(phase, std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }

  /// Completes the iteration: counts it, reports it, shows it to the observer.
  /// @param next the state after it; its `iteration` is set here
  /// @param record makes the UpdateRecord of algorithms that have one; only called if run.record_updates
  template <class MakeRecord = std::nullptr_t>
  void commit(State next, Iteration report, const MakeRecord& record = {}) {
    report.number = state_.iteration;
    next.iteration = state_.iteration + 1;
    state_ = std::move(next);
    lap("report");
    report.seconds = std::move(seconds_);
    if (!observe_) return;
    if constexpr (!std::is_null_pointer_v<MakeRecord>) {
      if (run_.record_updates) {
        const UpdateRecord made = record();
        return observe_(report, state_, &made);
      }
    }
    observe_(report, state_, nullptr);
  }

  /// Return the result: of a loop that ran out of iterations or was asked to stop, that converged, or that must end
  /// early. The state is moved out, so the loop must not be used afterwards.
  [[nodiscard]] LoopResult<State> done() {
    if (state_.iteration < iterations_) return end(cancelled());
    return {Stop::max_iterations, fmt::format("{} iterations done", state_.iteration), std::move(state_)};
  }
  [[nodiscard]] LoopResult<State> converged(State last, std::string message) {
    return {Stop::converged, std::move(message), std::move(last)};
  }
  [[nodiscard]] LoopResult<State> end(const Ending& why) {
    std::string message =
        why.stop == Stop::cancelled
            ? fmt::format("cancelled after {} iterations", state_.iteration)
            : fmt::format("iteration {}: {}; the policy of the last iteration is kept", state_.iteration, why.message);
    return {why.stop, std::move(message), std::move(state_)};
  }

 private:
  using Clock = std::chrono::steady_clock;

  State state_;
  const int iterations_;
  const Run& run_;
  const LoopObserver<State>& observe_;
  Clock::time_point last_;
  std::vector<Metric> seconds_;
};

}  // namespace kedge
