#include "kedge/run/written_files.h"

#include <gmock/gmock.h>

#include "kedge/core/errors.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using example::bytes_of;
using example::Folder;
using example::message_of;
using example::write_bytes;
using testing::ElementsAre;

TEST(WrittenFiles, ReadsBackWhatItSaved) {
  const Folder folder;
  const Directory run(folder.path());
  EXPECT_TRUE(WrittenFiles::read(run).names().empty());
  WrittenFiles files;
  files.add("task/model/a, b\n%.xml", "one");
  files.add("policies/00000.h5", "two");
  files.add("run.toml", "old");
  files.add("run.toml", "new");
  files.save(run, Durability::process);
  const WrittenFiles read = WrittenFiles::read(run);
  EXPECT_TRUE(read == files);
  EXPECT_THAT(read.names(), ElementsAre("policies/00000.h5", "run.toml", "task/model/a, b\n%.xml"));
  const std::string text = bytes_of(folder / "written.csv");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  WrittenFiles less = read;
  less.forget("run.toml");
  EXPECT_THAT(less.names(), ElementsAre("policies/00000.h5", "task/model/a, b\n%.xml"));
}

TEST(WrittenFiles, OwnsOnlyTheBytesThatWereWritten) {
  const Folder folder;
  const Directory run(folder.path());
  fs::create_directory(folder / "policies");
  const fs::path file = folder / "policies" / "00000.h5";
  WrittenFiles files;
  files.add("policies/00000.h5", "ours");
  const auto owns = [&] { return files.owns(run, "policies/00000.h5"); };
  EXPECT_FALSE(owns()) << "it is not there";
  write_bytes(file, "ours");
  EXPECT_TRUE(owns());
  write_bytes(file, "mine");
  EXPECT_FALSE(owns());
  write_bytes(file, "ours, and more");
  EXPECT_FALSE(owns());
  write_bytes(file, "ours");
  fs::create_hard_link(file, folder / "other");
  EXPECT_FALSE(owns()) << "it is also somebody else's";
  EXPECT_TRUE(files.has(run, "policies/00000.h5"));
  EXPECT_FALSE(files.remove(run, "policies/00000.h5"));
  fs::remove(file);
  fs::create_symlink(folder / "other", file);
  EXPECT_FALSE(owns());
  EXPECT_FALSE(files.remove(run, "policies/00000.h5"));
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_FALSE(owns());
  fs::remove(file);
  fs::rename(folder / "other", file);
  EXPECT_TRUE(files.remove(run, "policies/00000.h5"));
  EXPECT_FALSE(fs::exists(file));
}

TEST(WrittenFiles, NeverLeadOutOfTheRun) {
  const Folder folder;
  fs::create_directories(folder / "run" / "policies");
  const Directory run(folder / "run");
  write_bytes(folder / "secret", "text");
  write_bytes(folder / "run" / "notes", "text");
  WrittenFiles files;
  for (const std::string name : {"policies/../../secret", "../secret", "policies/../notes", "notes",
                                 (folder / "secret").string().c_str(), "policies//secret", "policies/", ""}) {
    files.add(name, "text");
    EXPECT_FALSE(files.owns(run, name)) << name;
    EXPECT_FALSE(files.remove(run, name)) << name;
    WrittenFiles one;
    one.add(name, "text");
    one.save(run, Durability::process);
    EXPECT_THROW(WrittenFiles::read(run), InputError) << name;
  }
  fs::remove_all(folder / "run" / "policies");
  fs::create_directory_symlink(folder.path(), folder / "run" / "policies");
  files.add("policies/secret", "text");
  EXPECT_THROW(static_cast<void>(files.owns(run, "policies/secret")), InputError);
  EXPECT_EQ(bytes_of(folder / "secret"), "text");
}

TEST(WrittenFiles, RefusesOtherContents) {
  const Folder folder;
  const std::string good = "crc64,bytes,file\n0123456789abcdef,12,task/a\n";
  const auto complaint = [&](const std::string& text) {
    write_bytes(folder / "written.csv", text);
    return message_of<InputError>([&] { WrittenFiles::read(Directory(folder.path())); });
  };
  EXPECT_EQ(complaint(good), "nothing was thrown");
  EXPECT_EQ(complaint(""), "nothing was thrown");
  const std::string rest = " is not a list of files that kedge wrote";
  for (const std::string bad : {"mine\n", "crc64,bytes,file", "crc64,bytes,file\n\n", "crc64,bytes,file\nx\n"})
    EXPECT_THAT(complaint(bad), testing::EndsWith(rest)) << bad;
  for (const std::string bad :
       {"0123456789abcdef,12,task/a", "0123456789abcdeg,12,task/a\n", "0123456789abcdef,,task/a\n",
        "0123456789abcdef,-1,task/a\n", "0123456789abcdef,1,\n", "0123456789abcdef,1,task/%\n",
        "0123456789abcdef,1,task/%4\n", "0123456789abcdef,1,task/%zz\n"})
    EXPECT_THAT(complaint(good + bad), testing::EndsWith("written.csv:3:" + rest)) << bad;
}

}  // namespace
}  // namespace kedge
