// Policies that leave: the mean of a policy as a program or a model that needs no kedge (docs/export.md). A kind of policy
// is written by the overloads in c_header.cpp, python_file.cpp and onnx_model.cpp.
#pragma once

#include <span>
#include <string>

#include "kedge/files/policy_file.h"

namespace kedge {

struct ExportFormat {
  const char* name;     ///< for --format
  const char* summary;  ///< one line for people
  /// Returns the contents of the file. @param prefix of the names in it
  /// @throws InputError if this format cannot hold the policy
  std::string (*text)(const PolicyFile& file, const std::string& prefix);
};

/// Returns the table of formats.
std::span<const ExportFormat> export_formats();

/// Returns a format by its name. @throws InputError that names the known ones
const ExportFormat& find_export_format(const std::string& name);

/// Returns the name of the policy's task as an identifier, "double_link"; "policy" where it has none.
std::string export_prefix(const PolicyInfo& info);

/// @throws InputError unless `prefix` is an identifier of C: letters, digits and _, a letter first
void require_prefix(const std::string& prefix);

// ---- For the formats

/// Returns the first line about the policy: its task, its kind and the kedge that wrote it. No end of line, no "*/".
std::string exported_title(const PolicyFile& file);

/// Returns the names of observations or actions, "shoulder, elbow", as text for a comment; "unnamed" where there are none.
std::string names_for_comment(const std::vector<std::string>& names);

/// Refuses a contextual movement primitive: its choice needs the inverse dynamics of the robot. @throws InputError
[[noreturn]] void refuse_contextual_movement(const char* format);

}  // namespace kedge
