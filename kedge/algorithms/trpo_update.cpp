#include "kedge/algorithms/trpo_update.h"

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/policy/diagonal_tv_linear.h"

namespace kedge {

namespace {

/// A policy as a function of theta at given states; the two kinds differ in nothing else.
struct NetworkAtStates {
  using Inputs = NetworkInputs;
  MlpGaussian policy;
  int threads;

  [[nodiscard]] const VectorXd& theta() const { return policy.theta(); }
  void set_theta(const VectorXd& theta) { policy.set_theta(theta); }
  [[nodiscard]] AnyPolicy stored() const { return policy; }
  [[nodiscard]] DiagonalGaussians actions(const Inputs& x) const { return policy.actions(x, threads); }
  [[nodiscard]] VectorXd fisher_product(const Inputs& x, const VectorXd& v) const {
    return policy.fisher_product(x, v, threads);
  }
  [[nodiscard]] VectorXd score(const Inputs& x, const MatrixXd& a, const VectorXd& w) const {
    return policy.log_prob_gradient(x, a, w, threads);
  }
};

struct LinearAtStates {
  using Inputs = StatesAtSteps;
  DiagonalTvLinear policy;

  [[nodiscard]] const VectorXd& theta() const { return policy.theta(); }
  void set_theta(const VectorXd& theta) { policy.set_theta(theta); }
  [[nodiscard]] AnyPolicy stored() const { return policy.policy(); }
  [[nodiscard]] DiagonalGaussians actions(const Inputs& x) const { return policy.actions(x); }
  [[nodiscard]] VectorXd fisher_product(const Inputs& x, const VectorXd& v) const {
    return policy.fisher_product(x, v);
  }
  [[nodiscard]] VectorXd score(const Inputs& x, const MatrixXd& a, const VectorXd& w) const {
    return policy.log_prob_gradient(x, a, w);
  }
};

/// What the old policy did at the states of the batch.
struct OldPolicy {
  DiagonalGaussians actions;
  VectorXd log_prob;  ///< [N] of the actions taken
};

/// pi(a|s) / pi_old(a|s) - 1. @return [N]
VectorXd ratios_minus_one(const DiagonalGaussians& now, const OldPolicy& old, const MatrixXd& a) {
  return (log_densities(now, a) - old.log_prob).unaryExpr([](double x) { return std::expm1(x); });
}

/// @param all inputs of every sample  @param some those that the Fisher matrix is the mean over
template <class P>
PolicyUpdate improved(P start, const AnyPolicy& stored, const OldPolicy& old, const typename P::Inputs& all,
                      const typename P::Inputs& some, const MatrixXd& a, VectorIn advantage,
                      const TrpoOptions& options) {
  const auto N = static_cast<double>(a.cols());
  const VectorXd weight = advantage.cwiseProduct((ratios_minus_one(start.actions(all), old, a).array() + 1.0).matrix());
  P trial = start;
  NaturalStepProblem problem;
  problem.start = start.theta();
  problem.gradient = start.score(all, a, weight / N);
  problem.fisher = [&](const VectorXd& v) { return start.fisher_product(some, v); };
  problem.measure = [&](const VectorXd& theta) {
    try {
      trial.set_theta(theta);
    } catch (const InputError&) {  // a standard deviation that is none in double precision: this length is refused
      return Measured{std::numeric_limits<double>::infinity(), 0.0};
    }
    const DiagonalGaussians now = trial.actions(all);
    return Measured{mean_kl(old.actions, now), advantage.dot(ratios_minus_one(now, old, a)) / N};
  };
  PolicyUpdate update{stored, natural_step(problem, {.epsilon = options.epsilon,
                                                     .rule = options.kl_rule,
                                                     .cg_iterations = options.cg_iterations,
                                                     .damping = options.damping,
                                                     .lengths = options.lengths})};
  if (update.step.status == NaturalStepStatus::ok) update.policy = trial.stored();  // the last that was measured
  return update;
}

/// Every k-th of n columns.
std::vector<Index> every(int k, Index n) {
  std::vector<Index> columns;
  for (Index i = 0; i < n; i += k) columns.push_back(i);
  return columns;
}

}  // namespace

MatrixXd network_inputs(MatrixIn s, const std::vector<int>& step, const Task& task, const TrpoOptions& options) {
  return options.clock() ? with_time(s, step, task.horizon) : MatrixXd(s);
}

Network with_inputs(const Network& network, const RunningMoments& moments, bool first) {
  NetworkShape shape = network.shape();
  const VectorXd scale = deviations(moments);
  VectorXd weights = first ? network.weights() : weights_for_inputs(shape, network.weights(), moments.mean, scale);
  shape.input_mean = moments.mean;
  shape.input_scale = scale;
  Network result(std::move(shape));
  result.set_weights(std::move(weights));
  return result;
}

PolicyUpdate update_policy(const Task& task, const AnyPolicy& policy, const StepSamples& samples, VectorIn advantage,
                           const RunningMoments& moments, bool first, const TrpoOptions& options, int threads) {
  const std::vector<Index> some = every(options.fisher_every, samples.size());
  if (const auto* network = std::get_if<MlpGaussian>(&policy)) {
    const MatrixXd x = network_inputs(samples.s, samples.step, task, options);
    OldPolicy old{network->actions(network->prepare(x), threads), {}};
    old.log_prob = log_densities(old.actions, samples.a);
    const Network mapped = with_inputs(network->network(), moments, first);
    VectorXd theta(network->theta().size());
    theta << mapped.weights(), network->log_std();
    const NetworkAtStates start{MlpGaussian(mapped.shape(), theta, network->clock()), threads};
    return improved(start, policy, old, start.policy.prepare(x), start.policy.prepare(x(Eigen::all, some)), samples.a,
                    advantage, options);
  }
  const LinearAtStates start{DiagonalTvLinear(std::get<TvLinearGaussian>(policy), moments.mean.head(task.ds()),
                                              deviations(moments).head(task.ds()))};
  const StatesAtSteps all{samples.s, samples.step};
  StatesAtSteps few{samples.s(Eigen::all, some), {}};
  for (const Index n : some) few.step.push_back(samples.step[static_cast<std::size_t>(n)]);
  OldPolicy old{start.actions(all), {}};
  old.log_prob = log_densities(old.actions, samples.a);
  return improved(start, policy, old, all, few, samples.a, advantage, options);
}

}  // namespace kedge
