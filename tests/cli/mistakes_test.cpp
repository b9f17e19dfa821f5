// The user is wrong: exit code 2 and exactly one line that helps, before anything is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"
#include "tests/support/source_dir.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Mistake {
  std::vector<std::string> arguments;
  std::string fragment;  ///< of the message
};

std::string name_of(const Mistake& mistake) {
  std::string text = "kedge";
  for (const std::string& word : mistake.arguments) text += " " + word;
  return text;
}

/// A folder with one good run and what can be made of it.
class Mistakes : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new Scratch;
    ASSERT_EQ(run(small_training("good", 3), here()).code, 0);
    auto other = small_training("other", 2);
    other.insert(other.end(), {"--set", "task.actions.limit=10"});
    ASSERT_EQ(run(other, here()).code, 0);
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static Environment here() { return {.directory = scratch_->path()}; }
  static fs::path path(const std::string& name) { return scratch_->path() / name; }

  static void expect(const std::vector<Mistake>& mistakes) {
    for (const Mistake& mistake : mistakes) {
      const Outcome o = run(mistake.arguments, here());
      EXPECT_EQ(o.code, 2) << name_of(mistake) << "\n" << o.err;
      EXPECT_THAT(o.err, HasSubstr(mistake.fragment)) << name_of(mistake);
      EXPECT_THAT(o.err, StartsWith("kedge: error: ")) << name_of(mistake);
      EXPECT_EQ(o.error_lines().size(), 1U) << name_of(mistake) << "\n" << o.err;
      EXPECT_THAT(o.out, IsEmpty()) << name_of(mistake);
    }
    EXPECT_FALSE(fs::exists(path("runs"))) << "something was written";
  }
  /// A copy of the good run.
  static fs::path copy(const std::string& name) {
    fs::copy(path("good"), path(name), fs::copy_options::recursive);
    return path(name);
  }
  static void replace(const fs::path& file, const std::string& from, const std::string& to) {
    std::string text = read(file);
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from << " in " << file;
    write(file, text.replace(at, from.size(), to));
  }

  static Scratch* scratch_;
};
Scratch* Mistakes::scratch_ = nullptr;

TEST_F(Mistakes, InPathsAreTheUsersWithEveryVerb) {
  fs::create_symlink("loop", path("loop"));
  const std::string in_kernel = "/proc/kedge/new";  // where nobody can create anything, root neither
  const std::string loops = "loop: Too many levels of symbolic links",
                    opened = "loop: cannot be opened: Too many levels";
  expect({
      {{"demonstrate", "double_link", "--controller", "wave", "-o", "loop"}, loops},
      {{"train", "double_link", "--from", "loop", "--out", "new"}, loops},
      {{"train", "double_link", "--out", "loop"}, "loop: cannot be created: Too many levels"},
      {{"tune", "double_link", "--trials", "2", "--out", "loop"}, "Too many levels of symbolic links"},
      {{"resume", "loop"}, opened},
      {{"view", "loop"}, "loop"},
      {{"compare", "loop"}, opened},
      {{"evaluate", "loop"}, loops},
      {{"train", "double_link", "--out", in_kernel}, in_kernel + ": cannot be created: No such file or directory"},
      {{"evaluate", "good", "--trajectories", in_kernel}, in_kernel + ": cannot be written: No such file or directory"},
  });
  EXPECT_FALSE(fs::exists(path("new")));
  fs::remove(path("loop"));
}

TEST_F(Mistakes, InTheModelAreSaidWithItsName) {
  write(path("big.xml"),
        "<mujoco><size nstack='1000000000'/><worldbody><body><joint name='j'/><geom size='.1'/></body></worldbody>"
        "<actuator><motor joint='j'/></actuator></mujoco>");
  expect({{{"init", "big.xml", "--out", "big"}, "big.xml: needs more than 4096 MB of memory, the limit"}});
  EXPECT_FALSE(fs::exists(path("big")));
}

