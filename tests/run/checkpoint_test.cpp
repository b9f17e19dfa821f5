#include "kedge/run/checkpoint.h"

#include <gmock/gmock.h>
#include <hdf5.h>

#include <chrono>
#include <limits>

#include "kedge/algorithms/moto.h"
#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/policy_file.h"
#include "tests/support/example_run.h"

namespace kedge {
namespace {

using example::bytes_of;
using example::Folder;
using example::message_of;
using example::same;
using example::Sizes;
using example::write_bytes;
using testing::EndsWith;
using testing::HasSubstr;

CheckpointHeader header(int iteration = 2) {
  CheckpointHeader header;
  header.iteration = iteration;
  header.identity = example::identity();
  header.stop = Stop::numerical_failure;
  header.message = "no eta in [1e-8, 1e8], \"quoted\"";
  header.record_updates = true;
  header.metrics = "iteration,x\n0,1\n";
  return header;
}

/// What reading says about these bytes: the file, then the algorithm.
std::string refusal(const Folder& folder, const std::string& bytes) {
  write_bytes(folder / "checkpoint.h5", bytes);
  return message_of<InputError>(
      [&] { static_cast<void>(state_from<MotoState>(load_checkpoint(folder / "checkpoint.h5").state)); });
}

TEST(Checkpoint, ReadsBackTheSameBits) {
  const Folder folder;
  for (const Sizes sizes : {Sizes{}, Sizes{.horizon = 1, .nx = 1, .ds = 1, .da = 1, .terms = 1, .rollouts = 1},
                            Sizes{.horizon = 70, .nx = 8, .ds = 8, .da = 4, .rollouts = 20}})
    for (const int completed : {0, 1, 5}) {
      const Fields state = example::state(sizes, completed).fields;
      save_checkpoint(folder / "checkpoint.h5", header(completed), state, Durability::process);
      const Checkpoint read = load_checkpoint(folder / "checkpoint.h5");
      EXPECT_TRUE(same(read.state, state));
      EXPECT_EQ(read.header.identity.algorithm, "moto");
      EXPECT_EQ(read.header.identity.task, header().identity.task);
      EXPECT_EQ(read.header.identity.task_digest, header().identity.task_digest);
      EXPECT_EQ(read.header.identity.options_digest, header().identity.options_digest);
      EXPECT_EQ(read.header.identity.seed, header().identity.seed);
      EXPECT_EQ(read.header.iteration, completed);
      EXPECT_EQ(read.header.stop, header().stop);
      EXPECT_EQ(read.header.message, header().message);
      EXPECT_EQ(read.header.record_updates, true);
      EXPECT_EQ(read.header.metrics, header().metrics);
      EXPECT_EQ(checkpoint_bytes(read.header, read.state), bytes_of(folder / "checkpoint.h5"));
    }
}

TEST(Checkpoint, HoldsEveryKindOfField) {
  const Folder folder;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Fields state = {{"whole", std::int64_t{1} << 50},
                        {"tiny", 5e-324},
                        {"zero", -0.0},
                        {"none", nan},
                        {"guides.0.K", MatrixXd::Constant(2, 3, 1.0 / 3)},
                        {"empty", MatrixXd(4, 0)},
                        {"some", MatrixXd::Constant(1, 1, nan)}};
  for (const Fields& fields : {state, Fields{}}) {
    save_checkpoint(folder / "checkpoint.h5", header(), fields, Durability::process);
    EXPECT_TRUE(same(load_checkpoint(folder / "checkpoint.h5").state, fields));
  }
}

TEST(Checkpoint, HoldsALongTableOfMetrics) {
  const Folder folder;
  CheckpointHeader with = header();
  for (int i = 0; i < 100'000; ++i) with.metrics += "0123456789\n";
  save_checkpoint(folder / "checkpoint.h5", with, example::state({}, 1).fields, Durability::process);
  EXPECT_EQ(load_checkpoint(folder / "checkpoint.h5").header.metrics, with.metrics);
}

TEST(Checkpoint, IsRefusedWhenCut) {
  const Folder folder;
  const std::string whole = checkpoint_bytes(header(), example::state({}, 2).fields);
  for (std::size_t length = 0; length < whole.size(); length += length < 100 || length + 200 > whole.size() ? 1 : 101)
    EXPECT_THAT(refusal(folder, whole.substr(0, length)), HasSubstr("checkpoint.h5: is ")) << length;
}

TEST(Checkpoint, IsRefusedWhenOneBitChanged) {
  const Folder folder;
  const std::string whole = checkpoint_bytes(header(), example::state({}, 2).fields);
  for (std::size_t at = 0; at < whole.size(); at += at < 100 || at + 100 > whole.size() ? 1 : 41) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    EXPECT_THAT(refusal(folder, damaged), HasSubstr("checkpoint.h5: is ")) << at;
  }
  EXPECT_THAT(refusal(folder, whole + "\n"), HasSubstr("checkpoint.h5: is damaged"));
  EXPECT_THAT(refusal(folder, whole + whole), HasSubstr("checkpoint.h5: is damaged"));
}

TEST(Checkpoint, NamesFileAndReasonOfARefusal) {
  const Folder folder;
  EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(load_checkpoint(folder / "none.h5")); }),
              EndsWith("none.h5: there is no such file"));
  EXPECT_THAT(refusal(folder, ""), EndsWith("checkpoint.h5: is empty"));
  EXPECT_THAT(refusal(folder, "hello"), EndsWith("checkpoint.h5: is not an HDF5 file"));
  EXPECT_THAT(refusal(folder, policy_bytes(example::policy({}, 1), {})),
              EndsWith("checkpoint.h5: attribute kind: found \"tv_linear_gaussian\", expected \"checkpoint\""));
}

