// Reading runs for the page, without a socket.
#include "kedge/pages/view.h"

#include <gmock/gmock.h>

#include <regex>

#include "kedge/core/errors.h"
#include "kedge/run/option_text.h"
#include "kedge/run/run_file.h"
#include "kedge/run/version.h"
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

/// Rows of metrics.csv as JSON.
std::string rows_of(const fs::path& file) {
  std::string text = bytes_of(file);
  text = text.substr(text.find('\n') + 1);
  text = "[[" + text.substr(0, text.size() - 1) + "]]";
  text = std::regex_replace(text, std::regex("\n"), "],[");
  return std::regex_replace(text, std::regex("nan"), "null");
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
  View view({folder / "run"}, kPage);
  const std::string first = version(view);
  EXPECT_EQ(ask(view, "/api/runs", "since=" + first), "held");
  EXPECT_TRUE(view.answer({"/api/runs", "since=" + first}, true)) << "the last time it is asked";
  view.refresh();
  EXPECT_EQ(version(view), first) << "nothing has changed";

  train(folder / "run", 3);
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("\"iterations\":1,")) << "as it was looked at";
  view.refresh();
  EXPECT_THAT(ask(view, "/api/runs", "since=" + first), HasSubstr("\"iterations\":3,"));
  const std::string rows = ask(view, "/api/runs/0/rows", "from=0");
  EXPECT_THAT(rows, HasSubstr("\"rows\":" + rows_of(folder / "run" / "metrics.csv")));
  EXPECT_THAT(rows, HasSubstr("\"rows\":" + rows_of(folder / "run" / "timings.csv")));
  EXPECT_THAT(rows, HasSubstr("\"columns\":[\"iteration\",\"rollouts_total\",\"return_mean\",\"kl_max\",\"r2\"]"));
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=2"), HasSubstr("\"from\":2,\"total\":3,"));
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=99"), HasSubstr("\"from\":3,\"total\":3,"));
  EXPECT_THAT(ask(view, "/api/runs/0/steps"), HasSubstr("\"rows\":" + rows_of(folder / "run" / "steps.csv")));
  EXPECT_THAT(ask(view, "/api/runs"),
              HasSubstr("\"warnings\":[{\"text\":\"iteration 2: \\\"few\\\", too few\",\"count\":3,"
                        "\"first\":0,\"last\":2},{\"text\":\"lags\",\"count\":3,"));
}

TEST(RunView, LeavesOutRowsOfAnIterationThatIsNotCompleted) {
  const Folder folder;
  train(folder / "run", 2);
  const std::string metrics = bytes_of(folder / "run" / "metrics.csv");
  write_bytes(folder / "run" / "metrics.csv", metrics + "2,60,1,1,1\n3,8");
  View view({folder / "run"}, kPage);
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"total\":2,"));
}

TEST(RunView, SaysInWhatStateARunIs) {
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
    View view({run}, kPage);
    EXPECT_EQ(state(view), "training");
    writer = RunDirectory::create(folder / "other", "", false);  // lets go of the first
    describe(run);
    EXPECT_EQ(state(view), "interrupted");
  }
  fs::remove_all(run);
  train(run, 2);
  describe(run);
  View view({run}, kPage);
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
  View view({folder / "run"}, kPage);
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"generation\":1,"));
  fs::remove_all(folder / "run");
  train(folder / "run", 2);
  view.refresh();
  EXPECT_THAT(ask(view, "/api/runs/0/rows", "from=0"), HasSubstr("\"generation\":2,"));
}

TEST(View, RefusesWhatIsNotARun) {
  const Folder folder;
  EXPECT_THAT(message_of<InputError>([&] { const View view({folder.path()}, kPage); }),
              HasSubstr("it has no run.toml"));
  EXPECT_THAT(message_of<InputError>([&] { const View view({folder / "none"}, kPage); }),
              HasSubstr("no such directory"));
}

TEST(View, AnswersNoPathButItsOwn) {
  const Folder folder;
  train(folder / "run", 1);
  View view({folder / "run"}, kPage);
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

TEST(View, MakesTheReplayOfAPolicyOnce) {
  const Folder folder;
  train(folder / "run", 1);
  int made = 0;
  View view({folder / "run"}, kPage, [&](const fs::path& directory) {
    if (++made == 3) throw InputError("no policy");
    return fmt::format("{}: {}", directory.filename().string(), made);
  });
  EXPECT_THAT(ask(view, "/api/runs"), HasSubstr("\"replays\":true,"));
  EXPECT_EQ(ask(view, "/runs/0/replay"), "run: 1");
  EXPECT_EQ(ask(view, "/runs/0/replay"), "run: 1");
  fs::last_write_time(folder / "run" / "policy.h5", fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(ask(view, "/runs/0/replay"), "run: 2");
  for (const std::string path : {"/runs/1/replay", "/runs/0/", "/runs/0/rows", "/runs/0/replay/", "/api/runs/0/replay"})
    EXPECT_EQ(ask(view, path), "404") << path;
  EXPECT_EQ(ask(view, "/runs/0/replay", "x"), "404");
  fs::remove(folder / "run" / "policy.h5");
  const auto refused = view.answer({"/runs/0/replay", ""}, false);
  EXPECT_EQ(refused->status, 404);
  EXPECT_EQ(*refused->body, "no policy");
  View without({folder / "run"}, kPage);
  EXPECT_EQ(ask(without, "/runs/0/replay"), "404");
}

TEST(View, LetsThePageRunItsOwnProgramOnly) {
  const Folder folder;
  train(folder / "run", 1);
  View view({folder / "run"}, kPage), again({folder / "run"}, kPage);
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
