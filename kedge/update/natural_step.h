// The step of trust-region policy optimisation [Schulman2015, App. C]: along the natural gradient, as far as a bound on the KL
// divergence allows.
//
//   maximise    gain(theta)                  of the surrogate, 0 at the start
//   subject to  kl(theta) <= epsilon         mean KL(old || new) over states
//
//   direction d = (F + damping I)^-1 g by conjugate gradients,   first length sqrt(2 epsilon / d'F d)
//
// The quadratic model only proposes lengths. What is accepted was measured: kl and gain of the very parameters that are
// returned.
#pragma once

#include <functional>
#include <string>

#include "kedge/core/types.h"
#include "kedge/math/conjugate_gradient.h"

namespace kedge {

/// What parameters bring, as measured.
struct Measured {
  double kl = 0.0;    ///< nats, >= 0
  double gain = 0.0;  ///< surrogate minus that of the old policy
};

struct NaturalStepProblem {
  VectorXd start;     ///< [P] theta
  VectorXd gradient;  ///< [P] g: of the surrogate at the start
  LinearMap fisher;   ///< F v: F is the Hessian of kl at the start
  std::function<Measured(const VectorXd& theta)> measure;
};

/// Which lengths are accepted.
enum class KlRule {
  exact,      ///< kl <= epsilon (1 + 1e-9); where a length misses that, the next one follows from how far
  reference,  ///< that of openai/baselines: kl <= 1.5 epsilon, lengths halved, damping in the first length too
};

struct NaturalStepOptions {
  double epsilon = 0.01;  ///< nats, > 0
  KlRule rule = KlRule::exact;
  int cg_iterations = 10;  ///< >= 1
  double damping = 0.1;    ///< >= 0
  int lengths = 10;        ///< that are tried, >= 1
};

enum class NaturalStepStatus {
  ok,
  no_gradient,   ///< the gradient is zero: nothing to improve
  not_positive,  ///< F + damping I is not positive definite along the gradient, or d'F d = 0
  not_finite,    ///< the gradient, a product of F or the direction is not finite
  no_length,     ///< no length that was tried keeps the bound and improves the surrogate
};
const char* to_string(NaturalStepStatus status);

/// Unless status == ok, theta is the start and what was measured is 0.
struct NaturalStep {
  NaturalStepStatus status = NaturalStepStatus::ok;
  std::string message;     ///< the numbers that decided, when status != ok
  VectorXd theta;          ///< [P]
  Measured measured;       ///< at theta; kl <= epsilon (1 + 1e-9) with KlRule::exact; gain > 0
  double predicted = 0.0;  ///< gain of the step by the gradient alone
  double length = 0.0;     ///< of the step, in shares of the first length
  int lengths = 0;         ///< tried
  double cg_residual = 0.0;
};

/// Makes the step. @throws InputError if shapes do not agree or an option is out of its range
[[nodiscard]] NaturalStep natural_step(const NaturalStepProblem& problem, const NaturalStepOptions& options);

}  // namespace kedge
