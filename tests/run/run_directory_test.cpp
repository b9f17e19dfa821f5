#include "kedge/run/run_directory.h"

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <map>
#include <optional>
#include <set>

#include "kedge/core/errors.h"
#include "kedge/files/event_file.h"
#include "kedge/files/metrics_file.h"
#include "tests/support/example_run.h"
#include "tests/support/faults.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using example::bytes_of;
using example::Folder;
using example::message_of;
using example::same;
using example::Sizes;
using example::train;
using example::write_bytes;
using faults::Fault;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::array compared = {"run.toml",  "metrics.csv",  "policy.h5",         "checkpoint.h5",     "updates.h5",
                                 "steps.csv", "warnings.csv", "policies/00000.h5", "policies/00001.h5", "written.csv"};
constexpr int iterations = 2;

/// The files of a run that was never disturbed.
const std::vector<std::string>& reference() {
  static const std::vector<std::string> bytes = [] {
    const Folder folder;
    train(folder / "run", iterations);
    std::vector<std::string> all;
    for (const char* name : compared) all.push_back(bytes_of(folder / "run" / name));
    return all;
  }();
  return bytes;
}

/// The run in this directory equals the one that was never disturbed, and nothing is left over.
void expect_reference(const fs::path& run, const std::string& where) {
  for (std::size_t i = 0; i < compared.size(); ++i)
    EXPECT_TRUE(bytes_of(run / compared[i]) == reference()[i]) << compared[i] << " differs, " << where;
  EXPECT_EQ(read_metrics(run / "timings.csv").rows.size(), static_cast<std::size_t>(iterations)) << where;
  const std::string events = bytes_of(run / "events.out.tfevents.0.kedge");
  EXPECT_EQ(event_prefix(events, iterations), events.size()) << where;
  EXPECT_LT(event_prefix(events, iterations - 1), events.size()) << where;
  for (const auto& entry : fs::recursive_directory_iterator(run))
    EXPECT_FALSE(entry.path().string().ends_with(".tmp")) << where;
  EXPECT_EQ(run_status(run).state, RunState::finished) << where;
  EXPECT_EQ(run_status(run).iterations, iterations) << where;
}

/// Nothing of a run that did not get so far: train again; else it is what `status` says.
void train_on(const fs::path& run) {
  if (!fs::exists(run / "run.toml")) {
    EXPECT_FALSE(fs::exists(run / "metrics.csv"));
  }
  train(run, iterations);
}

TEST(RunDirectory, HoldsTheDocumentedFiles) {
  const Folder folder;
  train(folder / "a" / "b" / "run", iterations);  // parents are made
  const fs::path run = folder / "a" / "b" / "run";
  EXPECT_EQ(bytes_of(run / "run.toml"), "seed = 1\n");
  const MetricsTable table = read_metrics(run / "metrics.csv");
  EXPECT_THAT(table.columns, testing::ElementsAre("iteration", "rollouts_total", "return_mean", "kl_max", "r2"));
  EXPECT_EQ(table.rows.size(), 2u);
  EXPECT_THAT(read_metrics(run / "timings.csv").columns, testing::ElementsAre("iteration", "rollout", "update"));
  EXPECT_THAT(read_steps(run / "steps.csv").columns, testing::ElementsAre("step", "iteration", "kl", "ess"));
  EXPECT_EQ(read_steps(run / "steps.csv").rows.at(1).at(1), iterations - 1);
  const std::vector<Warning> warnings = read_warnings(run / "warnings.csv");
  ASSERT_EQ(warnings.size(), 2u * iterations);
  EXPECT_EQ(warnings[2].iteration, 1);
  EXPECT_EQ(warnings[2].text, "iteration 1: \"few\", too few");
  EXPECT_TRUE(same(std::get<TvLinearGaussian>(load_policy(run / "policy.h5").policy), example::policy({}, iterations)));
  const Checkpoint checkpoint = load_checkpoint(run / "checkpoint.h5");
  EXPECT_TRUE(same(checkpoint.state, example::state({}, iterations).fields));
  EXPECT_EQ(checkpoint.header.metrics, bytes_of(run / "metrics.csv"));
  EXPECT_EQ(checkpoint.header.stop, Stop::max_iterations);
  expect_reference(run, "undisturbed");
}