TEST(RequireSameRun, NamesTheDifference) {
  const RunIdentity found = example::identity();
  const auto message = [&](auto change) {
    RunIdentity expected = found;
    change(expected);
    return message_of<InputError>([&] { require_same_run(found, expected, "runs/a/checkpoint.h5"); });
  };
  EXPECT_EQ(message([](RunIdentity&) {}), "nothing was thrown");
  const std::string start = "runs/a/checkpoint.h5: belongs to another run: ";
  EXPECT_EQ(message([](RunIdentity& run) { run.algorithm = "gps"; }),
            start + "algorithm = \"moto\" there, \"gps\" here");
  EXPECT_EQ(message([](RunIdentity& run) { run.task = "quad"; }), start + "task = \"example\" there, \"quad\" here");
  EXPECT_THAT(message([](RunIdentity& run) { run.task_digest = "0"; }), HasSubstr("task file or model"));
  EXPECT_THAT(message([](RunIdentity& run) { run.options_digest = "0"; }), HasSubstr("options"));
  EXPECT_EQ(message([](RunIdentity& run) { run.seed = 4; }), start + "seed = 9223372036854775809 there, 4 here");
}

/// A checkpoint whose HDF5 contents were changed and sealed again: what the checks behind the checksum are for.
class Tampered {
 public:
  Tampered() {
    std::string image = checkpoint_bytes(header(), example::state({}, 2).fields);
    write_bytes(folder_ / "checkpoint.h5", image);
    image_ = hdf5::read_sealed(folder_ / "checkpoint.h5", hdf5::Trailer::required);
  }

  /// @param change is given the HDF5 identifier of the file
  template <class Change>
  std::string refusal(Change change) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, false);
    H5Pset_file_image(access, image_.data(), image_.size());
    const hid_t file = H5Fopen("tampered", H5F_ACC_RDWR, access);
    H5Pclose(access);
    EXPECT_GE(file, 0);
    change(file);
    H5Fflush(file, H5F_SCOPE_LOCAL);
    std::string changed(static_cast<std::size_t>(H5Fget_file_image(file, nullptr, 0)), '\0');
    H5Fget_file_image(file, changed.data(), changed.size());
    H5Fclose(file);
    return kedge::refusal(folder_, hdf5::seal(std::move(changed)));
  }

  /// Paths of all groups and datasets.
  std::vector<std::string> objects() {
    std::vector<std::string> paths;
    refusal([&](hid_t file) {
      const auto add = [](hid_t, const char* name, const H5O_info_t*, void* all) -> herr_t {
        if (std::string(name) != ".") static_cast<std::vector<std::string>*>(all)->emplace_back(name);
        return 0;
      };
      H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, add, &paths);
    });
    return paths;
  }

 private:
  Folder folder_;
  std::string image_;
};

bool is_dataset(hid_t file, const std::string& path) {
  H5O_info_t info;
  return H5Oget_info_by_name(file, path.c_str(), &info, H5P_DEFAULT) >= 0 && info.type == H5O_TYPE_DATASET;
}

