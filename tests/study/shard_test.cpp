#include "kedge/study/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

std::string shard(const std::string& text, const Variables& set = {}) {
  try {
    const auto [index, count] = read_shard(text, [&](const char* name) {
      const auto found = set.find(name);
      return found == set.end() ? nullptr : found->second.c_str();
    });
    return std::to_string(index) + " of " + std::to_string(count);
  } catch (const InputError& e) {
    return e.what();
  }
}

TEST(Shard, IsTheIthOfN) {
  EXPECT_EQ(shard("1/1"), "0 of 1");
  EXPECT_EQ(shard("2/4"), "1 of 4");
  EXPECT_EQ(shard("100000/100000"), "99999 of 100000");
}

TEST(Shard, TakesWhatALauncherSays) {
  EXPECT_EQ(shard("slurm", {{"SLURM_ARRAY_TASK_ID", "7"},
                            {"SLURM_ARRAY_TASK_COUNT", "4"},
                            {"SLURM_ARRAY_TASK_MIN", "5"},
                            {"SLURM_PROCID", "0"},  // every task of an array has a step of its own
                            {"SLURM_NTASKS", "1"}}),
            "2 of 4");
  EXPECT_EQ(shard("slurm", {{"SLURM_PROCID", "3"}, {"SLURM_NTASKS", "8"}}), "3 of 8");
  EXPECT_EQ(shard("mpi", {{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "4"}}), "3 of 4");
  EXPECT_EQ(shard("mpi", {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}), "0 of 2");
}

TEST(Shard, OfAnotherFormIsRefused) {
  for (const char* text : {"", "0/4", "5/4", "1", "1/", "/4", "-1/4", "1/4 ", "a/b", "1/100001", "local"})
    EXPECT_THAT(shard(text), HasSubstr("expected I/N with 1 <= I <= N <= 100000, slurm or mpi")) << text;
}

TEST(Shard, WithoutALauncherIsRefused) {
  EXPECT_EQ(shard("slurm"),
            "--shard slurm: SLURM_ARRAY_TASK_ID is not set; start it by sbatch --array=1-N or srun --ntasks=N");
  EXPECT_EQ(shard("mpi"), "--shard mpi: OMPI_COMM_WORLD_RANK is not set; start it by mpirun -n N");
  EXPECT_EQ(shard("mpi", {{"PMI_RANK", "0"}}), "--shard mpi: PMI_SIZE is not set, but must be a whole number");
  EXPECT_EQ(shard("mpi", {{"PMI_RANK", "x"}, {"PMI_SIZE", "2"}}),
            "--shard mpi: PMI_RANK is \"x\", but must be a whole number");
  // sbatch --array=1-9:4 has tasks 1, 5, 9: three, numbered with a step.
  EXPECT_THAT(
      shard("slurm", {{"SLURM_ARRAY_TASK_ID", "9"}, {"SLURM_ARRAY_TASK_COUNT", "3"}, {"SLURM_ARRAY_TASK_MIN", "1"}}),
      HasSubstr("must be numbered one after the other"));
}

TEST(Shard, HaveEveryPlaceOnce) {
  for (int count = 1; count <= 7; ++count)
    for (std::size_t place = 0; place < 30; ++place) {
      int owners = 0;
      for (int index = 0; index < count; ++index) owners += Shard{index, count}.has(place);
      EXPECT_EQ(owners, 1);
    }
}

}  // namespace
}  // namespace kedge
