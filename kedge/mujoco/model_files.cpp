#include "kedge/mujoco/model_files.h"

#include <mujoco/mujoco.h>
#include <strings.h>
#include <tinyxml2.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/regular_file.h"
#include "kedge/core/text.h"

namespace kedge {

namespace {

namespace fs = std::filesystem;

constexpr int kDeepestInclude = 20;
constexpr std::size_t kMostAttributes = 1000;  ///< of an element
const char* const kAbsolute = "is an absolute path, but the files of a model must be named relative to it";

/// Since 3.1.3 MuJoCo also looks beside the file that has the reference.
constexpr bool kLooksBesideInclude = mjVERSION_HEADER >= 313;

bool is(const tinyxml2::XMLElement& element, const char* name) { return strcasecmp(element.Value(), name) == 0; }

std::string small_letters(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// What follows the last separator: MuJoCo knows both.
std::string last_part(const std::string& name) { return name.substr(name.find_last_of("/\\") + 1); }

bool is_absolute(const std::string& name) {
  return name.starts_with('/') || name.starts_with('\\') || name.find(":/") != std::string::npos ||
         name.find(":\\") != std::string::npos;
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [end, differs] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

fs::path common_part(const fs::path& a, const fs::path& b) {
  fs::path common;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end() && *i == *j; ++i, ++j) common /= *i;
  return common;
}

/// @return true if an element has more attributes than this. The parser compares each with all before it.
bool has_more_attributes(std::string_view xml, std::size_t most) {
  const auto skip_to = [&](std::size_t at, std::string_view end) {
    const std::size_t found = xml.find(end, at);
    return found == std::string_view::npos ? xml.size() : found + end.size();
  };
  for (std::size_t at = skip_to(0, "<"); at < xml.size(); at = skip_to(at, "<")) {
    if (xml.substr(at).starts_with("!--")) {
      at = skip_to(at, "-->");
      continue;
    }
    if (xml.substr(at).starts_with("![CDATA[")) {
      at = skip_to(at, "]]>");
      continue;
    }
    for (std::size_t attributes = 0; at < xml.size() && xml[at] != '>'; ++at) {
      if (xml[at] != '"' && xml[at] != '\'') continue;
      if (++attributes > most) return true;
      at = std::min(xml.find(xml[at], at + 1), xml.size() - 1);
    }
  }
  return false;
}

/// What the `compiler` elements of a model say; the last of them counts.
struct Settings {
  std::string mesh_folder, texture_folder;
  bool strips_paths = false;
};

void read_settings(const tinyxml2::XMLElement& compiler, Settings& settings) {
  if (const char* folder = compiler.Attribute("assetdir")) settings.mesh_folder = settings.texture_folder = folder;
  if (const char* folder = compiler.Attribute("meshdir")) settings.mesh_folder = folder;
  if (const char* folder = compiler.Attribute("texturedir")) settings.texture_folder = folder;
  if (const char* strips = compiler.Attribute("strippath")) settings.strips_paths = std::string_view(strips) == "true";
}

/// The name of a file, as an XML file has it.
struct Reference {
  std::string from;  ///< path of that file
  int line = 0;
  std::string element;  ///< in small letters: mesh, include, ...
  std::string name;
  std::optional<std::size_t> target;  ///< number of the file; nothing: it is not there

  [[noreturn]] void fail(const std::string& why) const {
    throw InputError(fmt::format("{}:{}: {} \"{}\": {}", one_line(from), line, element, one_line(name, 200), why));
  }
};

/// A file, with what it refers to in the order of its text.
struct Source {
  ModelFile file;
  std::vector<Reference> references;
};

/// A model with settings of its own, and what it includes.
struct Scope {
  fs::path folder;
  bool is_urdf = false;
  Settings settings;
  std::vector<std::pair<std::size_t, std::size_t>> assets;  ///< number of the file, number of the reference in it
};

class ModelReader {
 public:
  ModelReader(const fs::path& model, const fs::path& folder)
      : own_(canonical(model.parent_path())), allowed_(folder.empty() ? own_ : canonical(folder)) {
    read_model(open(model, true, nullptr));
  }

  /// The files in the order of their references, file after file.
  ModelFiles files() && {
    std::vector<std::size_t> order{0};
    for (std::size_t k = 0; k < order.size(); ++k)
      for (const Reference& reference : sources_[order[k]].references)
        if (reference.target && std::find(order.begin(), order.end(), *reference.target) == order.end())
          order.push_back(*reference.target);
    ModelFiles files{{}, std::move(outside_), has_distinct_names()};
    for (const std::size_t number : order) files.files.push_back(std::move(sources_[number].file));
    return files;
  }

 private:
  static fs::path canonical(const fs::path& folder) {
    std::error_code error;
    fs::path path = fs::canonical(folder, error);
    if (error) throw InputError(fmt::format("{}: there is no such folder", one_line(folder.string())));
    return path;
  }

  /// Reads a file unless it was read already. @param reference  null: it is the model  @return its number
  std::size_t open(const fs::path& path, bool is_xml, const Reference* reference) {
    if (const auto known = numbers_.find(path.string()); known != numbers_.end()) return known->second;
    try {
      const FileDescriptor file = open_regular_file(path);
      note_place(path, real_path(file));
      std::string bytes = read_bytes(file, is_xml ? kLargestModelXml : kLargestModelFile, path.string());
      const auto too_much = [&](const std::string& limit) {
        throw InputError(fmt::format("{}: the model has more than {}, the limit", one_line(path.string()), limit));
      };
      if (is_xml) xml_size_ += bytes.size();
      size_ += bytes.size();
      if (xml_size_ > kLargestModelXml) too_much(fmt::format("{} MB of XML", kLargestModelXml >> 20));
      if (size_ > kLargestModelSum) too_much(fmt::format("{} MB", kLargestModelSum >> 20));
      if (sources_.size() == kMostModelFiles) too_much(fmt::format("{} files", kMostModelFiles));
      numbers_.emplace(path.string(), sources_.size());
      sources_.push_back({{path.string(), std::move(bytes)}, {}});
    } catch (const InputError& e) {
      if (!reference) throw;
      reference->fail(e.what());
    }
    return sources_.size() - 1;
  }

  void note_place(const fs::path& path, const fs::path& real) {
    if (!is_inside(real, allowed_))
      throw InputError(
          fmt::format("{}: is outside of {}; the key model_folder of a task file allows more: model_folder = \"{}\"",
                      one_line(real.string()), allowed_.string(), common_part(real, allowed_).string()));
    if (!is_inside(real, own_)) outside_.push_back(path.string());
  }

  /// Reads the first of the places at which there is a file.
  void find(Reference& reference, const std::vector<fs::path>& places, bool is_xml) {
    for (const fs::path& place : places) {
      const fs::path path = place.lexically_normal();
      std::error_code error;
      if (!fs::exists(path, error)) continue;
      reference.target = open(path, is_xml, &reference);
      return;
    }
  }

  void read_model(std::size_t number) {
    Scope scope;
    scope.folder = fs::path(sources_[number].file.path).parent_path();
    read_xml(scope, number, true);
    for (const auto& [from, i] : scope.assets) {
      Reference reference = sources_[from].references[i];
      find_asset(scope, reference);
      sources_[from].references[i].target = reference.target;
    }
  }

  void find_asset(const Scope& scope, Reference& reference) {
    const Settings& settings = scope.settings;
    const fs::path folder = reference.element == "texture" ? settings.texture_folder : settings.mesh_folder;
    const std::string name = settings.strips_paths ? last_part(reference.name) : reference.name;
    if (name.empty()) return;
    if (is_absolute(name)) reference.fail(kAbsolute);
    if (is_absolute(folder.string()))
      reference.fail(fmt::format("the folder {} {}", one_line(folder.string()), kAbsolute));
    std::vector<fs::path> places{scope.folder / folder / name};
    if (kLooksBesideInclude) {
      const fs::path beside = fs::path(reference.from).parent_path();
      places.push_back(beside / name);
      places.push_back(scope.folder / folder / beside.lexically_relative(scope.folder) / name);
    }
    find(reference, places, false);
  }

  void read_xml(Scope& scope, std::size_t number, bool is_model) {
    tinyxml2::XMLDocument document;
    const std::string& bytes = sources_[number].file.bytes;
    if (has_more_attributes(bytes, kMostAttributes))
      throw InputError(fmt::format("{}: an element has more than {} attributes, the limit",
                                   one_line(sources_[number].file.path), kMostAttributes));
    if (document.Parse(bytes.data(), bytes.size()) != tinyxml2::XML_SUCCESS || !document.RootElement()) return;
    if (is_model && is(*document.RootElement(), "robot")) scope.is_urdf = scope.settings.strips_paths = true;
    read_elements(scope, *document.RootElement(), number);
  }

  void read_elements(Scope& scope, const tinyxml2::XMLElement& parent, std::size_t number) {
    for (const tinyxml2::XMLElement* e = parent.FirstChildElement(); e; e = e->NextSiblingElement()) {
      read_element(scope, *e, number);
      read_elements(scope, *e, number);
    }
  }

  void read_element(Scope& scope, const tinyxml2::XMLElement& element, std::size_t number) {
    if (is(element, "compiler")) return read_settings(element, scope.settings);
    if (scope.is_urdf) {
      if (is(element, "mesh")) add_asset(scope, element, "filename", number);
      return;
    }
    if (is(element, "include") || is(element, "model")) return read_other_xml(scope, element, number);
    if (is(element, "texture")) {
      const char* builtin = element.Attribute("builtin");
      if (builtin && std::string_view(builtin) != "none") return;
      for (const char* side : {"fileright", "fileleft", "fileup", "filedown", "filefront", "fileback"})
        add_asset(scope, element, side, number);
    }
    for (const char* asset : {"mesh", "hfield", "skin", "texture", "flexcomp"})
      if (is(element, asset)) add_asset(scope, element, "file", number);
  }

  /// @return false if the element has no such attribute
  bool add_reference(const tinyxml2::XMLElement& element, const char* attribute, std::size_t number) {
    const char* name = element.Attribute(attribute);
    if (!name || !*name) return false;
    Source& source = sources_[number];
    source.references.push_back(
        {source.file.path, element.GetLineNum(), small_letters(element.Value()), name, std::nullopt});
    return true;
  }

  void add_asset(Scope& scope, const tinyxml2::XMLElement& element, const char* attribute, std::size_t number) {
    if (add_reference(element, attribute, number))
      scope.assets.emplace_back(number, sources_[number].references.size() - 1);
  }

  /// An include belongs to the model that has it; another model has settings of its own.
  void read_other_xml(Scope& scope, const tinyxml2::XMLElement& element, std::size_t number) {
    if (!add_reference(element, "file", number)) return;
    const std::size_t i = sources_[number].references.size() - 1;
    Reference reference = sources_[number].references[i];
    if (is_absolute(reference.name)) reference.fail(kAbsolute);
    if (depth_ == kDeepestInclude)
      reference.fail(fmt::format("is included by {} files in each other, the limit", kDeepestInclude));
    std::vector<fs::path> places{scope.folder / reference.name};
    if (kLooksBesideInclude) places.push_back(fs::path(reference.from).parent_path() / reference.name);
    const std::size_t known = sources_.size();
    find(reference, places, true);
    sources_[number].references[i].target = reference.target;
    if (!reference.target || *reference.target < known) return;  // MuJoCo refuses what includes itself
    ++depth_;
    if (reference.element == "include")
      read_xml(scope, known, false);
    else
      read_model(known);
    --depth_;
  }

  /// Does every last part of a name, in small letters, stand for one file?
  [[nodiscard]] bool has_distinct_names() const {
    std::map<std::string, std::string> paths;
    const auto is_new = [&](const std::string& name, const std::string& path) {
      return paths.emplace(small_letters(last_part(name)), path).first->second == path;
    };
    for (const Source& source : sources_)
      if (!is_new(source.file.path, source.file.path)) return false;
    for (const Source& source : sources_)
      for (const Reference& reference : source.references)
        if (!is_new(reference.name, reference.target ? sources_[*reference.target].file.path : "")) return false;
    return true;
  }

  fs::path own_, allowed_;
  std::vector<Source> sources_;                 ///< in the order in which they are met, the model first
  std::map<std::string, std::size_t> numbers_;  ///< of the files, by path
  std::vector<std::string> outside_;
  std::uint64_t size_ = 0, xml_size_ = 0;  ///< bytes
  int depth_ = 0;                          ///< of includes
};

}  // namespace

ModelFiles read_model_files(const std::string& model, const std::string& folder) {
  std::error_code error;
  return ModelReader(fs::absolute(model, error).lexically_normal(), folder).files();
}

std::string digest(std::string_view text, const std::vector<std::string_view>& contents) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::string_view bytes) {
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    for (std::size_t size = bytes.size(), i = 0; i < 8; ++i) hash = (hash ^ ((size >> (8 * i)) & 0xff)) * 0x100000001b3;
  };
  add(text);
  for (const std::string_view bytes : contents) add(bytes);
  return fmt::format("{:016x}", hash);
}

}  // namespace kedge
