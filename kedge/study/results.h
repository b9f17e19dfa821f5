// The result files of a study in its folder: tables, pages, drawings, option files. The file .kedge-results beside them says
// what kedge wrote, so that a file of somebody else, or one that was changed since, is never replaced.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kedge {

/// Returns in words why a file is not one of its own: "a symbolic link", "a file with another name too"; "" if it is.
std::string why_not_own(const struct stat& status);

/// Checks, before work starts, that results of these names may be written into a folder, which need not exist.
/// @throws InputError that names a file which kedge did not write, which was changed since, or which is a link
void require_own_results(const std::filesystem::path& folder, const std::vector<std::string>& names);

/// Writes a result, and before it what kedge writes there. @param folder  exists
/// @throws InputError as require_own_results; then the file stays as it is
/// @throws SystemError
void replace_result(const std::filesystem::path& folder, const std::string& name, std::string_view bytes);

}  // namespace kedge
