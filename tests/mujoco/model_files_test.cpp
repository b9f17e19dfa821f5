// Which files a model reads, and which of them are refused: as MuJoCo reads its XML, not as a search of its text would.
#include "kedge/mujoco/model_files.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/mujoco/load_model.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::string kRod = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n";

class ModelFilesTest : public testing::Test {
 protected:
  /// Writes robot/model.xml with these elements around a body with a motor.
  std::string model(const std::string& elements) const {
    return folder.write("robot/model.xml", "<mujoco>" + elements +
                                               "<worldbody><body><joint name='j'/><geom size='.1'/></body></worldbody>"
                                               "<actuator><motor joint='j'/></actuator></mujoco>");
  }
  static std::string mesh(const std::string& attributes) { return "<asset><mesh " + attributes + "/></asset>"; }

  /// The files that a model with these elements reads, relative to its folder.
  std::vector<std::string> files(const std::string& elements) const {
    return relative(read_model_files(model(elements)));
  }
  std::vector<std::string> relative(const ModelFiles& found) const {
    std::vector<std::string> names;
    for (const ModelFile& file : found.files)
      names.push_back(fs::path(file.path).lexically_relative(folder.path("robot")).string());
    return names;
  }
  /// The complaint about such a model; empty if there is none.
  std::string complaint(const std::string& elements, const std::string& allowed = "") const {
    try {
      read_model_files(model(elements), allowed.empty() ? "" : folder.path(allowed));
    } catch (const InputError& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
      return e.what();
    }
    return "";
  }

  TemporaryFolder folder;
};

TEST_F(ModelFilesTest, AreFoundInTheFoldersOfTheCompiler) {
  for (const char* name : {"m/rod.obj", "t/a.png", "t/1.png", "t/2.png", "t/3.png", "t/4.png", "t/5.png", "t/6.png",
                           "m/h.png", "m/s.skn", "rod.obj", "a.png"})
    folder.write(std::string("robot/") + name, name);
  EXPECT_THAT(files("<asset><mesh file='rod.obj'/><texture file='a.png'/><hfield file='h.png'/><skin file='s.skn'/>"
                    "<texture type='cube' fileright='1.png' fileleft='2.png' fileup='3.png' filedown='4.png' "
                    "filefront='5.png' fileback='6.png'/></asset><compiler meshdir='m' texturedir='t/'/>"),
              ElementsAre("model.xml", "m/rod.obj", "t/a.png", "m/h.png", "m/s.skn", "t/1.png", "t/2.png", "t/3.png",
                          "t/4.png", "t/5.png", "t/6.png"));
  EXPECT_THAT(files("<compiler assetdir='t' meshdir='m'/><asset><mesh file='rod.obj'/><texture file='a.png'/></asset>"),
              ElementsAre("model.xml", "m/rod.obj", "t/a.png"));
  EXPECT_THAT(files("<compiler meshdir='m' strippath='true'/>" + mesh("file='C:\\robot/rod.obj'")),
              ElementsAre("model.xml", "m/rod.obj"));
  EXPECT_THAT(files(mesh("file='rod.obj'") + "<compiler meshdir='m'/><compiler meshdir=''/>"),
              ElementsAre("model.xml", "rod.obj"))
      << "the last setting counts";
}

TEST_F(ModelFilesTest, OfIncludesAreFoundFromTheModel) {
  folder.write("robot/parts/a.xml", "<mujoco>" + mesh("file='rod.obj'") + "<include file='parts/b.xml'/></mujoco>");
  folder.write("robot/parts/b.xml", "<mujoco><compiler meshdir='parts'/></mujoco>");
  folder.write("robot/parts/rod.obj", kRod);
  folder.write("robot/own.stl", "");
  EXPECT_THAT(files("<include file='parts/a.xml'/><asset><mesh file='../own.stl'/></asset>"),
              ElementsAre("model.xml", "parts/a.xml", "own.stl", "parts/rod.obj", "parts/b.xml"))
      << "in the order of the references, file after file";
}

