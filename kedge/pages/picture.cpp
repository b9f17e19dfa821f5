#include "kedge/pages/picture.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

using Eigen::Matrix3f;
using Eigen::Vector2f;
using Eigen::Vector3f;
using Placement = Eigen::Isometry3f;

constexpr int kSamples = 3;  ///< along each side of a pixel
constexpr int kShadowSide = 1024;
constexpr float kPi = std::numbers::pi_v<float>;
// The ground and the sky of the pages (viewer/src/theme.css).
const Vector3f kSkyHigh(0.812F, 0.863F, 0.918F), kSkyLow(0.953F, 0.965F, 0.976F);

struct Vertex {
  Vector3f p, n;
};

/// Triangles of one shape, in its own frame: three vertices each.
using Triangles = std::vector<Vertex>;

// ---- shapes

/// A grid of rows x columns quads over (u, v) in [0, 1]^2. @param surface (u, v) -> Vertex
template <class Surface>
void add_grid(Triangles& triangles, int rows, int columns, const Surface& surface) {
  const auto at = [&](int i, int j) { return surface(float(i) / float(rows), float(j) / float(columns)); };
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const Vertex a = at(i, j), b = at(i + 1, j), c = at(i + 1, j + 1), d = at(i, j + 1);
      triangles.insert(triangles.end(), {a, b, c, a, c, d});
    }
}

/// Ellipsoid with half-axes `size`, its halves moved apart by `gap` along z: a sphere, or the ends and side of a capsule.
void add_ellipsoid(Triangles& triangles, const Vector3f& size, float gap) {
  const auto point = [&](float polar, float turn, float shift) {
    const Vector3f unit(std::sin(polar) * std::cos(turn), std::sin(polar) * std::sin(turn), std::cos(polar));
    return Vertex{unit.cwiseProduct(size) + Vector3f(0, 0, shift), unit.cwiseQuotient(size).normalized()};
  };
  for (const int half : {0, 1})
    add_grid(triangles, 10, 32,
             [&](float u, float v) { return point((u + float(half)) * kPi / 2, v * 2 * kPi, half == 0 ? gap : -gap); });
  if (gap > 0)
    add_grid(triangles, 1, 32, [&](float u, float v) { return point(kPi / 2, v * 2 * kPi, (1 - 2 * u) * gap); });
}

void add_cylinder(Triangles& triangles, float radius, float half) {
  const auto rim = [&](float v) { return Vector3f(radius * std::cos(v * 2 * kPi), radius * std::sin(v * 2 * kPi), 0); };
  add_grid(triangles, 1, 40, [&](float u, float v) {
    return Vertex{rim(v) + Vector3f(0, 0, (1 - 2 * u) * half), rim(v) / radius};
  });
  for (const float side : {1.0F, -1.0F})
    add_grid(triangles, 1, 40, [&](float u, float v) {
      return Vertex{u * rim(v) + Vector3f(0, 0, side * half), Vector3f(0, 0, side)};
    });
}

void add_box(Triangles& triangles, const Vector3f& half) {
  for (int axis = 0; axis < 3; ++axis)
    for (const float side : {1.0F, -1.0F})
      add_grid(triangles, 1, 1, [&](float u, float v) {
        Vector3f p, n = Vector3f::Zero();
        p[axis] = side * half[axis];
        p[(axis + 1) % 3] = (2 * u - 1) * half[(axis + 1) % 3];
        p[(axis + 2) % 3] = (2 * v - 1) * half[(axis + 2) % 3];
        n[axis] = side;
        return Vertex{p, n};
      });
}

