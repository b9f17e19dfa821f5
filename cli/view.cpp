#include "kedge/pages/view.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/pages/embedded.h"
#include "kedge/pages/http_server.h"
#include "kedge/pages/replay.h"
#include "signals.h"
#include "verbs.h"

extern char** environ;

namespace kedge::cli {

namespace {

/// Asks the desktop to show an address. @return false if there is none that can
bool open_browser(const std::string& address) {
  const std::array<const char*, 3> arguments{"xdg-open", address.c_str(), nullptr};
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", 1, 0);
  posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", 1, 0);
  pid_t child = 0;
  const int failed =
      posix_spawnp(&child, "xdg-open", &quiet, nullptr, const_cast<char* const*>(arguments.data()), environ);
  posix_spawn_file_actions_destroy(&quiet);
  int status = 0;
  return failed == 0 && waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

std::function<int()> add_view(CLI::App& app) {
  struct Arguments {
    std::vector<std::string> directories;
    std::string port = "0";
    bool open = false;
  };
  auto a = std::make_shared<Arguments>();
  app.add_option("directories", a->directories, "of the runs")->type_name("DIR")->required();
  app.add_option("--port", a->port, "of the page; 0: any that is free")->type_name("N")->capture_default_str();
  app.add_flag("--open", a->open, "show the page in the browser");
  return [a] {
    const SignalStop signals;
    const int port = static_cast<int>(whole_number("--port", a->port, 0, 65535));
    const auto newest = [stop = signals.token()](const std::filesystem::path& directory) {
      return replay_page(make_replay(find_subject(directory.string(), "", {}, stop), {.iterations = "last"}), false);
    };
    View view({a->directories.begin(), a->directories.end()}, page("live.html"), newest);
    HttpServer server(port);
    const std::string address = fmt::format("http://127.0.0.1:{}/", server.port());
    fmt::print("{}\nCtrl-C ends it\n", address);
    std::fflush(stdout);
    if (a->open && !open_browser(address))
      fmt::print(stderr, "kedge: warning: no browser could be opened (xdg-open); go to {}\n", address);
    try {
      server.run([&](const HttpRequest& request, bool last) { return view.answer(request, last); },
                 [&] { view.refresh(); }, signals.token());
    } catch (const Cancelled&) {
    }
    return kDone;
  };
}

}  // namespace kedge::cli
