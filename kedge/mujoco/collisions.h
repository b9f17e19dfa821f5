// How MuJoCo looks for the contacts of a model.
#pragma once

#include <mujoco/mujoco.h>

namespace kedge {

/// Says in the model that MuJoCo shall look for contacts without its middle phase, where that is quicker and leads to the
/// same contacts in the same order. The middle phase rules out pairs of geoms by a tree of boxes for each body, before their
/// distance is computed; for bodies of a few spheres and capsules on a plane the boxes take longer than the distances. A
/// contact at a distance of exactly its margin, to rounding, is there or not by the distance alone.
/// A model stays as it is if it has other pairs of geoms, more than 16 in a pair of bodies, gaps or flexes, and with a MuJoCo
/// before 3.0.
void skip_middle_phase(mjModel& m);

}  // namespace kedge
