// The kinds of policies that are learned, saved, loaded and shown. A kind is a class derived from `Policy`, in its own
// pair of files, with a row in `AnyPolicy` and two constants:
//
//   static constexpr const char* kKind = "...";     its name, the attribute `kind` of policy.h5
//   static constexpr const char* kSummary = "...";  one line for `kedge list`
//
// Code that treats each kind differently overloads a function and visits `AnyPolicy`, so that a kind without its overload
// does not compile: `write_datasets` and `read_datasets` (files/policy_file.cpp), `FieldWriter` and `FieldReader`
// (catalogue/fields.h), `policy_json` (pages/replay_page.cpp), `parts_of` and `mean` (export).
#pragma once

#include <array>
#include <span>
#include <variant>

#include "kedge/policy/contextual.h"
#include "kedge/policy/dmp.h"
#include "kedge/policy/mlp_gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"

namespace kedge {

/// The table of kinds, one row each.
using AnyPolicy = std::variant<TvLinearGaussian,  //
                               MlpGaussian, DmpPolicy, ContextualPolicy>;

inline const Policy& as_policy(const AnyPolicy& policy) {
  return std::visit([](const auto& p) -> const Policy& { return p; }, policy);
}

struct PolicyKind {
  const char* name;     ///< attribute `kind` of policy.h5
  const char* summary;  ///< one line for people
};

template <class Any>
struct PolicyKinds;
template <class... P>
struct PolicyKinds<std::variant<P...>> {
  static constexpr std::array table{PolicyKind{P::kKind, P::kSummary}...};
};

/// Returns all kinds, in the order of `AnyPolicy`.
inline std::span<const PolicyKind> policy_kinds() { return PolicyKinds<AnyPolicy>::table; }

/// Returns the name of a policy's kind.
inline const char* policy_kind(const AnyPolicy& policy) { return policy_kinds()[policy.index()].name; }

}  // namespace kedge
