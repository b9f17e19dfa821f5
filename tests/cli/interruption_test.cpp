// Trainings with every algorithm are interrupted by signals at random moments, from the start of the process to its end, and
// resumed: every file of the run is the same to the last byte as without. KEDGE_INTERRUPTIONS says how many of each case
// (default 4), KEDGE_INTERRUPTION_SEED which (0); the moments are not reproducible anyway.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "kedge/catalogue/catalogue.h"
#include "kedge/run/run_directory.h"
#include "program.h"
#include "tests/support/fuzz.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using Words = std::vector<std::string>;

/// A training that takes a fraction of a second, most of it in its iterations.
struct Case {
  std::string name;  ///< begins with that of the algorithm
  int iterations = 0;
  Words set;  ///< options
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::vector<Case> cases() {
  const Words guided{"initial_iterations=6", "first_evaluations=60", "evaluations=30", "rollouts=4",
                     "fit_samples=5",        "policy_samples=4",     "hidden=5",       "guide_iterations=8",
                     "guide_tolerance=0"};
  const auto with = [](Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  return {
      {"moto", 40, {"rollouts=6"}},
      {"gps", 40, {"rollouts=8"}},
      {"gps_mixture", 20, {"rollouts=8", "prior=gmm", "clusters=2"}},
      {"trpo", 20, {"batch_steps=200"}},
      {"trpo_linear", 20, {"rollouts=8", "policy=linear", "value=quadratic", "batch=rollouts"}},
      {"reckon", 8, {"first_batches=50", "batches=5", "units=8", "members=2", "particles=12"}},
      {"reps", 40, {"rollouts=10"}},
      {"reps_movement", 20, {"rollouts=10", "controller=dmp", "context=start"}},
      {"more", 40, {"rollouts=10"}},
      {"more_projections", 20, {"rollouts=10", "surrogate=projections", "projections=20"}},
      {"random_search", 40, {}},
      {"ilqr", 25, {"tolerance=1e-12", "box=true"}},
      {"vgps", 4, guided},
      {"gps_is", 8, with(guided, {"guide_rollouts=4"})},
      {"gps_is_adaptive", 4, with(guided, {"guide_rollouts=4", "adapt=true"})},
      {"dagger", 12, guided},
      {"dagger_adapted", 4, with(guided, {"adapt=true"})},
      {"cost_weighted", 12, with(guided, {"alpha_first=100", "alpha_last=100"})},
  };
}

const Algorithm& algorithm_of(const Case& c) {
  const Algorithm* longest = nullptr;
  for (const Algorithm& algorithm : algorithms())
    if (c.name.starts_with(algorithm.name) &&
        (longest == nullptr || std::string_view(algorithm.name).size() > std::string_view(longest->name).size()))
      longest = &algorithm;
  return *longest;
}

Words training(const Case& c, const std::string& out) {
  const Algorithm& algorithm = algorithm_of(c);
  Words words{"train",
              "double_link",
              "--algorithm",
              algorithm.name,
              "--seed",
              "7",
              "--iterations",
              std::to_string(c.iterations),
              "--set",
              "task.horizon=30",
              "--out",
              out,
              "-q"};
  if (algorithm.records_updates) words.emplace_back("--record-updates");
  for (const std::string& option : c.set) words.insert(words.end(), {"--set", option});
  return words;
}

/// All files of a run but those with times in them and the lock, which names the last process.
std::map<std::string, std::string> contents(const fs::path& run) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    const std::string name = entry.path().lexically_relative(run).string();
    if (!entry.is_regular_file() || name == "timings.csv" || name == ".lock" || name.starts_with("events.")) continue;
    all[name] = read(entry.path());
  }
  return all;
}

