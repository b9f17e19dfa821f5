// The result of a step of a loop: a value, or the reason why there is none.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

#include "kedge/core/run.h"

namespace kedge {

/// Why a loop ends before its last iteration.
struct Ending {
  Stop stop = Stop::numerical_failure;
  std::string message;  ///< the numbers that decided; empty for a cancelled loop
};

inline Ending cancelled() { return {Stop::cancelled, {}}; }
inline Ending failure(std::string message) { return {Stop::numerical_failure, std::move(message)}; }

/// A value, or the reason for which the loop must end. A step that was cancelled has no value, so no loop can commit it.
template <class T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : content_(std::move(value)) {}         // NOLINT: a value is an outcome
  Outcome(Ending ending) : content_(std::move(ending)) {}  // NOLINT: so is an ending

  explicit operator bool() const { return content_.index() == 0; }
  [[nodiscard]] T& operator*() {
    assert(*this);
    return *std::get_if<0>(&content_);
  }
  [[nodiscard]] T* operator->() { return &**this; }
  [[nodiscard]] const Ending& ending() const {
    assert(!*this);
    return *std::get_if<1>(&content_);
  }

 private:
  std::variant<T, Ending> content_;
};

}  // namespace kedge
