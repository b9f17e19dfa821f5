#include "kedge/pages/http_server.h"

#include <gmock/gmock.h>

#include <atomic>
#include <iostream>
#include <map>
#include <thread>

#include "kedge/core/errors.h"
#include "tests/support/fuzz.h"
#include "tests/support/http_client.h"

namespace kedge {
namespace {

using namespace std::chrono_literals;
using test::Client;
using test::get;
using test::Reply;
using test::reply;
using test::request_text;
using testing::HasSubstr;
using testing::Not;

constexpr int kPort = 4711;
const std::string kHost = "Host: 127.0.0.1:4711\r\n";

int refusal(const std::string& head) { return parse_request(head, kPort, {}).refused; }

TEST(ParseRequest, GivesPathAndQueryAsTheyWereSent) {
  const ParsedRequest p = parse_request(
      "GET /api/../%2e%2e/x?from=3&y=? HTTP/1.1\r\nhOsT:\tLocalhost:4711 \r\nAccept: */*\r\n\r\n", kPort, {});
  EXPECT_EQ(p.refused, 0);
  EXPECT_EQ(p.request.path, "/api/../%2e%2e/x");
  EXPECT_EQ(p.request.query, "from=3&y=?");
  EXPECT_EQ(parse_request("GET / HTTP/1.0\r\n" + kHost + "\r\n", kPort, {}).request.path, "/");
}

TEST(ParseRequest, RefusesWhatIsMalformed) {
  for (const std::string first :
       {"", " ", "GET", "GET /", "GET  HTTP/1.1", "GET / / HTTP/1.1", "GET x HTTP/1.1",
        "GET http://127.0.0.1:4711/ HTTP/1.1", "GET / HTTP", "GET / http/1.1", " GET / HTTP/1.1", "GET\t/ HTTP/1.1",
        "G(T / HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /\xff HTTP/1.1", "* * *"})
    EXPECT_EQ(refusal(first + "\r\n" + kHost + "\r\n"), 400) << first;
  for (const std::string header : {"x", ": y", "a b: c", "a : b", " a: b", "a: \x01", "a: b\nc", "a: b\rc", "a: \x7f"})
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\n" + kHost + header + "\r\n\r\n"), 400) << header;
  EXPECT_EQ(refusal(std::string("GET / HTTP/1.1\r\n") + kHost + std::string("a: \0b\r\n\r\n", 8)), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n" + kHost), 400) << "no end";
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n" + kHost + "\r\nmore"), 400);
  EXPECT_EQ(refusal("GET / HTTP/2.0\r\n" + kHost + "\r\n"), 505);
  EXPECT_EQ(refusal(""), 400);
}

TEST(ParseRequest, NeverReadsBeyondRandomBytes) {
  const std::string valid = "GET /api/runs?since=1 HTTP/1.1\r\n" + kHost + "Origin: http://127.0.0.1:4711\r\n\r\n";
  std::uint32_t accepted = 0;
  const std::uint32_t cases = test::fuzz(20000, {}, [&](test::Mutator& mutator, std::uint32_t) {
    std::string text = valid;
    for (std::size_t n = 1 + mutator.below(3); n > 0; --n) text = mutator.mutate_bytes(text);
    if (mutator.below(2) == 0) text.resize(mutator.below(2 * text.size()), ' ');
    accepted += refusal(text) == 0;
  });
  EXPECT_LT(accepted, cases);
  std::cout << cases << " requests, " << accepted << " of them accepted\n";
}

TEST(ParseRequest, RefusesAnotherHost) {
  for (const std::string host :
       {"evil.example", "evil.example:4711", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:47110", "localhost", "[::1]:4711",
        "0.0.0.0:4711", "127.1:4711", "127.0.0.1:4711.evil.example", "user@127.0.0.1:4711", ""})
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), 421) << host;
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n\r\n"), 400) << "no host";
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n" + kHost + kHost + "\r\n"), 400) << "two hosts";
}

TEST(ParseRequest, RefusesOtherOrigins) {
  const auto with = [](const std::string& header) {
    return refusal("GET / HTTP/1.1\r\n" + kHost + header + "\r\n\r\n");
  };
  for (const std::string origin : {"null", "http://evil.example", "https://127.0.0.1:4711", "http://127.0.0.1:4712",
                                   "http://127.0.0.1:4711.evil.example", "http://127.0.0.1:4711/", "file://", ""})
    EXPECT_EQ(with("Origin: " + origin), 403) << origin;
  EXPECT_EQ(with("Origin: http://127.0.0.1:4711\r\nOrigin: http://evil.example"), 403);
  EXPECT_EQ(with("Origin: http://evil.example\r\nOrigin: http://127.0.0.1:4711"), 403);
  for (const char* site : {"cross-site", "same-site", ""}) EXPECT_EQ(with(std::string("Sec-Fetch-Site: ") + site), 403);
  for (const char* site : {"same-origin", "none"}) EXPECT_EQ(with(std::string("Sec-Fetch-Site: ") + site), 0);
  EXPECT_EQ(with("Origin: http://localhost:4711"), 0);
}

TEST(ParseRequest, TakesNoMethodButGetAndNoBody) {
  for (const std::string method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get"})
    EXPECT_EQ(refusal(method + " / HTTP/1.1\r\n" + kHost + "\r\n"), 405) << method;
  for (const char* header :
       {"Content-Length: 1", "Content-Length: -1", "Content-Length: 0, 5", "Transfer-Encoding: chunked"})
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\n" + kHost + header + "\r\n\r\n"), 413) << header;
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n" + kHost + "Content-Length: 0\r\n\r\n"), 0);
}

TEST(ParseRequest, TakesAsManyHeadersAsTheLimit) {
  std::string head = "GET / HTTP/1.1\r\n" + kHost;
  for (int i = 1; i < 64; ++i) head += "a: b\r\n";
  EXPECT_EQ(refusal(head + "\r\n"), 0);
  EXPECT_EQ(refusal(head + "a: b\r\n\r\n"), 431);
}

/// Times that no machine is too busy for: whoever waits for one of them waits longer than a test may.
constexpr HttpLimits kPatient{.request_time = 1h, .response_time = 1h, .hold_time = 1h, .drain_time = 1h, .tick = 20ms};

/// A server on a thread: /size/N answers N bytes, /wait an answer after `news`.
class HttpServerTest : public testing::Test {
 protected:
  explicit HttpServerTest(HttpLimits limits = kPatient) : server_(0, limits) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      server_.run(
          [this](const HttpRequest& request, bool last) -> std::optional<HttpResponse> {
            ++asked_;
            if (request.path == "/wait" && !news_ && !last) return std::nullopt;
            if (request.path == "/fail") throw std::bad_alloc();
            if (!request.path.starts_with("/size/")) return HttpResponse{.body = std::make_shared<std::string>("{}")};
            return HttpResponse{.body = std::make_shared<std::string>(std::stoul(request.path.substr(6)), 'x')};
          },
          [this] { ++ticks_; }, stop);
    });
  }
  [[nodiscard]] int port() const { return server_.port(); }
  /// Waits until the server has asked its handler or its files so many times more.
  static void wait_for(const std::atomic<int>& counter, int more) {
    const int wanted = counter + more;
    while (counter < wanted) std::this_thread::sleep_for(5ms);
  }

  HttpServer server_;
  std::atomic<bool> news_ = false;
  std::atomic<int> ticks_ = 0, asked_ = 0;
  std::jthread thread_;
};

