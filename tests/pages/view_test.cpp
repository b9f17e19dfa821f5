// Reading runs for the page, without a socket.
#include "kedge/pages/view.h"

#include <gmock/gmock.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/run/option_text.h"
#include "kedge/run/run_file.h"
#include "kedge/run/version.h"
#include "tests/support/csv.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using example::bytes_of;
using example::Folder;
using example::message_of;
using example::train;
using example::write_bytes;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPage =
    "<style>p{}</style><script id=\"x\" type=\"application/json\">1</script><script type=\"module\">1</script>";

/// A view that has looked at its runs once.
struct ReadView : View {
  template <class... Arguments>
  explicit ReadView(const std::vector<fs::path>& runs, Arguments&&... arguments)
      : View(runs, std::forward<Arguments>(arguments)...) {
    refresh();
  }
};

std::string ask(View& view, const std::string& path, const std::string& query = "") {
  const auto response = view.answer({path, query}, false);
  if (!response) return "held";
  return response->status == 200 ? *response->body : std::to_string(response->status);
}

std::string version(View& view) {
  std::smatch match;
  const std::string text = ask(view, "/api/runs");
  return std::regex_search(text, match, std::regex("\"version\":([0-9]+)")) ? match[1].str() : "none";
}

/// The answer as JSON.
Json asked(View& view, const std::string& path, const std::string& query = "") {
  return Json::parse(ask(view, path, query));
}

/// The rows of a table of numbers as JSON.
Json rows_of(const fs::path& file) {
  Json rows = Json::array();
  auto table = test::read_csv(bytes_of(file));
  table.erase(table.begin());
  for (const auto& cells : table) {
    rows.push_back(Json::array());
    for (const std::string& cell : cells) rows.back().push_back(json_number(std::strtod(cell.c_str(), nullptr)));
  }
  return rows;
}

/// What an example run lacks of a whole one: run.toml that says what was run, and the task.
void describe(const fs::path& run) {
  RunFile file;
  file.algorithm = "moto";
  file.task = "invented";
  file.task_source = "/somewhere/task.toml";
  file.task_digest = "0123456789abcdef";
  file.options = find_algorithm("moto").options();
  file.versions = versions();
  write_bytes(run / "run.toml", run_file_text(file));
  fs::create_directory(run / "task");
  write_bytes(run / "task" / "task.toml", "kedge = 1\n");
  EXPECT_NO_THROW(read_run_file(run));
}

TEST(RunView, ShowsTheNumbersOfTheFilesAsTheyGrow) {
  const Folder folder;
  train(folder / "run", 1);
  ReadView view({folder / "run"}, kPage);
  const std::string first = version(view);
  EXPECT_EQ(ask(view, "/api/runs", "since=" + first), "held");
  EXPECT_TRUE(view.answer({"/api/runs", "since=" + first}, true)) << "the last time it is asked";
  view.refresh();
  EXPECT_EQ(version(view), first) << "nothing has changed";

  train(folder / "run", 3);
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("\"iterations\":1,")) << "as it was looked at";
  view.refresh();
  EXPECT_THAT(ask(view, "/api/runs", "since=" + first), HasSubstr("\"iterations\":3,"));
  const Json rows = asked(view, "/api/runs/0/rows", "from=0");
  EXPECT_EQ(rows["metrics"]["rows"], rows_of(folder / "run" / "metrics.csv"));
  EXPECT_EQ(rows["timings"]["rows"], rows_of(folder / "run" / "timings.csv"));
  EXPECT_EQ(rows["metrics"]["columns"], Json({"iteration", "rollouts_total", "return_mean", "kl_max", "r2"}));
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=2"), HasSubstr("\"from\":2,\"total\":3,"));
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=99"), HasSubstr("\"from\":3,\"total\":3,"));
  EXPECT_EQ(asked(view, "/api/runs/0/steps")["rows"], rows_of(folder / "run" / "steps.csv"));
  EXPECT_THAT(ask(view, "/api/runs"),
              HasSubstr("\"warnings\":[{\"text\":\"iteration 2: \\\"few\\\", too few\",\"count\":3,"
                        "\"first\":0,\"last\":2},{\"text\":\"lags\",\"count\":3,"));
}

