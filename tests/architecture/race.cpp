// Runs parallel_for as rollouts do: results by index, scratch memory by worker. With argument "race" all bodies also
// add to one number, which is wrong, and which the thread sanitizer must see.
#include <cstring>
#include <vector>

#include "kedge/core/parallel.h"

int main(int argc, char** argv) {
  const bool race = argc > 1 && std::strcmp(argv[1], "race") == 0;
  std::vector<double> results(1000);
  std::vector<std::vector<double>> scratch(8, std::vector<double>(16));
  double shared = 0.0;
  for (int repetition = 0; repetition < 50; ++repetition) {
    for (double& result : results) result += 1.0;
    kedge::parallel_for(1000, 8, [&](kedge::Index i, int worker) {
      std::vector<double>& mine = scratch[static_cast<std::size_t>(worker)];
      for (double& value : mine) value += static_cast<double>(i);
      const std::vector<double> copy = mine;
      results[static_cast<std::size_t>(i)] += copy[7];
      if (race) shared += copy[3];
    });
    for (std::vector<double>& s : scratch) s.assign(16, shared);
  }
  return 0;
}