TEST(RunDirectory, ResumesAfterEachIteration) {
  const Folder folder;
  for (int i = 1; i <= iterations; ++i) train(folder / "run", i);
  expect_reference(folder / "run", "in parts");
}

TEST(RunDirectory, ResumesToTheSameBytesWhenKilledAtAnyCall) {
  const Folder folder;
  int calls = 0;
  for (;; ++calls) {
    folder.clear();
    const fs::path run = folder / "run";
    if (!faults::killed_at(calls, [&] { train(run, iterations); })) break;
    if (fs::exists(run / "run.toml")) {
      const RunStatus status = run_status(run);
      EXPECT_NE(status.state, RunState::damaged) << calls << ": " << status.detail;
      EXPECT_NE(status.state, RunState::training) << calls;
      if (fs::exists(run / "metrics.csv")) {
        const std::size_t rows = read_metrics(run / "metrics.csv").rows.size();
        EXPECT_GE(rows, static_cast<std::size_t>(status.iterations)) << calls;
        EXPECT_LE(rows, static_cast<std::size_t>(status.iterations) + 1) << calls;
      }
    }
    train_on(run);
    expect_reference(run, "killed at call " + std::to_string(calls));
  }
  EXPECT_GT(calls, 50);
  std::cout << "a training killed at each of " << calls << " calls\n";
}

TEST(RunDirectory, ResumesToTheSameBytesWhenKilledAgainWhileResuming) {
  const Folder folder;
  const fs::path run = folder / "run", killed_once = folder / "killed once";
  int first = 0;  // between metrics.csv and checkpoint.h5 of the first iteration
  for (bool between = false; !between; ++first) {
    fs::remove_all(killed_once);
    ASSERT_TRUE(faults::killed_at(first, [&] { train(killed_once, iterations); }));
    between = fs::exists(killed_once / "policies" / "00000.h5") && run_status(killed_once).iterations == 0;
  }
  ASSERT_EQ(read_metrics(killed_once / "metrics.csv").rows.size(), 1u);
  for (int second = 0;; ++second) {
    fs::remove_all(run);
    fs::copy(killed_once, run, fs::copy_options::recursive);
    const bool killed = faults::killed_at(second, [&] { train(run, iterations); });
    train_on(run);
    expect_reference(run, "killed at calls " + std::to_string(first) + " and " + std::to_string(second));
    if (!killed) {
      std::cout << "a resume killed at each of " << second << " calls\n";
      break;
    }
  }
}

TEST(RunDirectory, LosesNothingWhenAnyCallFails) {
  const Folder folder;
  const fs::path run = folder / "run";
  int failed = 0;
  for (const Fault fault : {Fault::disk_full, Fault::error})
    for (int call = 0;; ++call, ++failed) {
      folder.clear();
      faults::arm(fault, call);
      const std::string message = message_of<SystemError>([&] { train(run, iterations); });
      if (faults::disarm() <= call) break;
      const std::string where = "call " + std::to_string(call) + ": " + message;
      if (message != "nothing was thrown") {
        EXPECT_THAT(message, StartsWith(run.string())) << where;
        EXPECT_THAT(message, EndsWith(fault == Fault::disk_full ? "No space left on device" : "Input/output error"))
            << where;
      }
      if (fs::exists(run / "run.toml")) {
        const RunStatus status = run_status(run);
        EXPECT_NE(status.state, RunState::damaged) << where << " " << status.detail;
        const std::string metrics = bytes_of(run / "metrics.csv");
        EXPECT_TRUE(metrics.empty() || metrics.ends_with('\n')) << where;
      }
      train_on(run);
      expect_reference(run, where);
    }
  std::cout << failed << " failing calls\n";
}

