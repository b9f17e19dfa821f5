// A replay: the motion of the robot under policies of a run, as one page that opens from disk (viewer/), and for pictures.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/files/policy_file.h"
#include "kedge/pages/framing.h"
#include "kedge/run/evaluate.h"
#include "kedge/run/policy_source.h"

namespace kedge {

/// A policy and its performance.
struct ReplayedPolicy {
  int iterations = -1;             ///< completed iterations before this policy; -1: unknown, a separate file
  std::vector<std::string> names;  ///< those of "first", "best", "last" that apply
  AnyPolicy policy;
  Evaluation evaluation;  ///< its first rollouts are shown, all of them make the band
  MatrixXd reference;     ///< [nx, T+1] states from the start of rollout 0 without noise: to compare with
};

struct Replay {
  Subject subject;
  std::string title;                     ///< name of the run or file, for people
  std::vector<ReplayedPolicy> policies;  ///< by iterations, not empty
  int shown = 4;                         ///< rollouts of each policy that are shown
  std::uint64_t seed = 1;
  bool deterministic = false;
  Scene scene;
  Framing framing;  ///< of the rollouts of the last policy that are shown, of the first 16 where there are more
};

struct ReplayOptions {
  std::string iterations;  ///< "first,best,last,40", "all"; "": first, best, last and up to three between
  int shown = 4;           ///< >= 1
  int rollouts = 100;      ///< >= 1, evaluated; `shown` if that is more
  std::uint64_t seed = 1;  ///< seed of starts and noise: the rollouts of `kedge evaluate` with this seed
  bool deterministic = false;
  std::string camera;  ///< name of a camera of the model; "": see `frame_motion`
  bool noise = false;  ///< also of policies whose noise is not meant (PolicyInfo)
  int threads = 1;
};

/// Returns the model that a replay shows. @throws InputError if the task has none
const MujocoSystem& shown_system(const TaskFile& task);

/// @throws InputError if the browser cannot simulate the task: it knows MuJoCo, not what a world adds
void require_playable(const TaskFile& task);

/// Returns whether the browser can simulate the task.
bool is_playable(const TaskFile& task);

/// Returns the steps of a rollout that are recorded: up to its end, or until it diverged. @param n its number
int recorded_steps(const Batch& batch, int n);

/// Returns the poses of a rollout, as long as it is recorded. @param n its number
Motion motion_of(const MujocoSystem& system, const Batch& batch, int n);

/// Chooses the policies and runs them.
/// @throws InputError if the run does not keep a requested iteration, or the task is not a MuJoCo model, or has no such camera
Replay make_replay(const Subject& subject, const ReplayOptions& options);

/// Returns the page. It reads nothing outside itself.
/// @param play  with MuJoCo and the model inside, so that the policy runs in the browser: 3.6 MB more
/// @throws InputError if this kedge was built without its pages
std::string replay_page(const Replay& replay, bool play);

}  // namespace kedge
