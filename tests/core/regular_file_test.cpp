#include "kedge/core/regular_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "kedge/core/errors.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string complaint(const std::string& path, Links links = Links::follow) {
  try {
    read_regular_file(path, 1000, links);
  } catch (const InputError& e) {
    return e.what();
  }
  return "none";
}

TEST(RegularFile, IsReadWhole) {
  const TemporaryFolder folder;
  std::string bytes("a\0b\n", 4);
  bytes.append(990, 'x');
  EXPECT_EQ(read_regular_file(folder.write("file", bytes), 1000), bytes);
  EXPECT_EQ(read_regular_file(folder.write("empty", ""), 0), "");
}

TEST(RegularFile, IsTheOnlyThingThatIsOpened) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo(folder.path("fifo").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = folder.path("socket");
  ASSERT_LT(name.size(), sizeof address.sun_path);
  std::strcpy(address.sun_path, name.c_str());
  ASSERT_EQ(bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_THAT(complaint(folder.path("fifo")), HasSubstr("fifo: is not a regular file, but a FIFO"));
  EXPECT_THAT(complaint(folder.path("socket")), HasSubstr("but a socket"));
  EXPECT_THAT(complaint(folder.path("")), HasSubstr("but a folder"));
  EXPECT_THAT(complaint("/dev/zero"), HasSubstr("/dev/zero: is not a regular file, but a device"));
  // These claim to be regular files of no bytes, or of 4096.
  EXPECT_THAT(complaint("/proc/self/status"), HasSubstr("/proc/self/status: is not a file on a disk"));
  EXPECT_THAT(complaint("/sys/kernel/mm/transparent_hugepage/enabled"),
              testing::AnyOf(HasSubstr("has 4096 bytes"), HasSubstr("there is no such file")));
  EXPECT_THAT(complaint(folder.path("absent")), HasSubstr("absent: there is no such file"));
  EXPECT_THAT(complaint(folder.path("a\nb")).find('\n'), std::string::npos);
  EXPECT_THAT(complaint(std::string(100000, 'x')), HasSubstr("there is no such file"));
  close(socket);
}

TEST(RegularFile, NeverOpensAFifo) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo(folder.path("fifo").c_str(), 0600), 0);
  EXPECT_NE(complaint(folder.path("fifo")), "none");
  // A writer that does not wait is refused as long as nobody has the FIFO open for reading.
  EXPECT_EQ(::open(folder.path("fifo").c_str(), O_WRONLY | O_NONBLOCK), -1);
}

TEST(RegularFile, IsRefusedAboveTheLimitOfItsSize) {
  const TemporaryFolder folder;
  EXPECT_THAT(complaint(folder.write("large", std::string(1001, ' '))),
              HasSubstr("has 1001 bytes, but must have at most 1000"));
  const std::string sparse = folder.write("sparse", "");
  fs::resize_file(sparse, std::uintmax_t{1} << 40);
  EXPECT_THAT(complaint(sparse), HasSubstr("has 1099511627776 bytes"));
}

TEST(RegularFile, BehindALinkIsReadOrRefusedAsAsked) {
  const TemporaryFolder folder;
  folder.write("file", "text");
  fs::create_symlink("file", folder.path("link"));
  fs::create_symlink("loop", folder.path("loop"));
  EXPECT_EQ(read_regular_file(folder.path("link"), 10), "text");
  EXPECT_THAT(complaint(folder.path("link"), Links::refuse), HasSubstr("link: is a link, but must be a regular file"));
  EXPECT_NE(complaint(folder.path("loop")), "none");
  EXPECT_EQ(real_path(open_regular_file(folder.path("link"))), fs::canonical(folder.path("file")));
}

TEST(RegularFile, IsFoundFromAFolder) {
  const TemporaryFolder folder;
  folder.write("inner/file", "text");
  const FileDescriptor inner(::open(folder.path("inner").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(read_bytes(open_regular_file("file", Links::refuse, inner.number()), 10, "file"), "text");
}

}  // namespace
}  // namespace kedge