TEST_F(ModelFilesTest, AreNotWhatCommentsTextsAndEntitiesName) {
  folder.write("robot/rod.obj", kRod);
  folder.write("secret", "");
  for (const char* text :
       {"<!-- <mesh file='rod.obj'/> file=\"../secret\" -->",
        "<custom><text name='t' data=\"file='rod.obj'\"/></custom>",
        "<size><![CDATA[<mesh file='../secret'/>]]></size>", "<size>file='rod.obj'</size>", "<?xml file='rod.obj'?>",
        "<!-- -- > <mesh file='../secret'/> -->", "<asset><material name='m' texture='rod.obj'/></asset>",
        "<asset><texture builtin='flat' width='8' height='8' file='../secret'/></asset>",
        "<custom><text name='file' data='../secret'/></custom>", "<asset><mesh name='file=\"../secret\"'/></asset>",
        "<asset><mesh xfile='rod.obj' FILE='rod.obj' file2='rod.obj'/></asset>", "<asset><mesh file=''/></asset>"})
    EXPECT_THAT(files(text), ElementsAre("model.xml")) << text;
  const std::string path =
      folder.write("robot/entities.xml",
                   "<?xml version='1.0'?><!DOCTYPE m [<!ENTITY s SYSTEM 'file:///etc/passwd'><!ENTITY f 'rod.obj'>]>"
                   "<mujoco>&s;<asset><mesh file='&f;'/><mesh file='&s;'/></asset></mujoco>");
  EXPECT_THAT(relative(read_model_files(path)), ElementsAre("entities.xml"));
}

TEST_F(ModelFilesTest, AreNamedWithCharacterReferencesAndOddQuotes) {
  folder.write("robot/rod.obj", kRod);
  folder.write("robot/a\"b>.obj", kRod);
  folder.write("robot/a'b.obj", kRod);
  EXPECT_THAT(files(mesh("file = \n '&#x72;od&#46;obj'")), ElementsAre("model.xml", "rod.obj"));
  EXPECT_THAT(files(mesh("file='a\"b>.obj'")), ElementsAre("model.xml", "a\"b>.obj"));
  EXPECT_THAT(files(mesh("file=\"a&apos;b.obj\"")), ElementsAre("model.xml", "a'b.obj"));
  folder.write("secret", "");
  EXPECT_THAT(complaint(mesh("file='&#x2e;&#x2e;&#47;secret'")), HasSubstr("is outside of"));
}

TEST_F(ModelFilesTest, OutsideOfTheFolderAreRefusedUnlessTheyAreAllowed) {
  folder.write("secret", "");
  folder.write("robot2/rod.obj", kRod);  // begins as the folder's name does
  for (const std::string& elements : std::vector<std::string>{
           mesh("file='../secret'"), mesh("file='x/../../secret'"), mesh("file='../robot2/rod.obj'"),
           "<compiler meshdir='..'/>" + mesh("file='secret'"), "<include file='../secret'/>",
           "<asset><texture type='cube' fileup='../secret'/></asset>", "<asset><hfield file='../secret'/></asset>",
           "<deformable><skin file='../secret'/></deformable>", "<asset><model file='../secret'/></asset>",
           "<worldbody><flexcomp file='../secret'/></worldbody>", "<default><mesh file='../secret'/></default>"}) {
    EXPECT_THAT(complaint(elements),
                AllOf(StartsWith(folder.path("robot/model.xml") + ":1: "), HasSubstr("is outside of "),
                      HasSubstr(fmt::format("model_folder = \"{}\"", fs::canonical(folder.path("")).string()))))
        << elements;
    EXPECT_EQ(complaint(elements, "."), "") << elements;
  }
  const ModelFiles found = read_model_files(model(mesh("file='../secret'")), folder.path("."));
  EXPECT_THAT(found.outside, ElementsAre(folder.path("secret")));
  EXPECT_THAT(complaint("", "robot2"), HasSubstr("model.xml: is outside of"));
  EXPECT_THAT(complaint("", "absent"), HasSubstr("absent: there is no such folder"));
}

