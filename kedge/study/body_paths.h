// The paths of robots as a drawing: the centre of mass, and the body along it.
#pragma once

#include <string>
#include <vector>

#include "kedge/core/types.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/study/plots.h"

namespace kedge {

struct Path {
  std::string label;
  MatrixXd states;  ///< [nx, n] n >= 1
};

struct PathPanel {
  std::string title;
  const MujocoSystem* system = nullptr;
  std::vector<Path> paths;  ///< one in each row, the first on top
};

struct PathsDrawing {
  std::string script;
  DrawingSize size;  ///< size with equal scales on both axes and without empty borders
};

/// Returns a script for `draw` (plots.h) with one drawing for each panel, next to each other. The view is along the
/// axis of the world in which the bodies move least. The body is drawn `bodies` times, at equal times from the first
/// state to the last, with every long shape as a line.
/// @throws InputError without panels or paths  @throws SystemError if MuJoCo fails
PathsDrawing paths_drawing(const std::vector<PathPanel>& panels, int bodies = 12);

}  // namespace kedge
