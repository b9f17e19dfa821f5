// Mutated models, 200 or as many as fit into a few seconds: each loads, or is refused by InputError with one line; no file outside
// of its folder is ever among its files, nothing blocks, nothing crashes. The sequence is fixed; KEDGE_FUZZ_SECONDS and
// KEDGE_FUZZ_SEED change how much of which sequence is tried.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/tasks/task_file.h"
#include "task_texts.h"
#include "tests/support/fuzz.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

/// What is put into a model, or in place of a piece of it.
const std::vector<std::string> kPieces = {
    "<!--",
    "-->",
    "<!-- <mesh file='../secret'/> -->",
    "<![CDATA[",
    "]]>",
    "<![CDATA[<include file=\"../secret\"/>]]>",
    "<!DOCTYPE m [<!ENTITY s SYSTEM 'file:///etc/passwd'>]>",
    "&s;",
    "&#x2e;&#x2e;&#47;secret",
    "&#0;",
    "&lt;include file='../secret'/&gt;",
    "<?xml version=\"1.0\" encoding=\"UTF-16\"?>",
    "\xef\xbb\xbf",
    "\xff\xfe",
    "<include file='part.xml'/>",
    "<include file=\"arm.xml\"/>",
    "<include file='../secret'/>",
    "<include file='fifo'/>",
    "<include file='.'/>",
    "<include\tfile\n=\n'part.xml'\n/>",
    "<INCLUDE FILE='../secret' file='../secret'/>",
    "<include/>",
    "<asset><mesh name=\"rod\" file=\"rod.obj\"/></asset>",
    "<asset><mesh file='../secret'/></asset>",
    "<asset><mesh file='out.obj'/></asset>",
    "<asset><mesh file='/etc/passwd'/></asset>",
    "<asset><mesh file='fifo'/></asset>",
    "<asset><mesh file='ab'/></asset>",
    "<asset><texture type='cube' fileup='../secret' filedown=\"fifo\"/></asset>",
    "<asset><texture builtin='flat' width='8' height='8' file='../secret'/></asset>",
    "<asset><hfield name='h' file='rod.obj' size='1 1 1 1'/></asset>",
    "<asset><hfield name='h' nrow='3' ncol='3' size='1 1 1 1'/></asset>",
    "<default><mesh file='../secret'/></default>",
    "<compiler meshdir='..'/>",
    "<compiler meshdir='/' strippath=\"true\"/>",
    "<compiler texturedir='..' assetdir='..'/>",
    "<robot name='r'>",
    "</mujoco>",
    "<mujoco>",
    " file='../secret' ",
    " file=\"fifo\" ",
    " name='a\"b' ",
    "'",
    "\"",
    "<",
    ">",
    "/>",
    "0",
    "-1",
    "1e308",
    "nan",
};

std::string mutate(std::string text, test::Mutator& mutator) {
  const auto below = [&](std::size_t n) { return mutator.below(n); };
  for (std::size_t n = 1 + below(3); n > 0; --n) {
    const std::size_t at = below(text.size() + 1);
    switch (below(5)) {
      case 0: text.insert(at, kPieces[below(kPieces.size())]); break;
      case 1: {  // between two elements
        const std::size_t gap = text.find(">\n", at);
        if (gap != std::string::npos) text.insert(gap + 1, kPieces[below(kPieces.size())]);
        break;
      }
      case 2: {  // another value
        const std::size_t open = text.find('"', at), close = text.find('"', open + 1);
        if (close != std::string::npos && open != std::string::npos)
          text.replace(open + 1, close - open - 1, kPieces[below(kPieces.size())]);
        break;
      }
      case 3: text.erase(at, 1 + below(8)); break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
    }
  }
  return text;
}

TEST(ModelFuzz, LoadsOrRefusesInOneLineAndStaysInItsFolder) {
  const TemporaryFolder folder;
  folder.write("secret", "<mujoco><custom><text name=\"t\" data=\"top secret\"/></custom></mujoco>");
  folder.write("robot/part.xml", "<mujoco><custom><numeric name=\"n\" data=\"1\"/></custom></mujoco>");
  folder.write("robot/rod.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n");
  folder.write("robot/ab", "");
  ASSERT_EQ(mkfifo(folder.path("robot/fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("../secret", folder.path("robot/out.obj"));
  const std::string path = folder.write("robot/task.toml", kTask);
  const std::string with_files =
      replaced(kModel, "  <worldbody>",
               "  <compiler meshdir=\".\"/>\n  <asset><mesh name=\"rod\" file=\"rod.obj\"/></asset>\n"
               "  <include file=\"part.xml\"/>\n  <worldbody>");

  int loaded = 0, refused_outside = 0;
  const std::uint32_t cases = test::fuzz(200, {}, [&](test::Mutator& mutator, std::uint32_t number) {
    const std::string text = mutate(number % 2 == 0 ? kModel : with_files, mutator);
    folder.write("robot/arm.xml", text);
    try {
      for (const std::string& file : load_task(path).files)
        EXPECT_TRUE(file.starts_with(folder.path("robot/")) && !file.ends_with("out.obj")) << file << "\n" << text;
      ++loaded;
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(test::is_one_line(message)) << message << "\n" << text;
      EXPECT_TRUE(message.starts_with(path + ":")) << message << "\n" << text;
      EXPECT_EQ(message.find("top secret"), std::string::npos) << message;
      refused_outside += message.find(": is outside of ") != std::string::npos;
    } catch (const std::exception& error) {
      FAIL() << error.what() << "\n" << text;
    }
  });
  std::cout << cases << " models, " << loaded << " of them loaded, " << refused_outside
            << " refused for a file outside\n";
  EXPECT_GT(loaded, 0);
  EXPECT_GT(refused_outside, 0);
}

}  // namespace
}  // namespace kedge