/// Faces that meet at less than 30 degrees are shaded as one surface.
void add_mesh(Triangles& triangles, const SceneMesh& mesh) {
  const auto vertex = [&](std::uint32_t i) { return Vector3f(mesh.vertices.data() + 3 * std::size_t{i}); };
  const std::size_t faces = mesh.faces.size() / 3;
  std::vector<Vector3f> normals(faces);  // as long as twice the area
  std::map<std::array<float, 3>, std::vector<std::size_t>> around;
  const auto key = [](const Vector3f& p) { return std::array{p[0], p[1], p[2]}; };
  for (std::size_t f = 0; f < faces; ++f) {
    const std::array<Vector3f, 3> p{vertex(mesh.faces[3 * f]), vertex(mesh.faces[3 * f + 1]),
                                    vertex(mesh.faces[3 * f + 2])};
    normals[f] = (p[1] - p[0]).cross(p[2] - p[0]);
    for (const Vector3f& corner : p) around[key(corner)].push_back(f);
  }
  for (std::size_t f = 0; f < faces; ++f)
    for (std::size_t k = 0; k < 3; ++k) {
      const Vector3f p = vertex(mesh.faces[3 * f + k]);
      Vector3f sum = Vector3f::Zero();
      for (const std::size_t other : around[key(p)])
        if (normals[other].dot(normals[f]) >= 0.866F * normals[other].norm() * normals[f].norm()) sum += normals[other];
      triangles.push_back({p, sum.normalized()});
    }
}

void add_height_field(Triangles& triangles, const SceneHeightField& field) {
  const auto height = [&](int row, int column) {
    row = std::clamp(row, 0, field.rows - 1);
    column = std::clamp(column, 0, field.columns - 1);
    return static_cast<float>(field.size[2]) * field.heights[static_cast<std::size_t>(row * field.columns + column)];
  };
  const auto sx = static_cast<float>(field.size[0]), sy = static_cast<float>(field.size[1]);
  const float dx = 2 * sx / float(field.columns - 1), dy = 2 * sy / float(field.rows - 1);
  add_grid(triangles, field.columns - 1, field.rows - 1, [&](float u, float v) {
    const auto i = static_cast<int>(std::lround(u * float(field.columns - 1)));
    const auto j = static_cast<int>(std::lround(v * float(field.rows - 1)));
    const Vector3f n((height(j, i - 1) - height(j, i + 1)) / dx, (height(j - 1, i) - height(j + 1, i)) / dy, 2);
    return Vertex{Vector3f((2 * u - 1) * sx, (2 * v - 1) * sy, height(j, i)), n.normalized()};
  });
}

Triangles triangles_of(const SceneShape& shape, const Scene& scene) {
  Triangles triangles;
  const Vector3f size(float(shape.size[0]), float(shape.size[1]), float(shape.size[2]));
  switch (shape.shape) {
    case Shape::sphere: add_ellipsoid(triangles, Vector3f::Constant(size[0]), 0); break;
    case Shape::ellipsoid: add_ellipsoid(triangles, size, 0); break;
    case Shape::capsule: add_ellipsoid(triangles, Vector3f::Constant(size[0]), size[1]); break;
    case Shape::cylinder: add_cylinder(triangles, size[0], size[1]); break;
    case Shape::box: add_box(triangles, size); break;
    case Shape::mesh: add_mesh(triangles, scene.meshes[static_cast<std::size_t>(shape.data)]); break;
    case Shape::height_field:
      add_height_field(triangles, scene.height_fields[static_cast<std::size_t>(shape.data)]);
      break;
    case Shape::plane: {
      const float far = 30 * static_cast<float>(scene.extent);
      const float x = size[0] > 0 ? size[0] : far, y = size[1] > 0 ? size[1] : far;
      add_grid(triangles, 1, 1, [&](float u, float v) {
        return Vertex{Vector3f((2 * u - 1) * x, (2 * v - 1) * y, 0), Vector3f::UnitZ()};
      });
      break;
    }
  }
  return triangles;
}

Placement placement(const Eigen::Vector3d& p, const Eigen::Quaterniond& q) {
  Placement placed = Placement::Identity();
  placed.translate(p.cast<float>());
  placed.rotate(q.cast<float>());
  return placed;
}

Placement placement(const std::array<double, 3>& p, const std::array<double, 4>& q) {
  return placement(Eigen::Vector3d(p.data()), Eigen::Quaterniond(q[0], q[1], q[2], q[3]));
}

// ---- triangles to samples

/// What is seen in each sample: the nearest surface.
struct Samples {
  Samples(int w, int h)
      : width(w), height(h), depth(std::size_t(w) * std::size_t(h), std::numeric_limits<float>::infinity()) {}
  int width, height;
  std::vector<float> depth;    ///< distance along the line of sight
  std::vector<int> shape;      ///< -1: nothing; empty: only depths are wanted
  std::vector<Vector3f> p, n;  ///< in the world
  void keep_surfaces() {
    shape.assign(depth.size(), -1);
    p.resize(depth.size());
    n.resize(depth.size());
  }
};

