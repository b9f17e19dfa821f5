// Sensors of places, attitudes and velocities that a task asks for and the model does not declare.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/mujoco/model_files.h"

struct mjModel_;  // mjModel of mujoco.h, 2.2.2 and 3.x

namespace kedge {

/// A quantity of a site, a body or the centre of mass of a body with all that hangs on it, in the axes of the world.
struct FrameKind {
  const char* word;     ///< "site", "site_quat", "site_vel", "body", ..., "com", "com_vel"
  const char* element;  ///< of MJCF
  const char* objtype;  ///< attribute of MJCF; null: the element is of bodies
  int object;           ///< mjtObj
  bool quaternion;
};

/// Returns the kinds, in the order in which people read of them.
std::span<const FrameKind> frame_kinds();

/// Returns the kind of a word; null: there is none.
const FrameKind* find_frame_kind(std::string_view word);

struct FrameSensor {
  const FrameKind* kind = nullptr;
  std::string object;  ///< its name
};

/// Returns the name of the sensor in the model. Such a name is kedge's own.
std::string sensor_name(const FrameSensor& sensor);
bool is_frame_sensor(std::string_view name);

/// Returns the names that objects of a kind have in the model.
std::vector<std::string> object_names(const mjModel_& model, const FrameKind& kind);

/// Returns the files with the sensors in the model, its first file. They change nothing but `sensordata`.
/// @throws InputError if the model is not MJCF, or if MuJoCo would read it from the disk, to be preceded by the name of the model
ModelFiles with_sensors(ModelFiles files, const std::vector<FrameSensor>& sensors);

}  // namespace kedge
