#include "kedge/study/jobs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/core/process.h"
#include "kedge/core/text.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/train.h"
#include "kedge/study/results.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::milliseconds kLook{20};  // between two looks at the running jobs
constexpr std::size_t kMostTrainings = 100000;
constexpr std::size_t kLongestName = 255;  // bytes, of a folder
const std::array<std::string, 6> kResultKinds{".md", ".csv", ".svg", ".pdf", ".toml", ".log"};

/// A label as the name of a folder.
std::string folder_name(std::string label) {
  for (char& c : label)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != '=') c = '_';
  return label;
}

/// @throws InputError if two runs would share a folder, or one cannot have its own in the folder of the figure
void require_folders(const Figure& figure) {
  std::map<std::string, std::string> labels;  // by name of the folder
  for (const FigureRun& run : figure.runs) {
    const std::string name = folder_name(run.label);
    const auto refuse = [&](const std::string& why) {
      throw InputError(fmt::format("{}: run \"{}\": its folder would {}; choose another label", figure.file.string(),
                                   one_line(run.label, 60), why));
    };
    if (name.empty() || name.front() == '.') refuse("begin with a point, or have no name");
    if (name.size() > kLongestName) refuse(fmt::format("have a name of more than {} bytes", kLongestName));
    if (std::ranges::find(kResultKinds, fs::path(name).extension().string()) != kResultKinds.end())
      refuse(fmt::format("be called as a file of results, {}", name));
    if (const auto [other, added] = labels.emplace(name, run.label); !added)
      refuse(fmt::format("be that of run \"{}\" too, {}", one_line(other->second, 60), name));
  }
}

/// @throws InputError if the log of a run cannot be appended to a file of its own
void require_own_log(const fs::path& directory) {
  const fs::path log = directory.string() + ".log";
  struct stat info = {};
  if (::lstat(log.c_str(), &info) != 0) return;
  if (const std::string why = why_not_own(info); !why.empty())
    throw InputError(fmt::format("{}: is {}, but must be a file of its own: the log of a run", log.string(), why));
}

std::int64_t iterations_of(const RunFile& file) {
  return std::get<std::int64_t>(option_value(file.options, "iterations"));
}

std::vector<std::string> arguments_to_begin(const TrainRequest& request) {
  std::vector<std::string> arguments{
      "train", request.task,         "--algorithm", request.algorithm, "--seed", std::to_string(request.seed),
      "--out", request.out->string()};
  for (const std::string& set : request.set) arguments.insert(arguments.end(), {"--set", set});
  return arguments;
}

/// @throws InputError if the directory holds another run than the wanted one
void require_same_run(const fs::path& directory, const RunFile& found, RunFile wanted) {
  const auto require_equal = [&](const auto& a, const auto& b, const char* what) {
    if (a != b)
      throw InputError(
          fmt::format("{}: is another run than the figure says: {} differs; remove it, or choose another --out",
                      directory.string(), what));
  };
  require_equal(found.algorithm, wanted.algorithm, "algorithm");
  require_equal(found.seed, wanted.seed, "seed");
  require_equal(found.task_digest, wanted.task_digest, "task");
  for (const std::string& name : found.younger)  // the run is older than the option, whose default it has
    if (option_value(found.options, name) == option_value(wanted.options, name)) wanted.younger.insert(name);
  require_equal(options_digest(found), options_digest(wanted), "an option");
}

/// Returns what is still to be done for a run whose directory may exist.
std::vector<std::string> arguments_for(const TrainRequest& request, const RunFile& wanted) {
  const fs::path& directory = *request.out;
  if (!fs::exists(directory)) return arguments_to_begin(request);
  const RunStatus status = run_status(directory);
  require_same_run(directory, read_run_file(directory), wanted);
  if (status.state == RunState::training)
    throw InputError(fmt::format("{}: another process is training it", directory.string()));
  if (status.state == RunState::damaged)
    throw InputError(fmt::format("{}: {}; remove it to run it again", directory.string(), status.detail));
  if (status.iterations > iterations_of(wanted))
    throw InputError(fmt::format("{}: has {} iterations, the figure says {}; remove it, or choose another --out",
                                 directory.string(), status.iterations, iterations_of(wanted)));
  if (status.state == RunState::failed || status.converged || status.iterations >= iterations_of(wanted)) return {};
  return {"resume", directory.string(), "--iterations", std::to_string(iterations_of(wanted))};
}

