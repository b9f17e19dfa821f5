// kedge._kedge: the library for Python, as thin as it can be. What is nicer in Python is in kedge/*.py.
//
// Work that takes time runs on a thread of its own with the GIL released. The calling thread waits, takes Ctrl-C every 50 ms
// and runs the caller's callbacks, so they are called where Python expects it.
#include <fmt/format.h>
#include <nanobind/eigen/dense.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>

#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/export/export.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/checksum.h"
#include "kedge/files/policy_file.h"
#include "kedge/rollout/episode.h"
#include "kedge/rollout/rollout.h"
#include "kedge/run/evaluate.h"
#include "kedge/run/option_text.h"
#include "kedge/run/policy_source.h"
#include "kedge/run/run_files.h"
#include "kedge/run/train.h"
#include "kedge/run/verdict.h"
#include "kedge/run/version.h"
#include "systems.h"

namespace nb = nanobind;
using namespace nb::literals;  // NOLINT: "name"_a

namespace kedge {
namespace {

// ---- Long work

/// Work on another thread, and the thread that waits for it.
class Waiting {
 public:
  /// Runs work on a thread of its own and returns what it returns. Called with the GIL held.
  /// @throws what the work throws; KeyboardInterrupt after Ctrl-C, or what a callback throws, once the work has stopped
  template <class Work>
  static auto for_work(const Work& work) {
    Waiting waiting;
    std::optional<decltype(work(waiting))> result;
    std::exception_ptr failure;
    std::thread worker([&] {
      try {
        result.emplace(work(waiting));
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard lock(waiting.mutex_);
      waiting.done_ = true;
      waiting.changed_.notify_all();
    });
    waiting.serve();
    {
      const nb::gil_scoped_release release;
      worker.join();
    }
    if (waiting.raised_) std::rethrow_exception(waiting.raised_);
    if (failure) std::rethrow_exception(failure);
    return *std::move(result);
  }

  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

  /// Called by the work: runs a callback on the waiting thread, with the GIL. If it raises, the work is asked to stop.
  void call(const std::function<void()>& callback) {
    std::unique_lock lock(mutex_);
    callback_ = &callback;
    changed_.notify_all();
    changed_.wait(lock, [&] { return callback_ == nullptr; });
  }

 private:
  void serve() {
    for (;;) {
      const std::function<void()>* callback = nullptr;
      {
        const nb::gil_scoped_release release;
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return done_ || callback_ != nullptr; });
        if (done_) return;
        callback = callback_;
      }
      try {
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (callback && !raised_) (*callback)();
      } catch (...) {
        raised_ = std::current_exception();
        stop_.request_stop();
      }
      if (!callback) continue;
      const std::lock_guard lock(mutex_);
      callback_ = nullptr;
      changed_.notify_all();
    }
  }

  std::stop_source stop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  const std::function<void()>* callback_ = nullptr;
  std::exception_ptr raised_;
};

// ---- Tasks

/// A task with its origin, so that a run can be planned from it as by the program.
struct PyTask {
  std::shared_ptr<const TaskFile> file;
  std::string source;  ///< name or path; empty: a part of it is written in Python, and there is no file
  std::vector<std::pair<std::string, std::string>> changes;  ///< of keys

