#include "kedge/mujoco/frame_sensors.h"

#include <mujoco/mujoco.h>
#include <strings.h>
#include <tinyxml2.h>

#include <array>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr std::string_view kPrefix = "kedge:";

constexpr std::array kKinds = {
    FrameKind{"site", "framepos", "site", mjOBJ_SITE, false},
    FrameKind{"site_quat", "framequat", "site", mjOBJ_SITE, true},
    FrameKind{"site_vel", "framelinvel", "site", mjOBJ_SITE, false},
    FrameKind{"body", "framepos", "xbody", mjOBJ_BODY, false},
    FrameKind{"body_quat", "framequat", "xbody", mjOBJ_BODY, true},
    FrameKind{"body_vel", "framelinvel", "xbody", mjOBJ_BODY, false},
    FrameKind{"com", "subtreecom", nullptr, mjOBJ_BODY, false},
    FrameKind{"com_vel", "subtreelinvel", nullptr, mjOBJ_BODY, false},
};

}  // namespace

std::span<const FrameKind> frame_kinds() { return kKinds; }

const FrameKind* find_frame_kind(std::string_view word) {
  for (const FrameKind& kind : kKinds)
    if (kind.word == word) return &kind;
  return nullptr;
}

std::string sensor_name(const FrameSensor& sensor) {
  return fmt::format("{}{}:{}", kPrefix, sensor.kind->word, sensor.object);
}

bool is_frame_sensor(std::string_view name) { return name.starts_with(kPrefix); }

std::vector<std::string> object_names(const mjModel& m, const FrameKind& kind) {
  std::vector<std::string> names;
  const int count = static_cast<int>(kind.object == mjOBJ_SITE ? m.nsite : m.nbody);
  for (int i = 0; i < count; ++i)
    if (const char* name = mj_id2name(&m, kind.object, i); name && *name) names.emplace_back(name);
  return names;
}

ModelFiles with_sensors(ModelFiles files, const std::vector<FrameSensor>& sensors) {
  if (!files.distinct_names)
    throw InputError("has two files of one name in different folders, so that kedge cannot add sensors to it");
  std::string& bytes = files.files.front().bytes;
  tinyxml2::XMLDocument xml;
  xml.Parse(bytes.data(), bytes.size());
  tinyxml2::XMLElement* root = xml.RootElement();
  if (xml.Error() || !root || strcasecmp(root->Value(), "mujoco") != 0)
    throw InputError("is not MJCF, so that kedge cannot add sensors to it");
  tinyxml2::XMLElement* section = root->InsertNewChildElement("sensor");
  for (const FrameSensor& sensor : sensors) {
    tinyxml2::XMLElement* element = section->InsertNewChildElement(sensor.kind->element);
    element->SetAttribute("name", sensor_name(sensor).c_str());
    if (sensor.kind->objtype) element->SetAttribute("objtype", sensor.kind->objtype);
    element->SetAttribute(sensor.kind->objtype ? "objname" : "body", sensor.object.c_str());
  }
  tinyxml2::XMLPrinter printer;
  xml.Print(&printer);
  bytes.assign(printer.CStr());
  return files;
}

}  // namespace kedge
