#include "kedge/files/directory.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using example::bytes_of;
using example::Folder;
using example::message_of;
using example::write_bytes;
using testing::ElementsAre;
using testing::EndsWith;

TEST(Directory, StaysTheOpenedOneWhateverHappensToItsPath) {
  const Folder folder;
  fs::create_directory(folder / "run");
  const Directory run(folder / "run");
  fs::rename(folder / "run", folder / "moved");
  fs::create_directory(folder / "elsewhere");
  fs::create_directory_symlink(folder / "elsewhere", folder / "run");
  write_file(run / "file", "text", Durability::power);
  AppendFile(run / "rows", 0).append("row\n");
  EXPECT_EQ(bytes_of(folder / "moved" / "file"), "text");
  EXPECT_EQ(bytes_of(folder / "moved" / "rows"), "row\n");
  EXPECT_TRUE(fs::is_empty(folder / "elsewhere"));
  EXPECT_EQ(read_file(run / "file", 10), "text");
  EXPECT_THAT(run.names(), ElementsAre("file", "rows"));
  EXPECT_TRUE(exists(run / "file"));
  EXPECT_FALSE(exists(run / "none"));
}

TEST(Directory, FollowsTheLinksOfAUsersPathAndNoOthers) {
  const Folder folder;
  fs::create_directories(folder / "real" / "inner");
  fs::create_directory_symlink(folder / "real", folder / "named");
  fs::create_directory_symlink(folder / "real" / "inner", folder / "real" / "link");
  write_bytes(folder / "real" / "file", "");
  const Directory named(folder / "named");
  EXPECT_TRUE(named.folder("inner").has_value());
  EXPECT_FALSE(named.folder("none").has_value());
  for (const auto& [name, kind] : {std::pair{"link", "a symbolic link"}, {"file", "a regular file"}}) {
    const std::string expected = fmt::format("named/{}: is {}, but must be a directory", name, kind);
    EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(named.folder(name)); }), EndsWith(expected));
    EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(named.make_folder(name)); }), EndsWith(expected));
  }
  EXPECT_THAT(message_of<InputError>([&] { Directory(folder / "none"); }),
              EndsWith("none: there is no such directory"));
  EXPECT_THAT(message_of<InputError>([&] { Directory(folder / "real" / "file"); }),
              EndsWith("file: is not a directory, but a regular file"));
}

TEST(Directory, SaysThatItWasDeleted) {
  const Folder folder;
  fs::create_directory(folder / "run");
  const Directory run(folder / "run");
  EXPECT_FALSE(run.deleted());
  AppendFile rows(run / "rows", 0);
  fs::remove_all(folder / "run");
  EXPECT_TRUE(run.deleted());
  const std::string expected = (folder / "run").string() + ": was deleted meanwhile";
  EXPECT_EQ(message_of<SystemError>([&] { write_file(run / "file", "", Durability::process); }), expected);
  EXPECT_EQ(message_of<SystemError>([&] { static_cast<void>(run.make_folder("policies")); }), expected);
  EXPECT_EQ(message_of<SystemError>([&] { AppendFile(run / "file", 0); }), expected);
  EXPECT_EQ(message_of<InputError>([&] { static_cast<void>(read_file(run / "file", 1)); }), expected);
  EXPECT_EQ(message_of<SystemError>([&] { rows.sync(); }),
            (folder / "run" / "rows").string() + ": was deleted meanwhile");
}

TEST(Directory, RemovesOnlyTheFileThatWasLookedAt) {
  const Folder folder;
  const Directory here(folder.path());
  write_bytes(folder / "file", "mine");
  const auto seen = here.status("file");
  write_bytes(folder / "other", "yours");
  fs::rename(folder / "other", folder / "file");
  EXPECT_FALSE(here.remove("file", *seen));
  EXPECT_EQ(bytes_of(folder / "file"), "yours");
  EXPECT_TRUE(here.remove("file", *here.status("file")));
  EXPECT_FALSE(fs::exists(folder / "file"));
  fs::create_directories(folder / "full" / "inner");
  here.remove_empty_folder("full");
  EXPECT_TRUE(fs::exists(folder / "full" / "inner"));
  Directory(folder / "full").remove_empty_folder("inner");
  EXPECT_TRUE(fs::is_empty(folder / "full"));
}

