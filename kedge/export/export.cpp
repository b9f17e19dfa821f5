#include "kedge/export/export.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/export/c_header.h"
#include "kedge/export/onnx_model.h"
#include "kedge/export/python_file.h"

namespace kedge {

namespace {

constexpr std::array<ExportFormat, 4> kFormats{{
    {"c", "a header in C99, without allocation or library", c_header},
    {"onnx", "a model for ONNX runtimes, in 32-bit numbers",
     [](const PolicyFile& file, const std::string& prefix) { return onnx_model(file, prefix); }},
    {"json", "the contents of policy.h5 as JSON",
     [](const PolicyFile& file, const std::string&) { return policy_as_json(file.policy, file.info); }},
    {"python", "a file of Python that needs NumPy only",
     [](const PolicyFile& file, const std::string&) { return python_file(file); }},
}};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::span<const ExportFormat> export_formats() { return kFormats; }

const ExportFormat& find_export_format(const std::string& name) {
  std::vector<std::string> known;
  for (const ExportFormat& format : kFormats) {
    if (format.name == name) return format;
    known.emplace_back(format.name);
  }
  throw InputError(fmt::format("--format = {}, but must be {}", one_line(name, 60), fmt::join(known, ", ")));
}

std::string export_prefix(const PolicyInfo& info) {
  std::string prefix;
  for (const char c : info.task) prefix += is_letter(c) || is_digit(c) ? c : '_';
  if (prefix.empty()) return "policy";
  return is_letter(prefix.front()) ? prefix : "policy_" + prefix;
}

void require_prefix(const std::string& prefix) {
  bool ok = !prefix.empty() && is_letter(prefix.front()) && prefix.size() <= 60;
  for (const char c : prefix) ok = ok && (is_letter(c) || is_digit(c) || c == '_');
  if (!ok)
    throw InputError(
        fmt::format("--name = {}, but must be at most 60 letters, digits and _, a letter first", one_line(prefix, 60)));
}

namespace {

/// A text from a file that can neither end a comment nor a line.
std::string harmless(const std::string& text, std::size_t longest) {
  std::string result;
  for (const char c : one_line(text, longest))
    result += std::string_view("*\\\"?").find(c) != std::string_view::npos ? '_' : c;
  return result;
}

}  // namespace

std::string exported_title(const PolicyFile& file) {
  const std::string task = file.info.task.empty() ? "" : fmt::format(" of the task {}", harmless(file.info.task, 60));
  return fmt::format("The controller{}, a policy of kind {}, written by kedge {} export", task,
                     policy_kind(file.policy), KEDGE_VERSION);
}

std::string names_for_comment(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + harmless(name, 60);
  return text.empty() ? "unnamed" : text;
}

void refuse_contextual_movement(const char* format) {
  throw InputError(fmt::format(
      "--format = {}, but must be json: a contextual movement primitive is chosen by the inverse dynamics of the "
      "robot; --start writes the controller of one episode",
      format));
}

}  // namespace kedge
