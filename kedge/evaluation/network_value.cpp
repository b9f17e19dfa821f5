#include "kedge/evaluation/network_value.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kedge/core/errors.h"

namespace kedge {

VectorXd values(const Network& network, MatrixIn x, int threads) {
  return network.outputs(network.prepare(x), threads).row(0);
}

bool fit_value(MatrixIn x, VectorIn target, const ValueFitOptions& options, Stream random, NetworkValue& value) {
  require(options.epochs >= 0, "value epochs", options.epochs, ">= 0");
  require(options.minibatch >= 1, "value minibatch", options.minibatch, ">= 1");
  require(options.rate > 0.0 && std::isfinite(options.rate), "value rate", options.rate, "> 0 and finite");
  if (!x.allFinite() || !target.allFinite()) return false;
  NetworkValue fitted = value;
  VectorXd weights = fitted.network.weights();
  std::vector<Index> order(static_cast<std::size_t>(x.cols()));
  std::iota(order.begin(), order.end(), Index{0});
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    for (std::size_t i = order.size(); i-- > 1;)
      std::swap(order[i], order[static_cast<std::size_t>(random.uniform() * static_cast<double>(i + 1))]);
    for (std::size_t first = 0; first < order.size(); first += static_cast<std::size_t>(options.minibatch)) {
      const auto count = std::min(static_cast<std::size_t>(options.minibatch), order.size() - first);
      const std::vector<Index> columns(order.begin() + static_cast<std::ptrdiff_t>(first),
                                       order.begin() + static_cast<std::ptrdiff_t>(first + count));
      const VectorXd wanted = target(columns);
      const VectorXd gradient =
          fitted.network.gradient(fitted.network.prepare(x(Eigen::all, columns)),
                                  [&](Index from, const Eigen::Ref<const MatrixXd>& y, Eigen::Ref<MatrixXd> g) {
                                    g = (2.0 / static_cast<double>(count)) * (y - wanted.segment(from, y.rows()));
                                  });
      adam_step(fitted.optimiser, gradient, options.rate, weights);
      if (!weights.allFinite() || !fitted.optimiser.v.allFinite()) return false;
      fitted.network.set_weights(weights);
    }
  }
  value = std::move(fitted);
  return true;
}

double explained_share(VectorIn value, VectorIn target) {
  const VectorXd error = target - value;
  const double of_target = (target.array() - target.mean()).square().sum();
  if (!(of_target > 0.0)) return 0.0;
  return 1.0 - (error.array() - error.mean()).square().sum() / of_target;
}

}  // namespace kedge
