// Every kind of policy that is learned, saved and loaded.
#pragma once

#include <variant>

#include "kedge/policy/mlp_gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

using AnyPolicy = std::variant<TvLinearGaussian, MlpGaussian>;

inline const Policy& as_policy(const AnyPolicy& policy) {
  return std::visit([](const auto& p) -> const Policy& { return p; }, policy);
}

}  // namespace kedge
