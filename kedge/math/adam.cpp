#include "kedge/math/adam.h"

#include <cmath>

namespace kedge {

void adam_step(Adam& adam, VectorIn gradient, double rate, VectorOut x) {
  constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  ++adam.steps;
  adam.m = beta1 * adam.m + (1.0 - beta1) * gradient;
  adam.v = beta2 * adam.v + (1.0 - beta2) * gradient.cwiseAbs2();
  const auto steps = static_cast<double>(adam.steps);
  const double m_unit = 1.0 - std::pow(beta1, steps), v_unit = 1.0 - std::pow(beta2, steps);
  x.array() -= rate * (adam.m.array() / m_unit) / ((adam.v.array() / v_unit).sqrt() + epsilon);
}

}  // namespace kedge