/// A view: perspective with `scale` = focal length in samples, or parallel with `scale` = samples per metre.
struct Projection {
  Placement into = Placement::Identity();  ///< world -> camera, which looks along -z
  float scale = 1;
  bool parallel = false;
  float near = 0.01F;
};

struct Corner {
  Vector3f world, normal, camera;
};

/// Draws one triangle that lies wholly before the near plane.
void fill(Samples& out, const Projection& view, const std::array<Corner, 3>& corners, int shape) {
  std::array<Vector2f, 3> s;
  std::array<float, 3> w;  // of perspective: interpolated values are linear over depth
  for (std::size_t i = 0; i < 3; ++i) {
    const Vector3f& c = corners[i].camera;
    w[i] = view.parallel ? 1.0F : -1.0F / c[2];
    s[i] = Vector2f(0.5F * float(out.width) + view.scale * c[0] * w[i],
                    0.5F * float(out.height) - view.scale * c[1] * w[i]);
  }
  const auto cross = [](const Vector2f& a, const Vector2f& b) { return a[0] * b[1] - a[1] * b[0]; };
  const float area = cross(s[1] - s[0], s[2] - s[0]);
  if (!(std::abs(area) > 1e-9F)) return;
  const auto [x0, x1] = std::minmax({s[0][0], s[1][0], s[2][0]});
  const auto [y0, y1] = std::minmax({s[0][1], s[1][1], s[2][1]});
  const int left = int(std::max(0.0F, std::floor(x0 - 0.5F))),
            right = int(std::min(float(out.width - 1), std::ceil(x1)));
  const int top = int(std::max(0.0F, std::floor(y0 - 0.5F))),
            bottom = int(std::min(float(out.height - 1), std::ceil(y1)));
  for (int y = top; y <= bottom; ++y)
    for (int x = left; x <= right; ++x) {
      const Vector2f at(float(x) + 0.5F, float(y) + 0.5F);
      std::array<float, 3> b{cross(s[1] - at, s[2] - at) / area, cross(s[2] - at, s[0] - at) / area, 0};
      b[2] = 1 - b[0] - b[1];
      if (b[0] < 0 || b[1] < 0 || b[2] < 0) continue;
      const float sum = b[0] * w[0] + b[1] * w[1] + b[2] * w[2];
      for (std::size_t i = 0; i < 3; ++i) b[i] *= w[i] / sum;
      const float depth = -(b[0] * corners[0].camera[2] + b[1] * corners[1].camera[2] + b[2] * corners[2].camera[2]);
      const std::size_t index = std::size_t(y) * std::size_t(out.width) + std::size_t(x);
      if (!(depth < out.depth[index])) continue;
      out.depth[index] = depth;
      if (out.shape.empty()) continue;
      out.shape[index] = shape;
      out.p[index] = b[0] * corners[0].world + b[1] * corners[1].world + b[2] * corners[2].world;
      out.n[index] = b[0] * corners[0].normal + b[1] * corners[1].normal + b[2] * corners[2].normal;
    }
}

/// Draws a triangle, cut at the near plane.
void draw(Samples& out, const Projection& view, const std::array<Corner, 3>& corners, int shape) {
  std::vector<Corner> kept;
  for (std::size_t i = 0; i < 3; ++i) {
    const Corner &a = corners[i], &b = corners[(i + 1) % 3];
    const float before = -a.camera[2] - view.near, after = -b.camera[2] - view.near;
    if (before >= 0) kept.push_back(a);
    if ((before < 0) == (after < 0)) continue;
    const float share = before / (before - after);
    kept.push_back({a.world + share * (b.world - a.world), a.normal + share * (b.normal - a.normal),
                    a.camera + share * (b.camera - a.camera)});
  }
  for (std::size_t i = 2; i < kept.size(); ++i) fill(out, view, {kept[0], kept[i - 1], kept[i]}, shape);
}

/// World -> camera for an eye that looks in a direction.
Placement look(const Vector3f& eye, const Vector3f& direction) {
  const Vector3f back = -direction.normalized();
  const Vector3f side = (std::abs(back[2]) < 0.99F ? Vector3f::UnitZ() : Vector3f::UnitY()).cross(back).normalized();
  Matrix3f axes;
  axes << side, back.cross(side), back;
  Placement camera = Placement::Identity();
  camera.linear() = axes;
  camera.translation() = eye;
  return camera.inverse();
}