TEST(RunDirectory, CommitsAgainAfterAFailure) {
  const Folder folder;
  const Sizes sizes;
  for (int call = 0;; ++call) {
    folder.clear();
    RunDirectory run = RunDirectory::create(folder / "run", "seed = 1\n", false);
    run.begin(example::identity(), example::policy_info(sizes), example::state(sizes, 0), true);
    bool failed = false;
    for (int i = 0; i < iterations; ++i) {
      const UpdateRecord record = example::record(sizes, i);
      const auto commit = [&] { run.commit(example::report(i), example::state(sizes, i + 1), &record); };
      if (i == iterations - 1) {
        const std::string before = bytes_of(folder / "run" / "metrics.csv");
        faults::arm(Fault::disk_full, call);
        failed = message_of<SystemError>(commit) != "nothing was thrown";
        faults::disarm();
        if (!failed) continue;
        EXPECT_EQ(bytes_of(folder / "run" / "metrics.csv"), before);
      }
      commit();
    }
    run.finish(Stop::max_iterations, "reached iterations = 2", example::state(sizes, iterations));
    for (std::size_t i = 0; i < compared.size(); ++i)
      EXPECT_TRUE(bytes_of(folder / "run" / compared[i]) == reference()[i]) << compared[i] << " differs, call " << call;
    if (!failed && call > 30) break;
  }
}

TEST(RunDirectory, SurvivesASmallDisk) {
  const Folder folder;
  const fs::path disk = folder / "disk", run = disk / "run";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "a disk of our own needs root; the tests with failing calls cover what this one would";
  std::size_t refused = 0;
  for (int kilobytes = 32; kilobytes <= 400; kilobytes += 8) {
    const auto resize = [&](int size) {
      return ::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, fmt::format("size={}k", size).c_str());
    };
    fs::remove_all(run);
    EXPECT_EQ(resize(kilobytes), 0);
    const std::string message = message_of<SystemError>([&] { train(run, iterations); });
    const bool failed = message != "nothing was thrown";
    if (failed) {
      ++refused;
      EXPECT_THAT(message, EndsWith("No space left on device")) << kilobytes;
      if (fs::exists(run / "run.toml")) {
        EXPECT_NE(run_status(run).state, RunState::damaged) << kilobytes;
      }
      EXPECT_EQ(resize(4096), 0);
      train_on(run);
    }
    expect_reference(run, std::to_string(kilobytes) + " KiB");
    if (!failed) break;
  }
  EXPECT_GT(refused, 5u);
  EXPECT_EQ(::umount(disk.c_str()), 0);
}

