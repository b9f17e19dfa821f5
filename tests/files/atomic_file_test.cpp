#include "kedge/files/atomic_file.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "kedge/core/errors.h"
#include "tests/support/example_run.h"
#include "tests/support/faults.h"

namespace kedge {
namespace {

using example::bytes_of;
using example::Folder;
using example::message_of;
using faults::Fault;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::size_t files_in(const Folder& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++count;
  return count;
}

TEST(WriteFile, ReplacesAndLeavesNothingBehind) {
  const Folder folder;
  for (const std::string text : {"first", "second, and longer", ""}) {
    write_file(folder / "file", text, Durability::process);
    EXPECT_EQ(bytes_of(folder / "file"), text);
    write_file(folder / "file", text, Durability::power);
    EXPECT_EQ(bytes_of(folder / "file"), text);
  }
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(WriteFile, KeepsTheOldFileWhicheverCallFails) {
  const Folder folder;
  for (const Fault fault : {Fault::error, Fault::disk_full}) {
    for (int call = 0;; ++call) {
      write_file(folder / "file", "old", Durability::process);
      faults::arm(fault, call);
      const std::string message =
          message_of<SystemError>([&] { write_file(folder / "file", "the new bytes", Durability::power); });
      const bool ended = faults::disarm() <= call;
      if (ended) break;
      EXPECT_EQ(files_in(folder), 1u) << call;
      if (message == "nothing was thrown") {  // calls that need no space do not mind a full disk
        EXPECT_EQ(fault, Fault::disk_full);
        EXPECT_EQ(bytes_of(folder / "file"), "the new bytes");
        continue;
      }
      EXPECT_THAT(message, StartsWith((folder / "file").string() + ": cannot be written: ")) << call;
      EXPECT_THAT(message, EndsWith(fault == Fault::error ? "Input/output error" : "No space left on device"));
      // Only syncing the directory comes after the rename.
      EXPECT_THAT(bytes_of(folder / "file"), testing::AnyOf("old", "the new bytes"));
      if (call <= 4) {
        EXPECT_EQ(bytes_of(folder / "file"), "old") << call;
      }
    }
  }
}

TEST(WriteFile, LeavesTheOldOrTheNewFileWhenKilledAtAnyCall) {
  const Folder folder;
  bool seen_old = false, seen_new = false;
  for (int call = 0;; ++call) {
    write_file(folder / "file", "old", Durability::process);
    const bool killed =
        faults::killed_at(call, [&] { write_file(folder / "file", "the new bytes", Durability::power); });
    const std::string now = bytes_of(folder / "file");
    EXPECT_TRUE(now == "old" || now == "the new bytes") << call << ": " << now;
    (now == "old" ? seen_old : seen_new) = true;
    if (!killed) break;
  }
  EXPECT_TRUE(seen_old && seen_new);
}

TEST(WriteFile, NamesTheReason) {
  const Folder folder;
  std::filesystem::create_directory(folder / "directory");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const auto message = [&](const std::filesystem::path& path) {
    const std::string early = message_of<InputError>([&] { require_writable(path); });
    EXPECT_EQ(early, message_of<SystemError>([&] { write_file(path, "x", Durability::process); }));
    return early;
  };
  require_writable(folder / "new");
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
  EXPECT_THAT(message(folder / "absent" / "file"),
              EndsWith("absent/file: cannot be written: No such file or directory"));
  EXPECT_THAT(message(folder / "directory"),
              EndsWith("directory: cannot be written: it is a directory, not a regular file"));
  EXPECT_THAT(message(folder / "directory" / ""), EndsWith("it is a directory, not a regular file"));
  EXPECT_THAT(message(folder / "pipe"), EndsWith("it is a FIFO, not a regular file"));
  EXPECT_THAT(message("/dev/null"), EndsWith("it is a device, not a regular file"));  // root's /dev/null is still there
  EXPECT_THAT(message_of<SystemError>([] { write_file("/proc/kedge", "x", Durability::process); }),
              HasSubstr("/proc/kedge: cannot be written: "));
}

TEST(WriteFile, FollowsASymbolicLink) {
  const Folder folder;
  write_file(folder / "target", "old", Durability::process);
  std::filesystem::create_symlink(folder / "target", folder / "link");
  write_file(folder / "link", "new", Durability::process);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(bytes_of(folder / "target"), "new");
}

TEST(WriteFile, RefusesADanglingLink) {
  const Folder folder;
  std::filesystem::create_symlink(folder / "nothing", folder / "link");
  EXPECT_THAT(message_of<SystemError>([&] { write_file(folder / "link", "new", Durability::process); }),
              HasSubstr("link: cannot be written: it is a symbolic link that leads nowhere: "));
  EXPECT_FALSE(std::filesystem::exists(folder / "nothing"));
}

TEST(WriteFile, LeavesTheOtherNamesOfAHardLinkAsTheyWere) {
  const Folder folder;
  write_file(folder / "file", "old", Durability::process);
  std::filesystem::create_hard_link(folder / "file", folder / "other");
  write_file(folder / "file", "new", Durability::process);
  EXPECT_EQ(bytes_of(folder / "file"), "new");
  EXPECT_EQ(bytes_of(folder / "other"), "old");
}

TEST(WriteFile, KeepsTheAccessRights) {
  const Folder folder;
  write_file(folder / "file", "old", Durability::process);
  const auto rights = std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
  std::filesystem::permissions(folder / "file", rights);
  write_file(folder / "file", "new", Durability::process);
  EXPECT_EQ(std::filesystem::status(folder / "file").permissions(), rights);
  std::filesystem::permissions(folder / "file", std::filesystem::perms::owner_read);
  EXPECT_THAT(message_of<SystemError>([&] { write_file(folder / "file", "newer", Durability::process); }),
              EndsWith("file: cannot be written: it is write-protected"));
  EXPECT_EQ(bytes_of(folder / "file"), "new");
}

TEST(WriteFile, SurvivesALimitOnTheSizeOfFiles) {
  const Folder folder;
  write_file(folder / "file", "old", Durability::process);
  rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {1000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const std::string message =
      message_of<SystemError>([&] { write_file(folder / "file", std::string(5000, 'x'), Durability::process); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, EndsWith("file: cannot be written: File too large"));
  EXPECT_EQ(bytes_of(folder / "file"), "old");
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(ReadFile, RefusesMissingIrregularAndLargerFiles) {
  const Folder folder;
  write_file(folder / "file", "12345", Durability::process);
  EXPECT_EQ(read_file(folder / "file", 5), "12345");
  const auto message = [&](const std::filesystem::path& path, std::uint64_t max) {
    return message_of<InputError>([&] { static_cast<void>(read_file(path, max)); });
  };
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message(folder / "file", 4), EndsWith("file: has 5 bytes, but must have at most 4"));
  EXPECT_THAT(message(folder / "absent", 4), EndsWith("absent: there is no such file"));
  EXPECT_THAT(message(folder.path(), 4), EndsWith("is not a regular file, but a folder"));
  EXPECT_THAT(message(folder / "pipe", 4), EndsWith("is not a regular file, but a FIFO"));
  EXPECT_THAT(message("/dev/zero", 4), EndsWith("is not a regular file, but a device"));
}

TEST(AppendFile, AppendsAndIsCutOnOpening) {
  const Folder folder;
  {
    AppendFile file(folder / "file", 0);
    file.append("one\n");
    file.append("two\n");
    EXPECT_EQ(file.length(), 8u);
    file.truncate(4);
    file.append("2\n");
    file.sync();
  }
  EXPECT_EQ(bytes_of(folder / "file"), "one\n2\n");
  AppendFile file(folder / "file", 4);
  EXPECT_EQ(bytes_of(folder / "file"), "one\n");
  file.append("three\n");
  EXPECT_EQ(bytes_of(folder / "file"), "one\nthree\n");
  EXPECT_THAT(message_of<InputError>([&] { AppendFile again(folder / "file", 11); }),
              EndsWith("file: truncated: has 10 bytes, but must have at least 11"));
}

TEST(AppendFile, AppendsAllOrNothing) {
  const Folder folder;
  AppendFile file(folder / "file", 0);
  file.append("whole row\n");
  for (const Fault fault : {Fault::error, Fault::disk_full}) {
    faults::arm(fault, 0);
    const std::string message = message_of<SystemError>([&] { file.append("another row\n"); });
    faults::disarm();
    EXPECT_THAT(message, HasSubstr("cannot be written")) << message;
    EXPECT_EQ(bytes_of(folder / "file"), "whole row\n");
    EXPECT_EQ(file.length(), 10u);
  }
  file.append("third\n");
  EXPECT_EQ(bytes_of(folder / "file"), "whole row\nthird\n");
}

TEST(AppendFile, ReportsADeviceThatIsFull) {
  EXPECT_THAT(message_of<SystemError>([] { AppendFile file("/dev/full", 0); }),
              EndsWith("/dev/full: cannot be written: it is a device, not a regular file"));
}

}  // namespace
}  // namespace kedge
