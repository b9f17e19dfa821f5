// The files of a model. Its XML is read as MuJoCo reads it, so that only files that MuJoCo asks for are opened, copied
// into a run or put into a page.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kedge {

// Limits of one model.
inline constexpr std::uint64_t kLargestModelXml = 16u << 20;   ///< bytes of the model and its includes together
inline constexpr std::uint64_t kLargestModelFile = 64u << 20;  ///< bytes of a mesh, texture, height field, ...
inline constexpr std::uint64_t kLargestModelSum = 256u << 20;  ///< bytes of all files together
inline constexpr std::size_t kMostModelFiles = 1000;

struct ModelFile {
  std::string path;  ///< absolute, normal; links are kept as they are
  std::string bytes;
};

struct ModelFiles {
  std::vector<ModelFile> files;  ///< the model first, then its references in their order, then theirs

  /// Paths of the files that are not in the folder of the model or below. Empty unless a larger folder was allowed.
  std::vector<std::string> outside;

  /// True if MuJoCo's virtual file system, which knows names without folders, holds the right file for every reference.
  bool distinct_names = true;
};

/// Reads a model and every file that it reads: includes, meshes, textures, height fields, skins, flexible bodies and other
/// models, with the folders that its compiler settings name, MJCF and URDF. Comments, texts and entity declarations are
/// not references. Missing files and malformed XML are left for MuJoCo to report.
/// @param model   path of the model
/// @param folder  no file outside of it is read, also not through a link; empty: the folder of the model
/// @throws InputError "<file>:<line>: mesh \"<name>\": ..." for a file outside, an absolute path, something that is not a
/// regular file, or more or larger files than the limits above
ModelFiles read_model_files(const std::string& model, const std::string& folder = "");

/// Returns the FNV-1a hash of the text and of the contents, as 16 hexadecimal digits.
std::string digest(std::string_view text, const std::vector<std::string_view>& contents);

}  // namespace kedge