TEST(RunDirectory, SurvivesALimitOnTheSizeOfFiles) {
  const Folder folder;
  const fs::path run = folder / "run";
  rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  std::size_t refused = 0;
  const std::size_t largest = 1 + std::max(reference()[3].size(), reference()[4].size());
  for (std::size_t bytes = 1; bytes < largest; bytes = bytes < 400 ? bytes + 23 : bytes + bytes / 7) {
    folder.clear();
    const rlimit limit = {bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message = message_of<SystemError>([&] { train(run, iterations); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    if (message != "nothing was thrown") {
      ++refused;
      EXPECT_THAT(message, EndsWith("cannot be written: File too large"));
    }
    train_on(run);
    expect_reference(run, std::to_string(bytes) + " bytes");
  }
  std::signal(SIGXFSZ, handler);
  EXPECT_GT(refused, 10u);
}

TEST(RunDirectory, RestoresDamagedFilesFromTheCheckpoint) {
  const Folder folder;
  const fs::path run = folder / "run";
  for (const std::string name : {"metrics.csv", "timings.csv", "events.out.tfevents.0.kedge", "policy.h5"})
    for (const std::string damage : {"gone", "cut", "longer", "other"}) {
      folder.clear();
      train(run, 1);
      const std::string whole = bytes_of(run / name);
      if (damage == "gone") fs::remove(run / name);
      if (damage == "cut") write_bytes(run / name, whole.substr(0, whole.size() - 3));
      if (damage == "longer") write_bytes(run / name, whole + "1,xx");
      if (damage == "other") write_bytes(run / name, "other");
      train(run, iterations);
      for (std::size_t i = 0; i < compared.size(); ++i)
        EXPECT_TRUE(bytes_of(run / compared[i]) == reference()[i])
            << compared[i] << " differs: " << name << " was " << damage;
      EXPECT_EQ(read_metrics(run / "timings.csv").rows.back()[0], 1.0) << name << " " << damage;
      const std::string events = bytes_of(run / "events.out.tfevents.0.kedge");
      EXPECT_EQ(event_prefix(events, iterations), events.size()) << name << " " << damage;
    }
}

TEST(RunDirectory, RefusesToContinueADamagedOrAnotherRun) {
  const Folder folder;
  const fs::path run = folder / "run";
  const auto refusal = [&](const RunIdentity& identity) {
    return message_of<InputError>([&] {
      RunDirectory opened = RunDirectory::open(run);
      static_cast<void>(opened.resume(identity, example::policy_info({})));
    });
  };
  const auto before = [&] {
    folder.clear();
    train(run, 1);
  };
  before();
  RunIdentity other = example::identity();
  other.seed = 2;
  EXPECT_THAT(refusal(other),
              EndsWith("checkpoint.h5: belongs to another run: seed = 9223372036854775809 there, 2 here"));

  write_bytes(run / "checkpoint.h5", bytes_of(run / "checkpoint.h5").substr(0, 5000));
  const std::string metrics = bytes_of(run / "metrics.csv");
  EXPECT_THAT(refusal(example::identity()), HasSubstr("checkpoint.h5: is damaged"));
  EXPECT_EQ(run_status(run).state, RunState::damaged);
  EXPECT_THAT(run_status(run).detail, HasSubstr("checkpoint.h5: is damaged"));
  EXPECT_EQ(bytes_of(run / "metrics.csv"), metrics) << "what cannot be continued is left as it is";

  before();
  fs::remove(run / "checkpoint.h5");
  EXPECT_EQ(run_status(run).state, RunState::damaged);
  EXPECT_THAT(refusal(example::identity()), HasSubstr("checkpoint.h5: there is no such file"));
  EXPECT_THAT(message_of<InputError>([&] {
                RunDirectory::open(run).begin(example::identity(), example::policy_info({}), example::state({}, 0),
                                              false);
              }),
              EndsWith("checkpoint.h5: missing, but the run has completed iterations"));

  before();
  fs::remove(run / "updates.h5");
  EXPECT_THAT(refusal(example::identity()), HasSubstr("updates.h5: there is no such file"));

  EXPECT_THAT(message_of<InputError>([&] { RunDirectory::open(folder / "none"); }),
              EndsWith("none: there is no such directory"));
  EXPECT_THAT(message_of<InputError>([&] { RunDirectory::open(folder.path()); }),
              EndsWith("is not a run directory: it has no run.toml"));
  EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(run_status(run / "run.toml")); }),
              EndsWith("is not a directory, but a regular file"));
}

/// The numbers of the policies in policies/ after the iterations 0 ... last, by the rule itself.
std::set<int> kept_by_rule(const std::vector<double>& returns) {
  const int last = static_cast<int>(returns.size()) - 1;
  int stride = 1;
  while (last / stride + 1 > 16) stride *= 2;
  std::set<int> kept;
  for (int n = 0; n <= last; n += stride) kept.insert(n);
  kept.insert(static_cast<int>(std::max_element(returns.begin(), returns.end()) - returns.begin()));
  return kept;
}

