#include "kedge/experiment/trajectory_file.h"

#include "kedge/experiment/hdf5.h"
#include "kedge/experiment/steps.h"

namespace kedge {

void save_trajectories(const std::filesystem::path& path, const Batch& batch, const std::string& task,
                       double control_step, Durability durability) {
  const Index N = batch.rollouts, T = batch.horizon, ds = batch.observation.rows();
  MatrixXd observation(ds, N * T);  // of the steps at which the policy acted
  for (Index n = 0; n < N; ++n)
    observation.middleCols(n * T, T) = batch.observation.middleCols(batch.at(static_cast<int>(n), 0), T);

  hdf5::Writer file;
  hdf5::GroupWriter root = file.root();
  root.attribute("kind", "trajectories");
  root.attribute("kedge_version", KEDGE_VERSION);
  root.attribute("task", task);
  root.attribute("control_step", control_step);
  root.dataset("state", columns(batch.state), {N, T + 1, batch.state.rows()});
  root.dataset("observation", columns(observation), {N, T, ds});
  root.dataset("action", columns(batch.action), {N, T, batch.action.rows()});
  root.dataset("cost", columns(batch.cost), {N, T + 1});
  root.dataset("diverged_at", batch.diverged_at, {N});
  write_file(path, hdf5::seal(file.image()), durability);
}

}  // namespace kedge
