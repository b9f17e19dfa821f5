// Stochastic gradient descent by Adam [KingmaBa2015], with the constants of the paper: 0.9, 0.999, 1e-8.
#pragma once

#include <cstdint>

#include "kedge/core/option.h"
#include "kedge/core/types.h"

namespace kedge {

/// What Adam remembers from step to step.
struct Adam {
  VectorXd m, v;           ///< [n] running means of the gradients and of their squares
  std::int64_t steps = 0;  ///< made

  Adam() = default;
  explicit Adam(Index n) : m(VectorXd::Zero(n)), v(VectorXd::Zero(n)) {}
};

template <class A, class Visit>
requires IsOptions<A, Adam>
void describe(A& a, Visit&& visit) {
  visit("m", a.m);
  visit("v", a.v);
  visit("steps", a.steps);
}

/// Makes a step down a gradient. @param gradient [n]  @param rate step size, > 0  @param x [n], in and out
void adam_step(Adam& adam, VectorIn gradient, double rate, VectorOut x);

}  // namespace kedge
