// kedge view as a user runs it, with clients that behave badly. The server itself: tests/pages/http_server_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/pages/embedded.h"
#include "kedge/pages/http_server.h"
#include "program.h"
#include "tests/support/http_client.h"

namespace kedge::test {
namespace {

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

TEST(View, RefusesWhatItCannotServe) {
  const Scratch scratch;
  const Environment there{.directory = scratch.path()};
  if (!has_pages()) {
    EXPECT_EQ(run({"view", "."}, there).code, 2);
    GTEST_SKIP() << "this kedge was built without its pages";
  }
  EXPECT_THAT(run({"view", "."}, there).err, HasSubstr("it has no run.toml"));
  EXPECT_THAT(run({"view", "none"}, there).err, HasSubstr("none: no such directory"));
  EXPECT_THAT(run({"view", "x", "--port", "70000"}, there).err, HasSubstr("must be a whole number in [0, 65535]"));
  ASSERT_EQ(run(small_training("run", 1), there).code, 0);
  const HttpServer taken(0);
  const Outcome o = run({"view", "run", "--port", std::to_string(taken.port())}, there);
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("Address already in use"));
}

}  // namespace
}  // namespace kedge::test
