// A client that can behave badly: bytes to a port of this machine, and what comes back.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace kedge::test {

class Client {
 public:
  explicit Client(int port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{300, 0};  // the machine may be busy
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Client(Client&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}

  [[nodiscard]] bool connected() const { return connected_; }
  /// @return false if the server has closed the connection
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// All that comes until the server closes, or what has come after five minutes without a byte.
  [[nodiscard]] std::string receive() const {
    std::string text;
    std::array<char, 65536> buffer;
    for (ssize_t n; (n = ::recv(descriptor_, buffer.data(), buffer.size(), 0)) > 0;)
      text.append(buffer.data(), static_cast<std::size_t>(n));
    return text;
  }

 private:
  int descriptor_ = -1;
  bool connected_ = false;
};

/// A request as a browser sends it.
inline std::string request_text(int port, const std::string& target, const std::string& more = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) + "\r\n" + more + "\r\n";
}

/// The answer to some bytes; status 0 if there is none.
struct Reply {
  int status = 0;
  std::string head, body;
};
inline Reply reply(int port, std::string_view bytes) {
  const Client client(port);
  client.send(bytes);
  const std::string text = client.receive();
  const std::size_t end = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.1 ") || end == std::string::npos) return {};
  return {std::stoi(text.substr(9, 3)), text.substr(0, end + 2), text.substr(end + 4)};
}
inline Reply get(int port, const std::string& target, const std::string& more = "") {
  return reply(port, request_text(port, target, more));
}

}  // namespace kedge::test
