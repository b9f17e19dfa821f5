// First derivatives of a system along a trajectory, by finite differences through `System` alone: right for every
// integrator, for any number of sub-steps, with contacts, with quaternions.
#pragma once

#include <string>
#include <vector>

#include "kedge/system/clones.h"
#include "kedge/system/task.h"

namespace kedge {

/// x' = f(x, a) and y = g(x, a) around (x_t, a_t), in tangent coordinates:
///   f(x_t (+) dx, a_t + da) (-) f(x_t, a_t) = A dx + B da,    g(x_t (+) dx, a_t + da) - g(x_t, a_t) = C dx + D da
/// An action beyond its limits does not move its control: derivative 0. At a limit the derivative is that from inside.
struct Linearisation {
  std::vector<MatrixXd> A;  ///< [T] [ndx, ndx]
  std::vector<MatrixXd> B;  ///< [T] [ndx, da]
  std::vector<MatrixXd> C;  ///< [T+1] [ny, ndx], the last at the final state; no rows unless the task reads a sensor
  std::vector<MatrixXd> D;  ///< [T] [ny, da], as C
  int diverged_at = -1;     ///< first step from whose neighbourhood a simulation diverged; the rest is then not set
  std::string why = {};     ///< it diverged; empty if it did not
};

/// The default steps are the best of those tried on the bundled tasks (docs/algorithms/ilqr.md); one-sided differences are
/// best with 1e-7 and 1e-5.
struct LinearisationOptions {
  bool centred = true;        ///< error of order step^2, and twice the simulations of one-sided differences
  double state_step = 1e-5;   ///< change of an entry of dx, > 0
  double action_step = 1e-3;  ///< change of an entry of a, in its unit, > 0
};

/// Returns the derivatives along a trajectory.
/// @param x [nx, T+1] states  @param a [da, T] actions  @param clones of task.system; the result does not depend on
/// their number
Linearisation linearise(const Task& task, MatrixIn x, MatrixIn a, const LinearisationOptions& options,
                        SystemClones& clones);

/// Returns the tangent maps G_t of the states x_t (System::tangent). @return [T+1] [nx, ndx]
std::vector<MatrixXd> tangent_maps(const System& system, MatrixIn x);

/// True if a cost or the measure of success reads a sensor.
bool reads_sensors(const Task& task);

}  // namespace kedge