TEST_F(ModelFilesTest, BehindLinksAreWhereTheLinksLead) {
  folder.write("elsewhere/rod.obj", kRod);
  folder.write("robot/meshes/rod.obj", kRod);
  fs::create_symlink("../elsewhere/rod.obj", folder.path("robot/out.obj"));
  fs::create_symlink("../elsewhere", folder.path("robot/out"));
  fs::create_symlink("meshes", folder.path("robot/in"));
  fs::create_symlink("/etc/passwd", folder.path("robot/passwd"));
  EXPECT_THAT(complaint(mesh("file='out.obj'")), HasSubstr("elsewhere/rod.obj: is outside of"));
  EXPECT_THAT(complaint(mesh("file='out/rod.obj'")), HasSubstr("elsewhere/rod.obj: is outside of"));
  EXPECT_THAT(complaint(mesh("file='passwd'")), HasSubstr("/etc/passwd: is outside of"));
  EXPECT_EQ(complaint(mesh("file='out/rod.obj'"), "."), "");
  EXPECT_THAT(files(mesh("file='in/rod.obj'")), ElementsAre("model.xml", "in/rod.obj"));

  fs::create_directories(folder.path("links"));
  fs::create_symlink("../robot/model.xml", folder.path("links/model.xml"));
  EXPECT_THROW(read_model_files(folder.path("links/model.xml")), InputError) << "also the model itself";
  fs::create_symlink("robot", folder.path("alias"));
  EXPECT_NO_THROW(read_model_files(folder.path("alias/model.xml"))) << "the folder may be one";
}

TEST_F(ModelFilesTest, WithAbsolutePathsAreRefused) {
  folder.write("robot/rod.obj", kRod);
  const std::string absolute = folder.path("robot/rod.obj");
  EXPECT_THAT(complaint(mesh("file='" + absolute + "'")), HasSubstr("is an absolute path"));
  EXPECT_THAT(complaint(mesh("file='" + absolute + "'"), "."), HasSubstr("is an absolute path"));
  EXPECT_THAT(complaint("<include file='/etc/passwd'/>"), HasSubstr("include \"/etc/passwd\": is an absolute path"));
  EXPECT_THAT(complaint("<compiler meshdir='" + folder.path("robot") + "'/>" + mesh("file='rod.obj'")),
              AllOf(HasSubstr("the folder /"), HasSubstr("is an absolute path")));
  EXPECT_THAT(complaint(mesh("file='C:\\rod.obj'")), HasSubstr("is an absolute path"));
  EXPECT_THAT(complaint(mesh("file='package://robot/rod.obj'")), HasSubstr("is an absolute path"));
}

TEST_F(ModelFilesTest, OfAUrdfAreItsMeshes) {
  folder.write("robot/meshes/rod.stl", "");
  const auto urdf = [&](const std::string& compiler, const std::string& name) {
    return folder.write("robot/arm.urdf", "<robot name='arm'><mujoco>" + compiler +
                                              "</mujoco><link name='base'><visual><geometry><mesh filename='" + name +
                                              "'/></geometry></visual></link><include file='../secret'/></robot>");
  };
  folder.write("secret", "");
  EXPECT_THAT(relative(read_model_files(urdf("<compiler meshdir='meshes'/>", "package://arm/any/rod.stl"))),
              ElementsAre("arm.urdf", "meshes/rod.stl"))
      << "paths are stripped by default, and a URDF has no includes";
  EXPECT_THAT(relative(read_model_files(urdf("<compiler strippath='false'/>", "meshes/rod.stl"))),
              ElementsAre("arm.urdf", "meshes/rod.stl"));
  EXPECT_THROW(read_model_files(urdf("<compiler strippath='false'/>", "package://arm/rod.stl")), InputError);
  EXPECT_THROW(read_model_files(urdf("<compiler strippath='false'/>", "../secret")), InputError);
}

