// Where robots go: the path of the centre of mass, and the body along it, as a drawing.
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
  std::vector<Path> paths;  ///< each in a row of its own, the first on top
};

struct PathsDrawing {
  std::string script;
  DrawingSize size;  ///< in which lengths are the same along both axes, with nothing left white
};

/// One drawing for each panel, beside each other, for `draw` (plots.h). Seen along the axis of the world in which the bodies
/// move least. The body is drawn `bodies` times, at equal times from the first state to the last: every long shape of it as
/// a line.
/// @throws InputError without panels or paths  @throws SystemError if MuJoCo fails
PathsDrawing paths_drawing(const std::vector<PathPanel>& panels, int bodies = 12);

}  // namespace kedge
