// A server for the browser of the person at this machine: HTTP/1.1 on 127.0.0.1, GET only, one answer a connection.
//
// kedge has its own server because it withstands more than it serves. One thread waits for all connections
// (poll), so a client that stalls costs a file descriptor and nothing else. Requests must be complete and answers taken
// within a time limit. When all places are taken, the oldest connection makes room for a new one. A request is small
// and has no body. It is answered only if it is for this server (Host) and not sent by a page of another origin, so a
// page of another site can neither read from it nor, by pointing its own name at 127.0.0.1, pass for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace kedge {

struct HttpRequest {
  std::string path;   ///< "/api/runs": as it was sent, never decoded
  std::string query;  ///< "since=3", without the question mark
  std::chrono::steady_clock::time_point arrived = std::chrono::steady_clock::now();
};

struct HttpResponse {
  int status = 200;
  std::string type = "application/json";      ///< media type
  std::shared_ptr<const std::string> body;    ///< null: the status in words
  std::string policy = "default-src 'none'";  ///< Content-Security-Policy
};

struct HttpLimits {
  std::size_t head_bytes = 8192;                   ///< request line and headers; more: 431
  std::size_t headers = 64;                        ///< more: 431
  std::size_t connections = 256;                   ///< at once
  std::chrono::milliseconds request_time{5000};    ///< limit for a whole request to arrive
  std::chrono::milliseconds response_time{30000};  ///< limit for a whole answer to be taken
  std::chrono::milliseconds hold_time{20000};      ///< limit for a request that waits for news
  std::chrono::milliseconds drain_time{1000};      ///< limit for bytes that a client sends after its answer
  std::chrono::milliseconds tick{250};
};

struct ParsedRequest {
  int refused = 0;  ///< the status to refuse it with; 0: `request` is to be answered
  HttpRequest request;
};
/// Parses a request and checks that it may be answered.
/// @param head  first line and headers, the empty line included  @param port of this server, for Host and Origin
/// @return refused: 400 malformed, 403 from another origin, 405 not GET, 413 with a body, 421 for another host, 431 too
///         many headers, 505 not HTTP/1.0 or 1.1
ParsedRequest parse_request(std::string_view head, int port, const HttpLimits& limits);

class HttpServer {
 public:
  /// Listens on 127.0.0.1. @param port 0: any that is free
  /// @throws InputError if the port is taken or not allowed  @throws SystemError
  explicit HttpServer(int port, HttpLimits limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] int port() const { return port_; }

  /// Answers a request. nullopt: there is no news yet, ask again after the next tick; not allowed if `last`, when the
  /// request has waited for hold_time. If it throws, the answer is 500.
  using Handler = std::function<std::optional<HttpResponse>(const HttpRequest&, bool last)>;

  /// Serves until `stop` is requested. `tick` is called at once and then between any two ticks' times, on this thread.
  /// @throws SystemError
  void run(const Handler& handler, const std::function<void()>& tick, const std::stop_token& stop);

 private:
  HttpLimits limits_;
  int listener_ = -1;
  int port_ = 0;
};

}  // namespace kedge