TEST(RunDirectory, KeepsEveryNthPolicyAndTheBestWhateverInterruptsIt) {
  const Folder folder;
  const fs::path run = folder / "run";
  const Sizes sizes;
  const auto commit = [&](RunDirectory& directory, int i, double mean) {
    Iteration iteration = example::report(i);
    iteration.metrics = {{"iteration", i}, {"return_mean", mean}};
    directory.commit(iteration, example::state(sizes, i + 1), nullptr);
  };
  std::optional<RunDirectory> directory = RunDirectory::create(run, "seed = 1\n", false);
  directory->begin(example::identity(), example::policy_info(sizes), example::state(sizes, 0), false);
  std::vector<double> returns;
  for (int i = 0; i < 70; ++i) {
    returns.push_back(std::round(20 * std::sin(0.13 * i) - 0.01 * (i - 40) * (i - 40)));  // equal ones occur
    commit(*directory, i, returns.back());
    if (i % 9 == 4) {  // a killed process: one policy too many
      directory.reset();
      // As the iteration that was not completed leaves it: on the list of written files, but not in the checkpoint.
      const Directory opened(run);
      WrittenFiles written = WrittenFiles::read(opened);
      written.add(fmt::format("policies/{:05}.h5", i + 1), "the next policy");
      written.save(opened, Durability::process);
      write_bytes(run / "policies" / fmt::format("{:05}.h5", i + 1), "the next policy");
      directory = RunDirectory::open(run);
      directory->resume(example::identity(), example::policy_info(sizes));
    }
    std::set<int> found;
    const std::vector<KeptPolicy> kept = kept_policies(run);
    for (const KeptPolicy& policy : kept) {
      EXPECT_TRUE(
          same(std::get<TvLinearGaussian>(load_policy(policy.file).policy), example::policy(sizes, policy.iterations)));
      found.insert(policy.iterations);
    }
    EXPECT_EQ(kept.back().file.path(), run / "policy.h5");
    EXPECT_EQ(kept.back().iterations, i + 1);
    found.erase(i + 1);
    ASSERT_EQ(found, kept_by_rule(returns)) << "after iteration " << i;
    EXPECT_EQ(std::distance(fs::directory_iterator(run / "policies"), fs::directory_iterator()), found.size());
  }
}

TEST(RunDirectory, ShowsNoPolicyThatItDidNotKeep) {
  const Folder folder;
  const fs::path run = folder / "run", file = run / "policies" / "00001.h5";
  train(run, iterations);
  fs::copy_file(run / "policy.h5", run / "policies" / "best.h5");
  ASSERT_EQ(kept_policies(run).size(), 3u);
  const std::string whole = bytes_of(file);
  write_bytes(file, whole.substr(0, 100));
  EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(kept_policies(run)); }),
              EndsWith("policies/00001.h5: is not as kedge wrote it; remove it, or move it away"));
  RunDirectory::open(run).resume(example::identity(), example::policy_info({}));
  EXPECT_EQ(bytes_of(file), whole.substr(0, 100)) << "it may be somebody's work";
  fs::remove(file);
  EXPECT_EQ(kept_policies(run).size(), 2u);
}

TEST(RunDirectory, OverwritesNothingWithoutForce) {
  const Folder folder;
  const auto create = [&](const fs::path& path, bool force) { RunDirectory::create(path, "seed = 2\n", force); };
  train(folder / "run", 1);
  EXPECT_THAT(message_of<InputError>([&] { create(folder / "run", false); }), HasSubstr("run: is not empty; "));
  EXPECT_EQ(bytes_of(folder / "run" / "run.toml"), "seed = 1\n");

  write_bytes(folder / "run" / "notes.txt", "mine");
  fs::create_directory(folder / "run" / "task");
  create(folder / "run", true);
  EXPECT_THAT(Directory(folder / "run").names(),
              testing::UnorderedElementsAre(".lock", "notes.txt", "run.toml", "task", "written.csv"));
  EXPECT_EQ(bytes_of(folder / "run" / "run.toml"), "seed = 2\n");
  EXPECT_EQ(run_status(folder / "run").state, RunState::interrupted);

  fs::create_directories(folder / "project" / "task");
  EXPECT_THAT(message_of<InputError>([&] { create(folder / "project", false); }), HasSubstr("project: is not empty; "));
  EXPECT_FALSE(fs::exists(folder / "project" / ".lock"));
  EXPECT_THAT(
      message_of<InputError>([&] { create(folder / "project", true); }),
      EndsWith("project/task: is there already, but not from a run: --force does not replace it; move it away"));
  EXPECT_THAT(Directory(folder / "project").names(), testing::ElementsAre("task"));

  write_bytes(folder / "file", "mine");
  EXPECT_THAT(message_of<InputError>([&] { create(folder / "file", true); }),
              EndsWith("file: exists and is not a directory"));
  EXPECT_THAT(message_of<InputError>([&] { create(folder / "file" / "run", true); }),
              HasSubstr("file/run: cannot be created: "));
  EXPECT_THAT(message_of<InputError>([&] { create("/proc/kedge", false); }),
              StartsWith("/proc/kedge: cannot be created: "));
  fs::create_directory(folder / "empty");
  create(folder / "empty", false);
}

