#include "kedge/core/memory.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

namespace kedge {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();

/// The number behind a word at the beginning of a line; the first number of the file if the word is empty.
double number_in(const char* file, const std::string& word) {
  std::ifstream in(file);
  std::string first;
  double value = 0.0;
  if (word.empty()) return in >> value ? value : kUnknown;
  for (std::string line; in >> first && std::getline(in, line);)
    if (first == word) return std::strtod(line.c_str(), nullptr);
  return kUnknown;
}

/// What is left below the limit of the address space.
double address_space_left() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnknown;
  const double used = 1024.0 * number_in("/proc/self/status", "VmSize:");
  return std::isfinite(used) ? std::max(0.0, static_cast<double>(limit.rlim_cur) - used) : kUnknown;
}

/// What is left below the limit of the control group (version 2).
double group_left() {
  const double limit = number_in("/sys/fs/cgroup/memory.max", ""),
               used = number_in("/sys/fs/cgroup/memory.current", "");
  return std::isfinite(limit) && std::isfinite(used) ? std::max(0.0, limit - used) : kUnknown;
}

}  // namespace

double available_memory() {
  const double machine = 1024.0 * number_in("/proc/meminfo", "MemAvailable:");
  return std::min({machine, address_space_left(), group_left()});
}

std::string memory_text(double bytes) {
  if (bytes < 1e9) return fmt::format("{:.0f} MB", std::max(1.0, std::ceil(bytes / 1e6)));
  return fmt::format("{:.2g} GB", bytes / 1e9);
}

}  // namespace kedge
