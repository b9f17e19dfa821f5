// A first task file for a model: what the model has, with first guesses, for a person to change.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

namespace kedge {

/// Returns the text of a task file for a model: holding its own pose (or its first keyframe), with every choice that a person
/// has to make as a comment. It is a valid task file where it is written into `folder`.
/// @param model   path of an MJCF or URDF file  @param folder  that the task file will be in
/// @throws InputError if the model cannot be used: the reason in one line  @throws Cancelled
std::string starter_task(const std::filesystem::path& model, const std::filesystem::path& folder,
                         const std::stop_token& stop = {});

}  // namespace kedge
