#include "kedge/update/natural_step.h"

#include <algorithm>
#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/update/gaussian_step.h"

namespace kedge {

namespace {

constexpr double kReferenceSlack = 1.5;

void check(const NaturalStepProblem& p, const NaturalStepOptions& o) {
  require(o.epsilon > 0.0 && std::isfinite(o.epsilon), "natural step epsilon", o.epsilon, "> 0 and finite");
  require(o.damping >= 0.0 && std::isfinite(o.damping), "natural step damping", o.damping, ">= 0 and finite");
  require(o.lengths >= 1, "natural step lengths", o.lengths, ">= 1");
  require(p.gradient.size() == p.start.size(), "natural step gradient entries", p.gradient.size(),
          fmt::format("{}", p.start.size()).c_str());
}

double largest_kl(const NaturalStepOptions& options) {
  return options.epsilon * (options.rule == KlRule::exact ? 1.0 + kBoundTolerance : kReferenceSlack);
}

/// The factor by which a length is shortened after it was refused.
double shortened(const Measured& measured, const NaturalStepOptions& options) {
  constexpr double half = 0.5;
  if (options.rule == KlRule::reference || !(measured.kl > options.epsilon)) return half;
  // The KL is nearly quadratic in the length: a little less than the length that would meet the bound then.
  return std::max(half, 0.98 * std::sqrt(options.epsilon / measured.kl));
}

}  // namespace

const char* to_string(NaturalStepStatus status) {
  switch (status) {
    case NaturalStepStatus::ok: return "ok";
    case NaturalStepStatus::no_gradient: return "no_gradient";
    case NaturalStepStatus::not_positive: return "not_positive";
    case NaturalStepStatus::not_finite: return "not_finite";
    case NaturalStepStatus::no_length: return "no_length";
  }
  return "?";
}

NaturalStep natural_step(const NaturalStepProblem& problem, const NaturalStepOptions& options) {
  check(problem, options);
  NaturalStep step;
  step.theta = problem.start;
  const auto failed = [&](NaturalStepStatus status, std::string message) {
    step.status = status;
    step.message = std::move(message);
    return step;
  };
  if (!problem.gradient.allFinite()) return failed(NaturalStepStatus::not_finite, "the gradient is not finite");
  if ((problem.gradient.array() == 0.0).all()) return failed(NaturalStepStatus::no_gradient, "the gradient is zero");

  const ConjugateGradient solved =
      conjugate_gradient([&](const VectorXd& v) -> VectorXd { return problem.fisher(v) + options.damping * v; },
                         problem.gradient, {.iterations = options.cg_iterations, .tolerance = 1e-10});
  step.cg_residual = solved.residual;
  const VectorXd& d = solved.x;
  if (solved.status == ConjugateGradientStatus::not_finite)
    return failed(NaturalStepStatus::not_finite, "a product of the Fisher matrix is not finite");
  const double curvature =
      d.dot(problem.fisher(d)) + (options.rule == KlRule::reference ? options.damping * d.squaredNorm() : 0.0);
  if (!(curvature > 0.0))
    return failed(NaturalStepStatus::not_positive, fmt::format("d'F d = {:.3g}, conjugate gradients: {} after {}",
                                                               curvature, to_string(solved.status), solved.iterations));
  const double first = std::sqrt(2.0 * options.epsilon / curvature);
  if (!std::isfinite(first)) return failed(NaturalStepStatus::not_finite, fmt::format("d'F d = {:.3g}", curvature));

  Measured measured;
  for (double share = 1.0; step.lengths < options.lengths; share *= shortened(measured, options)) {
    const VectorXd theta = problem.start + share * first * d;
    measured = problem.measure(theta);
    ++step.lengths;
    if (!(measured.kl <= largest_kl(options) && measured.gain > 0.0)) continue;
    step.theta = theta;
    step.measured = measured;
    step.length = share;
    step.predicted = share * first * problem.gradient.dot(d);
    return step;
  }
  return failed(NaturalStepStatus::no_length, fmt::format("{} lengths tried, at the last one kl {:.3g}, gain {:.3g}",
                                                          step.lengths, measured.kl, measured.gain));
}

}  // namespace kedge