TEST(RunView, LeavesOutRowsOfAnIterationThatIsNotCompleted) {
  const Folder folder;
  train(folder / "run", 2);
  const std::string metrics = bytes_of(folder / "run" / "metrics.csv");
  write_bytes(folder / "run" / "metrics.csv", metrics + "2,60,1,1,1\n3,8");
  ReadView view({folder / "run"}, kPage);
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"total\":2,"));
}

TEST(RunView, ReportsTheStateOfARun) {
  const Folder folder;
  const fs::path run = folder / "run";
  const auto state = [&](View& view) {
    view.refresh();
    const std::string text = ask(view, "/api/runs");
    std::smatch match;
    return std::regex_search(text, match, std::regex("\"state\":\"([a-z]+)\"")) ? match[1].str() : "none";
  };
  {
    RunDirectory writer = RunDirectory::create(run, "seed = 1\n", false);
    ReadView view({run}, kPage);
    EXPECT_EQ(state(view), "training");
    writer = RunDirectory::create(folder / "other", "", false);  // lets go of the first
    describe(run);
    EXPECT_EQ(state(view), "interrupted");
  }
  fs::remove_all(run);
  train(run, 2);
  describe(run);
  ReadView view({run}, kPage);
  EXPECT_EQ(state(view), "finished");

  const std::string checkpoint = bytes_of(run / "checkpoint.h5");
  write_bytes(run / "checkpoint.h5", checkpoint.substr(0, 5000));
  EXPECT_EQ(state(view), "damaged");
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("checkpoint.h5: is damaged"));
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"total\":2,")) << "what can be read is shown";
  write_bytes(run / "checkpoint.h5", checkpoint);
  EXPECT_EQ(state(view), "finished");

  const std::string metrics = bytes_of(run / "metrics.csv");
  write_bytes(run / "metrics.csv", metrics + "2,x\n");
  EXPECT_EQ(state(view), "damaged");
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("metrics.csv:4: found 2 entries, expected 5"));
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"total\":0,"));
  fs::remove(run / "metrics.csv");
  EXPECT_EQ(state(view), "damaged");
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("metrics.csv: has 0 of 2 iterations"));
  write_bytes(run / "metrics.csv", metrics);
  EXPECT_EQ(state(view), "finished");

  const std::string policy = bytes_of(run / "policy.h5"), timings = bytes_of(run / "timings.csv");
  write_bytes(run / "policy.h5", policy.substr(0, 2000));
  EXPECT_EQ(state(view), "damaged");
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("policy.h5: "));
  fs::remove(run / "policy.h5");
  EXPECT_EQ(state(view), "damaged");
  View late({run}, kPage);
  EXPECT_EQ(state(late), "damaged") << "missing from the beginning";
  write_bytes(run / "policy.h5", policy);
  write_bytes(run / "timings.csv", timings + "x\n");
  EXPECT_EQ(state(view), "finished") << "nothing needs its times";
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("timings.csv:4: "));
  write_bytes(run / "timings.csv", timings);

  fs::remove_all(run);
  EXPECT_EQ(state(view), "damaged");
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("no such directory"));
  train(run, 1);
  EXPECT_EQ(state(view), "damaged") << "its run.toml names no run";
  describe(run);
  EXPECT_EQ(state(view), "finished") << "another run in its place";
}

TEST(RunView, CountsAnotherRunInItsPlaceAsANewGeneration) {
  const Folder folder;
  train(folder / "run", 2);
  ReadView view({folder / "run"}, kPage);
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"generation\":1,"));
  fs::remove_all(folder / "run");
  train(folder / "run", 2);
  view.refresh();
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"generation\":2,"));
}

TEST(View, RefusesDirectoriesWithoutARun) {
  const Folder folder;
  EXPECT_THAT(message_of<InputError>([&] { const View view({folder.path()}, kPage); }),
              HasSubstr("it has no run.toml"));
  EXPECT_THAT(message_of<InputError>([&] {
                const View view({folder / "none", folder.path()}, kPage);
              }),
              HasSubstr("no such directory"));
}

