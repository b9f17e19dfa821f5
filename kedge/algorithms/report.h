// What every algorithm reports of an iteration: the common columns of metrics.csv, and warnings in plain words.
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

/// Counts an iteration's rollouts of the policy in the state after it. @param more control steps simulated besides
void count(const Batch& batch, std::int64_t more, LoopState& next);

/// What the columns that all trust-region methods share are made of, beside rollouts and updates.
struct CommonNumbers {
  double ess_median = 0.0;             ///< effective samples of a step's fit
  double q_r2_median = 0.0;            ///< explained share of what Q is made from
  double improvement_predicted = 0.0;  ///< of the return
};

/// The first 15 columns, the same for all trust-region methods.
/// @param updates [T]  @param before state of the loop before this iteration
std::vector<Metric> common_metrics(const Epoch& epoch, const std::vector<GaussianStep>& updates,
                                   const CommonNumbers& numbers, const LoopState& before);

/// What the update did at each time step: kl, entropy, beta, eta, omega, each [T]. @param updates [T]
std::vector<StepMetric> update_steps(const std::vector<GaussianStep>& updates);

/// Mean return minus that of the iteration before: what the previous update brought; 0 in iteration 0.
double improvement_realised(const Batch& batch, const LoopState& before);

/// Warnings about the rollouts themselves. @param remedy beside raising the action cost: "lower initial_std"
void warn_of_saturation(const Batch& batch, const char* remedy, std::vector<std::string>& warnings);
void warn_of_divergence(const Batch& batch, std::vector<std::string>& warnings);

}  // namespace kedge
