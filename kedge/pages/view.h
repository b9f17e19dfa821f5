// What `kedge view` answers: the page, and its data as JSON. Runs go by their number in the list that the user named, so
// that no path is ever in a request.
//
//   /                          the page
//   /api/runs?since=VERSION    {"version", "replays", "runs": [summary_json]}, once there is another version
//   /api/runs/I/rows?from=K    rows_json
//   /api/runs/I/steps          steps_json
//   /runs/I/replay             the page of the newest policy, if replays can be made
//
// Nothing that a run's directory holds ends this or keeps a request waiting: files are read by `refresh`, which a thread of
// its own may call, and an answer is made of what was read last.
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

  /// Reads the runs. What is not a run is shown as damaged beside runs.
  /// @param page live.html  @param replay may be empty
  /// @throws InputError if none of the directories is a run
  View(const std::vector<std::filesystem::path>& directories, std::string_view page, NewestReplays::Maker replay = {});

  /// Looks at the files of all runs, until `stop`. Not on two threads at once.
  void refresh(const std::stop_token& stop = {});

  /// Refreshes on a thread of its own from now on, with such a pause in between.
  void follow(std::chrono::milliseconds pause);

  /// See HttpServer::Handler.
  [[nodiscard]] std::optional<HttpResponse> answer(const HttpRequest& request, bool last);

  /// Returns what cannot be shown, a line each.
  [[nodiscard]] std::vector<std::string> warnings() const;

 private:
  /// What was read last, never changed once it is published.
  struct Shown {
    std::uint64_t version = 0;
    std::vector<ShownRun> runs;
    std::shared_ptr<const std::string> list;  ///< answer to /api/runs
  };
  [[nodiscard]] std::shared_ptr<const Shown> shown() const;
  void publish();
  [[nodiscard]] std::optional<HttpResponse> list(std::string_view query, bool last) const;
  std::optional<HttpResponse> replay(std::size_t run, const HttpRequest& request, bool last);

  std::vector<RunReader> readers_;  ///< of whoever refreshes
  mutable std::mutex guard_;
  std::shared_ptr<const Shown> shown_;
  std::string word_;  ///< that marks the programs of the pages
  bool makes_replays_;
  NewestReplays replays_;
  std::shared_ptr<const std::string> page_;
  std::string page_policy_;  ///< Content-Security-Policy
  std::jthread follower_;
};

}  // namespace kedge