/// All that is in a folder: what it is, its bytes or where it leads. Links are not followed.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    const fs::file_status status = entry.symlink_status();
    all[name] = fmt::format("{} {:o} ", static_cast<int>(status.type()), static_cast<int>(status.permissions()));
    if (fs::is_symlink(status)) all[name] += fs::read_symlink(entry.path()).string();
    if (fs::is_regular_file(status)) all[name] += bytes_of(entry.path());
  }
  return all;
}

void resume(const fs::path& run) {
  RunDirectory directory = RunDirectory::open(run);
  const int now = directory.resume(example::identity(), example::policy_info({})).header.iteration;
  const UpdateRecord record = example::record({}, now);
  directory.commit(example::report(now), example::state({}, now + 1), &record);
}

TEST(RunDirectory, ForceReplacesNothingThatKedgeDidNotWrite) {
  const Folder folder;
  const fs::path run = folder / "run";
  const auto create = [&] { RunDirectory::create(run, "seed = 2\n", true); };
  const auto begin = [&] {
    folder.clear();
    train(run, iterations);
  };
  // Somebody's file under a name of kedge's, in a run and where there is none.
  for (const std::string name : {"run.toml", "metrics.csv", "timings.csv", "steps.csv", "warnings.csv",
                                 "events.out.tfevents.0.kedge", "policy.h5", "checkpoint.h5", "updates.h5",
                                 "written.csv", ".lock", "policies/00000.h5", "policies/00007.h5", "task/mine.txt"})
    for (const bool in_run : {true, false}) {
      begin();
      if (!in_run) fs::remove_all(run);
      fs::create_directories((run / name).parent_path());
      write_bytes(run / name, "somebody's work\n");
      const auto before = contents(folder.path());
      const std::string message = message_of<InputError>(create);
      EXPECT_THAT(message,
                  HasSubstr((run / name).string().substr(0, (run / name).string().find('/', run.string().size() + 1))))
          << message;
      EXPECT_TRUE(contents(folder.path()) == before) << name;
    }
  // Beside a run.
  begin();
  const auto mine = [&] {
    fs::create_directories(run / "policies" / "mine" / "inner");
    fs::create_directories(run / "plots");
    for (const std::string name :
         {"notes.txt", "plots/a.png", "policies/best.h5", "policies/mine/a", ".metrics.csv.1.tmp"})
      write_bytes(run / name, "mine");
    fs::create_symlink(folder / "elsewhere", run / "policies" / "link");
  };
  mine();
  write_bytes(folder / "elsewhere", "mine");
  EXPECT_THAT(RunDirectory::create(run, "seed = 2\n", true).left(),
              testing::UnorderedElementsAre("notes.txt", "plots", "policies/best.h5", "policies/mine", "policies/link",
                                            ".metrics.csv.1.tmp"));
  const auto after = contents(run);
  fs::remove_all(run);
  RunDirectory::create(run, "seed = 2\n", false);
  fs::create_directories(run / "policies");
  mine();
  auto expected = contents(run);
  EXPECT_TRUE(after == expected);
}

TEST(RunDirectory, ForceThatIsKilledAnywhereCanBeRepeated) {
  const Folder folder;
  const fs::path run = folder / "run", before = folder / "before";
  train(before, iterations);
  fs::create_directories(before / "policies" / "mine");
  write_bytes(before / "policies" / "best.h5", "mine");
  bool killed = true;
  for (int call = 0; killed; ++call) {
    fs::remove_all(run);
    fs::copy(before, run, fs::copy_options::recursive);
    killed = faults::killed_at(call, [&] { RunDirectory::create(run, "seed = 2\n", true); });
    RunDirectory::create(run, "seed = 2\n", true);
    EXPECT_THAT(Directory(run).names(), testing::UnorderedElementsAre(".lock", "policies", "run.toml", "written.csv"))
        << call;
    EXPECT_THAT(Directory(run / "policies").names(), testing::UnorderedElementsAre("best.h5", "mine")) << call;
    EXPECT_EQ(bytes_of(run / "run.toml"), "seed = 2\n") << call;
    if (!killed) std::cout << "a replacement killed at each of " << call << " calls\n";
  }
}

