#include "kedge/pages/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <vector>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

using Clock = std::chrono::steady_clock;

const char* reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 421: return "Misdirected Request";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
  }
}

// ---- requests

bool is_token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  const auto allowed = [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || marks.find(c) != marks.npos;
  };
  return !text.empty() && std::ranges::all_of(text, allowed);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// The status with which a first line is refused, or 0.
int parse_first_line(std::string_view line, std::string& method, HttpRequest& request) {
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return 400;
  const std::string_view target = line.substr(first + 1, last - first - 1), version = line.substr(last + 1);
  method = line.substr(0, first);
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!is_token(method) || !target.starts_with('/') || !std::ranges::all_of(target, visible)) return 400;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return version.starts_with("HTTP/") ? 505 : 400;
  const std::size_t question = target.find('?');
  request.path = target.substr(0, question);
  request.query = question == std::string_view::npos ? "" : target.substr(question + 1);
  return 0;
}

}  // namespace

ParsedRequest parse_request(std::string_view head, int port, const HttpLimits& limits) {
  ParsedRequest result;
  const auto refuse = [&](int status) {
    result.refused = status;
    return result;
  };
  const std::array hosts = {fmt::format("127.0.0.1:{}", port), fmt::format("localhost:{}", port)};
  const auto is_ours = [&](std::string_view host) { return std::ranges::find(hosts, lower(host)) != hosts.end(); };
  std::string method;
  int host_headers = 0;
  bool for_us = false, same_origin = true, has_body = false;
  for (std::size_t count = 0;; ++count) {
    const std::size_t end = head.find("\r\n");
    if (end == std::string_view::npos) return refuse(400);
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (count == 0) {
      if (const int refused = parse_first_line(line, method, result.request)) return refuse(refused);
      continue;
    }
    if (line.empty()) break;
    if (count > limits.headers) return refuse(431);
    const std::size_t colon = line.find(':');
    const auto printable = [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); };
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || !std::ranges::all_of(line, printable))
      return refuse(400);
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "host") {
      ++host_headers;
      for_us = is_ours(value);
    } else if (name == "origin") {
      same_origin = same_origin && value.starts_with("http://") && is_ours(value.substr(7));
    } else if (name == "sec-fetch-site") {  // browsers say whose page asks; none: the person
      same_origin = same_origin && (value == "same-origin" || value == "none");
    } else if (name == "transfer-encoding" || (name == "content-length" && value != "0")) {
      has_body = true;
    }
  }
  if (!head.empty() || host_headers != 1) return refuse(400);
  if (!for_us) return refuse(421);
  if (!same_origin) return refuse(403);
  if (method != "GET") return refuse(405);
  if (has_body) return refuse(413);
  return result;
}

// ---- connections

namespace {

enum class Phase { reading, held, writing, draining };

struct Connection {
  int descriptor = -1;
  Phase phase = Phase::reading;
  Clock::time_point deadline;
  std::string in;  ///< the request, as far as it has arrived
  HttpRequest request;
  std::string head;  ///< of the answer
  std::shared_ptr<const std::string> body;
  std::size_t sent = 0;

