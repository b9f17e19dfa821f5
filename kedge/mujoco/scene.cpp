#include "kedge/mujoco/scene.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/mujoco/guard.h"

namespace kedge {

namespace {

constexpr int kShownGroups = 3;  ///< geoms and sites of groups 0, 1 and 2
constexpr int kTextureSide = 128;

template <std::size_t N, class To, class From>
std::array<To, N> array_of(const From* values) {
  std::array<To, N> all;
  for (std::size_t i = 0; i < N; ++i) all[i] = static_cast<To>(values[i]);
  return all;
}

std::string name_of(const mjModel& m, int type, int id) {
  const char* name = mj_id2name(&m, type, id);
  return name && *name ? name : fmt::format("{}", id);
}

Shape shape_of(int type) {
  switch (type) {
    case mjGEOM_PLANE: return Shape::plane;
    case mjGEOM_HFIELD: return Shape::height_field;
    case mjGEOM_SPHERE: return Shape::sphere;
    case mjGEOM_CAPSULE: return Shape::capsule;
    case mjGEOM_ELLIPSOID: return Shape::ellipsoid;
    case mjGEOM_CYLINDER: return Shape::cylinder;
    case mjGEOM_BOX: return Shape::box;
    default: return Shape::mesh;  // also signed distance fields, which carry a mesh
  }
}

// ---- what the versions of MuJoCo name differently

/// Number of bytes of a pixel: 3 before 3.2.
template <class Model>
const mjtByte* pixels(const Model& m, int texture, int& channels) {
  if constexpr (requires { m.tex_data; }) {
    channels = m.tex_nchannel[texture];
    return m.tex_data + m.tex_adr[texture];
  } else {
    channels = 3;
    return m.tex_rgb + m.tex_adr[texture];
  }
}

/// The texture that colours a material: materials have several since 3.2. -1: none.
template <class Model>
int texture_of(const Model& m, int material) {
  constexpr int roles = 10, colour = 1;  // mjNTEXROLE, mjTEXROLE_RGB
  if constexpr (requires { m.tex_data; })
    return m.mat_texid[material * roles + colour];
  else
    return m.mat_texid[material];
}

template <class Model>
bool is_directional(const Model& m, int light) {
  if constexpr (requires { m.light_type; })
    return m.light_type[light] == 1;  // mjLIGHT_DIRECTIONAL
  else
    return m.light_directional[light] != 0;
}

// ---- parts

std::array<float, 3> mean_colour(const mjModel& m, int texture) {
  int channels = 3;
  const mjtByte* data = pixels(m, texture, channels);
  const auto n = static_cast<std::size_t>(m.tex_width[texture]) * static_cast<std::size_t>(m.tex_height[texture]);
  std::array<double, 3> sum{};
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t c = 0; c < 3; ++c)
      sum[c] += data[i * static_cast<std::size_t>(channels) + std::min<std::size_t>(c, channels - 1)];
  std::array<float, 3> mean;
  for (std::size_t c = 0; c < 3; ++c) mean[c] = static_cast<float>(sum[c] / 255.0 / std::max(1.0, double(n)));
  return mean;
}

SceneTexture small_texture(const mjModel& m, int texture) {
  int channels = 3;
  const mjtByte* data = pixels(m, texture, channels);
  const int width = m.tex_width[texture], height = m.tex_height[texture];
  SceneTexture small;
  small.width = std::min(width, kTextureSide);
  small.height = std::min(height, kTextureSide);
  for (int y = 0; y < small.height; ++y)
    for (int x = 0; x < small.width; ++x) {
      const std::size_t from = static_cast<std::size_t>(y * height / small.height) * static_cast<std::size_t>(width) +
                               static_cast<std::size_t>(x * width / small.width);
      for (int c = 0; c < 3; ++c)
        small.pixels.push_back(
            data[from * static_cast<std::size_t>(channels) + static_cast<std::size_t>(std::min(c, channels - 1))]);
    }
  return small;
}

void dress(const mjModel& m, int material, const float* rgba, Scene& all, SceneShape& shape) {
  shape.colour = array_of<4, float>(rgba);
  if (material < 0) return;
  // A colour of the geom itself wins over the material's.
  const bool own = rgba[0] != 0.5F || rgba[1] != 0.5F || rgba[2] != 0.5F || rgba[3] != 1.0F;
  if (!own) shape.colour = array_of<4, float>(m.mat_rgba + 4 * material);
  shape.shininess = m.mat_shininess[material];
  shape.specular = m.mat_specular[material];
  const int texture = texture_of(m, material);
  if (texture < 0) return;
  if (shape.shape == Shape::plane && m.tex_type[texture] == mjTEXTURE_2D) {
    shape.texture = static_cast<int>(all.textures.size());
    shape.repeat = array_of<2, float>(m.mat_texrepeat + 2 * material);
    shape.uniform = m.mat_texuniform[material] != 0;
    all.textures.push_back(small_texture(m, texture));
    return;
  }
  const std::array<float, 3> mean = mean_colour(m, texture);
  for (std::size_t c = 0; c < 3; ++c) shape.colour[c] *= mean[c];
}

SceneMesh mesh(const mjModel& m, int i) {
  SceneMesh mesh;
  const float* vertices = m.mesh_vert + 3 * m.mesh_vertadr[i];
  mesh.vertices.assign(vertices, vertices + 3 * m.mesh_vertnum[i]);
  const int* faces = m.mesh_face + 3 * m.mesh_faceadr[i];
  for (int j = 0; j < 3 * m.mesh_facenum[i]; ++j) mesh.faces.push_back(static_cast<std::uint32_t>(faces[j]));
  return mesh;
}

SceneHeightField height_field(const mjModel& m, int i) {
  SceneHeightField field;
  field.rows = m.hfield_nrow[i];
  field.columns = m.hfield_ncol[i];
  field.size = array_of<4, double>(m.hfield_size + 4 * i);
  const float* heights = m.hfield_data + m.hfield_adr[i];
  field.heights.assign(heights, heights + std::ptrdiff_t{field.rows} * field.columns);
  return field;
}

SceneShape placed_shape(int type, int body, const mjtNum* size, const mjtNum* position, const mjtNum* rotation) {
  SceneShape shape;
  shape.shape = shape_of(type);
  shape.body = body;
  shape.size = array_of<3, double>(size);
  shape.position = array_of<3, double>(position);
  shape.rotation = array_of<4, double>(rotation);
  return shape;
}

void add_geoms(const mjModel& m, Scene& all) {
  for (int i = 0; i < static_cast<int>(m.ngeom); ++i) {
    if (m.geom_group[i] >= kShownGroups) continue;
    SceneShape shape =
        placed_shape(m.geom_type[i], m.geom_bodyid[i], m.geom_size + 3 * i, m.geom_pos + 3 * i, m.geom_quat + 4 * i);
    shape.data = m.geom_dataid[i];
    if ((shape.shape == Shape::mesh || shape.shape == Shape::height_field) && shape.data < 0) continue;
    dress(m, m.geom_matid[i], m.geom_rgba + 4 * i, all, shape);
    if (shape.colour[3] > 0) all.shapes.push_back(shape);
  }
  for (int i = 0; i < static_cast<int>(m.nsite); ++i) {
    if (m.site_group[i] >= kShownGroups) continue;
    SceneShape shape =
        placed_shape(m.site_type[i], m.site_bodyid[i], m.site_size + 3 * i, m.site_pos + 3 * i, m.site_quat + 4 * i);
    dress(m, m.site_matid[i], m.site_rgba + 4 * i, all, shape);
    if (shape.colour[3] > 0) all.shapes.push_back(shape);
  }
  // Only what is shown is kept.
  const auto keep = [&](Shape kind, auto& kept, const auto& read) {
    std::vector<int> numbers;
    for (SceneShape& shape : all.shapes) {
      if (shape.shape != kind) continue;
      const auto found = std::find(numbers.begin(), numbers.end(), shape.data);
      const auto number = static_cast<int>(found - numbers.begin());
      if (found == numbers.end()) {
        numbers.push_back(shape.data);
        kept.push_back(read(m, shape.data));
      }
      shape.data = number;
    }
  };
  keep(Shape::mesh, all.meshes, mesh);
  keep(Shape::height_field, all.height_fields, height_field);
}

void add_lights(const mjModel& m, Scene& all) {
  for (int i = 0; i < static_cast<int>(m.nlight); ++i) {
    if (!m.light_active[i]) continue;
    SceneLight light;
    light.body = m.light_bodyid[i];
    light.directional = is_directional(m, i);
    light.position = array_of<3, double>(m.light_pos + 3 * i);
    light.direction = array_of<3, double>(m.light_dir + 3 * i);
    light.diffuse = array_of<3, float>(m.light_diffuse + 3 * i);
    light.ambient = array_of<3, float>(m.light_ambient + 3 * i);
    light.shadow = m.light_castshadow[i] != 0;
    all.lights.push_back(light);
  }
  const auto& head = m.vis.headlight;
  if (head.active) {
    all.headlight_ambient = array_of<3, float>(head.ambient);
    all.headlight_diffuse = array_of<3, float>(head.diffuse);
  }
}

void add_cameras(const mjModel& m, Scene& all) {
  for (int i = 0; i < static_cast<int>(m.ncam); ++i) {
    SceneCamera camera;
    camera.name = name_of(m, mjOBJ_CAMERA, i);
    camera.body = m.cam_bodyid[i];
    const int mode = m.cam_mode[i];
    if (mode == mjCAMLIGHT_TARGETBODY || mode == mjCAMLIGHT_TARGETBODYCOM) camera.target = m.cam_targetbodyid[i];
    camera.turns_with_body = mode != mjCAMLIGHT_TRACK && mode != mjCAMLIGHT_TRACKCOM;
    if (camera.turns_with_body) {
      camera.position = array_of<3, double>(m.cam_pos + 3 * i);
      camera.rotation = array_of<4, double>(m.cam_quat + 4 * i);
    } else {  // as at qpos0, moved with the body
      mjtNum rotation[4];
      mju_mat2Quat(rotation, m.cam_mat0 + 9 * i);
      camera.position = array_of<3, double>(m.cam_pos0 + 3 * i);
      camera.rotation = array_of<4, double>(rotation);
    }
    camera.field = m.cam_fovy[i];
    all.cameras.push_back(camera);
  }
}

}  // namespace

