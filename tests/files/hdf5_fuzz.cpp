// Mutated HDF5 files, sealed anew: each is read, or refused by InputError with one line. Never a crash, a hang, another
// exception, or a line break. KEDGE_FUZZ_SECONDS and KEDGE_FUZZ_SEED change how much of which sequence is tried.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/policy_file.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/run/checkpoint.h"
#include "kedge/run/updates_file.h"
#include "tests/support/example_run.h"
#include "tests/support/fuzz.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using example::bytes_of;

/// A kind of file, and who reads it.
struct Kind {
  std::string image;  ///< without trailer
  std::function<void(const fs::path& file)> read;
};

std::vector<Kind> kinds(const example::Folder& folder) {
  example::train(folder / "run", 2);
  const auto image = [](const fs::path& file) {
    const std::string bytes = bytes_of(file);
    return bytes.substr(0, bytes.rfind("\nkedge length "));
  };
  save_trajectories(folder / "trajectories.h5", example::batch({}, 1), "invented", 0.1);
  return {
      {image(folder / "run/policy.h5"), [](const fs::path& file) { static_cast<void>(load_policy(file)); }},
      {image(folder / "run/checkpoint.h5"), [](const fs::path& file) { static_cast<void>(load_checkpoint(file)); }},
      {image(folder / "run/updates.h5"), [](const fs::path& file) { UpdatesFile(file, 2); }},
      {image(folder / "trajectories.h5"), [](const fs::path& file) { static_cast<void>(load_demonstration(file)); }},
  };
}

TEST(Hdf5Fuzz, IsReadOrRefusedInOneLine) {
  const example::Folder folder;
  const std::vector<Kind> all = kinds(folder);
  const fs::path file = folder / "altered.h5";
  std::uint32_t whole = 0, by_signal = 0, late = 0;
  const std::uint32_t cases = test::fuzz(400, {}, [&](test::Mutator& mutator, std::uint32_t number) {
    const Kind& kind = all[number % all.size()];
    std::string bytes = kind.image;
    for (std::size_t n = 1 + mutator.below(3); n > 0; --n) bytes = mutator.mutate_bytes(bytes);
    example::write_bytes(file, hdf5::seal(bytes));
    try {
      kind.read(file);
      ++whole;
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(test::is_one_line(message)) << message;
      EXPECT_TRUE(message.starts_with(file.string() + ": ")) << message;
      by_signal += message.find("(signal ") != std::string::npos;
      late += message.find("too long") != std::string::npos;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << ": case " << number;
    }
  });
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no process is left";
  std::cout << cases << " HDF5 files, " << whole << " of them read, " << by_signal
            << " ended the process that read them by a signal, " << late << " by its time\n";
  EXPECT_GT(whole, 0U);
  EXPECT_LT(whole, cases);
}

}  // namespace
}  // namespace kedge