TEST(RunDirectory, LeavesOtherFilesInPolicies) {
  const Folder folder;
  const fs::path run = folder / "run";
  train(run, iterations);
  write_bytes(folder / "elsewhere", "mine");
  fs::create_directories(run / "policies" / "mine");
  write_bytes(run / "policies" / "mine" / "a", "mine");
  write_bytes(run / "policies" / "best.h5", "mine");
  write_bytes(run / "policies" / "7.h5", "mine");
  write_bytes(run / "policies" / ".00000.h5.1.tmp", "mine");
  fs::create_symlink(folder / "elsewhere", run / "policies" / "link.h5");
  const auto before = contents(run / "policies");
  resume(run);
  auto after = contents(run / "policies");
  for (const auto& [name, content] : before) EXPECT_EQ(after[name], content) << name;
  EXPECT_EQ(bytes_of(folder / "elsewhere"), "mine");

  // A name that the run needs.
  for (const std::string name : {"00003.h5", "00007.h5"}) {
    write_bytes(run / "policies" / name, "mine");
    const auto all = contents(run / "policies");
    EXPECT_THAT(message_of<InputError>([&] { resume(run); }),
                EndsWith(name + ": is there already, but the run did not write it; move it away"));
    EXPECT_TRUE(contents(run / "policies") == all);
    fs::remove(run / "policies" / name);
  }
  // One that the run does not need any more.
  write_bytes(run / "policies" / "00000.h5", "mine");
  resume(run);
  EXPECT_EQ(bytes_of(run / "policies" / "00000.h5"), "mine");
}

TEST(RunDirectory, StopsRatherThanReplaceAFileThatAppearsMeanwhile) {
  const Folder folder;
  const fs::path run = folder / "run";
  RunDirectory directory = RunDirectory::create(run, "seed = 1\n", false);
  directory.begin(example::identity(), example::policy_info({}), example::state({}, 0), false);
  fs::create_directory(run / "policies");
  write_bytes(run / "policies" / "00000.h5", "mine");
  const auto commit = [&] { directory.commit(example::report(0), example::state({}, 1), nullptr); };
  EXPECT_THAT(message_of<SystemError>(commit),
              EndsWith("policies/00000.h5: is there already, but the run did not write it"));
  EXPECT_EQ(bytes_of(run / "policies" / "00000.h5"), "mine");
  EXPECT_EQ(bytes_of(run / "metrics.csv"), "") << "back to the iteration before";
  fs::remove(run / "policies" / "00000.h5");
  commit();
  EXPECT_EQ(kept_policies(run).size(), 2u);
}

TEST(RunDirectory, IsHeldOpen) {
  const Folder folder;
  const fs::path run = folder / "run";
  fs::create_directory(folder / "elsewhere");
  auto held = std::make_optional(RunDirectory::create(run, "seed = 1\n", false));
  held->begin(example::identity(), example::policy_info({}), example::state({}, 0), true);
  fs::rename(run, folder / "moved");
  fs::create_directory_symlink(folder / "elsewhere", run);
  for (int i = 0; i < iterations; ++i) {
    const UpdateRecord record = example::record({}, i);
    held->commit(example::report(i), example::state({}, i + 1), &record);
  }
  held->finish(Stop::max_iterations, "reached iterations = 2", example::state({}, iterations));
  held.reset();
  EXPECT_TRUE(fs::is_empty(folder / "elsewhere"));
  expect_reference(folder / "moved", "moved while it was written");

  RunDirectory directory = RunDirectory::open(folder / "moved");
  directory.resume(example::identity(), example::policy_info({}));

  fs::create_directory_symlink(folder / "elsewhere", folder / "moved" / "policies2");
  fs::rename(folder / "moved" / "policies", folder / "moved" / "policies1");
  fs::rename(folder / "moved" / "policies2", folder / "moved" / "policies");
  const UpdateRecord record = example::record({}, iterations);
  EXPECT_THAT(message_of<SystemError>(
                  [&] { directory.commit(example::report(iterations), example::state({}, iterations + 1), &record); }),
              EndsWith("policies: is a symbolic link, but must be a directory"));
  EXPECT_TRUE(fs::is_empty(folder / "elsewhere"));
}

