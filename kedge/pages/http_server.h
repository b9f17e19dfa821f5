// A server for the browser of the person at this machine: HTTP/1.1 on 127.0.0.1, GET only, one answer a connection.
//
// Made here because what it must withstand is more than what it must do. One thread waits for all connections (poll), so
// a client that stalls costs a file descriptor and nothing else. A connection has a time within which its request must be
// complete and its answer taken; when all places are taken the oldest connection makes room for a new one. A request is
// small and has no body, and is answered only if it is for this server (Host) and not sent by a page of another origin:
// another site's page can neither read from it nor, by pointing its own name at 127.0.0.1, pass for it.
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
  std::chrono::milliseconds request_time{5000};    ///< for a whole request to arrive
  std::chrono::milliseconds response_time{30000};  ///< for a whole answer to be taken
  std::chrono::milliseconds hold_time{20000};      ///< for which a request without an answer yet is kept
  std::chrono::milliseconds drain_time{1000};      ///< for what a client still sends when it has its answer
  std::chrono::milliseconds tick{250};
};

struct ParsedRequest {
  int refused = 0;  ///< the status to refuse it with; 0: `request` is to be answered
  HttpRequest request;
};
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

  /// Answers a request. nullopt: there is nothing to say yet, ask again after the next tick; not if `last`, when the
  /// request has been kept for hold_time. Where it throws, the answer is 500.
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
