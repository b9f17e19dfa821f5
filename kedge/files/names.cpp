#include "kedge/files/names.h"

#include <algorithm>
#include <numeric>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"

namespace kedge {

std::vector<Index> in_order(Index n) {
  std::vector<Index> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), Index{0});
  return all;
}

std::vector<Index> places(const NamedEntries& entries, const std::string& file, bool all_needed) {
  const auto& [what, found, task, own] = entries;
  if (found == own) return in_order(static_cast<Index>(own.size()));
  const auto refuse = [&](const std::string& name, const std::string& why) {
    throw InputError(fmt::format("{}: has the {} {}, but task {} has {}: \"{}\" {}", file, entries.what,
                                 list(entries.found), entries.task, list(entries.own), one_line(name, 60), why));
  };
  std::vector<Index> all;
  for (const std::string& name : found) {
    const auto at = std::ranges::find(own, name);
    if (at == own.end()) refuse(name, "is none of the task's");
    if (std::ranges::count(found, name) > 1) refuse(name, "is there twice");
    all.push_back(at - own.begin());
  }
  for (const std::string& name : own)
    if (all_needed && std::ranges::find(found, name) == found.end()) refuse(name, "is missing");
  return all;
}

}  // namespace kedge
