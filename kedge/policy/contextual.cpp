#include "kedge/policy/contextual.h"

#include <cmath>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

[[noreturn]] void refuse(Index found, const std::string& expected) {
  throw InputError(fmt::format("controller: found {} parameters, expected {}", found, expected));
}

Controller with(TvLinearGaussian policy, VectorIn theta, const std::function<InverseDynamics()>&) {
  const Index da = policy.action_dim(), ds = policy.observation_dim();
  if (theta.size() != da * (ds + 1)) refuse(theta.size(), fmt::format("{}", da * (ds + 1)));
  const Eigen::Map<const MatrixXd> gains(theta.data(), da, ds + 1);
  for (int t = 0; t < policy.horizon(); ++t) {
    policy[t].K = gains.leftCols(ds);
    policy[t].k = gains.col(ds);
  }
  return policy;
}

Controller with(MlpGaussian policy, VectorIn theta, const std::function<InverseDynamics()>&) {
  const Index P = weight_count(policy.shape());
  if (theta.size() != P) refuse(theta.size(), fmt::format("{}", P));
  VectorXd all = policy.theta();
  all.head(P) = theta;
  policy.set_theta(std::move(all));
  return policy;
}

Controller with(const DmpPolicy& policy, VectorIn theta, const std::function<InverseDynamics()>& make) {
  MatrixXd movement = policy.movement();
  const Index da = movement.rows(), B = movement.cols() - kWeights;
  if (theta.size() != 2 * da && theta.size() != (2 + B) * da)
    refuse(theta.size(), fmt::format("{} or {}", 2 * da, (2 + B) * da));
  movement.middleCols(kGoal, theta.size() / da).reshaped() = theta;
  const InverseDynamics model = make ? make() : InverseDynamics{};
  if (!model) throw InputError("dmp: the system offers no inverse dynamics of the actions");
  return DmpPolicy::track(std::move(movement), policy.basis(), policy.tracking(), policy.observation_dim(), model);
}

}  // namespace

Controller with_parameters(const Controller& controller, VectorIn theta,
                           const std::function<InverseDynamics()>& model) {
  return std::visit([&](const auto& policy) { return with(policy, theta, model); }, controller);
}

VectorXd Context::of(VectorIn x0) const {
  VectorXd c(static_cast<Index>(entry.size()));
  for (Index i = 0; i < c.size(); ++i) {
    const Index at = entry[static_cast<std::size_t>(i)];
    require(at < x0.size(), "context, entry of the initial state", at, fmt::format("< {}", x0.size()).c_str());
    c[i] = (x0[at] - mean[i]) / scale[i];
  }
  if (!squares) return c;
  VectorXd both(2 * c.size());
  both << c, c.cwiseAbs2();
  return both;
}

ContextualPolicy::ContextualPolicy(Context context, MatrixXd map, Controller middle)
    : context_(std::move(context)), map_(std::move(map)), middle_(std::move(middle)) {
  const auto C = static_cast<Index>(context_.entry.size());
  bool ok = C >= 1 && context_.mean.size() == C && context_.scale.size() == C && context_.mean.allFinite() &&
            context_.scale.allFinite() && (context_.scale.array() > 0.0).all() &&
            map_.cols() == 1 + context_.features() && map_.rows() >= 1 && map_.allFinite();
  for (const Index entry : context_.entry) ok = ok && entry >= 0;
  if (!ok)
    throw InputError("contextual: entries, mean, scale and map do not agree, or have a number that is not finite");
}

std::unique_ptr<Policy> ContextualPolicy::for_episode(VectorIn x0,
                                                      const std::function<InverseDynamics()>& model) const {
  const VectorXd theta = map_.col(0) + map_.rightCols(context_.features()) * context_.of(x0);
  return std::visit([](auto policy) -> std::unique_ptr<Policy> { return std::make_unique<decltype(policy)>(policy); },
                    with_parameters(middle_, theta, model));
}

}  // namespace kedge
