// The answers of `kedge view`: the page, and its data as JSON. A request names a run by its number in the user's list,
// so that no path is ever in a request.
//
//   /                          the page
//   /api/runs?since=VERSION    {"version", "replays", "runs": [summary_json]}, once there is another version
//   /api/runs/I/rows?from=K    rows_json
//   /api/runs/I/steps          steps_json
//   /runs/I/replay             the page of the newest policy, if replays can be made
//
// Nothing that a run's directory holds ends this or keeps a request waiting: files are read by `refresh`, which may run on
// a separate thread, and an answer is made of the data that were read last.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kedge/pages/http_server.h"
#include "kedge/pages/newest_replays.h"
#include "kedge/pages/run_view.h"

namespace kedge {

class View {
 public:
  static constexpr std::size_t rows_at_once = 500;

  /// Reads nothing yet: a run that takes long delays neither a server nor other runs. A folder that is not a run stands for
  /// the runs that are in it now. Among runs, a directory that is neither is shown as damaged.
  /// @param page live.html  @param replay may be empty
  /// @throws InputError if none of the directories is a run
  View(const std::vector<std::filesystem::path>& directories, std::string_view page, NewestReplays::Maker replay = {});

  /// Looks at the files of all runs, until `stop`. Not on two threads at once.
  void refresh(const std::stop_token& stop = {});

  /// Starts a thread that refreshes again and again, with this pause in between.
  void follow(std::chrono::milliseconds pause);

  /// Answers a request (HttpServer::Handler).
  [[nodiscard]] std::optional<HttpResponse> answer(const HttpRequest& request, bool last);

  /// Returns one line for each run that cannot be shown; nullopt before all runs were looked at.
  [[nodiscard]] std::optional<std::vector<std::string>> warnings() const;

 private:
  /// The data that were read last, never changed once they are published.
  struct Shown {
    std::uint64_t version = 0;
    std::vector<ShownRun> runs;
    std::shared_ptr<const std::string> list;  ///< answer to /api/runs
  };
  [[nodiscard]] std::shared_ptr<const Shown> shown() const;
  void publish();
  [[nodiscard]] std::optional<HttpResponse> list(std::string_view query, bool last) const;
  std::optional<HttpResponse> replay(std::size_t run, const HttpRequest& request, bool last);

  std::vector<RunReader> readers_;  ///< used by the thread that refreshes
  mutable std::mutex guard_;
  std::shared_ptr<const Shown> shown_;
  std::string word_;  ///< mark of the programs of the pages
  bool makes_replays_;
  NewestReplays replays_;
  std::shared_ptr<const std::string> page_;
  std::string page_policy_;  ///< Content-Security-Policy
  std::jthread follower_;
};

}  // namespace kedge
