#include "kedge/mujoco/refusal.h"

#include <fmt/format.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "kedge/core/text.h"

namespace kedge {

namespace {

/// A word of models that not every MuJoCo since 2.2.2 knows, and a version that was seen to accept it.
struct NewWord {
  std::string_view word;
  std::string_view version;
};
constexpr NewWord kNewWords[] = {
    {"actearly", "3.0.0"},
    {"actuatorfrcrange", "3.0.0"},
    {"actuatorgravcomp", "3.1.4"},
    {"attach", "3.2.0"},
    {"contact", "3.3.7"},
    {"dampratio", "3.2.0"},
    {"dcmotor", "3.9.0"},
    {"delay", "3.5.0"},
    {"discrete", "3.13.0"},
    {"distance", "3.2.0"},
    {"flex", "3.0.0"},
    {"flexcomp", "3.0.0"},
    {"frame", "3.1.0"},
    {"gravcomp", "3.0.0"},
    {"implicitfast", "3.0.0"},
    {"inheritrange", "3.1.3"},
    {"insidesite", "3.3.7"},
    {"jointactuatorfrc", "3.0.0"},
    {"model", "3.2.0"},
    {"nativeccd", "3.2.3"},
    {"nsample", "3.5.0"},
    {"orientation", "3.12.0"},
    {"replicate", "3.2.0"},
    {"sleep", "3.4.0"},
    {"surfacevel", "3.12.0"},
    {"timeconst", "3.2.0"},
};

/// major, minor, patch
std::array<int, 3> numbers(std::string_view version) {
  std::array<int, 3> parts{};
  for (int& part : parts) {
    std::from_chars(version.data(), version.data() + version.size(), part);
    version.remove_prefix(std::min(version.find('.'), version.size() - 1) + 1);
  }
  return parts;
}

/// The text between the first two quotes that follow this one; empty: there is none.
std::string_view quoted_after(std::string_view text, std::string_view before) {
  const std::size_t at = text.find(before);
  if (at == std::string_view::npos) return "";
  const std::size_t begin = text.find('\'', at + before.size());
  if (begin == std::string_view::npos) return "";
  return text.substr(begin + 1, text.find('\'', begin + 1) - begin - 1);
}

/// The word that MuJoCo does not know; empty: it complains of something else.
std::string_view unknown_word(std::string_view error) {
  if (error.find("unrecognized element") != std::string_view::npos) return quoted_after(error, "Element");
  const std::string_view attribute = quoted_after(error, "unrecognized attribute");
  return attribute.empty() ? quoted_after(error, "invalid keyword") : attribute;
}

}  // namespace

std::string mujoco_refuses(std::string_view model, std::string_view error) {
  const std::string_view linked = mj_versionString(), word = unknown_word(error);
  std::string text = fmt::format("MuJoCo {} refuses {}: {}", linked, model, one_line(error));
  const auto* const known = std::ranges::find(kNewWords, word, &NewWord::word);
  if (known != std::end(kNewWords) && numbers(linked) < numbers(known->version))
    text += fmt::format("; MuJoCo {} knows {}", known->version, word);
  return text;
}

}  // namespace kedge
