// Values of a TOML file that know their place in it, so that every message begins with file:line:column and names the key.
#pragma once

#include <toml++/toml.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kedge/core/text.h"
#include "kedge/files/directory.h"

namespace kedge {

/// One value of a document that outlives it.
class Value {
 public:
  Value(const toml::node& node, std::string key, const std::string& file)
      : node_(&node), key_(std::move(key)), file_(&file) {}

  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const toml::node& node() const { return *node_; }
  [[nodiscard]] const std::string& file() const { return *file_; }

  /// Throws InputError "file:line:column: key: text", or "--set task.key=value: text" for a value that came by --set.
  [[noreturn]] void fail(const std::string& text) const;

  /// Returns `the number 3`, `the text "abc"`, `an array of 2`: for "must be ..., but is ...".
  [[nodiscard]] std::string describe() const;

  [[nodiscard]] bool is_number() const { return node_->is_number(); }
  [[nodiscard]] bool is_text() const { return node_->is_string(); }
  [[nodiscard]] bool is_array() const { return node_->is_array(); }
  [[nodiscard]] bool is_table() const { return node_->is_table(); }

  // Each of these throws InputError if the value is something else.
  [[nodiscard]] double number() const;                 ///< finite
  [[nodiscard]] double number_or_infinity() const;     ///< not NaN
  [[nodiscard]] double positive() const;               ///< > 0, finite
  [[nodiscard]] double not_negative() const;           ///< >= 0, finite
  [[nodiscard]] int integer(int low, int high) const;  ///< in [low, high]
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] const std::string& text() const;  ///< not empty, no control characters
  [[nodiscard]] std::size_t choice(const std::vector<std::string>& allowed) const;  ///< index of the text in `allowed`
  [[nodiscard]] std::vector<Value> elements() const;                                ///< elements of an array
  /// Checks the keys of a table. @throws InputError for a key that is not in `allowed`, with a suggestion
  void allow(const std::vector<std::string>& allowed) const;
  [[nodiscard]] std::vector<std::pair<std::string, Value>> entries() const;
  [[nodiscard]] std::optional<Value> find(std::string_view key) const;
  [[nodiscard]] Value require(std::string_view key) const;

 private:
  [[noreturn]] void fail_at(const toml::source_region& where, const std::string& key, const std::string& text) const;
  [[nodiscard]] std::string child_key(std::string_view key) const;

  const toml::node* node_;
  std::string key_;  ///< dotted path as `--set` takes it; empty: the whole document
  const std::string* file_;
};

/// Parses a TOML text.
/// @param origin  of the text, for messages and as the place of its values
/// @throws InputError "<origin>:<line>:<column>: not TOML: ...", or if keys, arrays and tables are nested too deeply: 16
///         parts of a key, 16 brackets within each other (the parser would use up the stack)
toml::table parse_toml(std::string_view text, const std::string& origin);

/// Reads a TOML file. @throws InputError as above, or if it cannot be read or is larger than 16 MB
toml::table read_toml(const FileName& file);

/// Writes texts, numbers, arrays and tables, always the same way: keys in alphabetical order, the shortest digits that
/// give the same number. (The text enters digests, so it must not depend on the version of toml++.)
std::string write_toml(const toml::table& table);

/// Puts `text` at the dotted path `key`, as if it were written in the document. Missing tables are made. An element of an
/// array of tables is named by its number or its `name`. Text that is not a TOML value is a string: `uniform`, `last 20`.
/// @param place  prefix of the document's keys in `--set`, for messages: "task." or nothing
/// @throws InputError "--set task.key=text: ..."
void override_value(toml::table& document, const std::string& key, const std::string& text, const std::string& place);

}  // namespace kedge