/// What the light sees.
struct Sunlight {
  Projection view;
  Samples seen{kShadowSide, kShadowSide};
  float tolerance = 0;  ///< m

  /// The share of the light that reaches a point: soft at the edges of shadows.
  [[nodiscard]] float share(const Vector3f& p) const {
    const Vector3f q = view.into * p;
    float share = 0;
    for (int dy = -1; dy <= 1; ++dy)
      for (int dx = -1; dx <= 1; ++dx) {
        const int x = int(std::floor(0.5F * kShadowSide + view.scale * q[0])) + dx;
        const int y = int(std::floor(0.5F * kShadowSide - view.scale * q[1])) + dy;
        const bool inside = x >= 0 && y >= 0 && x < kShadowSide && y < kShadowSide;
        if (!inside || seen.depth[std::size_t(y) * kShadowSide + std::size_t(x)] > -q[2] - tolerance) share += 1;
      }
    return share / 9;
  }
};

}  // namespace

struct Painter::Parts {
  Scene scene;
  std::vector<Triangles> triangles;  ///< of each shape
  Vector3f light;                    ///< direction in which it shines
  float extent = 1;

  [[nodiscard]] std::vector<Placement> place(std::span<const float> poses) const;
  void project(Samples& out, const Projection& view, const std::vector<Placement>& places, bool transparent) const;
  [[nodiscard]] Vector3f colour(const SceneShape& shape, const Placement& place, const Vector3f& p) const;
  /// The surfaces that are solid, or transparent and before what is solid.
  [[nodiscard]] Samples seen(const Projection& view, int width, int height, const std::vector<Placement>& places,
                             bool transparent, const std::vector<float>& nearer_than) const;
  /// What the light sees around what the camera looks at.
  [[nodiscard]] Sunlight sunlight(const Placement& camera, const std::vector<Placement>& places) const;
  /// The colour of the surface in a sample.
  [[nodiscard]] Vector3f shade(const Samples& samples, std::size_t i, const Placement& camera, const Sunlight& sun,
                               const std::vector<Placement>& places) const;
};

std::vector<Placement> Painter::Parts::place(std::span<const float> poses) const {
  std::vector<Placement> places;
  for (const SceneShape& shape : scene.shapes) {
    Placement body = Placement::Identity();
    if (shape.body > 0) {
      const float* pose = poses.data() + 7 * (shape.body - 1);
      body =
          placement(Eigen::Vector3d(pose[0], pose[1], pose[2]), Eigen::Quaterniond(pose[3], pose[4], pose[5], pose[6]));
    }
    places.push_back(body * placement(shape.position, shape.rotation));
  }
  return places;
}

void Painter::Parts::project(Samples& out, const Projection& view, const std::vector<Placement>& places,
                             bool transparent) const {
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    if ((scene.shapes[i].colour[3] < 1) != transparent) continue;
    const Triangles& vertices = triangles[i];
    for (std::size_t v = 0; v < vertices.size(); v += 3) {
      std::array<Corner, 3> corners;
      for (std::size_t k = 0; k < 3; ++k) {
        corners[k].world = places[i] * vertices[v + k].p;
        corners[k].normal = places[i].linear() * vertices[v + k].n;
        corners[k].camera = view.into * corners[k].world;
      }
      draw(out, view, corners, static_cast<int>(i));
    }
  }
}

Vector3f Painter::Parts::colour(const SceneShape& shape, const Placement& place, const Vector3f& p) const {
  const Vector3f plain(shape.colour[0], shape.colour[1], shape.colour[2]);
  if (shape.texture < 0) return plain;
  const SceneTexture& texture = scene.textures[static_cast<std::size_t>(shape.texture)];
  const Vector3f local = place.inverse() * p;
  const auto texel = [&](std::size_t axis, int size) {
    const auto half = static_cast<float>(shape.size[axis]);
    const float metre = shape.uniform || half <= 0 ? shape.repeat[axis] : shape.repeat[axis] / (2 * half);
    const float turn = local[static_cast<Index>(axis)] * metre;
    return std::min(size - 1, static_cast<int>((turn - std::floor(turn)) * float(size)));
  };
  const auto pixel = static_cast<std::size_t>(texel(1, texture.height) * texture.width + texel(0, texture.width));
  Vector3f rgb;
  for (std::size_t c = 0; c < 3; ++c) rgb[Index(c)] = float(texture.pixels[3 * pixel + c]) / 255.0F;
  return rgb.cwiseProduct(plain);
}