TEST_F(Mistakes, InTheInvocationAreRefusedInOneLine) {
  expect({
      {{}, "no verb; try 'kedge --help'"},
      {{"trian"}, "unknown verb 'trian'; did you mean \"train\"?"},
      {{"xyzzyxyzzy"},
       "unknown verb 'xyzzyxyzzy'; known: list, validate, init, train, resume, evaluate, demonstrate, replay, "
       "export, compare, view"},
      {{"--vresion"}, "unknown option '--vresion'; did you mean \"--version\"?"},
      {{"train"}, "TASK is missing; try 'kedge train --help'"},
      {{"train", "double_link", "--sed", "3"},
       "unknown option '--sed'; did you mean \"--seed\"?; try 'kedge train --help'"},
      {{"train", "double_link", "extra"}, "unexpected argument 'extra'"},
      {{"train", "double_link", "--seed"}, "--seed"},
      {{"train", "double_link", "--seed", "-1"}, "--seed = -1, but must be a whole number >= 0"},
      {{"train", "double_link", "--seed", "3.5"}, "--seed = 3.5, but must be a whole number >= 0"},
      {{"train", "double_link", "--seed", "18446744073709551615"}, "must be a whole number >= 0"},
      {{"train", "double_link", "--threads", "0"}, "--threads = 0, but must be a whole number in [1, 1024]"},
      {{"train", "double_link", "--iterations", "many"}, "--iterations = many, but must be a whole number in [0, "},
      {{"train", "double_link", "--iterations", "2.5"}, "--iterations = 2.5, but must be a whole number in [0, "},
      {{"train", "double_link", "--iterations", "1e10"}, "--iterations = 1e10, but must be a whole number in [0, "},
      {{"train", "double_link", "--iterations", "nan"}, "--iterations = nan, but must be a whole number in [0, "},
      {{"train", "double_lnk"}, "unknown task 'double_lnk'; did you mean \"double_link\"?"},
      {{"train", "no/such/task.toml"}, "no/such/task.toml: there is no such task file"},
      {{"train", "."}, "is a folder without a task.toml"},
      {{"train", "double_link", "--algorithm", "mota"}, "unknown algorithm 'mota'; did you mean \"moto\"?"},
      {{"train", "double_link", "--algorithm", "reckon", "--set", "task.observation.parts=[\"qpos\"]"},
       "task double_link: cost speed reads state entry 2, which is not observed, but a quadratic model of it needs"},
      {{"train", "double_link", "--algorithm", "gps", "--set", "window=0"}, "window: must be a whole number >= 1"},
      {{"train", "double_link", "--config", "none.toml"}, "none.toml: there is no such file"},
      {{"resume"}, "DIR is missing"},
      {{"resume", "nowhere"}, "nowhere"},
      {{"resume", "."}, "run.toml"},
      {{"evaluate", "nowhere"}, "nowhere: there is no such run or policy"},
      {{"evaluate", "good", "--rollouts", "0"}, "--rollouts = 0, but must be a whole number in [1, "},
      {{"evaluate", "good", "--rollouts", "1e-3"}, "--rollouts = 1e-3, but must be a whole number in [1, "},
      {{"evaluate", "good", "--seed", "-1"}, "--seed = -1, but must be a whole number >= 0"},
      {{"evaluate", "good", "--threads", "many"}, "--threads = many, but must be a whole number in [1, 1024]"},
      {{"replay", "good", "--png", "x.png", "--frames", "65"}, "--frames = 65, but must be a whole number in [1, 64]"},
      {{"view", "good", "--port", "65536"}, "--port = 65536, but must be a whole number in [0, 65535]"},
      {{"evaluate", "good", "--without", "qvel:sholder"},
       "--without qvel:sholder: task double_link has no such observation; did you mean \"qvel:shoulder\"?"},
      {{"evaluate", "good", "--task", "quad_lnk"}, "unknown task 'quad_lnk'"},
      {{"evaluate", "good", "--task", "double_link"}, "the policy has 30 steps"},
      {{"evaluate", "good/metrics.csv"}, "good/metrics.csv"},
      {{"evaluate", "."}, "is not a run directory"},
      {{"demonstrate"}, "TASK is missing"},
      {{"demonstrate", "walker"}, "FILE.h5 is missing"},
      {{"demonstrate", "double_link", "-o", "x.h5"},
       "double_link: has no [demonstration]; --controller simbicon or wave makes one"},
      {{"demonstrate", "walker", "-o", "x.h5", "--controller", "simbicom"}, "did you mean \"simbicon\"?"},
      {{"demonstrate", "walker", "-o", "x.h5", "--controller", "a\"b"}, "--controller"},
      {{"demonstrate", "double_link", "-o", "x.h5", "--controller", "simbicon"},
       "demonstration.controller: \"simbicon\": the model has no slide joint \"root_x\""},
      {{"demonstrate", "walker", "-o", "x.h5", "--set", "demonstration.file=walk.h5"},
       "a demonstration is read from a file or made by a controller, not both"},
      {{"demonstrate", "walker", "-o", "x.h5", "--set", "demonstration={ file = \"/nowhere.h5\" }"}, "/nowhere.h5: "},
      {{"compare"}, "DIR is missing"},
      {{"compare", ""}, "directories: the value is empty"},
      {{"train", "double_link", "--out", ""}, "--out: the value is empty; try 'kedge train --help'"},
      {{"train", "double_link", "--config", ""}, "--config: the value is empty"},
      {{"train", "double_link", "--config", "/proc/self/status"}, "/proc/self/status: is not a file on a disk"},
      {{"validate", "\033[31mred\a"}, "unknown task '[31mred"},
      {{"compare", "\033[31mred\nnew"}, " [31mred new: there is no such directory"},
      {{"compare", "good", "nowhere"}, "nowhere: there is no such directory"},
      {{"compare", "."}, "it has no run.toml"},
      {{"compare", "good", "other"},
       "runs of different tasks cannot be compared: good learned 'double_link with horizon=30', other "},
      {{"compare", "good", "--x", "years"}, "--x = years, but must be rollouts or seconds"},
      {{"list", "--options", "mote"}, "unknown algorithm 'mote'"},
      {{"validate", "double_link", "--set", "horizon"}, "--set horizon: must be KEY=VALUE"},
      {{"validate", "double_link", "--set", "horizon=0"},
       "--set task.horizon=0: horizon: must be in [1, 100000], but is 0"},
  });
}