const char* to_string(Shape shape) {
  switch (shape) {
    case Shape::plane: return "plane";
    case Shape::height_field: return "height field";
    case Shape::sphere: return "sphere";
    case Shape::capsule: return "capsule";
    case Shape::ellipsoid: return "ellipsoid";
    case Shape::cylinder: return "cylinder";
    case Shape::box: return "box";
    case Shape::mesh: return "mesh";
  }
  return "";
}

Scene scene(const MujocoSystem& system) {
  const mjModel& m = system.model();
  Scene all;
  for (int i = 0; i < static_cast<int>(m.nbody); ++i)
    all.bodies.push_back({name_of(m, mjOBJ_BODY, i), m.body_parentid[i]});
  add_geoms(m, all);
  add_lights(m, all);
  add_cameras(m, all);
  all.centre = array_of<3, double>(m.stat.center);
  all.extent = m.stat.extent;
  return all;
}

namespace {

/// Puts the bodies where each state says, and calls `see(n, data)`.
template <class F>
void at_each_state(const MujocoSystem& system, MatrixIn states, const F& see) {
  const mjModel& m = system.model();
  mjData* made = nullptr;
  if (!call_mujoco([&] { made = mj_makeData(&m); }) || !made)
    throw SystemError("MuJoCo cannot allocate the memory of a simulation");
  const std::unique_ptr<mjData, void (*)(mjData*)> data(made, mj_deleteData);
  for (Index n = 0; n < states.cols(); ++n) {
    std::copy_n(states.col(n).data(), m.nq, data->qpos);
    if (!call_mujoco([&] {
          mj_kinematics(&m, data.get());
          mj_comPos(&m, data.get());
        }))
      throw SystemError(fmt::format("MuJoCo fails: {}", mujoco_guard().error));
    see(n, *data);
  }
}

}  // namespace

std::vector<float> body_poses(const MujocoSystem& system, MatrixIn states) {
  const Index bodies = system.model().nbody;
  std::vector<float> poses;
  poses.reserve(static_cast<std::size_t>(states.cols() * (bodies - 1) * 7));
  at_each_state(system, states, [&](Index, const mjData& data) {
    for (Index body = 1; body < bodies; ++body) {
      for (int i = 0; i < 3; ++i) poses.push_back(static_cast<float>(data.xpos[3 * body + i]));
      for (int i = 0; i < 4; ++i) poses.push_back(static_cast<float>(data.xquat[4 * body + i]));
    }
  });
  return poses;
}

MatrixXd centres_of_mass(const MujocoSystem& system, MatrixIn states) {
  MatrixXd centres(3, states.cols());
  at_each_state(system, states,
                [&](Index n, const mjData& data) { std::copy_n(data.subtree_com, 3, centres.col(n).data()); });
  return centres;
}

}  // namespace kedge
