#include "kedge/run/policy_source.h"

#include <fmt/format.h>

#include <type_traits>
#include <variant>

#include "kedge/core/errors.h"
#include "kedge/rollout/rollout.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/run_files.h"
#include "kedge/run/run_task.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

/// The run to which a policy file belongs: in its directory, or in its folder of kept policies.
fs::path run_of(const fs::path& policy_file) {
  const fs::path folder = fs::absolute(policy_file).lexically_normal().parent_path();
  return !fs::exists(folder / "run.toml") && fs::exists(folder.parent_path() / "run.toml") ? folder.parent_path()
                                                                                           : folder;
}

TaskFile task_of(const Subject& subject, const fs::path& run, const std::string& task,
                 const std::vector<std::string>& set, const std::stop_token& stop) {
  std::vector<Override> overrides;
  for (const std::string& text : set) {
    const Assignment assigned = parse_assignment(text);
    overrides.emplace_back(assigned.key.starts_with("task.") ? assigned.key.substr(5) : assigned.key, assigned.value);
  }
  if (!task.empty()) return load_task(find_task(task), overrides, stop);
  if (!fs::exists(run / "run.toml"))
    throw InputError(fmt::format("{}: lies in no run directory; name its task with --task", subject.name));
  TaskFile own = load_run_task(run, read_run_file(run), stop);
  // The policy is tried on a changed task: another torque limit, another start.
  return overrides.empty() ? std::move(own) : load_task(run / "task" / "task.toml", overrides, stop);
}

}  // namespace

FileName find_policy(const std::string& what) {
  const fs::path path = what;
  if (!fs::exists(path)) throw InputError(fmt::format("{}: there is no such run or policy", what));
  return fs::is_directory(path) ? open_run_directory(path) / kPolicyFile : FileName(path);
}

namespace {

/// Returns a policy as the kind that it is. @return nullopt if it is none of `P`
template <class... P>
std::optional<AnyPolicy> as_any(const Policy& policy, std::type_identity<std::variant<P...>>) {
  std::optional<AnyPolicy> any;
  const auto take = [&](const auto* p) {
    if (p) any = *p;
  };
  (take(dynamic_cast<const P*>(&policy)), ...);
  return any;
}

}  // namespace

AnyPolicy chosen_controller(const AnyPolicy& policy, const Task& task, VectorIn x0) {
  if (x0.size() != task.nx() || !x0.allFinite())
    throw InputError(fmt::format("start: found {} numbers, but must be the {} finite ones of the state of task {}",
                                 x0.size(), task.nx(), task.name));
  const std::unique_ptr<System> system = task.system->clone();
  const auto chosen = as_policy(policy).for_episode(x0, [&] { return inverse_dynamics(task, *system); });
  if (!chosen)
    throw InputError(fmt::format("start: a policy of kind {} is the same for every start", policy_kind(policy)));
  std::optional<AnyPolicy> controller = as_any(*chosen, std::type_identity<AnyPolicy>());
  const auto* movement = controller ? std::get_if<DmpPolicy>(&*controller) : nullptr;
  if (!controller || (movement && !movement->finite()))
    throw InputError("start: the model of the robot fails along the movement that the policy chooses there");
  return *std::move(controller);
}

Subject find_subject(const std::string& what, const std::string& task, const std::vector<std::string>& set,
                     const std::stop_token& stop) {
  const fs::path path = what;
  Subject subject;
  subject.policy_file = find_policy(what);
  subject.name = what;
  subject.is_run = fs::is_directory(path);
  if (subject.is_run) subject.run_directory = path;
  subject.task = task_of(subject, subject.is_run ? path : run_of(path), task, set, stop);
  return subject;
}

}  // namespace kedge