Painter::Painter(const Scene& scene) {
  auto parts = std::make_unique<Parts>();
  parts->scene = scene;
  parts->extent = static_cast<float>(scene.extent);
  for (const SceneShape& shape : scene.shapes) parts->triangles.push_back(triangles_of(shape, scene));
  Eigen::Vector3d direction(0.35, 0.5, -1);
  if (!scene.lights.empty()) {
    const SceneLight& light = scene.lights.front();
    direction = light.directional ? Eigen::Vector3d(light.direction.data())
                                  : Eigen::Vector3d(scene.centre.data()) - Eigen::Vector3d(light.position.data());
    if (direction.norm() < 1e-9) direction = -Eigen::Vector3d::UnitZ();
  }
  parts->light = direction.cast<float>().normalized();
  parts_ = std::move(parts);
}

Painter::~Painter() = default;

Samples Painter::Parts::seen(const Projection& view, int width, int height, const std::vector<Placement>& places,
                             bool transparent, const std::vector<float>& nearer_than) const {
  Samples samples(width, height);
  samples.keep_surfaces();
  if (!nearer_than.empty()) samples.depth = nearer_than;
  project(samples, view, places, transparent);
  return samples;
}

Sunlight Painter::Parts::sunlight(const Placement& camera, const std::vector<Placement>& places) const {
  const Vector3f forward = -camera.linear().col(2);
  const Vector3f middle(float(scene.centre[0]), float(scene.centre[1]), float(scene.centre[2]));
  const Vector3f centre = camera.translation() + forward * std::max(0.0F, forward.dot(middle - camera.translation()));
  Sunlight sun;
  sun.view.parallel = true;
  sun.view.scale = float(kShadowSide) / (5 * extent);
  sun.view.into = look(centre - 10 * extent * light, light);
  sun.tolerance = 0.02F * extent;
  project(sun.seen, sun.view, places, false);
  return sun;
}

Vector3f Painter::Parts::shade(const Samples& samples, std::size_t i, const Placement& camera, const Sunlight& sun,
                               const std::vector<Placement>& places) const {
  const auto number = static_cast<std::size_t>(samples.shape[i]);
  const SceneShape& shape = scene.shapes[number];
  const Vector3f eye = (camera.translation() - samples.p[i]).normalized();
  Vector3f n = samples.n[i].normalized();
  if (n.dot(eye) < 0) n = -n;
  const float sun_share = sun.share(samples.p[i]);
  const float straight = std::max(0.0F, -n.dot(light)) * sun_share;
  const Vector3f half = (eye - light).normalized();
  const float shine = shape.specular * sun_share * std::pow(std::max(0.0F, n.dot(half)), 10 + 60 * shape.shininess);
  const float around = 0.42F + 0.10F * n[2] + 0.20F * std::max(0.0F, n.dot(eye));
  Vector3f rgb = colour(shape, places[number], samples.p[i]) * (around + 0.5F * straight);
  rgb += Vector3f::Constant(0.25F * shine);
  const float fog = std::clamp((samples.depth[i] - 6 * extent) / (22 * extent), 0.0F, 1.0F);
  return rgb + fog * (kSkyLow - rgb);
}

