// Which files a model consists of, and a digest of them. Internal to kedge/mujoco.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kedge {

/// The model and every file that it names: includes, meshes, textures, height fields, other models, in the order in which
/// they are met. MuJoCo 2.2.2 cannot tell; this looks at every attribute file="..." (and its variants) of the XML files
/// and takes what is there, in the folders where MuJoCo looks.
/// @param model absolute path of a model that MuJoCo could load  @return absolute paths
std::vector<std::string> model_files(const std::string& model);

/// FNV-1a of the text and of the contents of the files, as 16 hexadecimal digits. @throws InputError if one cannot be read
std::string digest(std::string_view text, const std::vector<std::string>& files);

}  // namespace kedge