TEST_F(HttpServerTest, AnswersWithHeadersThatKeepOtherPagesOut) {
  const Reply r = get(port(), "/size/300000");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.body, std::string(300000, 'x'));
  for (const char* header : {"Content-Length: 300000\r\n", "Connection: close\r\n", "Cache-Control: no-store\r\n",
                             "X-Content-Type-Options: nosniff\r\n", "Cross-Origin-Resource-Policy: same-origin\r\n",
                             "Content-Security-Policy: default-src 'none'\r\n", "Referrer-Policy: no-referrer\r\n"})
    EXPECT_THAT(r.head, HasSubstr(header));
  EXPECT_THAT(r.head, Not(HasSubstr("Access-Control")));
}

TEST_F(HttpServerTest, AnswersARequestThatComesInPieces) {
  const Client client(port());
  for (const char c : request_text(port(), "/size/3")) ASSERT_TRUE(client.send(std::string(1, c)));
  EXPECT_THAT(client.receive(), testing::EndsWith("\r\n\r\nxxx"));
}

TEST_F(HttpServerTest, RefusesInWordsWithoutCallingTheHandler) {
  const Reply r = get(port(), "/", "Origin: http://evil.example\r\n");
  EXPECT_EQ(r.status, 403);
  EXPECT_EQ(r.body, "403 Forbidden\n");
  EXPECT_EQ(reply(port(), "\r\n\r\n").status, 400);
  EXPECT_EQ(reply(port(), std::string("\0\x16\x03\x01\r\n\r\n", 8)).status, 400);
  EXPECT_THAT(reply(port(), "POST / HTTP/1.1\r\nHost: localhost:" + std::to_string(port()) + "\r\n\r\n").head,
              HasSubstr("Allow: GET\r\n"));
  EXPECT_EQ(asked_, 0);
}