Image Painter::paint(std::span<const float> poses, const Viewpoint& from, int width, int height) const {
  require(width >= 1 && width <= 8192, "width", width, "in [1, 8192]");
  require(height >= 1 && height <= 8192, "height", height, "in [1, 8192]");
  const std::vector<Placement> places = parts_->place(poses);
  const int w = kSamples * width, h = kSamples * height;

  Projection view;
  view.into = placement(from.eye, from.rotation).inverse();
  view.near = 0.01F * parts_->extent;
  // A narrow picture keeps the width that a square one has.
  view.scale = 0.5F * float(std::min(w, h)) / std::tan(float(from.field) * kPi / 360);
  const Samples solid = parts_->seen(view, w, h, places, false, {});
  const Samples clear = parts_->seen(view, w, h, places, true, solid.depth);
  const Placement camera = view.into.inverse();
  const Sunlight sun = parts_->sunlight(camera, places);

  // The colour of a sample: the sky or a solid surface, and what is transparent before it.
  const auto colour_of = [&](std::size_t at, const Vector3f& sky) {
    Vector3f rgb = solid.shape[at] < 0 ? sky : parts_->shade(solid, at, camera, sun, places);
    if (clear.shape[at] >= 0) {
      const float opacity = parts_->scene.shapes[std::size_t(clear.shape[at])].colour[3];
      rgb += opacity * (parts_->shade(clear, at, camera, sun, places) - rgb);
    }
    return rgb;
  };
  Image image;
  image.width = width;
  image.height = height;
  image.pixels.reserve(3 * std::size_t(width) * std::size_t(height));
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const Vector3f sky = kSkyHigh + (float(y) + 0.5F) / float(height) * (kSkyLow - kSkyHigh);
      Vector3f sum = Vector3f::Zero();
      for (int j = 0; j < kSamples; ++j)
        for (int i = 0; i < kSamples; ++i) {
          const auto at = std::size_t(kSamples * y + j) * std::size_t(w) + std::size_t(kSamples * x + i);
          sum += colour_of(at, sky).cwiseMin(1.0F);
        }
      for (Index c = 0; c < 3; ++c)
        image.pixels.push_back(
            static_cast<std::uint8_t>(std::lround(255 * std::clamp(sum[c] / (kSamples * kSamples), 0.0F, 1.0F))));
    }
  return image;
}

