// One rule for errors of the system with a path: whose fault are they?
#pragma once

#include <string>

namespace kedge {

/// True if another path, or other rights, are all that is wanted: nothing there, a loop of links, not a directory, not
/// allowed, a read-only file system. False where the machine fails: a full or broken disk, no memory, too many open files.
/// @param error  an errno
bool is_wrong_path(int error);

/// @throws InputError "<message>: <reason>" if is_wrong_path(error), else SystemError
[[noreturn]] void fail_by_path(const std::string& message, int error);

}  // namespace kedge
