// The words in which a user is told that MuJoCo refuses a model.
#pragma once

#include <string>
#include <string_view>

namespace kedge {

/// Returns one line: the version of MuJoCo that refuses the model, its complaint and, where the complaint is about a word that
/// a newer version knows, that version.
/// @param model  as the user named it  @param error  LoadedModel::error
std::string mujoco_refuses(std::string_view model, std::string_view error);

}  // namespace kedge