/// Everything that can have the name of a file and is none, or is somebody else's file. @return what it is
std::string put(const Folder& folder, const std::string& kind) {
  const fs::path name = folder / "name";
  fs::remove_all(name);
  write_bytes(folder / "target", "somebody's");
  fs::create_directories(folder / "directory");
  if (kind == "link to a file") fs::create_symlink(folder / "target", name);
  if (kind == "link to a directory") fs::create_directory_symlink(folder / "directory", name);
  if (kind == "link to nothing") fs::create_symlink(folder / "nothing", name);
  if (kind == "link to itself") fs::create_symlink(name, name);
  if (kind == "hard link") fs::create_hard_link(folder / "target", name);
  if (kind == "directory") fs::create_directory(name);
  if (kind == "FIFO") {
    EXPECT_EQ(::mkfifo(name.c_str(), 0600), 0);
  }
  if (kind == "socket") {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    name.string().copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(socket);
  }
  return kind;
}

TEST(FileOfADirectory, IsARegularFileWithOneName) {
  const Folder folder;
  const Directory here(folder.path());
  for (const char* kind : {"link to a file", "link to a directory", "link to nothing", "link to itself", "hard link",
                           "directory", "FIFO", "socket"}) {
    put(folder, kind);
    const std::string written = message_of<SystemError>([&] { write_file(here / "name", "new", Durability::process); });
    EXPECT_THAT(written, testing::StartsWith((folder / "name").string() + ": cannot be written: it is a ")) << kind;
    const std::string appended = message_of<SystemError>([&] { AppendFile(here / "name", 0).append("new"); });
    EXPECT_THAT(appended, testing::StartsWith((folder / "name").string() + ": cannot be written: ")) << kind;
    if (std::string(kind) != "hard link") {
      const std::string read = message_of<InputError>([&] { static_cast<void>(read_file(here / "name", 100)); });
      EXPECT_THAT(read, testing::StartsWith((folder / "name").string() + ": is ")) << kind;
    }
    EXPECT_EQ(bytes_of(folder / "target"), "somebody's") << kind;
    EXPECT_TRUE(fs::is_empty(folder / "directory")) << kind;
    EXPECT_FALSE(fs::exists(folder / "nothing")) << kind;
  }
}

TEST(FileOfADirectory, IsNotReplacedIfItIsWriteProtected) {
  const Folder folder;
  const Directory here(folder.path());
  write_bytes(folder / "name", "old");
  fs::permissions(folder / "name", fs::perms::owner_read);
  EXPECT_THAT(message_of<SystemError>([&] { write_file(here / "name", "new", Durability::process); }),
              EndsWith("name: cannot be written: it is write-protected"));
  EXPECT_EQ(bytes_of(folder / "name"), "old");
}

TEST(RemoveTemporaries, RemovesThoseOfOneProcessAndNothingElse) {
  const Folder folder;
  const std::string start = temporary_start();
  fs::create_directory(folder / (start + "folder.tmp"));
  fs::create_symlink(folder / "kept.tmp", folder / (start + "link.tmp"));
  for (const std::string name : {"kept.tmp", ".kedge-kept.tmp", ".metrics.csv.12.tmp"}) write_bytes(folder / name, "");
  write_bytes(folder / (start + "kept"), "");
  write_bytes(folder / (start + "0.tmp"), "");
  write_bytes(folder / (start + "17.tmp"), "");
  remove_temporaries(Directory(folder.path()), start);
  EXPECT_THAT(Directory(folder.path()).names(),
              testing::UnorderedElementsAre(start + "folder.tmp", start + "link.tmp", "kept.tmp", ".kedge-kept.tmp",
                                            ".metrics.csv.12.tmp", start + "kept"));
}

}  // namespace
}  // namespace kedge
