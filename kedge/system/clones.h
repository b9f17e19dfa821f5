// Simulators for parallel work: one clone of a system for each worker.
#pragma once

#include <memory>
#include <vector>

#include "kedge/system/system.h"

namespace kedge {

/// A clone of a system for each worker of `parallel_for`, made on first use and kept for later loops. Loops that run at
/// the same time need clones of their own.
class SystemClones {
 public:
  /// @param prototype  outlives this object  @param threads >= 1, number of workers
  SystemClones(const System& prototype, int threads)
      : prototype_(&prototype), clones_(static_cast<std::size_t>(threads)) {}

  [[nodiscard]] int threads() const { return static_cast<int>(clones_.size()); }

  /// Returns the clone of a worker. @param worker in [0, threads)
  System& of(int worker) {
    std::unique_ptr<System>& clone = clones_[static_cast<std::size_t>(worker)];
    if (!clone) clone = prototype_->clone();
    return *clone;
  }

 private:
  const System* prototype_;
  std::vector<std::unique_ptr<System>> clones_;
};

}  // namespace kedge
