// Small tasks for the tests of algorithms: a double integrator whose optimum is known, and the same with an edge beyond which
// the simulation diverges.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "kedge/algorithms/gps.h"
#include "kedge/algorithms/moto.h"
#include "kedge/catalogue/fields.h"
#include "tests/support/numbers.h"

namespace kedge::test {

/// Position and velocity, one force; quadratic costs at all steps, heavier at the final state.
struct DoubleIntegrator {
  int T = 15;
  MatrixXd A, B, Q, R, Qf;  ///< cost sum_t x'Qx + a'Ra, and x'Qf x at the end; Q, R, Qf diagonal
  StartDistribution start;
  DoubleIntegrator();
  /// @param edge |x0| beyond which the simulation diverges  @param limit of the force
  [[nodiscard]] Task task(double edge = 1e100, double limit = std::numeric_limits<double>::infinity()) const;
  /// Expected summed cost of the mean actions of a policy, exactly.
  [[nodiscard]] double expected_cost(const TvLinearGaussian& policy) const;
  /// The least expected summed cost, by the Riccati recursion.
  [[nodiscard]] double least_cost() const;
};

/// Leaves the costs that count at every step, and makes them count at the final state too.
Task with_steady_costs(Task task);

/// Options that learn the double integrator quickly.
MotoOptions small_options();

/// Everything that an observer sees, and the result.
template <class State>
struct Recording {
  std::vector<Iteration> iterations;
  std::vector<TvLinearGaussian> policies;
  std::vector<UpdateRecord> records;
  LoopResult<State> result;
};

/// @param run its record_updates is set
Recording<MotoState> record(const Task& task, MotoState state, const MotoOptions& options, Run run);
Recording<GpsState> record(const Task& task, GpsState state, const GpsOptions& options, Run run);

double metric(const Iteration& iteration, const std::string& name);

bool same_bits(const TvLinearGaussian& a, const TvLinearGaussian& b);

/// Equal names and values in every bit; NaN equals NaN.
bool same_bits(const Fields& a, const Fields& b);

/// Equal numbers, names and warnings; times may differ.
bool same(const Iteration& a, const Iteration& b);

}  // namespace kedge::test