/// Replaces a dataset. @param change gets shape and values
template <class Change>
void replace(hid_t file, const std::string& path, Change change) {
  const hid_t old = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
  const hid_t space = H5Dget_space(old), type = H5Dget_type(old);
  std::vector<hsize_t> shape(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, shape.data(), nullptr);
  std::vector<double> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  H5Dread(old, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(old);
  H5Ldelete(file, path.c_str(), H5P_DEFAULT);
  change(shape, values);
  std::size_t count = 1;
  for (const hsize_t n : shape) count *= n;
  values.resize(count);
  const hid_t changed = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  const hid_t set = H5Dcreate2(file, path.c_str(), type, changed, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  for (const hid_t each : {changed, space}) H5Sclose(each);
  H5Tclose(type);
  H5Dclose(set);
}

TEST(Checkpoint, IsRefusedWhenAPartIsMissingOrDoesNotFit) {
  Tampered tampered;
  const std::vector<std::string> objects = tampered.objects();
  ASSERT_GT(objects.size(), 20u);
  EXPECT_EQ(tampered.refusal([](hid_t) {}), "nothing was thrown") << "an image that is only sealed again is accepted";
  for (const std::string& path : objects) {
    EXPECT_THAT(tampered.refusal([&](hid_t file) { H5Ldelete(file, path.c_str(), H5P_DEFAULT); }),
                EndsWith(": missing"))
        << path;
    bool dataset = false;
    tampered.refusal([&](hid_t file) { dataset = is_dataset(file, path); });
    if (!dataset || path == "metrics") continue;  // any text is a text

    const auto after = [&](auto change) { return tampered.refusal([&](hid_t file) { replace(file, path, change); }); };
    for (const std::size_t axis : {0u, 1u}) {
      std::size_t rank = 0;
      const std::string message = after([&](std::vector<hsize_t>& shape, std::vector<double>&) {
        rank = shape.size();
        if (axis < rank) shape[axis] += 1;
      });
      if (axis < rank) {
        EXPECT_NE(message, "nothing was thrown") << path << " axis " << axis;
      }
    }
    EXPECT_NE(after([](std::vector<hsize_t>& shape, std::vector<double>&) { shape.push_back(1); }),
              "nothing was thrown")
        << path;
    if (path.ends_with(".success")) continue;  // NaN means something there
    const bool whole = path.ends_with("diverged_at");
    const double bad = whole ? 1e6 : std::numeric_limits<double>::quiet_NaN();
    EXPECT_NE(after([&](std::vector<hsize_t>&, std::vector<double>& values) { values.back() = bad; }),
              "nothing was thrown")
        << path;
    if (path.ends_with(".C") || path.ends_with("_L") || path.ends_with("_cov") || path.ends_with(".Sigma")) {
      EXPECT_THAT(after([](std::vector<hsize_t>&, std::vector<double>& values) { values.back() *= 1.01; }),
                  HasSubstr("is not the factor of"))
          << path;
    }
  }
}

TEST(Checkpoint, IsRefusedWithoutAnAttribute) {
  Tampered tampered;
  for (const char* name : {"kind", "format", "algorithm", "task", "task_digest", "options_digest", "seed", "iteration",
                           "stop", "message", "record_updates"})
    EXPECT_THAT(tampered.refusal([&](hid_t file) { H5Adelete(file, name); }),
                EndsWith(fmt::format("attribute {}: missing", name)));
  for (const char* name : {"names", "kinds", "numbers"})
    EXPECT_THAT(tampered.refusal([&](hid_t file) { H5Adelete_by_name(file, "state", name, H5P_DEFAULT); }),
                EndsWith(": missing"));
}

TEST(Checkpoint, OfAnotherFormatIsRefused) {
  Tampered tampered;
  const std::string message = tampered.refusal([](hid_t file) {
    const hid_t attribute = H5Aopen(file, "format", H5P_DEFAULT);
    const std::uint64_t next = 5;
    H5Awrite(attribute, H5T_NATIVE_UINT64, &next);
    H5Aclose(attribute);
  });
  EXPECT_THAT(message, HasSubstr("in format 5, but kedge "));
  EXPECT_THAT(message, EndsWith(" reads format 4"));
}

/// Deterministic, bounded in time: whatever happens to the bytes, the file is refused, by one line.
TEST(Checkpoint, SurvivesRandomDamage) {
  const Folder folder;
  const std::string a = checkpoint_bytes(header(), example::state({}, 2).fields);
  const std::string b = checkpoint_bytes(header(), example::state({.horizon = 5}, 3).fields);
  Stream stream(7, 0, 0, 0);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(stream.bits() % n); };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (int i = 0; i < 3000 && std::chrono::steady_clock::now() < end; ++i) {
    std::string bytes = a;
    const std::size_t from = below(bytes.size()),
                      length = 1 + below(std::min<std::size_t>(bytes.size() - from, 1 + below(4000)));
    switch (below(6)) {
      case 0: bytes.resize(from); break;                                                  // cut
      case 1: bytes.erase(from, length); break;                                           // a piece is missing
      case 2: bytes.insert(from, bytes.substr(below(bytes.size()), length)); break;       // a piece twice
      case 3: bytes = bytes.substr(0, from) + b.substr(std::min(from, b.size())); break;  // two files mixed
      case 4: std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), length, '\0'); break;  // a hole
      default:
        for (std::size_t n = 1 + below(8); n > 0; --n) {
          char& byte = bytes[below(bytes.size())];
          byte = static_cast<char>(byte ^ (1 + below(255)));
        }
    }
    if (bytes == a || bytes == b) continue;
    EXPECT_THAT(refusal(folder, bytes), HasSubstr("checkpoint.h5: is ")) << i;
  }
}

}  // namespace
}  // namespace kedge