TEST_F(Mistakes, InOptionsAreRefusedInOneLine) {
  write(path("unknown.toml"), "epsilon = 0.1\nrolouts = 20\n");
  write(path("range.toml"), "# nothing\nbeta0 = -0.5\n");
  write(path("type.toml"), "reuse = 3\n");
  write(path("broken.toml"), "epsilon = = 3\n");
  fs::copy(fs::path(test::source_dir()) / "tasks/double_link", path("link"));
  write(path("link/moto.toml"), "window = 0\n");
  const auto train = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"train", "double_link"});
    return more;
  };
  expect({
      {train({"--set", "epsilon=-1"}), "--set epsilon=-1: epsilon: must be a number > 0, but is the number -1"},
      {train({"--set", "epsilon"}), "--set epsilon: must be KEY=VALUE"},
      {train({"--set", "epsilon="}), "--set epsilon=: the value is missing"},
      {train({"--set", "epsiln=0.1"}), "did you mean \"epsilon\"?"},
      {train({"--set", "reuse=tme"}), "must be one of none, time, iterations, time_and_iterations"},
      {train({"--set", "rollouts=2.5"}), "must be a whole number >= 2"},
      {train({"--set", "gamma=2"}), "must be a number in [0, 1]"},
      {train({"--set", "entropy_constraint=maybe"}), "must be true or false"},
      {train({"--set", "targets=monte_carlo"}), "reuse must be none or iterations"},
      {train({"--set", "task.actions.limt=10"}), "did you mean \"limit\"?"},
      {train({"--set", "task.actions.limit=-10"}),
       "--set task.actions.limit=-10: actions.limit: must be > 0, or [low, high], but is -10"},
      {train({"--set", "task.horizon=5"}), "kedge: error: "},
      {train({"--config", "unknown.toml"}),
       "unknown.toml:2:1: rolouts: this key is unknown; did you mean \"rollouts\"?"},
      {train({"--config", "range.toml"}), "range.toml:2:9: beta0: must be a number >= 0, but is the number -0.5"},
      {train({"--config", "type.toml"}), "type.toml:1:9: reuse: must be one of"},
      {train({"--config", "broken.toml"}), "broken.toml:1:11: not TOML"},
      {{"train", "link"}, "moto.toml:1:10: window: must be a whole number >= 1"},
      {{"validate", "link"}, "moto.toml:1:10: window: must be a whole number >= 1"},
  });
}