TEST_F(HttpServerTest, AnswersOrClosesWhateverIsSent) {
  const std::string valid = request_text(port(), "/api/runs?since=1", "Origin: http://localhost\r\n");
  std::map<int, int> statuses;
  const std::uint32_t cases = test::fuzz(300, {}, [&](test::Mutator& mutator, std::uint32_t) {
    std::string text = valid;
    for (std::size_t n = 1 + mutator.below(3); n > 0; --n) text = mutator.mutate_bytes(text);
    if (mutator.below(8) == 0)
      Client(port()).send(text);  // and is gone before the answer
    else
      ++statuses[reply(port(), text + "\r\n\r\n").status];
  });
  for (const auto& [status, n] : statuses)
    EXPECT_THAT(status, testing::AnyOf(200, 400, 403, 405, 413, 421, 431, 505)) << n << " times";
  EXPECT_EQ(get(port(), "/").status, 200);
  std::cout << cases << " requests through a socket\n";
}

TEST_F(HttpServerTest, RefusesRequestsThatAreTooLarge) {
  EXPECT_EQ(get(port(), "/" + std::string(7000, 'x')).status, 200);
  EXPECT_EQ(get(port(), "/" + std::string(9000, 'x')).status, 431);
  EXPECT_EQ(get(port(), "/", "Cookie: " + std::string(9000, 'x') + "\r\n").status, 431);
  EXPECT_EQ(reply(port(), std::string(1 << 20, 'x')).status, 431) << "a megabyte without an end";
  EXPECT_EQ(get(port(), "/").status, 200);
}

TEST_F(HttpServerTest, AnswersTheNextWhereAnAnswerFails) {
  EXPECT_EQ(get(port(), "/fail").status, 500);
  EXPECT_EQ(get(port(), "/").status, 200);
}

TEST_F(HttpServerTest, HoldsARequestUntilThereIsNews) {
  const Client client(port());
  ASSERT_TRUE(client.send(request_text(port(), "/wait")));
  wait_for(asked_, 3);
  news_ = true;
  EXPECT_THAT(client.receive(), testing::StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(HttpServerTest, ServesOthersWhileHundredsStall) {
  std::vector<Client> clients;
  for (int i = 0; i < 200; ++i) {
    clients.emplace_back(port());
    ASSERT_TRUE(clients.back().connected()) << i;
    if (i % 4 == 0) continue;                                                    // says nothing
    if (i % 4 == 1) clients.back().send("GET / HTT");                            // never ends
    if (i % 4 == 2) clients.back().send(request_text(port(), "/size/4000000"));  // does not read
    if (i % 4 == 3) clients.back().send(request_text(port(), "/wait"));          // waits for news that do not come
  }
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(get(port(), "/").status, 200) << "a stalled client would be waited for an hour";
  wait_for(ticks_, 3);  // the files are looked at as before
}

TEST_F(HttpServerTest, MakesRoomForNewClientsWhenAllPlacesAreTaken) {
  std::vector<Client> clients;
  for (int i = 0; i < 700; ++i) {
    clients.emplace_back(port());
    clients.back().send("GET /");
    if (i % 100 == 99) {
      EXPECT_EQ(get(port(), "/").status, 200);
    }
  }
}

TEST(HttpServer, NamesAPortThatIsTaken) {
  const HttpServer first(0);
  try {
    const HttpServer second(first.port());
    FAIL() << "two servers on a port";
  } catch (const InputError& e) {
    EXPECT_EQ(e.what(), fmt::format("127.0.0.1:{}: Address already in use", first.port()));
  }
}

class HurriedServerTest : public HttpServerTest {
 protected:
  HurriedServerTest()
      : HttpServerTest({.request_time = 150ms, .response_time = 150ms, .hold_time = 1h, .tick = 20ms}) {}
};

TEST_F(HurriedServerTest, ClosesConnectionsThatExceedTheirTimeHoweverBusy) {
  const Client silent(port());
  EXPECT_EQ(silent.receive(), "");
  const Client trickling(port());
  while (trickling.send("x")) std::this_thread::sleep_for(10ms);  // until it is closed
  const Client stalled(port());
  stalled.send(request_text(port(), "/size/20000000"));  // more than the kernel takes for it
  wait_for(ticks_, 30);                                  // 600 ms of the server's own time
  EXPECT_LT(stalled.receive().size(), 20000000u);
}

class ServerThatHoldsBrieflyTest : public HttpServerTest {
 protected:
  ServerThatHoldsBrieflyTest()
      : HttpServerTest({.request_time = 1h, .response_time = 1h, .hold_time = 150ms, .tick = 20ms}) {}
};

TEST_F(ServerThatHoldsBrieflyTest, AnswersAHeldRequestWhenItsTimeIsOver) {
  EXPECT_EQ(get(port(), "/wait").status, 200);
}

}  // namespace
}  // namespace kedge
