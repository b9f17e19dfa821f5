// What `kedge view` answers: the page, and its data as JSON. Runs go by their number in the list that the person named, so
// that no path is ever in a request.
//
//   /                          the page
//   /api/runs?since=VERSION    {"version", "runs": [RunView::summary_json]}, once there is another version
//   /api/runs/I/rows?from=K    RunView::rows_json
//   /api/runs/I/steps          RunView::steps_json
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/experiment/http_server.h"
#include "kedge/experiment/run_view.h"

namespace kedge {

class View {
 public:
  static constexpr std::size_t rows_at_once = 500;

  /// @param page live.html  @throws InputError if one of the directories is not a run
  View(const std::vector<std::filesystem::path>& directories, std::string_view page);

  /// Looks at the files of all runs.
  void refresh();

  /// See HttpServer::Handler.
  [[nodiscard]] std::optional<HttpResponse> answer(const HttpRequest& request, bool last) const;

 private:
  std::vector<RunView> runs_;
  std::uint64_t version_;  ///< of what is shown; differs from those of a server before
  std::shared_ptr<const std::string> page_;
  std::string page_policy_;
};

}  // namespace kedge