TEST(RunDirectory, SaysThatItWasDeletedMeanwhile) {
  const Folder folder;
  RunDirectory directory = RunDirectory::create(folder / "run", "seed = 1\n", false);
  directory.begin(example::identity(), example::policy_info({}), example::state({}, 0), false);
  fs::remove_all(folder / "run");
  EXPECT_EQ(message_of<SystemError>([&] { directory.commit(example::report(0), example::state({}, 1), nullptr); }),
            (folder / "run").string() + ": was deleted meanwhile");
  EXPECT_FALSE(fs::exists(folder / "run"));
}

TEST(RunDirectory, HasOneWriter) {
  const Folder folder;
  const fs::path run = folder / "run";
  const std::string busy = run.string() + ": is being written by another process";
  {
    const RunDirectory writer = RunDirectory::create(run, "seed = 1\n", false);
    EXPECT_TRUE(DirectoryLock::held(run));
    EXPECT_EQ(run_status(run).state, RunState::training);
    EXPECT_EQ(message_of<InputError>([&] { RunDirectory::open(run); }), busy);
    EXPECT_EQ(message_of<InputError>([&] { RunDirectory::create(run, "", true); }), busy);
    EXPECT_EQ(bytes_of(run / "run.toml"), "seed = 1\n");
  }
  EXPECT_FALSE(DirectoryLock::held(run));
  EXPECT_EQ(run_status(run).state, RunState::interrupted);

  // Another process: the lock is there while it lives, however it dies.
  std::array<int, 2> ready = {};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const RunDirectory writer = RunDirectory::open(run);
    [[maybe_unused]] const ssize_t told = ::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(run_status(run).state, RunState::training);
  EXPECT_EQ(message_of<InputError>([&] { RunDirectory::open(run); }), busy);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_EQ(run_status(run).state, RunState::interrupted);
  RunDirectory::open(run);
}

TEST(RunDirectory, IsNotLookedThroughWithoutEnd) {
  const Folder folder;
  const fs::path run = folder / "run";
  train(run, 1);
  fs::create_directory(run / "task");
  for (int i = 0; i <= 10000; ++i) ASSERT_EQ(::mkdir((run / "task" / std::to_string(i)).c_str(), 0700), 0);
  EXPECT_EQ(run_status(run).state, RunState::damaged);
  EXPECT_THAT(run_status(run).detail, EndsWith("has more than 10000 files and folders"));
  EXPECT_THAT(message_of<InputError>([&] { RunDirectory::open(run); }), HasSubstr("run/task: has more than 10000"));
}

TEST(RunDirectory, SaysHowARunEnded) {
  const Folder folder;
  const Sizes sizes;
  const fs::path run = folder / "run";
  const auto end = [&](Stop stop) {
    folder.clear();
    RunDirectory directory = RunDirectory::create(run, "", false);
    EXPECT_FALSE(directory.began());
    directory.begin(example::identity(), example::policy_info(sizes), example::state(sizes, 0), false);
    EXPECT_TRUE(directory.began());
    directory.commit(example::report(0), example::state(sizes, 1), nullptr);
    directory.finish(stop, "no eta found", example::state(sizes, 1));
  };
  end(Stop::cancelled);
  EXPECT_EQ(run_status(run).state, RunState::interrupted);
  EXPECT_FALSE(fs::exists(run / "updates.h5"));
  end(Stop::numerical_failure);
  EXPECT_EQ(run_status(run).state, RunState::failed);
  EXPECT_EQ(run_status(run).detail, "no eta found");
  end(Stop::max_iterations);
  EXPECT_EQ(run_status(run).state, RunState::finished);
  EXPECT_EQ(run_status(run).iterations, 1);
}

}  // namespace
}  // namespace kedge