  std::string no_derivatives;  ///< why algorithms that need derivatives cannot have it; empty: they can
};

PyTask task_in_python(const PyTaskWords& words, nb::object system, std::string no_derivatives) {
  auto file = std::make_shared<TaskFile>();
  file->task = python_task(words, std::move(system));
  return {std::move(file), {}, {}, std::move(no_derivatives)};
}

PyTask task_with_cost(const PyTask& task, nb::object cost, nb::object final) {
  auto file = std::make_shared<TaskFile>(*task.file);
  file->task = with_cost(task.file->task, std::move(cost), std::move(final));
  return {std::move(file), {}, {}, "a function of Python gives no derivatives of its cost"};
}

/// @throws InputError if the task has no file
const TaskFile& with_file(const PyTask& task, const char* what) {
  if (task.source.empty())
    throw InputError(
        fmt::format("task {}: a part of it is written in Python, so it has no {}", task.file->task.name, what));
  return *task.file;
}

PyTask load(const std::string& name_or_path, const std::vector<std::pair<std::string, std::string>>& changes) {
  auto file = Waiting::for_work([&](Waiting& waiting) {
    return std::make_shared<const TaskFile>(load_task(find_task(name_or_path), changes, waiting.token()));
  });
  return {std::move(file), name_or_path, changes, {}};
}

// ---- Policies

struct PyPolicy {
  std::shared_ptr<const PolicyFile> file;

