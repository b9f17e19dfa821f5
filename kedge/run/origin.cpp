#include "kedge/run/origin.h"

#include <filesystem>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/checksum.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/names.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/run/run_directory.h"
#include "kedge/tasks/demonstrate.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

TvLinearGaussian of_trajectory(const Task& task, const Demonstration& shown, const std::string& file) {
  if (shown.action.rows() != task.da() || shown.steps() > task.horizon)
    throw InputError(fmt::format("{}: the trajectory has {} actions at {} steps, but task {} has {} at {}", file,
                                 shown.action.rows(), shown.steps(), task.name, task.da(), task.horizon));
  TvLinearGaussian policy =
      TvLinearGaussian::constant(task.horizon, task.ds(), task.resting_action(), VectorXd::Ones(task.da()));
  for (int t = 0; t < shown.steps(); ++t) policy[t].k = shown.action.col(t);
  return policy;
}

}  // namespace

Origin find_origin(const std::string& what) {
  if (!fs::exists(what)) throw InputError(fmt::format("--from {}: there is no such run or file", what));
  if (fs::is_directory(what)) return {open_run_directory(what) / kPolicyFile, Origin::Kind::policy};
  const FileName file(what);
  const std::string image = hdf5::read_sealed(file, hdf5::Trailer::optional);
  const hdf5::Reader reader(image, file.string());
  const hdf5::GroupReader root = reader.root();
  if (root.has("state") && root.has("action")) return {file, Origin::Kind::trajectory};
  if (!root.has_attribute("kind"))
    root.fail("is neither a policy, with attribute kind, nor a trajectory, with datasets state and action");
  return {file, Origin::Kind::policy};
}

bool becomes_demonstration(const Origin& origin, const Algorithm& algorithm) {
  if (algorithm.start_from) return false;
  const std::string file = origin.file.string();
  if (algorithm.begins_with_demonstration) {
    if (origin.kind == Origin::Kind::trajectory) return true;
    throw InputError(fmt::format(
        "--from {0}: {1} starts from a trajectory, not from a policy; `kedge evaluate {0} --deterministic --rollouts 1 "
        "--trajectories FILE.h5` writes one",
        file, algorithm.name));
  }
  std::vector<std::string> able;
  for (const Algorithm& other : algorithms())
    if (other.start_from || other.begins_with_demonstration) able.emplace_back(other.name);
  throw InputError(fmt::format("--from {}: {} has a start of its own; these can start elsewhere: {}", file,
                               algorithm.name, list(able)));
}

TvLinearGaussian matched(const Task& task, const PolicyFile& policy, const std::string& file) {
  const auto* given = std::get_if<TvLinearGaussian>(&policy.policy);
  if (!given)
    throw InputError(fmt::format("{}: holds a policy of kind {}, but learning starts from linear gains: kind {}", file,
                                 policy_kind(policy.policy), TvLinearGaussian::kKind));
  if (given->horizon() != task.horizon)
    throw InputError(fmt::format("{}: the policy has {} steps, but task {} has {}", file, given->horizon(), task.name,
                                 task.horizon));
  const PolicyInfo& info = policy.info;
  const Index ds = given->observation_dim(), da = given->action_dim();
  if ((info.action_names.empty() || info.observation_names.empty()) && (ds != task.ds() || da != task.da()))
    throw InputError(
        fmt::format("{}: the policy has {} observations and {} actions, but task {} has {} and {}, and "
                    "there are no names to match them by",
                    file, ds, da, task.name, task.ds(), task.da()));
  const std::vector<Index> a = info.action_names.empty()
                                   ? in_order(da)
                                   : places({"actions", info.action_names, task.name, task.action_names}, file);
  const std::vector<Index> s =
      info.observation_names.empty()
          ? in_order(ds)
          : places({"observations", info.observation_names, task.name, task.observation_names}, file, false);
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < task.horizon; ++t) {
    const LinearGaussian& from = (*given)[t];
    MatrixXd K = MatrixXd::Zero(task.da(), task.ds());
    VectorXd k(da);
    K(a, s) = from.K;
    k(a) = from.k;
    steps.push_back(make_linear_gaussian(std::move(K), std::move(k), MatrixXd::Identity(da, da)));
  }
  return TvLinearGaussian(std::move(steps));
}

TvLinearGaussian starting_policy(const Task& task, const Origin& origin) {
  const std::string file = origin.file.string();
  if (origin.kind == Origin::Kind::trajectory)
    return of_trajectory(task, load_demonstration(origin.file, trajectory_names(task), task.name), file);
  return matched(task, load_policy(origin.file), file);
}

std::string means_digest(const TvLinearGaussian& policy) {
  std::string bytes;
  const auto add = [&](const double* numbers, Index n) {
    bytes.append(reinterpret_cast<const char*>(numbers), static_cast<std::size_t>(n) * sizeof(double));
  };
  for (int t = 0; t < policy.horizon(); ++t) {
    add(policy[t].K.data(), policy[t].K.size());
    add(policy[t].k.data(), policy[t].k.size());
  }
  return digest(bytes);
}

}  // namespace kedge
