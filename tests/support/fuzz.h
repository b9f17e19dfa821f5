// What every fuzzer shares: how long it tries, and texts that are changed here and there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/core/random.h"

namespace kedge::test {

/// What is put into a text in place of something else.
struct Pieces {
  std::vector<std::string> values;  ///< what may stand behind "="
  std::vector<std::string> keys;
};

/// Values of every type of TOML and near every limit.
const std::vector<std::string>& toml_values();

/// Changes texts by lines, values, keys and bytes. What it does is decided by the seed and the number of the case.
class Mutator {
 public:
  Mutator(std::uint64_t seed, std::uint32_t number, const Pieces& pieces)
      : noise_(seed, 0, number, 0), pieces_(pieces) {}

  /// One to four changes.
  std::string mutate(std::string text);
  /// One to three bytes that are other ones, or a piece that is cut out or doubled.
  std::string mutate_bytes(std::string bytes);
  /// A number in [0, n), 0 if n is 0.
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(noise_.bits() % n); }
  const std::string& one_of(const std::vector<std::string>& all) { return all[below(all.size())]; }

 private:
  std::string once(std::string text);
  void change_line(std::string& line);

  Stream noise_;
  const Pieces& pieces_;
};

/// The environment's number of this name.
double environment(const char* name, double otherwise);

/// Tries cases 0, 1, ...: at least `least`, and on for KEDGE_FUZZ_SECONDS (2) seconds, until a test has failed. A case that
/// takes ten minutes is a hang and ends the program. KEDGE_FUZZ_SEED (0) chooses the sequence.
/// @param attempt  is given a mutator for its case, and the case's number
/// @return how many were tried
std::uint32_t fuzz(std::uint32_t least, const Pieces& pieces,
                   const std::function<void(Mutator& mutator, std::uint32_t number)>& attempt);

/// True for a message of one line.
inline bool is_one_line(std::string_view message) { return message.find_first_of("\n\r") == message.npos; }

}  // namespace kedge::test
