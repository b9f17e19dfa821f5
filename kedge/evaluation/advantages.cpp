#include "kedge/evaluation/advantages.h"

#include <cmath>

namespace kedge {

VectorXd generalised_advantages(VectorIn reward, VectorIn value, std::span<const Segment> segments, double gamma,
                                double lambda) {
  VectorXd advantage(reward.size());
  for (const Segment& segment : segments) {
    double next_value = segment.end_value, next_advantage = 0.0;
    for (Index n = segment.first + segment.count; n-- > segment.first;) {
      const double delta = reward[n] + gamma * next_value - value[n];
      advantage[n] = next_advantage = delta + gamma * lambda * next_advantage;
      next_value = value[n];
    }
  }
  return advantage;
}

VectorXd discounted_steps(double gamma, int steps) {
  VectorXd worth(steps + 1);
  worth[0] = 0.0;
  for (int n = 1; n <= steps; ++n) worth[n] = 1.0 + gamma * worth[n - 1];
  return worth;
}

VectorXd standardised(VectorIn advantage) {
  const VectorXd centred = advantage.array() - advantage.mean();
  const double deviation = std::sqrt(centred.squaredNorm() / static_cast<double>(centred.size()));
  if (!(deviation > 0.0)) return VectorXd::Zero(centred.size());
  return centred / deviation;
}

}  // namespace kedge
