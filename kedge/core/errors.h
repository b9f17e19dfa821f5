// Three kinds of failure, three mechanisms:
//   the user is wrong     -> InputError, thrown before work starts; one line: place, value, rule
//   the numbers are wrong -> a return value (optional, status, diverged_at); a loop ends with Stop::numerical_failure
//   we are wrong          -> assert
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace kedge {

/// The user asked for something impossible: a bad option, file, model or directory. The message is one line with the
/// place, the value found and the values allowed. The program exits with code 2.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The machine failed: a disk is full, a file cannot be written. Nothing that was written before is damaged. The
/// message is one line. The program exits with code 3.
struct SystemError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A stop was requested (Run::stop) before there was a result to return. Nothing is damaged, and nothing has to be saved.
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
