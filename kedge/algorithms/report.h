// The part of an iteration's report that all algorithms share: common columns of metrics.csv, and warnings in plain words.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kedge/algorithms/loop.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/system/task.h"
#include "kedge/update/gaussian_step.h"

namespace kedge {

template <class T>
std::vector<double> collect(const std::vector<T>& items, const std::function<double(const T&)>& value) {
  std::vector<double> values;
  for (const T& item : items) values.push_back(value(item));
  return values;
}

/// Appends columns to a report.
void add(Iteration& report, const std::vector<Metric>& columns);

/// Counts an iteration's rollouts of the policy in the state after it.
/// @param more control steps simulated in addition to them
void count(const Batch& batch, std::int64_t more, LoopState& next);

/// Returns the columns that every algorithm reports first: iteration, rollouts_total, steps_total, return_mean,
/// return_std, return_min, return_max. The returns are NaN if no rollout is usable.
std::vector<Metric> return_metrics(const Batch& batch, int iteration, std::int64_t rollouts_total,
                                   std::int64_t steps_total);

/// The numbers that the columns of all trust-region methods need in addition to rollouts and updates.
struct CommonNumbers {
  double ess_median = 0.0;             ///< effective samples of a step's fit
  double q_r2_median = 0.0;            ///< explained share of the variance of Q's targets or of the dynamics
  double improvement_predicted = 0.0;  ///< predicted improvement of the return
};

/// Returns the first 15 columns, the same for all trust-region methods.
/// @param updates [T]  @param before state of the loop before this iteration
std::vector<Metric> common_metrics(const Epoch& epoch, const std::vector<GaussianStep>& updates,
                                   const CommonNumbers& numbers, const LoopState& before);

/// Returns the numbers of the update at each time step: kl, entropy, beta, eta, omega, each [T]. @param updates [T]
std::vector<StepMetric> update_steps(const std::vector<GaussianStep>& updates);

/// Returns the mean return minus that of the iteration before, the effect of the previous update; 0 in iteration 0.
double improvement_realised(const Batch& batch, const LoopState& before);

/// Appends the column ended_early, the share of the rollouts, to the report of a task whose episodes can end early.
void add_early_ends(const Task& task, const Batch& batch, Iteration& report);

/// Append warnings about the rollouts themselves.
/// @param remedy in addition to raising the action cost: "lower initial_std"
void warn_of_saturation(const Batch& batch, const char* remedy, std::vector<std::string>& warnings);
void warn_of_divergence(const Batch& batch, std::vector<std::string>& warnings);

}  // namespace kedge