TEST_F(ModelFilesTest, AreRegularFilesOrRefused) {
  fs::create_directories(folder.path("robot/folder.obj"));
  ASSERT_EQ(mkfifo(folder.path("robot/fifo").c_str(), 0600), 0);
  fs::create_symlink("/dev/zero", folder.path("robot/zero"));
  for (const char* element :
       {"<asset><mesh file='{}'/></asset>", "<asset><texture file='{}'/></asset>", "<asset><hfield file='{}'/></asset>",
        "<include file='{}'/>", "<asset><texture fileback='{}'/></asset>",
        "<deformable><skin file='{}'/></deformable>"}) {
    EXPECT_THAT(complaint(fmt::format(fmt::runtime(element), "fifo")),
                HasSubstr("robot/fifo: is not a regular file, but a FIFO"));
    EXPECT_THAT(complaint(fmt::format(fmt::runtime(element), "zero")),
                HasSubstr("is not a regular file, but a device"));
    EXPECT_THAT(complaint(fmt::format(fmt::runtime(element), "folder.obj")), HasSubstr("but a folder"));
  }
  EXPECT_THAT(load_mujoco_model(folder.path("robot/fifo")).error, HasSubstr("fifo: is not a regular file, but a FIFO"));
  EXPECT_THAT(load_mujoco_model(folder.path("robot")).error, HasSubstr("but a folder"));
}

TEST_F(ModelFilesTest, HaveLimits) {
  folder.write("robot/large.obj", "");
  fs::resize_file(folder.path("robot/large.obj"), kLargestModelFile + 1);
  EXPECT_THAT(complaint(mesh("file='large.obj'")),
              HasSubstr("large.obj: has 67108865 bytes, but must have at most 67108864"));
  std::string many = "<asset>";
  for (int i = 0; i < 4; ++i) {
    const std::string name = fmt::format("{}.obj", i);
    folder.write("robot/" + name, "");
    fs::resize_file(folder.path("robot/" + name), kLargestModelFile);
    many += "<mesh file='" + name + "'/>";
  }
  EXPECT_THAT(complaint(many + "</asset>"), HasSubstr("3.obj: the model has more than 256 MB, the limit"));

  folder.write("robot/large.xml", "<mujoco>" + std::string(9u << 20, ' ') + "</mujoco>");
  folder.write("robot/large2.xml", "<mujoco>" + std::string(9u << 20, ' ') + "</mujoco>");
  EXPECT_EQ(complaint("<include file='large.xml'/>"), "");
  EXPECT_THAT(complaint("<include file='large.xml'/><include file='large2.xml'/>"),
              HasSubstr("large2.xml: the model has more than 16 MB of XML, the limit"));

  many = "<asset>";
  for (int i = 0; i < 1000; ++i) {
    folder.write(fmt::format("robot/s{}.obj", i), "");
    many += fmt::format("<mesh file='s{}.obj'/>", i);
  }
  EXPECT_THAT(complaint(many + "</asset>"), HasSubstr("s999.obj: the model has more than 1000 files, the limit"));

  for (int i = 0; i < 100; ++i)
    folder.write(fmt::format("robot/d{}.xml", i), fmt::format("<mujoco><include file='d{}.xml'/></mujoco>", i + 1));
  EXPECT_THAT(complaint("<include file='d0.xml'/>"),
              HasSubstr("d20.xml\": is included by 20 files in each other, the limit"));
}

