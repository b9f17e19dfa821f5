// What `kedge view` answers: the page, and its data as JSON. Runs go by their number in the list that the person named, so
// that no path is ever in a request.
//
//   /                          the page
//   /api/runs?since=VERSION    {"version", "replays", "runs": [RunView::summary_json]}, once there is another version
//   /api/runs/I/rows?from=K    RunView::rows_json
//   /api/runs/I/steps          RunView::steps_json
//   /runs/I/replay             the page of the newest policy, if replays can be made
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/pages/http_server.h"
#include "kedge/pages/run_view.h"

namespace kedge {

class View {
 public:
  static constexpr std::size_t rows_at_once = 500;

  /// The replay page of a run's newest policy. @throws InputError if it has none
  using ReplayMaker = std::function<std::string(const std::filesystem::path& directory)>;

  /// @param page live.html  @param replay may be empty  @throws InputError if one of the directories is not a run
  View(const std::vector<std::filesystem::path>& directories, std::string_view page, ReplayMaker replay = {});

  /// Looks at the files of all runs.
  void refresh();

  /// See HttpServer::Handler.
  [[nodiscard]] std::optional<HttpResponse> answer(const HttpRequest& request, bool last);

 private:
  /// A page that was made of a policy, until there is another one.
  struct MadeReplay {
    std::filesystem::file_time_type of;
    std::shared_ptr<const std::string> page;
  };
  HttpResponse replay(std::size_t index);

  std::vector<RunView> runs_;
  ReplayMaker make_replay_;
  std::map<std::size_t, MadeReplay> replays_;  ///< by run
  std::uint64_t version_;                      ///< of what is shown; differs from those of a server before
  std::shared_ptr<const std::string> page_;
  std::string word_;         ///< that marks the programs of the pages
  std::string page_policy_;  ///< Content-Security-Policy
};

}  // namespace kedge
