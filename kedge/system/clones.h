// Simulators for parallel work: one clone of a system for each worker.
#pragma once

#include <memory>
#include <vector>

#include "kedge/core/parallel.h"
#include "kedge/system/system.h"

namespace kedge {

/// A clone for each worker of `parallel_for`, made when first asked for and kept: whoever calls again and again clones
/// once. Not for two loops at a time.
class SystemClones {
 public:
  /// @param prototype outlives this object  @param threads >= 1
  SystemClones(const System& prototype, int threads)
      : prototype_(&prototype), clones_(static_cast<std::size_t>(threads)) {}

  [[nodiscard]] int threads() const { return static_cast<int>(clones_.size()); }

  /// That of the calling worker; outside a loop, the first.
  System& mine() {
    std::unique_ptr<System>& clone = clones_[static_cast<std::size_t>(worker_index())];
    if (!clone) clone = prototype_->clone();
    return *clone;
  }

 private:
  const System* prototype_;
  std::vector<std::unique_ptr<System>> clones_;
};

}  // namespace kedge
