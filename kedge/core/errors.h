// Three kinds of failure, three mechanisms:
//   the user is wrong     -> InputError, thrown before work starts; one line: where, what was found, what is allowed
//   the numbers are wrong -> a return value (optional, status, diverged_at); a loop ends with Stop::numerical_failure
//   we are wrong          -> assert
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace kedge {

/// The user asked for something impossible: a bad option, file, model or directory. `what()` is one line that names
/// the place, what was found and what is allowed. The program exits with code 2.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The machine failed us: a disk is full, a file cannot be written. Nothing that was written before is damaged.
/// `what()` is one line. The program exits with code 3.
struct SystemError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A stop was asked for (Run::stop) where there is no result to return yet. Nothing was damaged, nothing has to be saved.
/// The program exits with code 130.
struct Cancelled : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// @throws InputError "<name> = <value>, but must be <rule>" unless `ok`.
template <class T>
void require(bool ok, const char* name, const T& value, const char* rule) {
  if (!ok) throw InputError(fmt::format("{} = {}, but must be {}", name, value, rule));
}

}  // namespace kedge
