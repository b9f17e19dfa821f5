// The state of an algorithm as named values, for code that saves it or passes it on without knowing its type. A state
// describes itself once:
//
//   template <class S, class Visit> requires IsOptions<S, VgpsState>   // VgpsState or const VgpsState
//   void describe(S& s, Visit&& visit) { describe_loop(s, visit); visit("policy", s.policy); visit("guides", s.guides); }
//
// `fields_of` and `state_from` follow that description in the same order, so a state is read back bit for bit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "kedge/core/option.h"
#include "kedge/core/types.h"
#include "kedge/evaluation/epoch.h"
#include "kedge/policy/kinds.h"

namespace kedge {

/// A named value: a whole number, a number, or an array.
struct Field {
  std::string name;  ///< "lambda", "guides.0.K"
  std::variant<std::int64_t, double, MatrixXd> value;
};
using Fields = std::vector<Field>;

/// Visitor that appends every value that it is given.
class FieldWriter {
 public:
  Fields fields;

  void operator()(const char* name, int value) { add(name, std::int64_t{value}); }
  void operator()(const char* name, std::int64_t value) { add(name, value); }
  void operator()(const char* name, double value) { add(name, value); }
  void operator()(const char* name, const MatrixXd& value) { add(name, value); }
  void operator()(const char* name, const VectorXd& value) { add(name, MatrixXd(value)); }
  void operator()(const char* name, const std::vector<MatrixXd>& blocks);  ///< all of one size
  void operator()(const char* name, const TvLinearGaussian& policy);
  void operator()(const char* name, const MlpGaussian& policy);
  void operator()(const char* name, const Network& network);
  void operator()(const char* name, const DmpPolicy& policy);
  void operator()(const char* name, const ContextualPolicy& policy);
  template <class... P>
  void operator()(const char* name, const std::variant<P...>& policy) {
    std::visit([&](const auto& p) { (*this)(name, p); }, policy);
  }
  void operator()(const char* name, const LinearGaussian& distribution);
  void operator()(const char* name, const Window& window);
  /// Appends a number that may be infinite or NaN.
  void any(const char* name, double value) { add(name, value); }

  template <class T>
  void operator()(const char* name, const std::vector<T>& items) {
    const Scope scope(*this, name);
    add("count", static_cast<std::int64_t>(items.size()));
    for (std::size_t i = 0; i < items.size(); ++i) part(std::to_string(i).c_str(), items[i]);
  }
  template <class T>
  void operator()(const char* name, const std::optional<T>& item) {
    const Scope scope(*this, name);
    add("count", std::int64_t{item.has_value()});
    if (item) part("0", *item);
  }
  template <class T>
  requires requires(const T& value, FieldWriter& w) { describe(value, w); }
  void operator()(const char* name, const T& value) { part(name, value); }

 private:
  /// While it exists, names begin with that of the part.
  struct Scope {
    Scope(FieldWriter& w, const char* name) : writer(w), length(w.prefix_.size()) {
      writer.prefix_.append(name).append(".");
    }
    ~Scope() { writer.prefix_.resize(length); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    FieldWriter& writer;
    std::size_t length;
  };
  template <class T>
  void part(const char* name, const T& value) {
    const Scope scope(*this, name);
    describe(value, *this);
  }
  template <class Value>
  void add(const char* name, Value value) {
    fields.push_back({prefix_ + name, std::move(value)});
  }
  void add_shape(const NetworkShape& network);
  std::string prefix_;
};

/// Visitor that fills every value that it is given, in the order in which FieldWriter wrote them. Anything that does
/// not fit is an InputError "state: guides.0.K: found 2 x 9, expected 2 x 12".
class FieldReader {
 public:
  /// @param fields outlive the reader
  explicit FieldReader(const Fields& fields) : fields_(fields) {}

