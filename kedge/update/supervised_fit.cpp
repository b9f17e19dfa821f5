#include "kedge/update/supervised_fit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/math/adam.h"
#include "kedge/math/lbfgs.h"

namespace kedge {
namespace {

constexpr Index kBlock = Network::kBlock;
using BlockArray = Eigen::Array<double, kBlock, 1>;

void check(const MlpGaussian& policy, const FitData& d) {
  const Index N = d.s.cols(), da = policy.action_dim();
  if (d.s.rows() != policy.observation_dim() || d.target.rows() != da || d.target.cols() != N ||
      d.variance.rows() != da || d.variance.cols() != N || d.weight.size() != N)
    throw InputError(fmt::format(
        "supervised fit: states {}x{}, targets {}x{}, variances {}x{}, weights {}; the policy has ds = {}, da = {}",
        d.s.rows(), N, d.target.rows(), d.target.cols(), d.variance.rows(), d.variance.cols(), d.weight.size(),
        policy.observation_dim(), da));
  if ((d.weight.array() < 0.0).any())
    throw InputError(fmt::format("supervised fit: weight {}, but must be >= 0", d.weight.minCoeff()));
  if ((d.variance.array() < 0.0).any())
    throw InputError(fmt::format("supervised fit: variance {}, but must be >= 0", d.variance.minCoeff()));
}

void check(const FitOptions& o) {
  require(o.decay >= 0.0 && std::isfinite(o.decay), "fit decay", o.decay, ">= 0 and finite");
  require(o.log_std_low >= -300.0, "fit log_std_low", o.log_std_low, ">= -300");
  require(o.log_std_high <= 300.0, "fit log_std_high", o.log_std_high, "<= 300");
  require(o.log_std_low <= o.log_std_high, "fit log_std_low", o.log_std_low, "<= log_std_high");
  require(o.steps >= 1, "fit steps", o.steps, ">= 1");
  require(o.minibatch >= 1, "fit minibatch", o.minibatch, ">= 1");
  require(o.learning_rate > 0.0 && std::isfinite(o.learning_rate), "fit learning_rate", o.learning_rate,
          "> 0 and finite");
}

FitData select(const FitData& d, const std::vector<Index>& columns) {
  return {d.s(Eigen::all, columns), d.target(Eigen::all, columns), d.variance(Eigen::all, columns), d.weight(columns)};
}

/// The samples that count.
FitData with_weight(const FitData& d) {
  std::vector<Index> columns;
  for (Index n = 0; n < d.weight.size(); ++n)
    if (d.weight[n] != 0.0) columns.push_back(n);
  return select(d, columns);
}

/// What is not finite, in words; empty if all is.
std::string not_finite(const FitData& d) {
  std::string what;
  const auto look = [&](const char* name, MatrixIn m) {
    for (Index n = 0; n < m.cols() && what.empty(); ++n)
      for (Index i = 0; i < m.rows() && what.empty(); ++i)
        if (!std::isfinite(m(i, n))) what = fmt::format("{} {} of sample {} is {}", name, i, n, m(i, n));
  };
  look("state entry", d.s);
  look("target entry", d.target);
  look("variance entry", d.variance);
  look("weight", d.weight.transpose());
  return what;
}

LbfgsOptions lbfgs_options(const MlpGaussian& policy, const FitOptions& options, const Run& run) {
  LbfgsOptions o;
  o.storage = options.storage;
  o.max_evaluations = options.max_evaluations;
  o.gradient_tolerance = options.gradient_tolerance;
  o.stop = run.stop;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  o.lower = VectorXd::Constant(policy.theta().size(), -kInfinity);
  o.upper = VectorXd::Constant(policy.theta().size(), kInfinity);
  o.lower.tail(policy.action_dim()).setConstant(options.log_std_low);
  o.upper.tail(policy.action_dim()).setConstant(options.log_std_high);
  return o;
}

/// Indices drawn with probability proportional to weight, from the sums of the weights up to each sample.
void draw(const VectorXd& cumulated, Stream& random, std::vector<Index>& columns) {
  for (Index& n : columns) {
    const double u = random.uniform() * cumulated.tail(1)[0];
    n = std::min(std::upper_bound(cumulated.begin(), cumulated.end(), u) - cumulated.begin(), cumulated.size() - 1);
  }
}

/// Adam from `theta`: stochastic gradients of minibatches, log_std kept in its box.
/// @return steps made; fewer than asked for if cancelled or something is not finite
int adam(const MlpGaussian& policy, const FitData& data, const FitOptions& options, Stream random, const Run& run,
         VectorXd& theta) {
  VectorXd cumulated = data.weight;
  for (Index n = 1; n < cumulated.size(); ++n) cumulated[n] += cumulated[n - 1];
  VectorXd g(theta.size());
  Adam state(theta.size());
  std::vector<Index> columns(static_cast<std::size_t>(options.minibatch));
  auto log_std = theta.tail(policy.action_dim());
  for (int step = 0; step < options.steps; ++step) {
    if (run.stop.stop_requested()) return step;
    draw(cumulated, random, columns);
    FitData batch = select(data, columns);
    batch.weight.setOnes();
    const double value = FitObjective(policy, batch, options.decay, run.threads)(theta, g);
    if (!std::isfinite(value) || !g.allFinite()) return step;
    adam_step(state, g, options.learning_rate * (1.0 - static_cast<double>(step) / options.steps), theta);
    log_std = log_std.cwiseMax(options.log_std_low).cwiseMin(options.log_std_high);
  }
  return options.steps;
}

}  // namespace

const char* to_string(FitStatus status) {
  switch (status) {
    case FitStatus::ok: return "ok";
    case FitStatus::no_improvement: return "no_improvement";
    case FitStatus::not_finite: return "not_finite";
    case FitStatus::no_weight: return "no_weight";
    case FitStatus::cancelled: return "cancelled";
  }
  return "?";
}

FitObjective::FitObjective(const MlpGaussian& policy, const FitData& data, double decay, int threads)
    : policy_(policy), decay_(VectorXd::Zero(policy.theta().size())), threads_(threads) {
  check(policy, data);
  decay_.head(weight_count(policy.shape())) = decay * weight_mask(policy.shape());
  const Index N = data.s.cols(), whole = (N + kBlock - 1) / kBlock * kBlock;
  for (Index n = 0; n < N; ++n) total_ += data.weight[n];
  require(total_ > 0.0, "supervised fit, sum of the weights", total_, "> 0");
  inputs_ = policy.prepare(data.s);
  weight_ = VectorXd::Zero(whole);
  weight_.head(N) = data.weight / total_;
  target_ = MatrixXd::Zero(whole, policy.action_dim());
  target_.topRows(N) = data.target.transpose();
  spread_ = VectorXd::Zero(policy.action_dim());
  for (Index n = 0; n < N; ++n) spread_ += weight_[n] * data.variance.col(n);
}

double FitObjective::operator()(VectorIn theta, VectorOut gradient) {
  policy_.set_theta(theta);
  const Index da = policy_.action_dim();
  const VectorXd precision = policy_.std().array().square().inverse();
  MatrixXd squares(da, weight_.size() / kBlock);  // sum_n w_n (mu - target)^2 / W of each block
  gradient = policy_.gradient(
      inputs_,
      [&](Index first, const Eigen::Ref<const MatrixXd>& mu, Eigen::Ref<MatrixXd> g) {
        const BlockArray w = weight_.segment<kBlock>(first);
        BlockArray d = BlockArray::Zero();
        for (Index i = 0; i < da; ++i) {
          d.head(mu.rows()) = mu.col(i).array() - target_.col(i).segment(first, mu.rows()).array();
          const BlockArray wd = w * d;
          g.col(i) = precision[i] * wd.head(mu.rows()).matrix();
          squares(i, first / kBlock) = (wd * d).sum();
        }
      },
      threads_);
  VectorXd loss = spread_;  // 1/W sum_n w_n ((mu - target)^2 + variance)
  for (Index block = 0; block < squares.cols(); ++block) loss += squares.col(block);
  loss = loss.cwiseProduct(precision);
  double value = 0.0;
  for (Index i = 0; i < da; ++i) value += 0.5 * loss[i] + policy_.log_std()[i];
  gradient.tail(da) += (1.0 - loss.array()).matrix();
  const VectorXd pull = decay_.cwiseProduct(policy_.theta());
  gradient += pull;
  return value + 0.5 * pull.dot(policy_.theta());
}

FitResult supervised_fit(const MlpGaussian& policy, const FitData& all, const FitOptions& options, Stream random,
                         const Run& run) {
  check(policy, all);
  check(options);
  FitResult result;
  result.theta = policy.theta();
  result.before = result.after = std::numeric_limits<double>::quiet_NaN();
  const auto failed = [&](FitStatus status, std::string message) {
    result.status = status;
    result.message = std::move(message);
    result.theta = policy.theta();
    result.after = result.before;
    return result;
  };
  const FitData data = with_weight(all);
  if (data.weight.size() == 0)
    return failed(FitStatus::no_weight, fmt::format("all {} samples have weight 0", all.weight.size()));
  if (const std::string what = not_finite(data); !what.empty()) return failed(FitStatus::not_finite, what);

  FitObjective objective(policy, data, options.decay, run.threads);
  VectorXd gradient(result.theta.size()), theta = policy.theta();
  auto log_std = theta.tail(policy.action_dim());
  log_std = log_std.cwiseMax(options.log_std_low).cwiseMin(options.log_std_high);
  result.before = objective(policy.theta(), gradient);
  if (!std::isfinite(result.before) || !gradient.allFinite())
    return failed(FitStatus::not_finite, fmt::format("the objective of the old policy is {}, its gradient {}finite",
                                                     result.before, gradient.allFinite() ? "" : "not "));
  std::string how;
  if (options.method == FitMethod::lbfgs) {
    LbfgsResult r = lbfgs(std::ref(objective), std::move(theta), lbfgs_options(policy, options, run));
    result.evaluations = r.evaluations;
    if (r.status == LbfgsStatus::cancelled) return failed(FitStatus::cancelled, "cancelled");
    if (r.status == LbfgsStatus::not_finite) return failed(FitStatus::not_finite, r.message);
    theta = std::move(r.x);
    result.after = r.after;
    how = fmt::format("L-BFGS, {}", to_string(r.status));
  } else {
    result.evaluations = adam(policy, data, options, random, run, theta);
    if (run.stop.stop_requested()) return failed(FitStatus::cancelled, "cancelled");
    if (result.evaluations < options.steps)
      return failed(FitStatus::not_finite,
                    fmt::format("value or gradient not finite at step {} of Adam, learning rate {}", result.evaluations,
                                options.learning_rate));
    result.after = objective(theta, gradient);
    if (!std::isfinite(result.after))
      return failed(FitStatus::not_finite, fmt::format("objective {} after Adam", result.after));
    how = "Adam";
  }
  const std::string numbers = fmt::format("objective {:.9g} -> {:.9g} on {} samples, {} evaluations ({})",
                                          result.before, result.after, data.weight.size(), result.evaluations, how);
  if (!(result.after < result.before)) return failed(FitStatus::no_improvement, numbers);
  result.theta = std::move(theta);
  result.message = numbers;
  return result;
}

VectorXd with_fitted_noise(const MlpGaussian& policy, const FitData& data, int threads) {
  // At log_std = 0 the gradient by log_std is 1 - sigma^2.
  VectorXd theta = policy.theta(), gradient(theta.size());
  auto log_std = theta.tail(policy.action_dim());
  log_std.setZero();
  FitObjective(policy, data, 0.0, threads)(theta, gradient);
  const FitOptions box;
  log_std = 0.5 * (1.0 - gradient.tail(policy.action_dim()).array()).log();
  log_std = log_std.cwiseMax(box.log_std_low).cwiseMin(box.log_std_high);
  return theta;
}

}  // namespace kedge
