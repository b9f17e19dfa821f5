// Pictures of a scene without a display: a small software renderer. Triangles with a depth buffer, one light with shadows,
// smooth edges by several samples a pixel. Equal scenes give equal bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kedge/mujoco/scene.h"

namespace kedge {

struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  ///< [height, width, 3] red, green, blue
};

/// The camera of a picture. z is up in the world.
struct Viewpoint {
  Eigen::Vector3d eye = Eigen::Vector3d::Zero();
  Eigen::Quaterniond rotation = Eigen::Quaterniond::Identity();  ///< it looks along -z, y is up
  double field = 45.0;                                           ///< vertical field of view, degrees
};

class Painter {
 public:
  explicit Painter(const Scene& scene);
  ~Painter();

  /// Paints the scene. @param poses [bodies - 1, 7], see `body_poses`
  /// @param width, height pixels, 1 ... 8192
  [[nodiscard]] Image paint(std::span<const float> poses, const Viewpoint& from, int width, int height) const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

/// Writes a text at a place, 12 pixels a letter, 14 high: letters, digits, spaces and . , : - _ ( ) / + = %. Others are
/// left out, and what is beyond the image.
void write_text(Image& image, int x, int y, const std::string& text);

/// Returns the bytes of a PNG file.
std::string png_bytes(const Image& image);

}  // namespace kedge