TEST(View, ShowsADirectoryWithoutARunAsDamagedAmongRuns) {
  const Folder folder;
  train(folder / "run", 1);
  describe(folder / "run");
  fs::create_directory(folder / "empty");
  write_bytes(folder / "file", "text");
  fs::create_symlink("loop", folder / "loop");
  ReadView view({folder / "none", folder / "empty", folder / "file", folder / "loop", folder / "run"}, kPage);
  const Json runs = asked(view, "/api/runs")["runs"];
  const std::vector<std::string> details{"none: there is no such directory", "it has no run.toml", "is not a directory",
                                         "Too many levels of symbolic links"};
  for (std::size_t i = 0; i < details.size(); ++i) {
    EXPECT_EQ(runs[i]["state"], "damaged") << i;
    EXPECT_THAT(runs[i]["detail"].get<std::string>(), HasSubstr(details[i]));
    EXPECT_THAT(view.warnings().value().at(i), HasSubstr(details[i]));
  }
  EXPECT_EQ(runs[4]["state"], "finished");
  EXPECT_EQ(view.warnings().value().size(), 4U);
}

TEST(View, TakesAFolderForTheRunsInItByName) {
  const Folder folder;
  for (const char* name : {"all/b", "all/a", "one"}) {
    train(folder / name, 1);
    describe(folder / name);
  }
  fs::create_directory(folder / "all" / "empty");
  ReadView view({folder / "all", folder / "one"}, kPage);
  std::vector<std::string> shown;
  const Json runs = asked(view, "/api/runs")["runs"];
  for (const Json& run : runs)
    shown.push_back(fs::path(run["directory"].get<std::string>()).lexically_relative(folder / "").string());
  EXPECT_EQ(shown, (std::vector<std::string>{"all/a", "all/b", "one"}));
}

TEST(View, ReadsNothingBeforeItIsAskedAndSaysSo) {
  const Folder folder;
  train(folder / "run", 1);
  describe(folder / "run");
  View view({folder / "run"}, kPage);
  EXPECT_FALSE(view.warnings());
  EXPECT_EQ(asked(view, "/api/runs")["runs"][0]["state"], "unread");
  EXPECT_THAT(ask(view, "/"), HasSubstr("<script"));
  const std::string before = version(view);
  view.refresh();
  EXPECT_NE(version(view), before);
  EXPECT_EQ(asked(view, "/api/runs")["runs"][0]["state"], "finished");
  EXPECT_TRUE(view.warnings().value().empty());
}

TEST(View, ObeysAStopBetweenRuns) {
  const Folder folder;
  train(folder / "run", 1);
  View view({folder / "run"}, kPage);
  std::stop_source stop;
  stop.request_stop();
  view.refresh(stop.get_token());
  EXPECT_EQ(asked(view, "/api/runs")["runs"][0]["state"], "unread");
}

TEST(View, SaysWhyARunTomlCannotBeRead) {
  const Folder folder;
  train(folder / "run", 1);
  describe(folder / "run");
  const std::string whole = bytes_of(folder / "run" / "run.toml");
  const std::string deep(100, '[');
  for (const std::string& text : {std::string(), std::string("\x80\xff garbage"), whole.substr(0, whole.size() / 2),
                                  std::string((16u << 20) + 1, '#'), "x = " + deep}) {
    write_bytes(folder / "run" / "run.toml", text);
    const ReadView view({folder / "run"}, kPage);
    const std::vector<std::string> warnings = view.warnings().value();
    ASSERT_EQ(warnings.size(), 1U) << text.substr(0, 20);
    EXPECT_THAT(warnings[0], AllOf(HasSubstr("run.toml:"), Not(HasSubstr("\n")))) << text.substr(0, 20);
  }
}

TEST(View, AnswersNoPathButItsOwn) {
  const Folder folder;
  train(folder / "run", 1);
  ReadView view({folder / "run"}, kPage);
  for (const std::string path : {"",
                                 "//",
                                 "/index.html",
                                 "/run.toml",
                                 "/../run.toml",
                                 "/api",
                                 "/api/",
                                 "/api/runs/",
                                 "/api/runs/0",
                                 "/api/runs/0/",
                                 "/api/runs/1/rows",
                                 "/api/runs/-1/rows",
                                 "/api/runs/+0/rows",
                                 "/api/runs/0x0/rows",
                                 "/api/runs/ 0/rows",
                                 "/api/runs/99999999999999999999/rows",
                                 "/api/runs/0/rows/",
                                 "/api/runs/0/run.toml",
                                 "/api/runs/0/../run.toml",
                                 "/api/runs/../../etc/passwd",
                                 "/api/runs/%2e%2e/rows",
                                 "/..%2f..%2fetc/passwd",
                                 "/etc/passwd",
                                 "/api/runs/0/steps/0",
                                 "/api/RUNS"})
    EXPECT_EQ(ask(view, path), "404") << path;
  for (const std::string query :
       {"", "from=", "from=-1", "from=1x", "from=0&from=1", "to=1", "from=99999999999999999999"})
    EXPECT_EQ(ask(view, "/api/runs/0/rows", query), "404") << query;
  EXPECT_EQ(ask(view, "/api/runs", "since=x"), "404");
  EXPECT_EQ(ask(view, "/", "x"), "404");
  EXPECT_EQ(ask(view, "/api/runs/0/steps", "x"), "404");
}

