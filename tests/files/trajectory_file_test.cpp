// Trajectories as a file, and recordings of others as demonstrations.
#include "kedge/files/trajectory_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

using example::Folder;
using example::write_bytes;
using testing::HasSubstr;

/// Two rollouts of three steps, two states, one action.
Batch example_batch() {
  Batch batch;
  batch.rollouts = 2;
  batch.horizon = 3;
  batch.state = MatrixXd::Random(2, 8);
  batch.observation = batch.state.topRows(1);
  batch.action = MatrixXd::Random(1, 6);
  batch.cost = MatrixXd::Random(4, 2);
  batch.diverged_at = {-1, 1};
  return batch;
}

/// A file with these datasets, C order; an empty shape leaves one out.
std::string recording(const Folder& folder, const hdf5::Shape& state, const hdf5::Shape& action, double first = 1.0) {
  hdf5::Writer file;
  hdf5::GroupWriter root = file.root();
  const auto add = [&](const char* name, const hdf5::Shape& shape) {
    if (shape.empty()) return;
    Index size = 1;
    for (const Index n : shape) size *= n;
    std::vector<double> values(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<double>(i);
    root.dataset(name, values, shape);
  };
  add("state", state);
  add("action", action);
  write_bytes(folder / "x.h5", file.image());
  return (folder / "x.h5").string();
}

TEST(TrajectoryFile, GivesBackItsFirstRollout) {
  const Folder folder;
  const Batch batch = example_batch();
  save_trajectories(folder / "t.h5", batch, "example", 0.1);
  const Demonstration shown = load_demonstration(folder / "t.h5");
  EXPECT_EQ(shown.state, batch.state.leftCols(4));
  EXPECT_EQ(shown.action, batch.action.leftCols(3));
}

TEST(TrajectoryFile, OfARolloutThatDivergedGivesTheStepsBefore) {
  const Folder folder;
  Batch batch = example_batch();
  batch.diverged_at = {2, -1};
  save_trajectories(folder / "t.h5", batch, "example", 0.1);
  EXPECT_EQ(load_demonstration(folder / "t.h5").state, batch.state.leftCols(3));
  EXPECT_EQ(load_demonstration(folder / "t.h5").action, batch.action.leftCols(2));
  batch.diverged_at = {3, -1};  // in the final state's cost
  save_trajectories(folder / "t.h5", batch, "example", 0.1);
  EXPECT_EQ(load_demonstration(folder / "t.h5").steps(), 3);
  batch.diverged_at = {0, -1};
  save_trajectories(folder / "t.h5", batch, "example", 0.1);
  EXPECT_THAT([&] { load_demonstration(folder / "t.h5"); },
              testing::ThrowsMessage<InputError>(HasSubstr("the first trajectory diverged at its first step")));
}

TEST(TrajectoryFile, RecordingsOfOthersNeedOnlyStatesAndActions) {
  const Folder folder;
  for (const bool many : {false, true}) {
    const Demonstration shown =
        load_demonstration(many ? recording(folder, {2, 4, 3}, {2, 3, 2}) : recording(folder, {4, 3}, {3, 2}));
    ASSERT_EQ(shown.steps(), 3);
    EXPECT_EQ(shown.state, (MatrixXd(3, 4) << 1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12).finished());
    EXPECT_EQ(shown.action, (MatrixXd(2, 3) << 1, 3, 5, 2, 4, 6).finished());
  }
}

TEST(TrajectoryFile, EntriesAreMatchedByName) {
  const Folder folder;
  const Batch batch = example_batch();
  const TrajectoryNames names{{"x", "v"}, {"push"}};
  save_trajectories(folder / "t.h5", batch, "example", 0.1, names);
  const Demonstration same = load_demonstration(folder / "t.h5", names, "own");
  EXPECT_EQ(same.state, batch.state.leftCols(4));
  const Demonstration turned = load_demonstration(folder / "t.h5", {{"v", "x"}, {}}, "own");
  EXPECT_EQ(turned.state, MatrixXd(batch.state.leftCols(4)).colwise().reverse());
  EXPECT_EQ(turned.action, batch.action.leftCols(3));
  const auto refused = [&](const TrajectoryNames& own, const std::string& why) {
    EXPECT_THAT([&] { load_demonstration(folder / "t.h5", own, "own"); },
                testing::ThrowsMessage<InputError>(HasSubstr(why)));
  };
  refused({{"x", "w"}, {}}, "t.h5: has the states x, v, but task own has x, w: \"v\" is none of the task's");
  refused({{"x", "v", "w"}, {}}, "has the states x, v, but task own has x, v, w: \"w\" is missing");
  refused({{}, {"pull"}}, "has the actions push, but task own has pull: \"push\" is none of the task's");
  save_trajectories(folder / "t.h5", batch, "example", 0.1, {{"x", "x"}, {}});
  refused(names, "\"x\" is there twice");
  save_trajectories(folder / "t.h5", batch, "example", 0.1, {{"x"}, {}});
  refused(names, "attribute state_names: found 1 names, expected 2");
}

TEST(TrajectoryFile, RefusesWrongContentsInOneLine) {
  const Folder folder;
  struct {
    hdf5::Shape state, action;
    const char* expected;
  } const wrong[] = {
      {{}, {3, 2}, "dataset state: missing"},
      {{4, 3}, {}, "dataset action: missing"},
      {{12}, {3, 2}, "dataset state: found [12], expected [N, T+1, nx] or [T+1, nx], all at least 1"},
      {{1, 1, 4, 3}, {3, 2}, "dataset state: found [1, 1, 4, 3]"},
      {{4, 3}, {1, 3, 2}, "dataset action: found [1, 3, 2], expected [T, da], all at least 1"},
      {{1, 4, 3}, {3, 2}, "dataset action: found [3, 2], expected [N, T, da], all at least 1"},
      {{4, 3}, {4, 2}, "dataset action: found [4, 2], expected [3, 2] beside state [4, 3]"},
      {{2, 4, 3}, {1, 3, 2}, "dataset action: found [1, 3, 2], expected [2, 3, 2] beside state [2, 4, 3]"},
      {{1, 3}, {1, 2}, "dataset action: found [1, 2], expected [0, 2]"},
  };
  for (const auto& [state, action, expected] : wrong) {
    const std::string path = recording(folder, state, action);
    try {
      load_demonstration(path);
      ADD_FAILURE() << expected;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(path + ": "));
      EXPECT_THAT(error.what(), HasSubstr(expected));
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  const std::string path = recording(folder, {4, 3}, {3, 2}, std::numeric_limits<double>::infinity());
  EXPECT_THAT([&] { load_demonstration(path); }, testing::ThrowsMessage<InputError>(HasSubstr("dataset state")));
  EXPECT_THROW(load_demonstration(folder / "absent.h5"), InputError);
  write_bytes(folder / "text.h5", "not HDF5");
  EXPECT_THROW(load_demonstration(folder / "text.h5"), InputError);
}

}  // namespace
}  // namespace kedge