int lines(const fs::path& file) {
  const std::string text = read(file);
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

bool has_child(pid_t process) {
  std::error_code none;
  for (const auto& task : fs::directory_iterator(fmt::format("/proc/{}/task", process), none))
    if (!read(task.path() / "children").empty()) return true;
  return false;
}

/// Says `resume` of a run that needs none? It was interrupted behind its last iteration.
bool was_finished(const Outcome& o) { return o.code == 2 && o.err.find("is finished, all ") != std::string::npos; }

class Interruption : public testing::TestWithParam<Case> {
 protected:
  /// How far a run has come: -1 before run.toml, 0 before the first iteration is completed, n after n.
  [[nodiscard]] int progress() const {
    if (!fs::exists(path() / "cut/run.toml")) return -1;
    return std::max(0, lines(path() / "cut/metrics.csv") - 1);
  }
  [[nodiscard]] bool begun() const { return fs::exists(path() / "cut/checkpoint.h5"); }
  [[nodiscard]] const fs::path& path() const { return scratch_.path(); }
  double below(double end) { return std::uniform_real_distribution<>(0, end)(random_); }
  int below(int end) { return std::uniform_int_distribution<>(0, end - 1)(random_); }

  /// Waits for a moment of a process that takes `seconds`: any, one of its start, or one soon after a number of iterations.
  void wait_for_a_moment(Process& process, double seconds) {
    const int iterations = GetParam().iterations;
    const int which = below(4);
    double wait = which == 0 ? below(0.06) : below(1.1 * seconds);
    if (which >= 2) {
      const int after = below(iterations + 2) - 1;
      while (process.running() && progress() < after) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      wait = below(2 * seconds / iterations);
    }
    const auto end = Clock::now() + Seconds(wait);
    while (process.running() && Clock::now() < end) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }

  void note_phase(const Process& process) {
    if (!fs::exists(path() / "cut/run.toml"))
      ++count_[has_child(process.id()) ? "model" : "start"];
    else if (has_child(process.id()))
      ++count_["model or file"];
    else if (!begun())
      ++count_["creation"];
    else
      ++count_[progress() == 0 ? "first iteration" : progress() < GetParam().iterations ? "later iteration" : "end"];
  }

  /// Lets a process train and interrupts it. @return true if that ended it
  bool interrupt(Process& process, double seconds) {
    static const std::array<std::pair<int, const char*>, 4> signals{
        {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}, {SIGKILL, "SIGKILL"}}};
    const auto& [signal, name] = signals[static_cast<std::size_t>(below(4))];
    wait_for_a_moment(process, seconds);
    if (process.running()) {
      note_phase(process);
      process.signal(signal);
      const bool impatient = below(8) == 0;  // the second one ends the program at once
      if (impatient) std::this_thread::sleep_for(Seconds(below(0.02)));
      if (impatient && process.running()) process.signal(signal);
    }
    const Outcome o = process.wait();
    if (o.code == 0 || was_finished(o)) return false;  // it was faster
    EXPECT_THAT(o.code, testing::AnyOf(130, 128 + signal)) << o.err;
    ++count_[name];
    ++interruptions_;
    if (begun() && run_status(path() / "cut").iterations < progress()) ++count_["between the files of a commit"];
    return true;
  }

  static std::mt19937_64 random_of(std::string name) {
    name += fmt::format(" {}", environment("KEDGE_INTERRUPTION_SEED", 0));
    std::seed_seq seed(name.begin(), name.end());
    return std::mt19937_64(seed);
  }

  std::mt19937_64 random_ = random_of(GetParam().name);
  std::map<std::string, int> count_;
  int interruptions_ = 0;
  Scratch scratch_;
};

TEST_P(Interruption, ChangesNoByte) {
  const Environment there{.directory = path()};
  const auto start = Clock::now();
  const Outcome whole_run = run(training(GetParam(), "whole"), there);
  ASSERT_EQ(whole_run.code, 0) << whole_run.err;
  const double seconds = Seconds(Clock::now() - start).count();  // spreads the moments; the machine may be idler by now
  const auto whole = contents(path() / "whole");
  ASSERT_EQ(lines(path() / "whole/metrics.csv"), GetParam().iterations + 1);

  const int wanted = static_cast<int>(environment("KEDGE_INTERRUPTIONS", 4));
  int resumed = 0;
  for (int attempt = 0; interruptions_ < wanted && attempt < 20 * wanted && !HasFailure(); ++attempt) {
    fs::remove_all(path() / "cut");
    const auto threads = [&] { return Words{"--threads", std::to_string(1 + below(2))}; };
    const auto add = [](Words words, const Words& more) {
      words.insert(words.end(), more.begin(), more.end());
      return words;
    };
    Process training_process(add(training(GetParam(), "cut"), threads()), there);
    bool cut = interrupt(training_process, seconds);
    if (!cut) continue;
    const Words resume{"resume", "cut", "-q"};
    for (bool done = false; !done && !HasFailure();) {
      const bool is_run = fs::exists(path() / "cut/run.toml");
      const Words next = add(is_run ? resume : training(GetParam(), "cut"), threads());
      if (!is_run) {
        EXPECT_EQ(run(resume, there).code, 2);
      }
      Process process(next, there);
      if (cut && below(4) == 0 && interrupt(process, seconds)) continue;
      const Outcome o = process.wait();
      EXPECT_TRUE(o.code == 0 || was_finished(o)) << o.code << ": " << o.err;
      done = true;
    }
    ++resumed;
    const auto found = contents(path() / "cut");
    for (const auto& [name, bytes] : whole)
      EXPECT_TRUE(found.contains(name) && found.at(name) == bytes) << name << " differs";
    EXPECT_EQ(found.size(), whole.size()) << "something was left behind";
  }
  EXPECT_GE(interruptions_, wanted) << "the runs end before they can be interrupted";
  std::string where;
  for (const auto& [name, n] : count_) where += fmt::format(", {} {}", name, n);
  std::cout << fmt::format("{}: {} interruptions, {} runs resumed to the same bytes{}\n", GetParam().name,
                           interruptions_, resumed, where);
}

INSTANTIATE_TEST_SUITE_P(Cases, Interruption, testing::ValuesIn(cases()),
                         [](const auto& instance) { return instance.param.name; });

TEST(Interruptions, AreTriedWithEveryAlgorithm) {
  for (const Algorithm& algorithm : algorithms())
    EXPECT_TRUE(std::ranges::any_of(cases(), [&](const Case& c) { return &algorithm_of(c) == &algorithm; }))
        << algorithm.name << " has no row in cases() of this file";
}

}  // namespace
}  // namespace kedge::test