TEST_F(ModelFilesTest, HaveElementsWithFewAttributes) {
  const auto with = [](int n, const std::string& value) {
    std::string text = "<custom";
    for (int i = 0; i < n; ++i) text += fmt::format(" a{}={}", i, value);
    return text + "/>";
  };
  for (const std::string value : {"'1'", "\"1\"", "'>'", "\"/>\"", "'\"'"}) {
    EXPECT_EQ(complaint(with(1000, value)), "") << value;
    EXPECT_THAT(complaint(with(1001, value)),
                HasSubstr("model.xml: an element has more than 1000 attributes, the limit"))
        << value;
  }
  EXPECT_EQ(complaint("<!-- " + with(1001, "'1'") + "--><![CDATA[" + with(1001, "'1'") + "]]>"), "");
  for (const std::string end : {"<!--", "<![CDATA[", "<a b='", "<a b=\"", "<", "<a", "<!DOCTYPE [<!ENTITY x '"})
    EXPECT_NO_THROW(complaint(end)) << end;
}

TEST_F(ModelFilesTest, ThatIncludeThemselvesAreReadOnce) {
  folder.write("robot/a.xml", "<mujoco><include file='./b.xml'/></mujoco>");
  folder.write("robot/b.xml", "<mujoco><include file='a.xml'/><include file='model.xml'/></mujoco>");
  EXPECT_THAT(files("<include file='a.xml'/>"), ElementsAre("model.xml", "a.xml", "b.xml"));
  EXPECT_THAT(load_mujoco_model(folder.path("robot/model.xml")).error, HasSubstr("already included"));
}

TEST_F(ModelFilesTest, ThatAreNotThereAreLeftToMujoco) {
  EXPECT_THAT(files(mesh("file='absent.stl'")), ElementsAre("model.xml"));
  EXPECT_THAT(load_mujoco_model(folder.path("robot/model.xml")).error, HasSubstr("absent.stl"));
  EXPECT_THAT(files("<include file='absent.xml'/>"), ElementsAre("model.xml"));
  EXPECT_THAT(load_mujoco_model(folder.path("robot/model.xml")).error, HasSubstr("XML"));
  fs::create_symlink("nowhere", folder.path("robot/dangling.obj"));
  EXPECT_THAT(files(mesh("file='dangling.obj'")), ElementsAre("model.xml"));
  EXPECT_THAT(load_mujoco_model(folder.path("robot/model.xml")).error, HasSubstr("dangling.obj"));
}

TEST_F(ModelFilesTest, OfOneNameInTwoFoldersAreToldApart) {
  folder.write("robot/a/rod.obj", kRod);
  const std::string two = "<asset><mesh name='a' file='a/rod.obj'/><mesh name='b' file='b/rod.obj'/></asset>";
  // The second one must not be replaced by the first, whose name it has.
  EXPECT_FALSE(read_model_files(model(two)).distinct_names);
  EXPECT_FALSE(load_mujoco_model(folder.path("robot/model.xml")).model);
  folder.write("robot/b/rod.obj", kRod + "v 5 5 5\n");
  EXPECT_FALSE(read_model_files(model(two)).distinct_names);
  EXPECT_TRUE(load_mujoco_model(folder.path("robot/model.xml")).model);
  // Nor one whose name is written in other letters.
  EXPECT_FALSE(
      read_model_files(model(mesh("name='a' file='a/rod.obj'") + mesh("name='b' file='a/ROD.obj'"))).distinct_names);
  EXPECT_FALSE(load_mujoco_model(folder.path("robot/model.xml")).model);
  EXPECT_TRUE(read_model_files(model(mesh("name='a' file='a/rod.obj'") + mesh("name='b' file='a/../a/rod.obj'")))
                  .distinct_names);
}

TEST_F(ModelFilesTest, DigestChangesWithEveryByteAndBorder) {
  const std::string digest_of_two = digest("text", {"ab", "c"});
  EXPECT_EQ(digest_of_two.size(), 16U);
  EXPECT_EQ(digest("text", {"ab", "c"}), digest_of_two);
  EXPECT_NE(digest("text", {"a", "bc"}), digest_of_two);
  EXPECT_NE(digest("text", {"ab", "d"}), digest_of_two);
  EXPECT_NE(digest("texta", {"b", "c"}), digest_of_two);
}

}  // namespace
}  // namespace kedge
