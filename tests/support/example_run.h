// Invented data of every kind that a run writes: a pure function of the number of the iteration, so that a run that was
// interrupted can be compared with one that was not.
#pragma once

#include <filesystem>
#include <string>

#include "kedge/algorithms/update_record.h"
#include "kedge/catalogue/catalogue.h"
#include "kedge/run/run_directory.h"

namespace kedge::example {

/// Sizes of the invented task.
struct Sizes {
  int horizon = 3;
  Index nx = 4, ds = 3, da = 2, terms = 2;
  int rollouts = 3;
};

TvLinearGaussian policy(const Sizes& sizes, std::uint32_t iteration);
std::vector<Gaussian> state_distribution(const Sizes& sizes, std::uint32_t iteration);
/// The second rollout diverged.
Batch batch(const Sizes& sizes, std::uint32_t iteration);
PolicyInfo policy_info(const Sizes& sizes);

/// What an algorithm hands over after iteration i, i.e. with i + 1 iterations completed.
Iteration report(int i);
Snapshot state(const Sizes& sizes, int completed);
UpdateRecord record(const Sizes& sizes, int i);
RunIdentity identity();

/// Equal in every bit (NaN equals NaN).
bool same(const TvLinearGaussian& a, const TvLinearGaussian& b);
bool same(const Fields& a, const Fields& b);

/// Runs iterations until `iterations` are completed, from the start or from where `directory` stands.
void train(const std::filesystem::path& directory, int iterations);

/// Bytes of a file; empty if there is none.
std::string bytes_of(const std::filesystem::path& file);
void write_bytes(const std::filesystem::path& file, const std::string& bytes);

/// An empty folder, removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void clear() const;

 private:
  std::filesystem::path path_;
};

/// The message of the InputError that `action` must throw; it is one line that begins with `start`.
template <class Error, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string text = error.what();
    return text.find('\n') == std::string::npos ? text : "more than one line: " + text;
  }
  return "nothing was thrown";
}

}  // namespace kedge::example
