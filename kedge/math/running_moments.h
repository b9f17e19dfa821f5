// Mean and deviation of a stream of vectors, a block at a time: the normaliser of observations.
#pragma once

#include "kedge/core/option.h"
#include "kedge/core/types.h"

namespace kedge {

struct RunningMoments {
  double count = 0.0;  ///< vectors so far
  VectorXd mean;       ///< [n]
  VectorXd squares;    ///< [n] sums of squared deviations from the mean

  RunningMoments() = default;
  explicit RunningMoments(Index n) : mean(VectorXd::Zero(n)), squares(VectorXd::Zero(n)) {}
};

template <class M, class Visit>
requires IsOptions<M, RunningMoments>
void describe(M& m, Visit&& visit) {
  visit("count", m.count);
  visit("mean", m.mean);
  visit("squares", m.squares);
}

/// Adds the columns of x (the parallel form of Welford's recursion). @param x [n, N], N may be 0
void add_columns(MatrixIn x, RunningMoments& moments);

/// Returns the standard deviation of every entry; 1 before the second vector and where it is below 1e-8. @return [n]
VectorXd deviations(const RunningMoments& moments);

}  // namespace kedge
