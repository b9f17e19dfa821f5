#include "kedge/pages/view.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "kedge/core/errors.h"
#include "kedge/core/process.h"
#include "kedge/pages/embedded.h"
#include "kedge/pages/http_server.h"
#include "print.h"
#include "signals.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kLook = 250ms;       // between two looks at the files
constexpr std::chrono::milliseconds kReplayTime = 120s;  // for making a replay

constexpr std::string_view kErrorStart = "kedge: error: ";

/// Makes the replay of a run's newest policy by another process of this program: however long its model keeps that busy,
/// this one goes on.
std::string newest_replay(const std::filesystem::path& directory, const std::stop_token& stop) {
  Process kedge({.arguments = {"/proc/self/exe", "replay", directory.string(), "-o", "-", "--iterations", "last",
                               "--threads", "1"}});
  const auto end = std::chrono::steady_clock::now() + kReplayTime;
  std::optional<int> code;
  while (!(code = kedge.wait_for(50ms)) && !stop.stop_requested())
    if (std::chrono::steady_clock::now() > end)
      throw SystemError(fmt::format("{}: the replay is not made after {} s; kedge replay makes it without a limit",
                                    directory.string(), kReplayTime / 1s));
  const std::string errors = kedge.error_tail();
  const std::size_t why = errors.rfind(kErrorStart);
  const std::string reason = why == std::string::npos ? errors : errors.substr(why + kErrorStart.size());
  if (code == kUserError) throw InputError(reason);
  if (code != kDone) throw SystemError(reason);
  return kedge.output();
}

/// Asks the desktop to show an address. What shows it may be a browser that runs as long as its window is open.
class Browser {
 public:
  explicit Browser(std::string address) : address_(std::move(address)) {
    try {
      process_.emplace(Launch{.arguments = {"xdg-open", address_}, .detached = true});
    } catch (const SystemError&) {
      warn();
    }
  }
  /// Says once that there is none.
  void look() {
    if (!process_) return;
    const std::optional<int> code = process_->exit_code();
    if (!code) return;
    if (code != 0) warn();
    process_.reset();
  }

 private:
  void warn() const { print_warning(fmt::format("no browser could be opened (xdg-open); go to {}", address_)); }

  std::string address_;
  std::optional<Process> process_;
};

}  // namespace

std::function<int()> add_view(CLI::App& app) {
  struct Arguments {
    std::vector<std::string> directories;
    int port = 0;
    bool open = false;
  };
  auto a = std::make_shared<Arguments>();
  app.add_option("directories", a->directories, "of the runs, or folders of runs")->type_name("DIR")->required();
  add_whole_number(app, "--port", a->port, 0, 65535, "of the page; 0: any that is free");
  app.add_flag("--open", a->open, "show the page in the browser");
  return [a] {
    SignalStop signals;
    signals.leave_with("ended while files of the runs were being read", kDone);
    View view({a->directories.begin(), a->directories.end()}, page("live.html"), newest_replay);
    HttpServer server(a->port);
    const std::string address = fmt::format("http://127.0.0.1:{}/", server.port());
    fmt::print("{}\nCtrl-C ends it\n", address);
    std::fflush(stdout);
    std::optional<Browser> browser;
    if (a->open) browser.emplace(address);
    view.follow(kLook);
    bool warned = false;
    const auto warn = [&] {
      const auto warnings = warned ? std::nullopt : view.warnings();
      if (!warnings) return;
      warned = true;
      for (const std::string& warning : *warnings) print_warning(warning);
    };
    server.run([&](const HttpRequest& request, bool last) { return view.answer(request, last); },
               [&] {
                 warn();
                 if (browser) browser->look();
               },
               signals.token());
    return kDone;
  };
}

}  // namespace kedge::cli
