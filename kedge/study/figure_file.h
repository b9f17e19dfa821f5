// A figure of a paper as a file in experiments/: its runs, its plots and the paper's claims. docs/reproduce.md
// describes the format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kedge {

class Value;  // kedge/files/toml_value.h

/// One curve: runs that differ only in their seed.
struct FigureRun {
  std::string label;
  std::string task;
  std::string algorithm;
  std::vector<std::string> set;  ///< "epsilon=0.1", "task.actions.limit=10", in order
  std::string panel = "";        ///< panel that shows it; empty: the figure has one panel
};

/// One number for each seed; larger is better.
struct Measure {
  enum class Kind {
    final_return,   ///< median return of the final policy without noise
    final_success,  ///< share of its rollouts that succeed
    return_at,      ///< median return of the rollouts of the last iteration with at most `argument` rollouts in total
    rollouts_to,    ///< minus the rollouts until that median is `argument` or more in five iterations in a row
    noisy_return,   ///< median return of the last iteration's rollouts, with noise
    noisy_success   ///< share of them that succeed
  };
  Kind kind = Kind::final_return;
  double argument = 0.0;
};
std::string to_string(const Measure& measure);

/// A paper's claim about a figure.
struct Claim {
  std::string text;
  std::string source;  ///< "Sec. 7.1, Fig. 1c"
  enum class Kind {
    better,    ///< `run` has a larger measure than `than`
    similar,   ///< neither is better: the probability that one beats the other is within [0.25, 0.75]
    succeeds,  ///< at least `share` of the seeds end with a policy that succeeds in every rollout, by the measure
    fails      ///< at most `share` of them do
  };
  Kind kind = Kind::better;
  std::string run, than;  ///< labels
  Measure measure;
  double share = 0.0;
};

struct Figure {
  std::string name;   ///< name of the file
  std::string title;  ///< with its source
  std::filesystem::path file;
  int seeds = 15;                ///< default number
  std::uint64_t first_seed = 0;  ///< seeds first_seed, first_seed + 1, ...
  int quick_seeds = 2;
  std::vector<std::string> quick_set;  ///< set after each run's own with --quick
  bool over_iterations = false;        ///< curves over iterations, not over rollouts
  bool paths = false;                  ///< the paths of the robots are drawn, too
  std::vector<FigureRun> runs;         ///< with panels: every run in every panel, its label "panel: label"
  std::vector<Claim> claims;
};

/// Reads and checks a figure file. @throws InputError with file, line and column
Figure read_figure(const std::filesystem::path& file);

/// Reads the keys at the top of figure files and sweep files: kedge, title, seeds, first_seed.
/// @param root the whole document
void read_figure_head(const Value& root, const std::filesystem::path& file, Figure& figure);

/// Reads the keys measure, rollouts and threshold of a table.
Measure read_measure(const Value& section);

/// Returns the files of the bundled figures by name: experiments/*.toml of $KEDGE_EXPERIMENTS, of the installation, of
/// the source tree.
std::vector<std::filesystem::path> bundled_figures();

/// Returns the figure file that a user named: a bundled figure's name, or a path.
/// @throws InputError that lists the known figures
std::filesystem::path find_figure(const std::string& name_or_path);

}  // namespace kedge