Process start(const fs::path& program, const FigureJob& job) {
  fs::create_directories(job.directory.parent_path());
  Launch launch{.arguments = {program.string()}, .log = job.directory.string() + ".log"};
  launch.arguments.insert(launch.arguments.end(), job.arguments.begin(), job.arguments.end());
  launch.arguments.insert(launch.arguments.end(), {"--threads", "1", "--quiet"});
  return Process(launch);
}

}  // namespace

std::vector<FigureJob> plan_figure(const Figure& figure, const ReproduceOptions& options) {
  struct Planned {
    TrainRequest request;
    RunFile file;
  };
  const int seeds = options.seeds.value_or(options.quick ? figure.quick_seeds : figure.seeds);
  if (figure.runs.size() * static_cast<std::size_t>(seeds) > kMostTrainings)
    throw InputError(fmt::format("{}: {} runs of {} seeds are more than {} trainings", figure.file.string(),
                                 figure.runs.size(), seeds, kMostTrainings));
  require_folders(figure);
  std::vector<Planned> planned;
  for (const FigureRun& run : figure.runs) {
    TrainRequest request;
    request.task = run.task;
    request.algorithm = run.algorithm;
    request.set = run.set;
    request.stop = options.stop;
    if (options.quick) request.set.insert(request.set.end(), figure.quick_set.begin(), figure.quick_set.end());
    try {
      planned.push_back({request, plan_run(request).file});
    } catch (const InputError& e) {
      throw InputError(fmt::format("{}: run \"{}\": {}", figure.file.string(), run.label, e.what()));
    }
  }
  std::vector<FigureJob> jobs;
  std::size_t place = 0;
  for (int i = 0; i < seeds; ++i)
    for (std::size_t r = 0; r < planned.size(); ++r) {
      if (!options.shard.has(place++)) continue;
      auto& [request, file] = planned[r];
      file.seed = request.seed = figure.first_seed + static_cast<std::uint64_t>(i);
      const std::string& label = figure.runs[r].label;
      request.out = options.folder / folder_name(label) / fmt::format("s{}", request.seed);
      jobs.push_back({label, request.seed, *request.out, arguments_for(request, file)});
      if (!jobs.back().arguments.empty()) require_own_log(*request.out);
    }
  return jobs;
}

bool run_jobs(const std::vector<FigureJob>& jobs, const fs::path& program, int at_once, const std::stop_token& stop,
              const JobObserver& observe, std::optional<std::chrono::steady_clock::time_point> deadline) {
  const auto missing = [](const FigureJob& job) { return !job.arguments.empty(); };
  if (std::none_of(jobs.begin(), jobs.end(), missing)) return !stop.stop_requested();
  const auto is_over = [&] {
    return stop.stop_requested() || (deadline && std::chrono::steady_clock::now() >= *deadline);
  };
  std::map<std::size_t, Process> running;  // by place in `jobs`
  std::size_t next = 0;
  bool stop_sent = false;
  while (true) {
    for (; !is_over() && running.size() < static_cast<std::size_t>(at_once) && next < jobs.size(); ++next)
      if (!jobs[next].arguments.empty()) running.emplace(next, start(program, jobs[next]));
    if (running.empty()) return next == jobs.size() && !stop_sent;
    if (is_over() && !stop_sent) {
      stop_sent = true;
      for (auto& [job, process] : running) process.terminate();
    }
    for (auto it = running.begin(); it != running.end();) {
      const std::optional<int> code = it->second.exit_code();
      if (code) observe(it->first, *code);
      it = code ? running.erase(it) : std::next(it);
    }
    std::this_thread::sleep_for(kLook);
  }
}

void require_done(const std::vector<FigureJob>& jobs) {
  std::size_t missing = 0;
  const FigureJob* first = nullptr;
  for (const FigureJob& job : jobs)
    if (!job.arguments.empty() && missing++ == 0) first = &job;
  if (first)
    throw SystemError(
        fmt::format("{} of {} runs are not there, the first '{}' seed {} (see {}.log); the same command again goes on",
                    missing, jobs.size(), first->label, first->seed, first->directory.string()));
}

}  // namespace kedge
