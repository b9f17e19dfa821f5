// kedge view as a user runs it, with clients that behave badly. The server itself: tests/pages/http_server_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/pages/embedded.h"
#include "kedge/pages/http_server.h"
#include "program.h"
#include "tests/support/http_client.h"

namespace kedge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

bool has_pages() {
  try {
    return !page("live.html").empty();
  } catch (const InputError&) {
    return false;
  }
}

/// The port of a server that says where it is, as soon as it does. @return 0 if it ends before
int port_of(Process& view) {
  std::string printed;
  while (view.running()) {
    printed = view.printed();
    if (printed.find("/\n") != std::string::npos) return std::stoi(printed.substr(printed.rfind(':') + 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return 0;
}

TEST(View, WatchesATrainingThatEndsWithTheSameBytes) {
  if (!has_pages()) GTEST_SKIP() << "this kedge was built without its pages";
  const Scratch scratch;
  const Environment there{.directory = scratch.path()};
  ASSERT_EQ(run(small_training("alone", 60), there).code, 0);

  Process training(small_training("watched", 60), there);
  while (!std::filesystem::exists(scratch.path() / "watched/run.toml"))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Process view({"view", "watched", "--port", "0"}, there);
  const int port = port_of(view);
  ASSERT_NE(port, 0);
  std::vector<Client> slow;
  for (int i = 0; i < 200; ++i) {
    slow.emplace_back(port);
    slow.back().send(i % 2 ? "GET /api/r" : request_text(port, "/"));  // never ends, never reads
  }
  while (training.running()) {
    EXPECT_EQ(get(port, "/api/runs/0/rows?from=0").status, 200);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(training.wait().code, 0);
  for (const char* file : {"metrics.csv", "policy.h5", "checkpoint.h5", "steps.csv", "warnings.csv"})
    EXPECT_TRUE(read(scratch.path() / "alone" / file) == read(scratch.path() / "watched" / file)) << file;

  while (view.running() && get(port, "/api/runs").body.find("\"finished\"") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_THAT(get(port, "/api/runs").body, HasSubstr("\"state\":\"finished\",\"detail\":\"\",\"iterations\":60,"));
  const Reply html = get(port, "/");
  EXPECT_THAT(html.head, HasSubstr("script-src 'nonce-"));
  EXPECT_THAT(html.body, HasSubstr("<title>"));
  for (const char* path :
       {"/run.toml", "/../watched/run.toml", "/api/runs/1/rows?from=0", "/etc/passwd", "/%2e%2e/run.toml"})
    EXPECT_EQ(get(port, path).status, 404) << path;
  EXPECT_EQ(get(port, "/api/runs", "Origin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(reply(port, "GET /api/runs HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 421);

  view.signal(SIGINT);
  const Outcome ended = view.wait();
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "http://127.0.0.1:" + std::to_string(port) + "/\nCtrl-C ends it\n");
  EXPECT_EQ(ended.err, "");
}

using Json = nlohmann::json;

/// Something that may be in the place of a file or folder of a run.
struct Damage {
  const char* name;
  void (*make)(const fs::path& place);
};

void replace(const fs::path& place, const std::string& bytes) {
  fs::remove_all(place);
  write(place, bytes);
}

const std::vector<Damage>& damages() {
  static const std::vector<Damage> all{
      {"missing", [](const fs::path& place) { fs::remove_all(place); }},
      {"empty", [](const fs::path& place) { replace(place, ""); }},
      {"half",
       [](const fs::path& place) {
         std::string bytes = "text";
         if (fs::is_regular_file(place)) bytes = read(place);
         replace(place, bytes.substr(0, bytes.size() / 2));
       }},
      {"garbage",
       [](const fs::path& place) {
         std::string bytes("\x89HDF\r\n\x1a\n\0\xff,\"=[", 14);
         replace(place, bytes.append(5000, ','));
       }},
      {"a folder",
       [](const fs::path& place) {
         fs::remove_all(place);
         fs::create_directory(place);
       }},
      {"a link to itself",
       [](const fs::path& place) {
         fs::remove_all(place);
         fs::create_symlink(place.filename(), place);
       }},
      {"a link to nothing",
       [](const fs::path& place) {
         fs::remove_all(place);
         fs::create_symlink("nothing", place);
       }},
      {"a link to a device",
       [](const fs::path& place) {
         fs::remove_all(place);
         fs::create_symlink("/dev/zero", place);
       }},
      {"a FIFO",
       [](const fs::path& place) {
         fs::remove_all(place);
         ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
       }},
      {"closed to everyone", [](const fs::path& place) { fs::permissions(place, fs::perms::none); }},
  };
  return all;
}

/// The runs that are damaged: every part of a run, and the run itself, in every way.
struct Victims {
  std::vector<std::string> directories;  ///< copies of the run "good"
  std::vector<std::pair<fs::path, const Damage*>> what;

  explicit Victims(const fs::path& folder) {
    for (const char* part : {"", "run.toml", "checkpoint.h5", "metrics.csv", "timings.csv", "steps.csv", "warnings.csv",
                             "policy.h5", ".lock", "task", "task/task.toml", "policies"})
      for (const Damage& damage : damages()) {
        directories.push_back("bad" + std::to_string(directories.size()));
        fs::copy(folder / "good", folder / directories.back(), fs::copy_options::recursive);
        what.emplace_back(*part ? folder / directories.back() / part : folder / directories.back(), &damage);
      }
  }
  void damage() const {
    for (const auto& [place, damage] : what) damage->make(place);
  }
  ~Victims() {
    std::error_code ignored;
    for (const auto& [place, damage] : what) fs::permissions(place, fs::perms::owner_all, ignored);
  }
};

/// The list of runs; a server that waits for something does not answer.
Json list(int port) {
  const Reply reply = get(port, "/api/runs");
  EXPECT_EQ(reply.status, 200);
  return reply.status == 200 ? Json::parse(reply.body)["runs"] : Json::array();
}

/// Waits until the list is as it should be.
template <class Condition>
bool wait_for_list(int port, const Condition& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition(list(port))) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

bool all_read(const Json& runs) {
  return std::ranges::none_of(runs, [](const Json& run) { return run["state"] == "unread"; });
}

/// Every run that is damaged says why in words.
void expect_reasons(const Json& runs, const Victims& victims) {
  for (std::size_t i = 0; i < victims.what.size(); ++i) {
    const auto& [place, damage] = victims.what[i];
    const Json& run = runs[i + 1];
    const std::string state = run["state"];
    EXPECT_TRUE(state == "damaged" || state == "finished" || state == "interrupted") << state << ": " << place;
    if (state == "damaged") {
      EXPECT_TRUE(run["detail"] != "" || !run["notes"].empty()) << place << " is " << damage->name;
    }
  }
}

TEST(View, ShowsDamagedRunsAsSuchAndServesTheOthers) {
  if (!has_pages()) GTEST_SKIP() << "this kedge was built without its pages";
  const Scratch scratch;
  const Environment there{.directory = scratch.path()};
  ASSERT_EQ(run(small_training("good", 2), there).code, 0);
  const Victims victims(scratch.path());
  std::vector<std::string> command{"view", "--port", "0", "good"};
  command.insert(command.end(), victims.directories.begin(), victims.directories.end());
  const auto is_damaged = [&](const Json& runs) {
    for (std::size_t i = 0; i < victims.what.size(); ++i) {
      const bool always_seen = victims.what[i].first.filename() == "run.toml" && ::geteuid() != 0;
      const bool seen_by_root = victims.what[i].second->name != std::string("closed to everyone");
      if ((always_seen || (victims.what[i].first.filename() == "run.toml" && seen_by_root)) &&
          runs[i + 1]["state"] != "damaged")
        return false;
    }
    return true;
  };
  {
    // Damaged while they are watched.
    Process view(command, there);
    const int port = port_of(view);
    ASSERT_NE(port, 0);
    EXPECT_TRUE(wait_for_list(port, [](const Json& runs) {
      return std::ranges::all_of(runs, [](const Json& r) { return r["state"] == "finished"; });
    }));
    victims.damage();
    EXPECT_TRUE(wait_for_list(port, is_damaged));
    ASSERT_EQ(run({"resume", "good", "--iterations", "4", "-q", "--threads", "1"}, there).code, 0);
    EXPECT_TRUE(wait_for_list(port, [](const Json& runs) {
      return runs[0]["state"] == "finished" && runs[0]["iterations"] == 4;
    })) << "the others go on";
    EXPECT_EQ(Json::parse(get(port, "/api/runs/0/rows?from=0").body)["metrics"]["rows"].size(), 4U);
    EXPECT_TRUE(wait_for_list(port, all_read));
    expect_reasons(list(port), victims);
    for (std::size_t i = 1; i <= victims.what.size(); i += 7)
      EXPECT_EQ(get(port, "/api/runs/" + std::to_string(i) + "/rows?from=0").status, 200);
    view.signal(SIGINT);
    EXPECT_EQ(view.wait().code, 0);
  }
  // Damaged from the beginning.
  Process view(command, there);
  const int port = port_of(view);
  ASSERT_NE(port, 0);
  EXPECT_TRUE(wait_for_list(port, is_damaged));
  EXPECT_EQ(list(port)[0]["state"], "finished");
  EXPECT_TRUE(wait_for_list(port, all_read));
  expect_reasons(list(port), victims);
  view.signal(SIGINT);
  EXPECT_EQ(view.wait().code, 0);
}

TEST(View, MakesReplaysWithoutDelayingOtherRequests) {
  if (!has_pages()) GTEST_SKIP() << "this kedge was built without its pages";
  const Scratch scratch;
  const Environment there{.directory = scratch.path()};
  ASSERT_EQ(run(small_training("run", 2), there).code, 0);
  fs::copy(scratch.path() / "run", scratch.path() / "bad", fs::copy_options::recursive);
  replace(scratch.path() / "bad/policy.h5", "no policy");
  Process view({"view", "run", "bad", "--port", "0"}, there);
  const int port = port_of(view);
  ASSERT_NE(port, 0);
  const Client waiting(port);
  ASSERT_TRUE(waiting.send(request_text(port, "/runs/0/replay")));
  EXPECT_EQ(list(port).size(), 2U);
  const std::string page = waiting.receive();
  EXPECT_THAT(page, testing::StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(page, HasSubstr("<script id=\"data\" type=\"application/json\">"));
  const Reply refused = get(port, "/runs/1/replay");
  EXPECT_EQ(refused.status, 404);
  EXPECT_THAT(refused.body, testing::StartsWith("bad/policy.h5: "));
  view.signal(SIGINT);
  const Outcome ended = view.wait();
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.err, "");
}

TEST(View, RefusesMistakesInOneLine) {
  const Scratch scratch;
  const Environment there{.directory = scratch.path()};
  if (!has_pages()) {
    EXPECT_EQ(run({"view", "."}, there).code, 2);
    GTEST_SKIP() << "this kedge was built without its pages";
  }
  EXPECT_THAT(run({"view", "."}, there).err, HasSubstr("it has no run.toml"));
  EXPECT_THAT(run({"view", "none"}, there).err, HasSubstr("none: there is no such directory"));
  EXPECT_THAT(run({"view", "x", "--port", "70000"}, there).err, HasSubstr("must be a whole number in [0, 65535]"));
  ASSERT_EQ(run(small_training("run", 1), there).code, 0);
  const HttpServer taken(0);
  const Outcome o = run({"view", "run", "--port", std::to_string(taken.port())}, there);
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("Address already in use"));
}

}  // namespace
}  // namespace kedge::test