TEST_F(Mistakes, WithRunDirectoriesAreRefusedInOneLine) {
  fs::resize_file(copy("truncated") / "checkpoint.h5", 2000);
  fs::remove(copy("no_checkpoint") / "checkpoint.h5");
  replace(copy("edited_task") / "task/task.toml", "30", "31");
  replace(copy("edited_model") / "task/model/double_link.xml", "0.025", "0.026");
  fs::remove_all(copy("no_task") / "task");
  replace(copy("edited_seed") / "run.toml", "seed = 1", "seed = 2");
  replace(copy("edited_options") / "run.toml", "gamma = 0.4", "gamma = 0.8");
  replace(copy("bad_toml") / "run.toml", "seed = 1", "seed = [");
  replace(copy("future") / "run.toml", "format = 1", "format = 99");
  fs::copy_file(path("other/checkpoint.h5"), copy("swapped") / "checkpoint.h5", fs::copy_options::overwrite_existing);
  write(copy("flipped") / "policy.h5", [] {
    std::string bytes = read(path("good/policy.h5"));
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    return bytes;
  }());
  fs::resize_file(copy("short_policy") / "policy.h5", 100);
  write(path("text.h5"), "this is not HDF5");
  expect({
      {{"resume", "truncated", "--iterations", "5"}, "truncated"},
      {{"resume", "no_checkpoint", "--iterations", "5"}, "checkpoint.h5"},
      {{"resume", "edited_task", "--iterations", "5"}, "copy of its task was changed"},
      {{"resume", "edited_model", "--iterations", "5"}, "copy of its task was changed"},
      {{"resume", "no_task", "--iterations", "5"}, "task.toml"},
      {{"resume", "edited_seed", "--iterations", "5"}, "seed"},
      {{"resume", "edited_options", "--iterations", "5"}, "options"},
      {{"resume", "bad_toml", "--iterations", "5"}, "bad_toml/run.toml:"},
      {{"resume", "future", "--iterations", "5"}, "format: must be 1, which this kedge reads, but is the number 99"},
      {{"resume", "swapped", "--iterations", "5"}, "another run"},
      {{"resume", "good"}, "good: is finished, all 3 iterations are done; --iterations N goes on to N"},
      {{"resume", "good", "--iterations", "2"}, "--iterations = 2, but must be >= 3"},
      {{"evaluate", "edited_task"}, "copy of its task was changed"},
      {{"evaluate", "flipped"}, "policy.h5"},
      {{"evaluate", "short_policy"}, "policy.h5"},
      {{"evaluate", "text.h5", "--task", "double_link"}, "text.h5"},
      {{"evaluate", "good/checkpoint.h5"}, "checkpoint.h5"},
      {{"evaluate", "good/policy.h5", "--set", "task.horizon=31"}, "the policy has 30 steps"},
      {{"compare", "truncated"}, "truncated/checkpoint.h5: is damaged"},
      {{"compare", "truncated", "--partial"}, "no run to compare; left out: truncated"},
      {{"compare", "bad_toml"}, "bad_toml"},
  });
}

}  // namespace
}  // namespace kedge::test
