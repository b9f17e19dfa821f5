// Files whose insides were altered and whose checksum was computed anew: whatever HDF5 makes of them, the reader gets what
// it asked for or an InputError, and soon.
#include "kedge/files/hdf5.h"

#include <gmock/gmock.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "kedge/core/errors.h"
#include "kedge/files/policy_file.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using example::Folder;
using example::message_of;
using example::write_bytes;
using testing::HasSubstr;

/// The image of a small policy file.
std::string policy_image() {
  const std::string bytes = policy_bytes(example::policy({}, 1), example::policy_info({}));
  return bytes.substr(0, bytes.rfind("\nkedge length "));
}

/// Replaces one place of the image, seals it and reads it as a policy. @return what is wrong; "" if nothing
std::string read_altered(const Folder& folder, std::string image, std::size_t at, const std::string& bytes) {
  image.replace(at, bytes.size(), bytes);
  write_bytes(folder / "altered.h5", hdf5::seal(image));
  try {
    load_policy(folder / "altered.h5");
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

/// Where the texts of a file have their lengths: of its "global heap collection", behind a head of 16 bytes, each object has
/// index (2 bytes), references (2), reserved (4), length (8) and, in whole eights, the text. The last one, index 0, is what
/// is free, and its length is that of all of it.
struct TextLengths {
  std::vector<std::size_t> texts;
  std::size_t free = 0;
};

std::uint64_t number_at(const std::string& image, std::size_t at) {
  std::uint64_t value = 0;
  std::memcpy(&value, image.data() + at, sizeof value);
  return value;
}

std::string bytes_of_number(std::uint64_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

TextLengths text_lengths(const std::string& image) {
  TextLengths found;
  for (std::size_t at = image.find("GCOL") + 16; found.free == 0;) {
    const bool is_free = image[at] == 0 && image[at + 1] == 0;
    const std::uint64_t length = number_at(image, at + 8);
    if (is_free) found.free = at + 8;
    if (!is_free) found.texts.push_back(at + 8);
    at += 16 + (length + 7) / 8 * 8;
  }
  return found;
}

TEST(ReadSealed, ReadsNoGigabytesThatAreNoFileOfItsOwn) {
  const Folder folder;
  rlimit before = {};
  for (const bool sealed : {true, false}) {
    const fs::path file = folder / "long.h5";
    write_bytes(file, sealed ? hdf5::seal(policy_image()) : policy_image());
    fs::resize_file(file, std::uint64_t{3} << 30);
    for (const auto expected : {hdf5::Trailer::required, hdf5::Trailer::optional}) {
      // Whoever reads it all needs its size in memory.
      ::getrlimit(RLIMIT_AS, &before);
      const rlimit small = {std::uint64_t{1} << 30, before.rlim_max};
      ::setrlimit(RLIMIT_AS, &small);
      const std::string message = message_of<InputError>([&] { hdf5::read_sealed(file, expected); });
      ::setrlimit(RLIMIT_AS, &before);
      EXPECT_THAT(message, HasSubstr("long.h5: is damaged: it is truncated"));
    }
  }
  const std::string large = hdf5::seal(policy_image() + std::string(3 << 20, 'x'));
  write_bytes(folder / "large.h5", large);
  EXPECT_EQ(hdf5::seal(hdf5::read_sealed(folder / "large.h5", hdf5::Trailer::required)), large);
}

TEST(Reader, SurvivesLengthsOfTextsThatLeadOutOfTheFile) {
  const Folder folder;
  const std::string image = policy_image();
  const std::vector<std::size_t> texts = text_lengths(image).texts;
  ASSERT_GT(texts.size(), 5U);
  constexpr std::array<std::uint64_t, 5> lengths = {0xffff'ffff'ffff'ffffULL, 0x69'0000'000bULL, 0x7fff'ffffULL,
                                                    0x10'0000ULL, 3900ULL};
  std::size_t refused = 0;
  for (std::size_t k = 0; k < texts.size(); ++k)
    for (const std::size_t which :
         {k % 5, (k + 2) % 5}) {  // each length at two texts of five: some cost all the time allowed
      const std::string message = read_altered(folder, image, texts[k], bytes_of_number(lengths[which]));
      EXPECT_EQ(message.find('\n'), std::string::npos);
      refused += !message.empty();
    }
  EXPECT_GT(refused, 10U);
}

TEST(Reader, HasLittleTime) {
  const Folder folder;
  const std::string image = policy_image();
  const std::size_t free = text_lengths(image).free;
  // Behind the free part lie objects of no length, which the library reads without end.
  EXPECT_THAT(read_altered(folder, image, free, bytes_of_number(number_at(image, free) - 0x60)),
              testing::EndsWith("altered.h5: is damaged or altered: reading it takes too long"));
}

TEST(Reader, SurvivesAnyAlteredPlace) {
  const Folder folder;
  const std::string image = policy_image();
  const std::size_t metadata = image.size();
  int read = 0, refused = 0;
  for (std::size_t at = 8; at < metadata; at += 37)
    for (const char* bytes : {"\xff", "\x00"}) {
      const std::string message = read_altered(folder, image, at, std::string(bytes, 1));
      ++(message.empty() ? read : refused);
      EXPECT_EQ(message.find('\n'), std::string::npos) << at << ": " << message;
    }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}

/// The bytes of a policy file that `add` changed with HDF5's own functions, sealed.
template <class Add>
void write_changed(const fs::path& file, const Add& add) {
  save_policy(file, example::policy({}, 1), {});
  fs::resize_file(file, fs::file_size(file) - hdf5::seal("").size());
  const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  add(id);
  H5Fclose(id);
  write_bytes(file, hdf5::seal(example::bytes_of(file)));
}

TEST(Reader, OpensNoOtherFile) {
  const Folder folder;
  write_bytes(folder / "secret", std::string(4096, 'x'));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  save_policy(folder / "other.h5", example::policy({}, 1), {});
  for (const char* other : {"secret", "pipe"}) {
    write_changed(folder / "policy.h5", [&](hid_t file) {
      H5Ldelete(file, "k", H5P_DEFAULT);
      const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
      H5Pset_external(properties, (folder / other).c_str(), 0, 6 * sizeof(double));
      const hsize_t shape[] = {3, 2};
      const hid_t space = H5Screate_simple(2, static_cast<const hsize_t*>(shape), nullptr);
      H5Dclose(H5Dcreate2(file, "k", H5T_IEEE_F64LE, space, H5P_DEFAULT, properties, H5P_DEFAULT));
      H5Sclose(space);
      H5Pclose(properties);
    });
    EXPECT_THAT(message_of<InputError>([&] { load_policy(folder / "policy.h5"); }),
                HasSubstr("policy.h5: dataset k: cannot be read"));
  }
  write_changed(folder / "policy.h5", [&](hid_t file) {
    H5Ldelete(file, "k", H5P_DEFAULT);
    H5Lcreate_external((folder / "other.h5").c_str(), "k", file, "k", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_THAT(message_of<InputError>([&] { load_policy(folder / "policy.h5"); }),
              HasSubstr("policy.h5: dataset k: missing"));
}

TEST(Reader, LeavesNoProcessBehind) {
  const Folder folder;
  save_policy(folder / "policy.h5", example::policy({}, 1), {});
  for (int i = 0; i < 50; ++i) load_policy(folder / "policy.h5");
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

// A child that were forked while the other thread is inside HDF5 would wait for HDF5's lock for ever.
TEST(Reader, StartsWhileAnotherThreadWrites) {
  const Folder folder;
  write_bytes(folder / "policy.h5", hdf5::seal(policy_image()));
  const std::jthread writer([](const std::stop_token& stop) {
    while (!stop.stop_requested()) static_cast<void>(policy_image());
  });
  for (int i = 0; i < 200; ++i) EXPECT_NO_THROW(load_policy(folder / "policy.h5"));
}

TEST(Reader, SaysThatNoProcessCanBeStarted) {
  const Folder folder;
  save_policy(folder / "policy.h5", example::policy({}, 1), {});
  rlimit before = {};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none = {3, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  const std::string message = message_of<SystemError>([&] { load_policy(folder / "policy.h5"); });
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(message, HasSubstr("policy.h5: cannot be read: Too many open files"));
}

}  // namespace
}  // namespace kedge