  [[nodiscard]] const Policy& policy() const { return as_policy(file->policy); }
  void check(int t, const VectorXd& s) const {
    const Policy& p = policy();
    require(s.size() == p.observation_dim(), "observation size", s.size(),
            fmt::format("{}", p.observation_dim()).c_str());
    if (t < 0 || t >= p.horizon())
      throw InputError(p.horizon() == kEndless ? fmt::format("t = {}, but must be >= 0", t)
                                               : fmt::format("t = {}, but must be in [0, {}]", t, p.horizon() - 1));
  }
  [[nodiscard]] VectorXd mean(const VectorXd& s, int t) const {
    check(t, s);
    VectorXd a(policy().action_dim());
    policy().mean(t, s, a);
    return a;
  }
  [[nodiscard]] VectorXd sample(const VectorXd& s, int t, std::uint64_t seed) const {
    check(t, s);
    VectorXd a(policy().action_dim());
    Stream noise(seed, 0, 0, static_cast<std::uint32_t>(t));
    policy().sample(t, s, noise, a);
    return a;
  }
};

PyPolicy load_policy_of(const std::string& what) {
  return {std::make_shared<const PolicyFile>(load_policy(find_policy(what)))};
}

// ---- Training

/// What a callback sees of a completed iteration.
struct PyIteration {
  Iteration iteration;
  int done = 0, total = 0;
};

struct PyRun {
  PyTask task;
  PyPolicy policy;
  std::string algorithm, stop, message, directory;
  std::uint64_t seed = 0;
  int iterations = 0;
  std::vector<PyIteration> history = {};
  std::vector<std::string> warnings = {};
};

std::string stop_name(Stop stop) {
  switch (stop) {
    case Stop::max_iterations: return "max_iterations";
    case Stop::converged: return "converged";
    case Stop::cancelled: return "cancelled";
    case Stop::numerical_failure: return "numerical_failure";
  }
  return "";
}

using Callback = std::function<void(const PyIteration&)>;

/// Keeps an iteration in the history, without the numbers of every time step, and shows it to the caller.
void note(PyRun& run, Waiting& waiting, const Callback& callback, const Iteration& iteration, int total) {
  PyIteration& noted = run.history.emplace_back(iteration, iteration.number + 1, total);
  noted.iteration.steps.clear();
  if (callback) waiting.call([&] { callback(noted); });
}

/// `kedge train` in memory: the same numbers, and no file.
void train_in_memory(PyRun& run, PlannedRun plan, int threads, Waiting& waiting, const Callback& callback) {
  const Algorithm& algorithm = find_algorithm(plan.file.algorithm);
  const auto total = static_cast<int>(std::get<std::int64_t>(option_value(plan.file.options, "iterations")));
  TrainingEnd end = algorithm.train({.task = plan.task.task,
                                     .options = plan.file.options,
                                     .run = {.seed = plan.file.seed, .threads = threads, .stop = waiting.token()},
                                     .observe = [&](const Iteration& i, const Snapshot&, const UpdateRecord*) {
                                       note(run, waiting, callback, i, total);
                                     }});
  PolicyInfo info = policy_info(plan.task.task);
  info.noise_meant = algorithm.noise_meant;
  run.policy.file = std::make_shared<const PolicyFile>(std::move(end.state.policy), std::move(info));
  run.stop = stop_name(end.stop);
  run.message = std::move(end.message);
  run.iterations = end.state.loop.iteration;
  run.warnings = plan.task.warnings;
  run.task.file = std::make_shared<const TaskFile>(std::move(plan.task));
}

/// `kedge train --out`, or `kedge resume`.
void train_in_directory(PyRun& run, OpenRun open, int threads, Waiting& waiting, const Callback& callback) {
  const RunEnd end = train(open, {.threads = threads, .stop = waiting.token(), .observe = [&](const Progress& p) {
                                    note(run, waiting, callback, *p.iteration, p.iterations);
                                  }});
  run.directory = open.directory.path().string();
  run.policy = load_policy_of(run.directory);
  run.stop = stop_name(end.stop);
  run.message = end.message;
  run.iterations = end.iterations;
  run.warnings = open.warnings;
  run.task.file = std::make_shared<const TaskFile>(std::move(open.task));
}

/// A run on a task of which a part is written in Python: `plan_run` without files.
PlannedRun plan_in_python(const PyTask& task, const TrainRequest& request, const std::vector<std::string>& set) {
  const Algorithm& algorithm = find_algorithm(request.algorithm);
  const std::string& name = task.file->task.name;
  if (request.out) with_file(task, "copy in a run's directory; out must be None");
  PlannedRun plan{.file = {}, .task = *task.file, .out = {}, .stop = request.stop};
  plan.file.algorithm = algorithm.name;
  plan.file.seed = request.seed;
  plan.file.options = algorithm.options();
  for (const std::string& text : set) {
    const Assignment option = parse_assignment(text);
    assign_option(plan.file.options, option.key, option.value);
  }
  algorithm.check(plan.file.options);
  if (algorithm.full_state || algorithm.initial_trajectory)
    throw InputError(fmt::format("{} needs derivatives, but task {}: {}", algorithm.name, name, task.no_derivatives));
  require_memory(algorithm.name, algorithm.needs(plan.task.task, plan.file.options, request.threads));
  static_cast<void>(algorithm.start(plan.task.task, plan.file.options));
  return plan;
}

TrainRequest request_of(const PyTask& task, const std::string& algorithm, std::uint64_t seed,
                        const std::vector<std::string>& set) {
  TrainRequest request;
  request.task = task.source;
  request.algorithm = algorithm;
  request.seed = seed;
  for (const auto& [key, value] : task.changes) request.set.push_back(fmt::format("task.{}={}", key, value));
  request.set.insert(request.set.end(), set.begin(), set.end());
  return request;
}

/// A name for the directory of a run: equal for equal tasks, with their models, algorithms, seeds and options, and no other.
/// @throws InputError if there cannot be such a run
std::string run_name(const PyTask& task, const std::string& algorithm, std::uint64_t seed,
                     const std::vector<std::string>& set) {
  static_cast<void>(with_file(task, "copy in a run's directory"));
  return Waiting::for_work([&](Waiting& waiting) {
    TrainRequest request = request_of(task, algorithm, seed, set);
    request.stop = waiting.token();
    const RunFile file = plan_run(request).file;
    const auto iterations = std::get<std::int64_t>(option_value(file.options, "iterations"));
    const std::string all = fmt::format("{} {} {}", file.task_digest, options_digest(file), iterations);
    return fmt::format("{}-{}-s{}-{}", task.file->task.name, file.algorithm, seed, digest(all));
  });
}

PyRun train_task(const PyTask& task, const std::string& algorithm, std::uint64_t seed,
                 const std::vector<std::string>& set, int threads, const std::optional<std::string>& out, bool force,
                 const Callback& callback) {
  return Waiting::for_work([&](Waiting& waiting) {
    TrainRequest request = request_of(task, algorithm, seed, set);
    if (out) request.out = *out;
    request.force = force;
    request.stop = waiting.token();
    request.threads = threads;
    PyRun run{
        .task = task, .policy = {}, .algorithm = algorithm, .stop = {}, .message = {}, .directory = {}, .seed = seed};
    PlannedRun plan = task.source.empty() ? plan_in_python(task, request, set) : plan_run(request);
    if (out)
      train_in_directory(run, create_run(std::move(plan)), threads, waiting, callback);
    else
      train_in_memory(run, std::move(plan), threads, waiting, callback);
    return run;
  });
}

PyRun resume_run(const std::string& directory, std::optional<int> iterations, int threads, const Callback& callback) {
  return Waiting::for_work([&](Waiting& waiting) {
    OpenRun open = open_run(directory, iterations, waiting.token());
    PyRun run{.task = {nullptr, (open.directory.path() / kTaskFolder).string(), {}, {}},
              .policy = {},
              .algorithm = open.file.algorithm,
              .stop = {},
              .message = {},
              .directory = {},
              .seed = open.file.seed};
    train_in_directory(run, std::move(open), threads, waiting, callback);
    return run;
  });
}

Evaluation evaluate_policy(const PyTask& task, const PyPolicy& policy, int rollouts, std::optional<bool> deterministic,
                           std::uint64_t seed, int threads) {
  return Waiting::for_work([&](Waiting& waiting) {
    const PolicyFile file = for_task(task.file->task, *policy.file, "policy");
    Run run{.seed = seed, .threads = threads, .stop = waiting.token()};
    const bool mean = deterministic.value_or(!file.info.noise_meant);
    auto result = evaluate(task.file->task, as_policy(file.policy), {.rollouts = rollouts, .deterministic = mean}, run);
    if (!result) throw Cancelled("interrupted");
    return *std::move(result);
  });
}

// ---- Episodes

/// An episode with the task and the system that it needs.
struct PyEpisode {
  explicit PyEpisode(const PyTask& of)
      : file(of.file), system(file->task.system->clone()), episode(file->task, *system) {}