/// Asks until there is an answer.
HttpResponse wait_for(View& view, const std::string& path) {
  const HttpRequest request{path, "", NewestReplays::Clock::time_point::max()};
  for (;;) {
    if (const auto response = view.answer(request, false)) return *response;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(View, MakesTheReplayOfAPolicyOnce) {
  const Folder folder;
  train(folder / "run", 1);
  std::atomic<int> made = 0;
  ReadView view({folder / "run"}, kPage, [&](const fs::path& directory, const std::stop_token&) {
    if (++made == 3) throw InputError("no policy");
    return fmt::format("{}: {}", directory.filename().string(), made.load());
  });
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("\"replays\":true,"));
  EXPECT_EQ(*wait_for(view, "/runs/0/replay").body, "run: 1");
  EXPECT_EQ(ask(view, "/runs/0/replay"), "run: 1");
  fs::last_write_time(folder / "run" / "policy.h5", fs::file_time_type::clock::now() - std::chrono::hours(1));
  view.refresh();
  EXPECT_EQ(*wait_for(view, "/runs/0/replay").body, "run: 2");
  for (const std::string path : {"/runs/1/replay", "/runs/0/", "/runs/0/rows", "/runs/0/replay/", "/api/runs/0/replay"})
    EXPECT_EQ(ask(view, path), "404") << path;
  EXPECT_EQ(ask(view, "/runs/0/replay", "x"), "404");
  fs::remove(folder / "run" / "policy.h5");
  view.refresh();
  const HttpResponse refused = wait_for(view, "/runs/0/replay");
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(*refused.body, "no policy");
  View without({folder / "run"}, kPage);
  EXPECT_EQ(ask(without, "/runs/0/replay"), "404");
}

TEST(View, AnswersWhileAReplayIsBeingMade) {
  const Folder folder;
  train(folder / "run", 1);
  ReadView view({folder / "run"}, kPage, [](const fs::path&, const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return std::string();
  });
  EXPECT_EQ(ask(view, "/runs/0/replay"), "held");
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("\"directory\""));
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"total\":1,"));
  const auto last = view.answer({"/runs/0/replay", ""}, true);
  EXPECT_EQ(last->status, 503);
  EXPECT_THAT(*last->body, HasSubstr("is being made")) << "and the page asks again";
}

TEST(View, FollowsTheFilesOnASeparateThread) {
  const Folder folder;
  train(folder / "run", 1);
  ReadView view({folder / "run"}, kPage);
  view.follow(std::chrono::milliseconds(5));
  train(folder / "run", 3);
  for (int i = 0; i < 24000 && ask(view, "/api/runs").find("\"iterations\":3,") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("\"iterations\":3,"));
}

TEST(View, LetsThePageRunItsOwnProgramOnly) {
  const Folder folder;
  train(folder / "run", 1);
  ReadView view({folder / "run"}, kPage), again({folder / "run"}, kPage);
  const auto response = view.answer({"/", ""}, false);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->type, "text/html");
  std::smatch match;
  ASSERT_TRUE(std::regex_search(response->policy, match, std::regex("script-src 'nonce-([0-9a-f]{32})';")));
  EXPECT_THAT(response->policy, Not(HasSubstr("unsafe")));
  EXPECT_EQ(*response->body,
            fmt::format("<style nonce=\"{0}\">p{{}}</style><script id=\"x\" type=\"application/json\">1"
                        "</script><script type=\"module\" nonce=\"{0}\">1</script>",
                        match[1].str()));
  EXPECT_NE(again.answer({"/", ""}, false)->policy, response->policy);
}

}  // namespace
}  // namespace kedge