  explicit Connection(int fd, Clock::time_point until) : descriptor(fd), deadline(until) {}
  ~Connection() { ::close(descriptor); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
};

void answer(Connection& c, const HttpResponse& response, Clock::time_point until) {
  c.body = response.body
               ? response.body
               : std::make_shared<const std::string>(fmt::format("{} {}\n", response.status, reason(response.status)));
  c.head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n"
      "Cache-Control: no-store\r\nContent-Security-Policy: {}\r\nCross-Origin-Opener-Policy: same-origin\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
      "X-Frame-Options: SAMEORIGIN\r\n{}\r\n",
      response.status, reason(response.status), response.body ? response.type : "text/plain", c.body->size(),
      response.policy, response.status == 405 ? "Allow: GET\r\n" : "");
  c.phase = Phase::writing;
  c.deadline = until;
  c.in.clear();
}

/// Sends what the client takes now. @param drained  until when it may still send  @return false if the client is gone
bool write_some(Connection& c, Clock::time_point drained) {
  for (;;) {
    const bool in_head = c.sent < c.head.size();
    const std::string& part = in_head ? c.head : *c.body;
    const std::size_t at = in_head ? c.sent : c.sent - c.head.size();
    if (at == part.size()) break;
    const ssize_t n = ::send(c.descriptor, part.data() + at, part.size() - at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    c.sent += static_cast<std::size_t>(n);
  }
  // To close a socket with unread bytes would take back what was sent.
  ::shutdown(c.descriptor, SHUT_WR);
  c.phase = Phase::draining;
  c.deadline = drained;
  return true;
}

/// Reads what has arrived; more than a request may have is thrown away. @return false if the client is gone
bool read_some(Connection& c, std::size_t most) {
  std::array<char, 4096> buffer;
  for (int times = 0; times < 4; ++times) {  // nobody has the server for himself
    const ssize_t n = ::recv(c.descriptor, buffer.data(), buffer.size(), 0);
    if (n == 0) return false;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (c.phase != Phase::reading) continue;
    c.in.append(buffer.data(), std::min(static_cast<std::size_t>(n), most + 1 - std::min(c.in.size(), most + 1)));
  }
  return true;
}

/// The connections of a server that runs, oldest first.
class Serving {
 public:
  Serving(int listener, int port, const HttpLimits& limits, const HttpServer::Handler& handler)
      : listener_(listener), port_(port), limits_(limits), handler_(handler) {}

  /// Once a tick: requests without an answer yet are asked again.
  void ask_again() {
    const Clock::time_point now = Clock::now();
    accepting_ = true;
    for (Connection& c : connections_)
      if (c.phase == Phase::held) respond(c, c.request, now >= c.deadline, now);
  }

  /// Closes what has had its time.
  void drop_late() {
    const Clock::time_point now = Clock::now();
    std::erase_if(connections_, [&](const Connection& c) { return c.phase != Phase::held && now >= c.deadline; });
  }

  /// Waits until a client has something to say or takes something, no longer than until `end`. @throws SystemError
  void wait_and_serve(Clock::time_point end) {
    waiting_.clear();
    for (const Connection& c : connections_)
      waiting_.push_back({c.descriptor, static_cast<short>(c.phase == Phase::writing ? POLLOUT : POLLIN), 0});
    if (accepting_) waiting_.push_back({listener_, POLLIN, 0});
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count() + 1;
    if (::poll(waiting_.data(), waiting_.size(), static_cast<int>(std::max<long>(left, 0))) < 0) {
      if (errno == EINTR) return;
      throw SystemError(fmt::format("the server cannot wait for requests: {}", std::strerror(errno)));
    }
    const Clock::time_point now = Clock::now();
    std::size_t i = 0;
    for (auto c = connections_.begin(); c != connections_.end(); ++i)
      c = serve(*c, waiting_[i].revents != 0, now) ? std::next(c) : connections_.erase(c);
    if (accepting_ && waiting_.back().revents != 0) accept_all(now);
  }

 private:
  /// @return false if the client is gone
  bool serve(Connection& c, bool is_ready, Clock::time_point now) {
    if (is_ready && c.phase != Phase::writing && !read_some(c, limits_.head_bytes)) return false;
    if (is_ready && c.phase == Phase::reading) received(c, now);
    return c.phase != Phase::writing || write_some(c, now);
  }

  void received(Connection& c, Clock::time_point now) {
    const std::size_t end = c.in.find("\r\n\r\n");
    if (end == std::string::npos && c.in.size() <= limits_.head_bytes) return;
    ParsedRequest parsed;
    if (end == std::string::npos || end + 4 > limits_.head_bytes)
      parsed.refused = 431;
    else
      parsed = parse_request(std::string_view(c.in).substr(0, end + 4), port_, limits_);
    if (parsed.refused != 0)
      answer(c, {.status = parsed.refused, .body = nullptr}, now + limits_.response_time);
    else
      respond(c, parsed.request, false, now);
  }

  void respond(Connection& c, const HttpRequest& request, bool last, Clock::time_point now) {
    if (const std::optional<HttpResponse> response = asked(request, last)) {
      answer(c, *response, now + limits_.response_time);
    } else if (c.phase != Phase::held) {
      c.phase = Phase::held;
      c.request = request;
      c.deadline = now + limits_.hold_time;
    }
  }

  [[nodiscard]] std::optional<HttpResponse> asked(const HttpRequest& request, bool last) const {
    try {
      return handler_(request, last);
    } catch (const std::exception&) {  // no memory for the answer: the others still get theirs
      return HttpResponse{.status = 500, .body = nullptr};
    }
  }

  void accept_all(Clock::time_point now) {
    for (int times = 0; times < 64; ++times) {
      const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0 && (errno == EMFILE || errno == ENFILE)) {
        accepting_ = false;
        if (!connections_.empty()) connections_.pop_front();
        return;
      }
      if (descriptor < 0) return;
      if (connections_.size() >= limits_.connections) connections_.pop_front();
      connections_.emplace_back(descriptor, now + limits_.request_time);
    }
  }

  int listener_, port_;
  HttpLimits limits_;
  const HttpServer::Handler& handler_;
  std::list<Connection> connections_;
  std::vector<pollfd> waiting_;
  bool accepting_ = true;  ///< false until the next tick if there are no descriptors left
};

}  // namespace

HttpServer::HttpServer(int port, HttpLimits limits) : limits_(limits) {
  const auto fail = [&](int error) { return fmt::format("127.0.0.1:{}: {}", port, std::strerror(error)); };
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener_ < 0) throw SystemError(fail(errno));
  const int yes = 1;  // a port whose last connections are still dying is free
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int error = errno;
    ::close(listener_);
    throw InputError(fail(error));
  }
  port_ = ntohs(address.sin_port);
}

HttpServer::~HttpServer() { ::close(listener_); }

void HttpServer::run(const Handler& handler, const std::function<void()>& tick, const std::stop_token& stop) {
  Serving serving(listener_, port_, limits_, handler);
  Clock::time_point next_tick = Clock::now();
  while (!stop.stop_requested()) {
    if (Clock::now() >= next_tick) {
      tick();
      next_tick = Clock::now() + limits_.tick;
      serving.ask_again();
    }
    serving.drop_late();
    serving.wait_and_serve(next_tick);
  }
}

}  // namespace kedge
