// The part of a figure's runs that one of several processes does: the tasks of a Slurm job, the ranks of an MPI program.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace kedge {

/// Every `count`-th run, from the one at place `index`; 0 <= index < count.
struct Shard {
  int index = 0;
  int count = 1;
  [[nodiscard]] bool has(std::size_t place) const {
    return place % static_cast<std::size_t>(count) == static_cast<std::size_t>(index);
  }
};

/// Returns the value of an environment variable; null: it is not set.
using Environment = std::function<const char*(const char* name)>;

/// Reads a shard: "2/4", the second of four; "slurm": what Slurm says of this task of a job array (sbatch --array), or else
/// of this task of a step (srun); "mpi": what Open MPI, or MPICH and its kin, say of this rank.
/// @throws InputError "--shard: ..." if the text is another, or the variables are not there or not such numbers
Shard read_shard(const std::string& text, const Environment& environment);

}  // namespace kedge