  void operator()(const char* name, int& value);
  void operator()(const char* name, std::int64_t& value);  ///< >= 0
  void operator()(const char* name, double& value);        ///< finite, as all below
  void operator()(const char* name, MatrixXd& value);
  void operator()(const char* name, VectorXd& value);
  void operator()(const char* name, std::vector<MatrixXd>& blocks);
  void operator()(const char* name, TvLinearGaussian& policy);
  void operator()(const char* name, MlpGaussian& policy);
  void operator()(const char* name, Network& network);
  void operator()(const char* name, DmpPolicy& policy);
  void operator()(const char* name, ContextualPolicy& policy);
  /// Reads a policy of one of these kinds: the first field says of which.
  template <class... P>
  void operator()(const char* name, std::variant<P...>& policy) {
    const bool read =
        ((begins(name, first_field(std::type_identity<P>())) && ((*this)(name, policy.template emplace<P>()), true)) ||
         ...);
    if (!read) fail(name, "is missing, or no policy");
  }
  void operator()(const char* name, LinearGaussian& distribution);
  void operator()(const char* name, Window& window);
  void any(const char* name, double& value);

  template <class T>
  void operator()(const char* name, std::vector<T>& items) {
    const Scope scope(*this, name);
    items.assign(count(), T{});
    for (std::size_t i = 0; i < items.size(); ++i) part(std::to_string(i).c_str(), items[i]);
  }
  template <class T>
  void operator()(const char* name, std::optional<T>& item) {
    const Scope scope(*this, name);
    item.reset();
    if (count() > 0) part("0", item.emplace());
  }
  template <class T>
  requires requires(T& value, FieldReader& r) { describe(value, r); }
  void operator()(const char* name, T& value) { part(name, value); }

  /// @throws InputError if not all fields have been read
  void end() const;

 private:
  struct Scope {
    Scope(FieldReader& r, const char* name) : reader(r), length(r.prefix_.size()) {
      reader.prefix_.append(name).append(".");
    }
    ~Scope() { reader.prefix_.resize(length); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    FieldReader& reader;
    std::size_t length;
  };
  template <class T>
  void part(const char* name, T& value) {
    const Scope scope(*this, name);
    describe(value, *this);
  }
  /// The fields with which the kinds of policies begin.
  static const char* first_field(std::type_identity<TvLinearGaussian>) { return "k"; }
  static const char* first_field(std::type_identity<MlpGaussian>) { return "hidden"; }
  static const char* first_field(std::type_identity<DmpPolicy>) { return "movement"; }
  static const char* first_field(std::type_identity<ContextualPolicy>) { return "context"; }
  /// Whether the next field is this one of this part.
  [[nodiscard]] bool begins(const char* name, const char* field) const {
    return next_ < fields_.size() && fields_[next_].name == prefix_ + name + "." + field;
  }
  /// Returns the next field, which must have this name and type.
  template <class Value>
  const Value& take(const char* name);
  /// Returns the next field, an array of whole numbers >= 0 in one row.
  std::vector<Index> indices(const char* name);
  /// Returns the next field, an array of finite numbers; with rows >= 0 of that size.
  const MatrixXd& array(const char* name, Index rows = -1, Index cols = -1);
  std::size_t count();
  NetworkShape take_shape();
  [[noreturn]] void fail(const std::string& name, const std::string& what) const;

  const Fields& fields_;
  std::size_t next_ = 0;
  std::string prefix_;
};

/// Returns the policy of a state of any algorithm, from its fields "policy.*".
/// @throws InputError if there is none
AnyPolicy policy_in(const Fields& state);

/// Returns a state as named values.
template <class State>
Fields fields_of(const State& state) {
  FieldWriter writer;
  describe(state, writer);
  return std::move(writer.fields);
}

/// Returns the state that has these fields. @throws InputError if they are not those of a State
template <class State>
State state_from(const Fields& fields) {
  State state;
  FieldReader reader(fields);
  describe(state, reader);
  reader.end();
  return state;
}

}  // namespace kedge