  void reset(const VectorXd& x0) { episode.reset(x0); }
  void reset_to_start(std::uint64_t seed, std::uint32_t iteration, int rollout) {
    episode.reset(start_of_rollout(file->task, seed, iteration, rollout));
  }

  std::shared_ptr<const TaskFile> file;
  std::unique_ptr<System> system;
  Episode episode;
};

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Flags = Eigen::Matrix<bool, Eigen::Dynamic, 1>;

/// Many episodes of a task, on several threads.
class PyEpisodes {
 public:
  PyEpisodes(const PyTask& task, int n, int threads) : threads_(threads) {
    require(n >= 1, "episodes", n, ">= 1");
    require(threads >= 1, "threads", threads, ">= 1");
    for (int i = 0; i < n; ++i) episodes_.push_back(std::make_unique<PyEpisode>(task));
  }

  PyEpisodes(const PyEpisodes&) = delete;
  PyEpisodes& operator=(const PyEpisodes&) = delete;

  /// Begins or steps every episode. The reward is minus the cost, with that of the end where an episode ends, at the horizon
  /// or early.
  /// @param actions [n, da]  @param seed [n] of the drawn start at which an episode begins; null: it steps. Empty: all step
  /// @return observations [n, ds], rewards [n], whether an episode has ended now [n], and whether any has
  [[nodiscard]] std::tuple<Rows, VectorXd, Flags, bool> advance(const Rows& actions,
                                                                const std::vector<std::optional<std::uint64_t>>& seed,
                                                                double diverged_reward) {
    const auto n = static_cast<Index>(episodes_.size());
    const Task& task = episodes_.front()->file->task;
    if (actions.rows() != n || actions.cols() != task.da() || (!seed.empty() && std::ssize(seed) != n))
      throw InputError(
          fmt::format("actions are {}x{}, but must be {}x{}", actions.rows(), actions.cols(), n, task.da()));
    Rows observations(n, task.ds());
    VectorXd reward = VectorXd::Zero(n);
    Flags ended = Flags::Zero(n);
    parallel_for(n, threads_, [&](Index i) {
      PyEpisode& own = *episodes_[static_cast<std::size_t>(i)];
      Episode& episode = own.episode;
      if (!seed.empty() && seed[static_cast<std::size_t>(i)]) {
        own.reset_to_start(*seed[static_cast<std::size_t>(i)], 0, 0);
      } else {
        double cost = episode.step(actions.row(i).transpose()).cost;
        ended[i] = !episode.goes_on();
        if (ended[i] && !episode.diverged()) cost += episode.finish().cost;
        reward[i] = episode.diverged() ? diverged_reward : -cost;
      }
      observations.row(i) = episode.observation().transpose();
    });
    const bool any = ended.any();
    return {std::move(observations), std::move(reward), std::move(ended), any};
  }

