// A value function V(x) that is a network, fitted to returns by minibatches.
#pragma once

#include "kedge/core/random.h"
#include "kedge/math/adam.h"
#include "kedge/policy/network.h"

namespace kedge {

/// The network has one output. Its optimiser goes on from fit to fit.
struct NetworkValue {
  Network network;
  Adam optimiser;
};

template <class V, class Visit>
requires IsOptions<V, NetworkValue>
void describe(V& v, Visit&& visit) {
  visit("network", v.network);
  visit("optimiser", v.optimiser);
}

/// Returns V of every input. @param x [inputs, N]  @return [N]
VectorXd values(const Network& network, MatrixIn x, int threads);

struct ValueFitOptions {
  int epochs = 5;      ///< passes over the data, >= 0
  int minibatch = 64;  ///< samples of a step, >= 1; the last of a pass has what is left
  double rate = 1e-3;  ///< step size of Adam, > 0
};

/// Fits V to targets by the squared error, from its present weights. Does nothing where the data or what comes out is not finite.
/// @param x [inputs, N]  @param target [N]  @param random draws the order of the samples
/// @return false if it did nothing  @throws InputError if an option is out of its range
[[nodiscard]] bool fit_value(MatrixIn x, VectorIn target, const ValueFitOptions& options, Stream random,
                             NetworkValue& value);

/// Returns the share of the variance of the targets that V explains: 1 - var(target - V) / var(target); 0 for constant targets.
/// @param value, target [N], not empty
double explained_share(VectorIn value, VectorIn target);

}  // namespace kedge
