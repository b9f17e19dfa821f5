#include "kedge/mujoco/model_files.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

namespace fs = std::filesystem;

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InputError(fmt::format("{}: cannot be read", path));
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Values of the attributes whose name contains `name`, in any element: name="value" or name='value'.
std::vector<std::string> attributes(std::string_view xml, std::string_view name) {
  constexpr std::string_view space = " \t\r\n";
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  std::vector<std::string> values;
  for (std::size_t at = xml.find(name); at != std::string_view::npos; at = xml.find(name, at + 1)) {
    std::size_t i = at + name.size();
    while (i < xml.size() && letter(xml[i])) ++i;
    i = std::min(xml.find_first_not_of(space, i), xml.size());
    if (i == xml.size() || xml[i] != '=') continue;
    i = std::min(xml.find_first_not_of(space, i + 1), xml.size());
    if (i == xml.size() || (xml[i] != '"' && xml[i] != '\'')) continue;
    const std::size_t end = xml.find(xml[i], i + 1);
    if (end != std::string_view::npos) values.emplace_back(xml.substr(i + 1, end - i - 1));
  }
  return values;
}

bool is_xml(const fs::path& file) {
  const std::string extension = file.extension().string();
  return extension == ".xml" || extension == ".mjcf" || extension == ".urdf";
}

}  // namespace

std::vector<std::string> model_files(const std::string& model) {
  std::vector<std::string> files = {model};
  const fs::path root = fs::path(model).parent_path();
  std::vector<fs::path> asset_folders = {""};  // meshdir, texturedir, assetdir

  for (std::size_t next = 0; next < files.size(); ++next) {
    if (next > 0 && !is_xml(files[next])) continue;
    const std::string xml = read(files[next]);
    for (const std::string& folder : attributes(xml, "dir"))
      if (std::find(asset_folders.begin(), asset_folders.end(), folder) == asset_folders.end())
        asset_folders.emplace_back(folder);

    const fs::path here = fs::path(files[next]).parent_path();
    for (const std::string& name : attributes(xml, "file"))
      for (const fs::path& base : {here, root})
        for (const fs::path& folder : asset_folders)
          for (const fs::path& file : {fs::path(name), fs::path(name).filename()}) {  // compiler strippath
            std::error_code error;
            const std::string found = (base / folder / file).lexically_normal().string();
            if (!fs::is_regular_file(found, error) || std::find(files.begin(), files.end(), found) != files.end())
              continue;
            files.push_back(found);
          }
  }
  return files;
}

std::string digest(std::string_view text, const std::vector<std::string>& files) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::string_view bytes) {
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    for (std::size_t size = bytes.size(), i = 0; i < 8; ++i) hash = (hash ^ ((size >> (8 * i)) & 0xff)) * 0x100000001b3;
  };
  add(text);
  for (const std::string& file : files) add(read(file));
  return fmt::format("{:016x}", hash);
}

}  // namespace kedge
