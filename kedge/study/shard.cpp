#include "kedge/study/shard.h"

#include <fmt/format.h>

#include <charconv>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"

namespace kedge {

namespace {

constexpr int kMostShards = 100000;

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// How a launcher numbers its processes.
struct Numbering {
  const char* index;
  const char* count;
  const char* first;  ///< variable of the smallest index; null: that is 0
};

/// The shard by the first of these numberings whose variable of the index is set.
Shard by_environment(const char* launcher, std::initializer_list<Numbering> numberings, const char* how,
                     const Environment& environment) {
  const auto number = [&](const char* name) {
    const char* text = environment(name);
    const std::optional<int> value = text ? whole_number(text) : std::nullopt;
    if (!value)
      throw InputError(fmt::format("--shard {}: {} is {}, but must be a whole number", launcher, name,
                                   text ? fmt::format("\"{}\"", one_line(text)) : "not set"));
    return *value;
  };
  for (const Numbering& n : numberings) {
    if (!environment(n.index)) continue;
    const Shard shard{number(n.index) - (n.first ? number(n.first) : 0), number(n.count)};
    if (shard.index < 0 || shard.index >= shard.count || shard.count > kMostShards)
      throw InputError(
          fmt::format("--shard {}: process {} of {} by {} and {}: they must be numbered one after the other", launcher,
                      shard.index, shard.count, n.index, n.count));
    return shard;
  }
  throw InputError(fmt::format("--shard {}: {} is not set; start it by {}", launcher, numberings.begin()->index, how));
}

}  // namespace

Shard read_shard(const std::string& text, const Environment& environment) {
  if (text == "slurm")
    return by_environment("slurm",
                          {{"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"},
                           {"SLURM_PROCID", "SLURM_NTASKS", nullptr}},
                          "sbatch --array=1-N or srun --ntasks=N", environment);
  if (text == "mpi")
    return by_environment(
        "mpi", {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", nullptr}, {"PMI_RANK", "PMI_SIZE", nullptr}},
        "mpirun -n N", environment);
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const auto index = whole_number(std::string_view(text).substr(0, slash));
    const auto count = whole_number(std::string_view(text).substr(slash + 1));
    if (index && count && *index >= 1 && *index <= *count && *count <= kMostShards) return {*index - 1, *count};
  }
  throw InputError(fmt::format("--shard: found \"{}\", expected I/N with 1 <= I <= N <= {}, slurm or mpi",
                               one_line(text), kMostShards));
}

}  // namespace kedge