namespace {

// Five columns of seven rows, the highest bit of a row at the left.
// clang-format off
const std::map<char, std::array<int, 7>> kGlyphs{
    {'A', {14, 17, 17, 31, 17, 17, 17}},
    {'B', {30, 17, 17, 30, 17, 17, 30}},
    {'C', {14, 17, 16, 16, 16, 17, 14}},
    {'D', {30, 17, 17, 17, 17, 17, 30}},
    {'E', {31, 16, 16, 30, 16, 16, 31}},
    {'F', {31, 16, 16, 30, 16, 16, 16}},
    {'G', {14, 17, 16, 23, 17, 17, 15}},
    {'H', {17, 17, 17, 31, 17, 17, 17}},
    {'I', {14, 4, 4, 4, 4, 4, 14}},
    {'J', {7, 2, 2, 2, 2, 18, 12}},
    {'K', {17, 18, 20, 24, 20, 18, 17}},
    {'L', {16, 16, 16, 16, 16, 16, 31}},
    {'M', {17, 27, 21, 21, 17, 17, 17}},
    {'N', {17, 25, 21, 19, 17, 17, 17}},
    {'O', {14, 17, 17, 17, 17, 17, 14}},
    {'P', {30, 17, 17, 30, 16, 16, 16}},
    {'Q', {14, 17, 17, 17, 21, 18, 13}},
    {'R', {30, 17, 17, 30, 20, 18, 17}},
    {'S', {15, 16, 16, 14, 1, 1, 30}},
    {'T', {31, 4, 4, 4, 4, 4, 4}},
    {'U', {17, 17, 17, 17, 17, 17, 14}},
    {'V', {17, 17, 17, 17, 17, 10, 4}},
    {'W', {17, 17, 17, 21, 21, 21, 10}},
    {'X', {17, 17, 10, 4, 10, 17, 17}},
    {'Y', {17, 17, 10, 4, 4, 4, 4}},
    {'Z', {31, 1, 2, 4, 8, 16, 31}},
    {'a', {0, 0, 14, 1, 15, 17, 15}},
    {'b', {16, 16, 30, 17, 17, 17, 30}},
    {'c', {0, 0, 14, 16, 16, 17, 14}},
    {'d', {1, 1, 15, 17, 17, 17, 15}},
    {'e', {0, 0, 14, 17, 31, 16, 14}},
    {'f', {6, 9, 8, 28, 8, 8, 8}},
    {'g', {0, 0, 15, 17, 15, 1, 14}},
    {'h', {16, 16, 22, 25, 17, 17, 17}},
    {'i', {4, 0, 12, 4, 4, 4, 14}},
    {'j', {2, 0, 6, 2, 2, 18, 12}},
    {'k', {16, 16, 18, 20, 24, 20, 18}},
    {'l', {12, 4, 4, 4, 4, 4, 14}},
    {'m', {0, 0, 26, 21, 21, 17, 17}},
    {'n', {0, 0, 22, 25, 17, 17, 17}},
    {'o', {0, 0, 14, 17, 17, 17, 14}},
    {'p', {0, 0, 30, 17, 30, 16, 16}},
    {'q', {0, 0, 15, 17, 15, 1, 1}},
    {'r', {0, 0, 22, 25, 16, 16, 16}},
    {'s', {0, 0, 14, 16, 14, 1, 30}},
    {'t', {8, 8, 28, 8, 8, 9, 6}},
    {'u', {0, 0, 17, 17, 17, 19, 13}},
    {'v', {0, 0, 17, 17, 17, 10, 4}},
    {'w', {0, 0, 17, 17, 21, 21, 10}},
    {'x', {0, 0, 17, 10, 4, 10, 17}},
    {'y', {0, 0, 17, 17, 15, 1, 14}},
    {'z', {0, 0, 31, 2, 4, 8, 31}},
    {'0', {14, 17, 19, 21, 25, 17, 14}},
    {'1', {4, 12, 4, 4, 4, 4, 14}},
    {'2', {14, 17, 1, 2, 4, 8, 31}},
    {'3', {31, 2, 4, 2, 1, 17, 14}},
    {'4', {2, 6, 10, 18, 31, 2, 2}},
    {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},
    {'7', {31, 1, 2, 4, 8, 8, 8}},
    {'8', {14, 17, 17, 14, 17, 17, 14}},
    {'9', {14, 17, 17, 15, 1, 2, 12}},
    {' ', {0, 0, 0, 0, 0, 0, 0}},
    {'.', {0, 0, 0, 0, 0, 12, 12}},
    {',', {0, 0, 0, 0, 12, 4, 8}},
    {':', {0, 12, 12, 0, 12, 12, 0}},
    {'-', {0, 0, 0, 31, 0, 0, 0}},
    {'_', {0, 0, 0, 0, 0, 0, 31}},
    {'(', {2, 4, 8, 8, 8, 4, 2}},
    {')', {8, 4, 2, 2, 2, 4, 8}},
    {'/', {0, 1, 2, 4, 8, 16, 0}},
    {'+', {0, 4, 4, 31, 4, 4, 0}},
    {'=', {0, 0, 31, 0, 31, 0, 0}},
    {'%', {24, 25, 2, 4, 8, 19, 3}},
};
// clang-format on

}  // namespace

void write_text(Image& image, int x, int y, const std::string& text) {
  constexpr int size = 2;
  const auto at = [&](int px, int py) { return 3 * (std::size_t(py) * std::size_t(image.width) + std::size_t(px)); };
  // Dark on bright pictures, bright on dark ones.
  double sum = 0.0, count = 1e-9;
  for (int py = std::max(y, 0); py < std::min(y + 7 * size, image.height); ++py)
    for (int px = std::max(x, 0); px < std::min(x + 6 * size * int(text.size()), image.width); ++px, ++count)
      sum += image.pixels[at(px, py) + 1];
  const std::uint8_t ink = sum / count < 128 ? 235 : 60;
  for (const char c : text) {
    const auto glyph = kGlyphs.find(c);
    if (glyph == kGlyphs.end()) continue;
    for (int row = 0; row < 7 * size; ++row)
      for (int column = 0; column < 5 * size; ++column) {
        const int px = x + column, py = y + row;
        if (!(glyph->second[std::size_t(row / size)] >> (4 - column / size) & 1)) continue;
        if (px < 0 || py < 0 || px >= image.width || py >= image.height) continue;
        for (std::size_t k = 0; k < 3; ++k) image.pixels[at(px, py) + k] = ink;
      }
    x += 6 * size;
  }
}

std::string png_bytes(const Image& image) {
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string bytes(size, '\0');
  if (!png_image_write_to_memory(&header, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr))
    throw SystemError(fmt::format("libpng cannot write the picture: {}", header.message));
  bytes.resize(size);
  return bytes;
}

}  // namespace kedge
