#include "kedge/policy/reordered.h"

#include <cassert>

namespace kedge {

namespace {

/// Entry j of the old observation is entry s[j] of the new one, entry i of the old action entry a[i] of the new one.
struct Orders {
  std::vector<Index> s, a;
};

VectorXd moved(const VectorXd& values, const std::vector<Index>& place) {
  VectorXd all = values;
  all(place) = values;
  return all;
}

MatrixXd rows_moved(const MatrixXd& values, const std::vector<Index>& place) {
  MatrixXd all = values;
  all(place, Eigen::all) = values;
  return all;
}

/// @param gains [da, ds]
MatrixXd gains_moved(const MatrixXd& gains, const Orders& to) {
  MatrixXd all = gains;
  all(to.a, to.s) = gains;
  return all;
}

TvLinearGaussian moved(const TvLinearGaussian& policy, const Orders& to) {
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < policy.horizon(); ++t) {
    MatrixXd Sigma = policy[t].Sigma;
    Sigma(to.a, to.a) = policy[t].Sigma;
    steps.push_back(make_linear_gaussian(gains_moved(policy[t].K, to), moved(policy[t].k, to.a), Sigma));
  }
  return TvLinearGaussian(std::move(steps));
}

/// The columns of W_1 and the rows of W_L and b_L. @param to  its observation: the inputs of the network  @return [P]
VectorXd weights_moved(const NetworkShape& shape, VectorXd weights, const Orders& to) {
  const Index inputs = shape.inputs(), outputs = shape.outputs();
  const Index first = shape.hidden.empty() ? outputs : shape.hidden.front();
  const Index last = shape.hidden.empty() ? inputs : shape.hidden.back();
  Eigen::Map<MatrixXd> W1(weights.data(), first, inputs);
  const Index b = weights.size() - (shape.output_bias ? outputs : 0);
  Eigen::Map<MatrixXd> WL(weights.data() + b - outputs * last, outputs, last);
  const MatrixXd columns = W1;
  W1(Eigen::all, to.s) = columns;
  WL = rows_moved(WL, to.a);
  if (shape.output_bias) weights.tail(outputs) = moved(VectorXd(weights.tail(outputs)), to.a);
  return weights;
}

/// With a clock, the time stays the last input.
Orders orders_of_inputs(const MlpGaussian& policy, Orders to) {
  if (policy.clock() > 0) to.s.push_back(policy.observation_dim());
  return to;
}

MlpGaussian moved(const MlpGaussian& policy, const Orders& to) {
  const Orders inputs = orders_of_inputs(policy, to);
  NetworkShape shape = policy.shape();
  shape.input_mean = moved(shape.input_mean, inputs.s);
  shape.input_scale = moved(shape.input_scale, inputs.s);
  shape.output_scale = moved(shape.output_scale, inputs.a);
  VectorXd theta(policy.theta().size());
  theta << weights_moved(shape, policy.theta().head(weight_count(shape)), inputs),
      moved(VectorXd(policy.log_std()), to.a);
  return MlpGaussian(std::move(shape), std::move(theta), policy.clock());
}

DmpPolicy moved(const DmpPolicy& policy, const Orders& to) {
  Tracking tracking = policy.tracking();
  for (std::size_t i = 0; i < to.a.size(); ++i) {
    const auto at = static_cast<std::size_t>(to.a[i]);
    tracking.position[at] = to.s[static_cast<std::size_t>(policy.tracking().position[i])];
    tracking.velocity[at] = to.s[static_cast<std::size_t>(policy.tracking().velocity[i])];
  }
  tracking.low = moved(tracking.low, to.a);
  tracking.high = moved(tracking.high, to.a);
  tracking.std = moved(tracking.std, to.a);
  std::vector<MatrixXd> K;
  for (const MatrixXd& gains : policy.K()) K.push_back(gains_moved(gains, to));
  return DmpPolicy(rows_moved(policy.movement(), to.a), policy.basis()->step, std::move(tracking), std::move(K),
                   rows_moved(policy.k(), to.a));
}

// The parameters of controllers (contextual.h).

VectorXd parameters_moved(const TvLinearGaussian& policy, const VectorXd& theta, const Orders& to) {
  Orders with_offset = to;
  with_offset.s.push_back(policy.observation_dim());
  return gains_moved(theta.reshaped(policy.action_dim(), policy.observation_dim() + 1), with_offset).reshaped();
}

VectorXd parameters_moved(const MlpGaussian& policy, const VectorXd& theta, const Orders& to) {
  return weights_moved(policy.shape(), theta, orders_of_inputs(policy, to));
}

VectorXd parameters_moved(const DmpPolicy& policy, const VectorXd& theta, const Orders& to) {
  return rows_moved(theta.reshaped(policy.action_dim(), theta.size() / policy.action_dim()), to.a).reshaped();
}

ContextualPolicy moved(const ContextualPolicy& policy, const Orders& to) {
  MatrixXd map = policy.map();
  for (Index j = 0; j < map.cols(); ++j)
    map.col(j) = std::visit([&](const auto& middle) { return parameters_moved(middle, policy.map().col(j), to); },
                            policy.middle());
  return {policy.context(), std::move(map),
          std::visit([&](const auto& middle) -> Controller { return moved(middle, to); }, policy.middle())};
}

}  // namespace

AnyPolicy reordered(const AnyPolicy& policy, std::span<const Index> observation, std::span<const Index> action) {
  const Orders to{{observation.begin(), observation.end()}, {action.begin(), action.end()}};
  assert(static_cast<Index>(to.s.size()) == as_policy(policy).observation_dim());
  assert(static_cast<Index>(to.a.size()) == as_policy(policy).action_dim());
  return std::visit([&](const auto& p) -> AnyPolicy { return moved(p, to); }, policy);
}

}  // namespace kedge
