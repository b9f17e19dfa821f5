// A policy as an ONNX model (https://onnx.ai): operator set 13, which every ONNX runtime since 2020 reads.
#pragma once

#include <string>

#include "kedge/files/policy_file.h"

namespace kedge {

/// Returns the bytes of a model in 32-bit numbers whose inputs are
///   observation  float [n, ds]: any number of observations at once
///   t            int64 []: the step, where the policy depends on it
///   context      float [C]: of a contextual policy, the entries of the initial state that its metadata `context` lists
/// and whose outputs are `mean` [n, da] and `action` [n, da], within the limits of the actions that the file has. The names of
/// observations and actions are metadata, one a line.
/// @param name of the graph  @throws InputError for a contextual movement primitive
std::string onnx_model(const PolicyFile& file, const std::string& name);

}  // namespace kedge
