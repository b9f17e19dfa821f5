// What a file calls its entries, and what a task calls them: matched by name, whatever their order.
#pragma once

#include <string>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// Names of one kind of entries in a file, and those of a task.
struct NamedEntries {
  std::string what;                ///< "actions", for messages
  std::vector<std::string> found;  ///< in the file
  std::string task;                ///< name of the task, for messages
  std::vector<std::string> own;    ///< of the task
};

/// Returns the place of each of the file's entries among those of the task.
/// @param all_needed  false: the file may lack some of the task's
/// @throws InputError with both lists and one name, if the file has a name that the task has not, a name twice, or lacks one
std::vector<Index> places(const NamedEntries& entries, const std::string& file, bool all_needed = true);

/// Returns 0, 1, ..., n - 1: the places of entries in the same order.
std::vector<Index> in_order(Index n);

}  // namespace kedge
