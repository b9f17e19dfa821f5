#include "kedge/study/results.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <sstream>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/checksum.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

const char* const kWritten = ".kedge-results";
constexpr std::uint64_t kLargest = std::uint64_t{1} << 28;

/// The digests of what kedge wrote, or was about to write, under each name.
using Written = std::map<std::string, std::set<std::string>>;

Written read_written(const Directory& folder) {
  Written written;
  if (!exists(folder / kWritten)) return written;
  std::istringstream lines(read_file(folder / kWritten, kLargest));
  std::string digest, name;
  while (lines >> digest && std::getline(lines >> std::ws, name)) written[name].insert(digest);
  return written;
}

void save(const Directory& folder, const Written& written) {
  std::string text;
  for (const auto& [name, digests] : written)
    for (const std::string& digest : digests) text += fmt::format("{} {}\n", digest, name);
  write_file(folder / kWritten, text, Durability::process);
}

/// Returns the digest of a result that is there; "" if there is none. @throws InputError if it is not kedge's
std::string require_own(const Directory& folder, const std::string& name, const Written& written) {
  const auto status = folder.status(name);
  if (!status) return "";
  if (const std::string why = why_not_own(*status); !why.empty())
    throw InputError(fmt::format("{}: is {}, and is not replaced; choose another --out", folder.path_of(name), why));
  const std::string present = digest(read_file(folder / name, kLargest));
  if (const auto known = written.find(name); known == written.end() || !known->second.contains(present))
    throw InputError(
        fmt::format("{}: is not as kedge wrote it, and is not replaced; move it away, or choose another --out",
                    folder.path_of(name)));
  return present;
}

}  // namespace

std::string why_not_own(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return kind_of_file(status.st_mode);
  return status.st_nlink == 1 ? "" : "a file with another name too";
}

void require_own_results(const fs::path& path, const std::vector<std::string>& names) {
  std::error_code unknown;
  if (!fs::exists(path, unknown)) return;
  const Directory folder(path);
  const Written written = read_written(folder);
  for (const std::string& name : names) require_own(folder, name, written);
}

void replace_result(const fs::path& path, const std::string& name, std::string_view bytes) {
  const Directory folder(path);
  Written written = read_written(folder);
  const std::string present = require_own(folder, name, written);
  written[name] = {digest(bytes)};
  if (!present.empty()) written[name].insert(present);
  save(folder, written);  // first: killed in between, both the old file and the new one are known
  write_file(folder / name, bytes, Durability::process);
}

}  // namespace kedge