  [[nodiscard]] const Episode& at(int i) const { return episodes_.at(static_cast<std::size_t>(i))->episode; }

 private:
  std::vector<std::unique_ptr<PyEpisode>> episodes_;
  int threads_;
};

// ---- Options

std::vector<nb::dict> options_of(const std::string& algorithm) {
  std::vector<nb::dict> all;
  for (const Option& option : find_algorithm(algorithm).options()) {
    nb::dict entry;
    entry["name"] = option.name;
    entry["default"] = value_text(option.value);
    entry["allowed"] = allowed_text(option);
    entry["unit"] = option.unit;
    entry["meaning"] = option.meaning;
    entry["source"] = option.source;
    all.push_back(std::move(entry));
  }
  return all;
}

nb::dict metrics_dict(const std::vector<Metric>& metrics) {
  nb::dict dict;
  for (const auto& [name, value] : metrics) dict[name.c_str()] = value;
  return dict;
}

void define_tasks(nb::module_& m) {
  nb::class_<PyTask>(m, "Task", "A task: a MuJoCo model with horizon, observation, actions, start, cost and success.")
      .def_prop_ro("name", [](const PyTask& t) { return t.file->task.name; })
      .def_prop_ro("summary", [](const PyTask& t) { return t.file->task.summary; })
      .def_prop_ro(
          "horizon", [](const PyTask& t) { return t.file->task.horizon; }, "control steps")
      .def_prop_ro(
          "control_step", [](const PyTask& t) { return t.file->task.control_step; }, "seconds")
      .def_prop_ro("observation_names", [](const PyTask& t) { return t.file->task.observation_names; })
      .def_prop_ro("action_names", [](const PyTask& t) { return t.file->task.action_names; })
      .def_prop_ro(
          "action_low", [](const PyTask& t) { return t.file->task.action_low; }, "[da], may be infinite")
      .def_prop_ro(
          "action_high", [](const PyTask& t) { return t.file->task.action_high; }, "[da], may be infinite")
      .def_prop_ro(
          "success_limit", [](const PyTask& t) { return t.file->task.success_limit(); },
          "a success measure below it means success; NaN: the task has none")
      .def_prop_ro("warnings", [](const PyTask& t) { return t.file->warnings; })
      .def_prop_ro(
          "text", [](const PyTask& t) { return resolved_text(with_file(t, "text")); },
          "the task file, every default written out")
      .def_ro("source", &PyTask::source, "name or path; empty: a part of it is written in Python")
      .def_ro("changes", &PyTask::changes, "keys of the task file that were changed, and their values");
  nb::class_<PyTaskWords>(m, "TaskWords", "What a task says of a system that is written in Python.")
      .def(nb::init<>())
      .def_rw("name", &PyTaskWords::name)
      .def_rw("summary", &PyTaskWords::summary)
      .def_rw("horizon", &PyTaskWords::horizon)
      .def_rw("control_step", &PyTaskWords::control_step)
      .def_rw("observation", &PyTaskWords::observation)
      .def_rw("observation_names", &PyTaskWords::observation_names)
      .def_rw("action_names", &PyTaskWords::action_names)
      .def_rw("action_low", &PyTaskWords::action_low)
      .def_rw("action_high", &PyTaskWords::action_high)
      .def_rw("start_mean", &PyTaskWords::start_mean)
      .def_rw("start_spread", &PyTaskWords::start_spread)
      .def_rw("uniform_start", &PyTaskWords::uniform_start)
      .def_rw("ended", &PyTaskWords::ended)
      .def_rw("missing_step", &PyTaskWords::missing_step)
      .def_rw("has_final", &PyTaskWords::has_final);
  m.def("python_task", &task_in_python, "words"_a, "system"_a, "no_derivatives"_a);
  m.def("with_cost", &task_with_cost, "task"_a, "cost"_a, "final"_a.none());
  m.def("load_task", &load, "name_or_path"_a, "changes"_a);
  m.def("task_names", [] {
    std::vector<std::string> names;
    for (const BundledTask& task : bundled_tasks()) names.push_back(task.name);
    return names;
  });

  nb::class_<PyEpisode>(m, "Episode", "A task, step by step (kedge/rollout/episode.h).")
      .def(nb::init<const PyTask&>(), "task"_a)
      .def("reset", &PyEpisode::reset, "x0"_a, "Begins an episode at the state x0 [nx].")
      .def("reset_to_start", &PyEpisode::reset_to_start, "seed"_a, "iteration"_a = 0, "rollout"_a = 0,
           "Begins an episode at a start that is drawn: that of a rollout of training.")
      .def(
          "step", [](PyEpisode& e, const VectorXd& a) { return e.episode.step(a).cost; }, "action"_a,
          nb::call_guard<nb::gil_scoped_release>(), "Makes one control step and returns its cost.")
      .def(
          "finish", [](PyEpisode& e) { return e.episode.finish().cost; },
          "Returns the cost of the final state, or of an early end.")
      .def_prop_ro("time", [](const PyEpisode& e) { return e.episode.time(); })
      .def_prop_ro(
          "goes_on", [](const PyEpisode& e) { return e.episode.goes_on(); },
          "a step is left: neither the horizon nor an early end nor a divergence")
      .def_prop_ro("state", [](const PyEpisode& e) { return e.episode.state(); })
      .def_prop_ro("observation", [](const PyEpisode& e) { return e.episode.observation(); })
      .def_prop_ro("diverged", [](const PyEpisode& e) { return e.episode.diverged(); })
      .def_prop_ro(
          "why", [](const PyEpisode& e) { return e.episode.why(); }, "why it diverged")
      .def_prop_ro(
          "success", [](const PyEpisode& e) { return e.episode.success(); },
          "value of the success measure; NaN before the end, after divergence, or without a measure");

  nb::class_<PyEpisodes>(m, "Episodes", "Many episodes of a task, on several threads.")
      .def(nb::init<const PyTask&, int, int>(), "task"_a, "n"_a, "threads"_a)
      .def("advance", &PyEpisodes::advance, "actions"_a, "seed"_a, "diverged_reward"_a,
           nb::call_guard<nb::gil_scoped_release>(),
           "Steps every episode, or begins those with a seed; returns observations, rewards, which have ended now, and "
           "whether any has.")
      .def(
          "diverged", [](const PyEpisodes& e, int i) { return e.at(i).diverged(); }, "i"_a)
      .def(
          "time", [](const PyEpisodes& e, int i) { return e.at(i).time(); }, "i"_a)
      .def(
          "success", [](const PyEpisodes& e, int i) { return e.at(i).success(); }, "i"_a)
      .def(
          "why", [](const PyEpisodes& e, int i) { return e.at(i).why(); }, "i"_a);
}

void define_policies(nb::module_& m) {
  nb::class_<PyPolicy>(m, "Policy", "A controller.")
      .def_prop_ro("kind", [](const PyPolicy& p) { return policy_kind(p.file->policy); })
      .def_prop_ro("task_name", [](const PyPolicy& p) { return p.file->info.task; })
      .def_prop_ro(
          "horizon",
          [](const PyPolicy& p) {
            const int T = p.policy().horizon();
            return T == kEndless ? std::optional<int>() : std::optional<int>(T);
          },
          "steps for which it is defined; None: all")
      .def_prop_ro("observation_dim", [](const PyPolicy& p) { return p.policy().observation_dim(); })
      .def_prop_ro("action_dim", [](const PyPolicy& p) { return p.policy().action_dim(); })
      .def_prop_ro("observation_names", [](const PyPolicy& p) { return p.file->info.observation_names; })
      .def_prop_ro("action_names", [](const PyPolicy& p) { return p.file->info.action_names; })
      .def_prop_ro("action_low", [](const PyPolicy& p) { return p.file->info.action_low; })
      .def_prop_ro("action_high", [](const PyPolicy& p) { return p.file->info.action_high; })
      .def_prop_ro("noise_meant", [](const PyPolicy& p) { return p.file->info.noise_meant; })
      .def("mean", &PyPolicy::mean, "observation"_a, "t"_a = 0, "Returns the mean action [da], before limits.")
      .def("sample", &PyPolicy::sample, "observation"_a, "t"_a = 0, nb::kw_only(), "seed"_a,
           "Returns the mean plus exploration noise, which depends on seed and t only.")
      .def(
          "for_start",
          [](const PyPolicy& p, const PyTask& task, const VectorXd& x0) {
            PolicyFile file = for_task(task.file->task, *p.file, "policy");
            file.policy = chosen_controller(file.policy, task.file->task, x0);
            return PyPolicy{std::make_shared<const PolicyFile>(std::move(file))};
          },
          "task"_a, "x0"_a, "Returns the controller that a contextual policy chooses for the initial state x0 [nx].")
      .def(
          "export_text",
          [](const PyPolicy& p, const std::string& format) {
            const std::string text = find_export_format(format).text(*p.file, export_prefix(p.file->info));
            return nb::bytes(text.data(), text.size());
          },
          "format"_a)
      .def(
          "export",
          [](const PyPolicy& p, const std::filesystem::path& file, const std::string& format) {
            write_file(file, find_export_format(format).text(*p.file, export_prefix(p.file->info)),
                       Durability::process);
          },
          "file"_a, "format"_a,
          "Writes the policy for programs without kedge: format \"c\", \"onnx\", \"json\" or \"python\" "
          "(docs/export.md).")
      .def(
          "file_bytes",
          [](const PyPolicy& p) {
            const std::string bytes = policy_bytes(p.file->policy, p.file->info);
            return nb::bytes(bytes.data(), bytes.size());
          },
          "Returns the contents of policy.h5.")
      .def(
          "save",
          [](const PyPolicy& p, const std::filesystem::path& file) { save_policy(file, p.file->policy, p.file->info); },
          "file"_a, "Writes policy.h5.");
  m.def("load_policy", &load_policy_of, "policy_or_run"_a);
}

void define_training(nb::module_& m) {
  nb::class_<PyIteration>(m, "Iteration", "A completed iteration; its metrics are attributes, too.")
      .def_prop_ro("number", [](const PyIteration& i) { return i.iteration.number; })
      .def_ro("done", &PyIteration::done, "iterations completed")
      .def_ro("total", &PyIteration::total, "iterations asked for")
      .def_prop_ro("metrics", [](const PyIteration& i) { return metrics_dict(i.iteration.metrics); })
      .def_prop_ro("seconds", [](const PyIteration& i) { return metrics_dict(i.iteration.seconds); })
      .def_prop_ro("warnings", [](const PyIteration& i) { return i.iteration.warnings; })
      .def("__getattr__", [](const PyIteration& i, const std::string& name) {
        for (const auto& [metric, value] : i.iteration.metrics)
          if (metric == name) return value;
        throw nb::attribute_error(fmt::format("no metric {}", name).c_str());
      });
  nb::class_<PyRun>(m, "Run", "A training that has ended.")
      .def_ro("task", &PyRun::task)
      .def_ro("policy", &PyRun::policy)
      .def_ro("algorithm", &PyRun::algorithm)
      .def_ro("seed", &PyRun::seed)
      .def_ro("stop", &PyRun::stop, "max_iterations, converged, cancelled or numerical_failure")
      .def_ro("message", &PyRun::message)
      .def_ro("iterations", &PyRun::iterations)
      .def_ro("directory", &PyRun::directory, "of a run that was written; else empty")
      .def_ro("history", &PyRun::history)
      .def_ro("warnings", &PyRun::warnings);
  m.def("train", &train_task, "task"_a, "algorithm"_a, "seed"_a, "set"_a, "threads"_a, "out"_a.none(), "force"_a,
        "callback"_a.none());
  m.def("resume", &resume_run, "directory"_a, "iterations"_a.none(), "threads"_a, "callback"_a.none());
  m.def("run_name", &run_name, "task"_a, "algorithm"_a, "seed"_a, "set"_a);
  m.def(
      "run_status",
      [](const std::string& directory) {
        const RunStatus status = run_status(directory);
        return std::tuple(std::string(to_string(status.state)), status.iterations, status.detail);
      },
      "directory"_a);
  m.def("options", &options_of, "algorithm"_a);
  m.def("algorithms", [] {
    std::vector<std::pair<std::string, std::string>> all;
    for (const Algorithm& algorithm : algorithms()) all.emplace_back(algorithm.name, algorithm.summary);
    return all;
  });

  nb::class_<Evaluation>(m, "Evaluation", "Rollouts of a policy, summarised. Rollouts that diverged count as failures.")
      .def_ro("rollouts", &Evaluation::rollouts)
      .def_ro("diverged", &Evaluation::diverged)
      .def_ro("succeeded", &Evaluation::succeeded)
      .def_ro("saturated", &Evaluation::saturated, "fraction of commanded action entries outside their limits")
      .def_prop_ro("success_rate", &Evaluation::success_rate)
      .def_prop_ro(
          "returns",
          [](const Evaluation& e) {
            return VectorXd(Eigen::Map<const VectorXd>(e.returns.data(), static_cast<Index>(e.returns.size())));
          },
          "of the rollouts that did not diverge, in order")
      .def_prop_ro("success_values",
                   [](const Evaluation& e) {
                     return VectorXd(Eigen::Map<const VectorXd>(e.success_values.data(),
                                                                static_cast<Index>(e.success_values.size())));
                   })
      .def_prop_ro(
          "observations", [](const Evaluation& e) { return e.batch.observation; }, "[ds, N (T+1)]")
      .def_prop_ro(
          "actions", [](const Evaluation& e) { return e.batch.action; }, "[da, N T], before limits")
      .def_prop_ro(
          "states", [](const Evaluation& e) { return e.batch.state; }, "[nx, N (T+1)]");
  m.def("evaluate", &evaluate_policy, "task"_a, "policy"_a, "rollouts"_a, "deterministic"_a.none(), "seed"_a,
        "threads"_a);
}

}  // namespace
}  // namespace kedge

NB_MODULE(_kedge, m) {
  using namespace kedge;
  // A task with a function that sees the task is a circle, which the collector of Python does not see.
  nb::set_leak_warnings(false);
  m.doc() = "kedge's library (docs/python.md)";
  m.attr("__version__") = KEDGE_VERSION;
  nb::exception<InputError>(m, "InputError", PyExc_ValueError);
  nb::exception<SystemError>(m, "SystemFailure", PyExc_RuntimeError);
  nb::exception<Cancelled>(m, "Cancelled", PyExc_RuntimeError);
  define_tasks(m);
  define_policies(m);
  define_training(m);
}
