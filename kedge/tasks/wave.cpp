#include "kedge/tasks/wave.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kedge {

DemonstrationLaw wave(std::vector<Motor> motors, const WaveOptions& options, double control_step) {
  return [motors = std::move(motors), o = options, control_step](int t, VectorIn x, VectorOut a) {
    const double time = t * control_step;
    for (std::size_t i = 0; i < motors.size(); ++i) {
      const Motor& motor = motors[i];
      const double phase = 2 * std::numbers::pi * o.frequency * time - o.lag * static_cast<double>(i);
      const double target = o.amplitude * std::min(1.0, time / o.ramp) * std::sin(phase);
      a[static_cast<Index>(i)] = (o.stiffness * (target - x[motor.q]) - o.damping * x[motor.v]) / motor.gear;
    }
    return true;
  };
}

}  // namespace kedge
