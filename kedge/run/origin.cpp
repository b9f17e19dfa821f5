#include "kedge/run/origin.h"

#include <algorithm>
#include <filesystem>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/checksum.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/run/run_directory.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

/// The place of each of the policy's names among those of the task.
std::vector<Index> places(const char* what, const std::vector<std::string>& of_policy, const Task& task,
                          const std::vector<std::string>& of_task, const std::string& file) {
  std::vector<Index> all;
  for (const std::string& name : of_policy) {
    const auto found = std::find(of_task.begin(), of_task.end(), name);
    if (found == of_task.end())
      throw InputError(fmt::format("{}: the policy has the {} \"{}\", which task {} has not{}", file, what,
                                   one_line(name, 60), task.name, hint(name, of_task)));
    const Index place = found - of_task.begin();
    if (std::find(all.begin(), all.end(), place) != all.end())
      throw InputError(fmt::format("{}: the policy has the {} \"{}\" twice", file, what, one_line(name, 60)));
    all.push_back(place);
  }
  return all;
}

std::vector<Index> in_order(Index n) {
  std::vector<Index> all;
  for (Index i = 0; i < n; ++i) all.push_back(i);
  return all;
}

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
  if (da != task.da())
    throw InputError(fmt::format("{}: the policy has the actions {}, but task {} has {}", file, list(info.action_names),
                                 task.name, list(task.action_names)));
  const std::vector<Index> a =
      info.action_names.empty() ? in_order(da) : places("action", info.action_names, task, task.action_names, file);
  const std::vector<Index> s = info.observation_names.empty()
                                   ? in_order(ds)
                                   : places("observation", info.observation_names, task, task.observation_names, file);
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
  if (origin.kind == Origin::Kind::trajectory) return of_trajectory(task, load_demonstration(origin.file), file);
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
