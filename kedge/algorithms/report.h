// What every algorithm reports of an iteration: the common columns of metrics.csv, and warnings in plain words.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kedge/algorithms/training.h"

namespace kedge {

template <class T>
std::vector<double> collect(const std::vector<T>& items, const std::function<double(const T&)>& value) {
  std::vector<double> values;
  for (const T& item : items) values.push_back(value(item));
  return values;
}

/// What the columns that all trust-region methods share are made of, beside rollouts and updates.
struct CommonNumbers {
  double ess_median = 0.0;             ///< effective samples of a step's fit
  double q_r2_median = 0.0;            ///< explained share of what Q is made from
  double improvement_predicted = 0.0;  ///< of the return
};

/// The first 15 columns, the same for all trust-region methods.
/// @param updates [T]  @param before state of the loop before this iteration
std::vector<Metric> common_metrics(const Epoch& epoch, const std::vector<MotoUpdate>& updates,
                                   const CommonNumbers& numbers, const TrainingState& before);

/// What the update did at each time step: kl, entropy, beta, eta, omega, each [T]. @param updates [T]
std::vector<StepMetric> update_steps(const std::vector<MotoUpdate>& updates);

/// Mean return minus that of the iteration before: what the previous update brought; 0 in iteration 0.
double improvement_realised(const Batch& batch, const TrainingState& before);

/// Warnings about the rollouts themselves. @param remedy beside raising the action cost: "lower initial_std"
void warn_of_saturation(const Batch& batch, const char* remedy, std::vector<std::string>& warnings);
void warn_of_divergence(const Batch& batch, std::vector<std::string>& warnings);

}  // namespace kedge
