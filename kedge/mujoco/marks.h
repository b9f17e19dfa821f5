// What a world adds to pictures of its model: the path of what matters, and where it came down.
#pragma once

#include <optional>

#include "kedge/core/types.h"

namespace kedge {

/// The result of an episode as a point of the world.
struct Mark {
  Eigen::Vector3d at;  ///< m
  bool good = false;   ///< as it should be
};

struct Marked {
  virtual ~Marked() = default;
  /// Returns the points of a path, from the first state of an episode to where it leads after the last.
  /// @param states [nx, n >= 1]  @return [3, m] m
  [[nodiscard]] virtual MatrixXd path(MatrixIn states) const = 0;
  /// Returns the result of an episode with this last state, if there is one. @param x [nx]
  [[nodiscard]] virtual std::optional<Mark> mark(VectorIn x) const = 0;
};

}  // namespace kedge
