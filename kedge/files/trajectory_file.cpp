#include "kedge/files/trajectory_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "kedge/files/hdf5.h"
#include "kedge/files/names.h"
#include "kedge/files/tensor.h"

namespace kedge {

void save_trajectories(const FileName& file, const Batch& batch, const std::string& task, double control_step,
                       const TrajectoryNames& names, Durability durability) {
  const Index N = batch.rollouts, T = batch.horizon, ds = batch.observation.rows();
  MatrixXd observation(ds, N * T);  // of the steps at which the policy acted
  for (Index n = 0; n < N; ++n)
    observation.middleCols(n * T, T) = batch.observation.middleCols(batch.at(static_cast<int>(n), 0), T);

  hdf5::Writer writer;
  hdf5::GroupWriter root = writer.root();
  root.attribute("kind", "trajectories");
  root.attribute("kedge_version", KEDGE_VERSION);
  root.attribute("task", task);
  root.attribute("control_step", control_step);
  if (!names.state.empty()) root.attribute("state_names", names.state);
  if (!names.action.empty()) root.attribute("action_names", names.action);
  root.dataset("state", columns(batch.state), {N, T + 1, batch.state.rows()});
  root.dataset("observation", columns(observation), {N, T, ds});
  root.dataset("action", columns(batch.action), {N, T, batch.action.rows()});
  root.dataset("cost", columns(batch.cost), {N, T + 1});
  root.dataset("diverged_at", batch.diverged_at, {N});
  if (ended_rollouts(batch) > 0) root.dataset("ended_at", batch.ended_at, {N});
  write_file(file, hdf5::seal(writer.image()), durability);
}

namespace {

/// Moves the rows of a dataset to the places that the task gives to their names.
void order_rows(const hdf5::GroupReader& root, const std::string& file, const std::string& what, NamedEntries entries,
                MatrixXd& rows) {
  const std::string attribute = what + "_names";
  if (entries.own.empty() || !root.has_attribute(attribute)) return;
  entries.found = root.texts(attribute);
  if (static_cast<Index>(entries.found.size()) != rows.rows())
    root.fail(fmt::format("attribute {}: found {} names, expected {}", attribute, entries.found.size(), rows.rows()));
  const MatrixXd found = rows;
  rows(places(entries, file), Eigen::all) = found;
}

}  // namespace

Demonstration load_demonstration(const FileName& file, const TrajectoryNames& names, const std::string& task) {
  const std::string image = hdf5::read_sealed(file, hdf5::Trailer::optional);
  const hdf5::Reader reader(image, file.string());
  const hdf5::GroupReader root = reader.root();

  const hdf5::Shape state = root.shape("state"), action = root.shape("action");
  const bool many = state.size() == 3;
  const auto is = [&](const char* name, const hdf5::Shape& found, const char* expected) {
    if (found.size() != (many ? 3U : 2U) || std::any_of(found.begin(), found.end(), [](Index n) { return n < 1; }))
      root.fail(
          fmt::format("dataset {}: found {}, expected {}, all at least 1", name, hdf5::to_string(found), expected));
  };
  is("state", state, many ? "[N, T+1, nx]" : "[N, T+1, nx] or [T+1, nx]");
  is("action", action, many ? "[N, T, da]" : "[T, da]");
  const std::size_t time = many ? 1 : 0;  // axis
  hdf5::Shape expected = action;
  expected[time] = state[time] - 1;
  if (many) expected[0] = state[0];
  if (action != expected)
    root.fail(fmt::format("dataset action: found {}, expected {} beside state {}", hdf5::to_string(action),
                          hdf5::to_string(expected), hdf5::to_string(state)));

  const Index nx = state[time + 1], da = action[time + 1];
  Index T = action[time];
  const std::vector<double> x = root.doubles("state", state), a = root.doubles("action", action);
  if (many && root.has("diverged_at")) {
    const int diverged = root.ints("diverged_at", {state[0]}).front();
    if (diverged >= 0) T = std::min<Index>(T, diverged);
    if (T < 1) root.fail("dataset diverged_at: the first trajectory diverged at its first step");
  }
  if (many && root.has("ended_at"))
    if (const int ended = root.ints("ended_at", {state[0]}).front(); ended >= 1) T = std::min<Index>(T, ended);
  Demonstration shown{Eigen::Map<const MatrixXd>(x.data(), nx, T + 1), Eigen::Map<const MatrixXd>(a.data(), da, T)};
  order_rows(root, file.string(), "state", {"states", {}, task, names.state}, shown.state);
  order_rows(root, file.string(), "action", {"actions", {}, task, names.action}, shown.action);
  return shown;
}

}  // namespace kedge
