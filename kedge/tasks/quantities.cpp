#include "kedge/tasks/quantities.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <optional>
#include <utility>

#include "kedge/core/text.h"
#include "kedge/tasks/task_values.h"

namespace kedge {

namespace {

constexpr std::string_view kMinus = " - ";
constexpr std::string_view kAfter = "after:", kChange = "change:";
constexpr std::array<std::string_view, 6> kVectors = {"qpos", "qvel", "act", "world", "action", "ctrl"};

/// A kind of quantity: qpos, ctrl, ...
struct Quantity {
  Source source = Source::state;
  Index offset = 0;         ///< of the kind's vector in the source
  std::vector<Part> parts;  ///< of the kind's vector
  std::string what = "joint";
  bool places = false;  ///< the first three entries are x, y and z
};

enum class Allowed { states, before_actions, all };

std::vector<std::string> known_kinds(const Plant& plant, Allowed allowed) {
  std::vector<std::string> kinds = {"qpos", "qvel", "act"};
  if (!plant.world.state.empty()) kinds.emplace_back("world");
  if (allowed == Allowed::all) kinds.insert(kinds.end(), {"action", "ctrl", "after:qpos", "change:qpos"});
  if (allowed != Allowed::states) {
    kinds.emplace_back("sensor:NAME");
    for (const FrameKind& kind : frame_kinds()) kinds.emplace_back(fmt::format("{}:NAME", kind.word));
  }
  return kinds;
}

/// The size of the model's part of the state.
Index model_state(const mjModel& m) { return static_cast<Index>(m.nq + m.nv + m.na); }

/// The model's own sensors, then those of its world.
std::vector<Part> declared_sensors(const Plant& plant) {
  std::vector<Part> all = sensors(plant.model);
  std::erase_if(all, [](const Part& sensor) { return is_frame_sensor(sensor.name); });
  for (Part part : plant.world.sensors) {
    part.first += static_cast<Index>(plant.model.nsensordata);
    all.push_back(std::move(part));
  }
  return all;
}

/// A word of the file: "site:tip[z]" is the kind "site" and the name "tip[z]".
struct Word {
  std::string text, kind;
  std::optional<std::string> name;
};
Word split(std::string_view text) {
  const std::size_t colon = text.find(':'), bracket = text.find('[');
  Word word{std::string(text), std::string(text.substr(0, std::min(colon, bracket))), std::nullopt};
  if (colon < bracket)
    word.name = text.substr(colon + 1);
  else if (bracket != std::string_view::npos)
    word.name = text.substr(bracket);
  return word;
}

/// The words of "A - B", or the one word: the name of a sensor may have a minus, too.
std::vector<std::string_view> sides(std::string_view text) {
  const std::size_t minus = text.find(kMinus);
  if (minus == std::string_view::npos) return {text};
  const Word right = split(text.substr(minus + kMinus.size()));
  const bool names_all = find_frame_kind(right.kind) || std::ranges::find(kVectors, right.kind) != kVectors.end();
  if (!names_all && right.text.find(':') == std::string::npos) return {text};
  return {text.substr(0, minus), text.substr(minus + kMinus.size())};
}

/// A word without what says that it is of the state that the control step leads to.
std::string_view without_instant(std::string_view text) {
  for (const std::string_view instant : {kAfter, kChange})
    if (text.starts_with(instant)) return text.substr(instant.size());
  return text;
}

/// Name of the object and the brackets behind it: {"tip", "z"} of "tip[z]".
std::pair<std::string, std::optional<std::string>> split_brackets(const std::string& name) {
  const std::size_t open = name.rfind('[');
  if (open == std::string::npos || name.back() != ']') return {name, std::nullopt};
  return {name.substr(0, open), name.substr(open + 1, name.size() - open - 2)};
}

/// The object that a word names, and what is in brackets behind it. A name may have brackets of its own.
std::pair<std::string, std::optional<std::string>> named_object(const mjModel& m, const FrameKind& kind,
                                                                const Word& word) {
  std::pair<std::string, std::optional<std::string>> named;
  if (word.name) {
    const std::vector<std::string> all = object_names(m, kind);
    named = std::ranges::find(all, *word.name) != all.end() ? std::pair(*word.name, std::optional<std::string>())
                                                            : split_brackets(*word.name);
  }
  // The whole robot is what hangs on the world.
  if (named.first.empty() && kind.object == mjOBJ_BODY && !kind.objtype) named.first = "world";
  return named;
}

/// @param actions  null: none
Quantity quantity(const Value& value, const Word& word, const Plant& plant, const std::vector<Part>* actions,
                  Allowed allowed) {
  const mjModel& m = plant.model;
  Quantity q;
  if (word.kind == "qpos") {
    q.parts = positions(m);
  } else if (word.kind == "qvel") {
    q.offset = static_cast<Index>(m.nq);
    q.parts = velocities(m);
  } else if (word.kind == "act") {
    q.offset = static_cast<Index>(m.nq + m.nv);
    q.parts = activations(m);
    q.what = "actuator with an activation";
  } else if (word.kind == "world" && !plant.world.state.empty()) {
    q.offset = model_state(m);
    q.parts = plant.world.state;
    q.what = "piece of the world";
  } else if (word.kind == "action" && actions) {
    q.source = Source::action;
    q.parts = *actions;
    q.what = "actuator among the actions";
  } else if (word.kind == "ctrl" && actions) {
    q.source = Source::control;
    const std::vector<Part> all = kedge::actuators(m);
    for (const Part& action : *actions) q.parts.push_back(*find(all, action.name));
    q.what = "actuator among the actions";
  } else if (word.kind == "sensor" && allowed != Allowed::states) {
    q.source = Source::sensor;
    q.parts = declared_sensors(plant);
    q.what = "sensor";
    if (!word.name) value.fail("name the sensor, \"sensor:NAME\"" + hint("", names(q.parts)));
  } else if (const FrameKind* kind = find_frame_kind(word.kind); kind && allowed != Allowed::states) {
    q.source = Source::sensor;
    const std::string object = named_object(m, *kind, word).first;
    const std::vector<Part> all = sensors(m);
    if (const Part* sensor = find(all, sensor_name({kind, object})))
      q.parts = {{word.name.value_or("[").starts_with("[") ? "" : object, sensor->first, sensor->size}};
    q.what = kind->word;
    q.places = !kind->quaternion;
  } else {
    value.fail(
        fmt::format("\"{}\" is not known{}", one_line(word.text, 60), hint(word.kind, known_kinds(plant, allowed))));
  }
  if (q.source == Source::sensor && (m.opt.disableflags & mjDSBL_SENSOR)) value.fail("the model disables its sensors");
  if (q.parts.empty()) value.fail(fmt::format("the model has no {}", q.what));
  return q;
}

/// The entries of a part that brackets choose: a number, "A..B", or x, y, z.
std::vector<Index> chosen(const Value& value, const Word& word, const std::string& text, const Part& part,
                          bool places) {
  const auto fail = [&] {
    const bool xyz = places && part.size >= 3;
    value.fail(fmt::format("\"{}\": in brackets goes {}a number or A..B in [0, {}], but there is \"{}\"",
                           one_line(word.text, 60), xyz ? "x, y, z, " : "", part.size - 1, one_line(text, 20)));
  };
  if (const std::size_t axis = std::string_view("xyz").find(text);
      places && part.size >= 3 && text.size() == 1 && axis != std::string_view::npos)
    return {static_cast<Index>(axis)};
  const auto number = [&](std::string_view digits) {
    Index n = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (error != std::errc() || end != digits.data() + digits.size() || n < 0 || n >= part.size) fail();
    return n;
  };
  const std::string_view view = text;
  const std::size_t dots = view.find("..");
  if (dots == std::string_view::npos) return {number(view)};
  const Index first = number(view.substr(0, dots)), last = number(view.substr(dots + 2));
  if (first > last) fail();
  std::vector<Index> all(static_cast<std::size_t>(last - first + 1));
  std::iota(all.begin(), all.end(), first);
  return all;
}

/// What one word names.
struct Named {
  Source source = Source::state;
  std::vector<Index> index;
  std::vector<std::string> names;
  bool needs_action = false, quaternion = false;
};

/// Is this entry of the sensors one that depends on forces or accelerations?
bool needs_forces(const mjModel& m, Index entry) {
  for (Index i = 0; i < static_cast<Index>(m.nsensor); ++i)
    if (entry >= m.sensor_adr[i] && entry < m.sensor_adr[i] + m.sensor_dim[i])
      return m.sensor_needstage[i] == mjSTAGE_ACC;
  return false;
}

Named read_word(const Value& value, std::string_view text, const Plant& plant, const std::vector<Part>* actions,
                Allowed allowed) {
  const Word word = split(text);
  const Quantity q = quantity(value, word, plant, actions, allowed);
  Named named;
  named.source = q.source;
  const FrameKind* kind = find_frame_kind(word.kind);
  named.quaternion = kind && kind->quaternion;
  std::vector<Part> parts = q.parts;
  std::optional<std::string> brackets;
  if (kind) {
    brackets = named_object(plant.model, *kind, word).second;
  } else if (word.name) {
    std::string name = *word.name;
    if (!find(parts, name)) std::tie(name, brackets) = split_brackets(name);
    if (name.empty() && brackets)
      value.fail(fmt::format("\"{}\": name the {} before the brackets", one_line(word.text, 60), q.what));
    parts = {require_part(value, q.what, parts, name)};
  }
  for (const Part& part : parts) {
    std::vector<Index> entries(static_cast<std::size_t>(part.size));
    std::iota(entries.begin(), entries.end(), Index{0});
    if (brackets) {
      const bool free = (word.kind == "qpos" && part.size == 7) || (word.kind == "qvel" && part.size == 6);
      entries = chosen(value, word, *brackets, part, q.places || free);
      named.quaternion = false;
    }
    for (const Index i : entries) {
      named.index.push_back(q.offset + part.first + i);
      const std::string name = part.name.empty() ? word.kind : fmt::format("{}:{}", word.kind, part.name);
      named.names.push_back(part.size == 1 ? name : fmt::format("{}[{}]", name, i));
      if (q.source == Source::sensor) named.needs_action |= needs_forces(plant.model, part.first + i);
    }
  }
  named.needs_action |= q.source == Source::action || q.source == Source::control;
  return named;
}

/// What a word names with "after:" or "change:" before it: sensors of the step that leads there.
Named read_outcome(const Value& value, std::string_view text, const Plant& plant) {
  const std::string_view word = without_instant(text);
  if (!plant.world.outcome) value.fail("after: and change: are for tasks without a [world]");
  const OutcomePlaces& places = *plant.world.outcome;
  const auto nq = static_cast<Index>(plant.model.nq);
  Named named;
  if (text.starts_with(kAfter)) {
    named = read_word(value, word, plant, nullptr, Allowed::before_actions);
    if (named.needs_action)
      value.fail("depends on forces or accelerations, so that it has no value before the next action");
    for (Index& i : named.index) i += named.source == Source::sensor ? places.sensors : places.state;
    for (std::string& name : named.names) name.insert(0, kAfter);
  } else {
    constexpr std::string_view qpos = "qpos";  // their changes are like velocities: a quaternion's has three entries
    if (split(word).kind != qpos) value.fail("change: is of qpos, \"change:qpos:JOINT\"");
    named = read_word(value, fmt::format("qvel{}", word.substr(qpos.size())), plant, nullptr, Allowed::states);
    for (Index& i : named.index) i += places.change - nq;
    for (std::string& name : named.names) name.replace(0, qpos.size(), fmt::format("{}{}", kChange, qpos));
  }
  named.source = Source::sensor;
  named.needs_action = true;
  return named;
}

/// Adds entries to those of the words before. @return their places among all
std::vector<Index> add(const Value& value, const Named& named, bool again, Entries& entries) {
  std::vector<Index> places;
  for (std::size_t i = 0; i < named.index.size(); ++i) {
    const auto found = std::find(entries.index.begin(), entries.index.end(), named.index[i]);
    if (found != entries.index.end() && !again)
      value.fail(fmt::format("\"{}\" is named twice", one_line(value.text(), 60)));
    places.push_back(found - entries.index.begin());
    if (found != entries.index.end()) continue;
    entries.index.push_back(named.index[i]);
    entries.names.push_back(named.names[i]);
  }
  entries.needs_action |= named.needs_action;
  return places;
}

Entries read_in_turn(const Value& parts, const Plant& plant, Allowed allowed) {
  Entries entries;
  const Index nx = model_state(plant.model) + plant.world.start.size();
  for (const Value& value : one_or_more(parts)) {
    if (sides(value.text()).size() > 1)
      value.fail("differences are for [[cost]], [success] and [[termination]]; name both");
    Named named = read_word(value, value.text(), plant, nullptr, allowed);
    if (named.needs_action)
      value.fail("depends on forces or accelerations, so that it has no value before the action is chosen");
    if (named.source == Source::sensor)
      for (Index& i : named.index) i += nx;
    add(value, named, false, entries);
  }
  return entries;
}

}  // namespace

Entries read_quantities(const Value& of, const Plant& plant, const std::vector<Part>& actions) {
  Entries entries;
  std::vector<std::pair<std::vector<Index>, std::vector<Index>>> rows;  // plus and minus, of each word
  const std::vector<Value> values = one_or_more(of);
  const bool differences =
      std::ranges::any_of(values, [](const Value& value) { return sides(value.text()).size() > 1; });
  bool first = true;
  for (const Value& value : values) {
    std::vector<std::vector<Index>> places;
    std::size_t size = 0;
    for (const std::string_view side : sides(value.text())) {
      const Named named = side == without_instant(side) ? read_word(value, side, plant, &actions, Allowed::all)
                                                        : read_outcome(value, side, plant);
      if (!first && entries.source != named.source)
        value.fail(
            "all of them must be of one kind: the state (qpos, qvel, act), action, ctrl, or sensors, sites and bodies");
      if (!places.empty() && named.index.size() != size)
        value.fail(fmt::format("\"{}\" is a difference of {} and {} numbers", one_line(value.text(), 80), size,
                               named.index.size()));
      entries.source = named.source;
      entries.attitude = named.quaternion && values.size() == 1 && !differences;
      size = named.index.size();
      places.push_back(add(value, named, differences, entries));
      first = false;
    }
    rows.emplace_back(places[0], places.size() > 1 ? places[1] : std::vector<Index>());
  }
  if (!differences) return entries;
  Index n = 0;
  for (const auto& [plus, minus] : rows) n += static_cast<Index>(plus.size());
  entries.matrix = MatrixXd::Zero(n, static_cast<Index>(entries.index.size()));
  Index row = 0;
  for (const auto& [plus, minus] : rows)
    for (std::size_t i = 0; i < plus.size(); ++i, ++row) {
      entries.matrix(row, plus[i]) += 1.0;
      if (!minus.empty()) entries.matrix(row, minus[i]) -= 1.0;
    }
  return entries;
}

Entries read_observed(const Value& parts, const Plant& plant) {
  return read_in_turn(parts, plant, Allowed::before_actions);
}

Entries read_states(const Value& parts, const Plant& plant) { return read_in_turn(parts, plant, Allowed::states); }

namespace {

/// Calls visit(value, word) for every word of the quantities of a task file, also those behind "after:".
template <class Visit>
void for_each_word(const Value& root, const Visit& visit) {
  const auto look_at = [&](const Value& table, const char* key) {
    const auto words = table.is_table() ? table.find(key) : std::nullopt;
    if (!words || !(words->is_text() || words->is_array())) return;
    for (const Value& value : words->is_array() ? words->elements() : std::vector<Value>{*words})
      for (const std::string_view side : value.is_text() ? sides(value.text()) : std::vector<std::string_view>())
        visit(value, side);
  };
  for (const char* key : {"cost", "termination"})
    if (const auto tables = root.find(key); tables && tables->is_array())
      for (const Value& table : tables->elements()) look_at(table, "of");
  if (const auto success = root.find("success")) look_at(*success, "of");
  if (const auto observation = root.find("observation")) look_at(*observation, "parts");
}

}  // namespace

bool asks_for_outcome(const Value& root) {
  bool asks = false;
  for_each_word(root, [&](const Value&, std::string_view word) { asks |= word != without_instant(word); });
  return asks;
}

std::vector<FrameSensor> required_frame_sensors(const Value& root, const mjModel& m) {
  std::vector<FrameSensor> required;
  for_each_word(root, [&](const Value& value, std::string_view text) {
    const Word word = split(without_instant(text));
    const FrameKind* kind = find_frame_kind(word.kind);
    if (!kind) return;
    const std::string object = named_object(m, *kind, word).first;
    const std::vector<std::string> all = object_names(m, *kind);
    const std::string what = kind->object == mjOBJ_SITE ? "site" : "body";
    if (all.empty()) value.fail(fmt::format("the model has no {} with a name", what));
    if (object.empty()) value.fail(fmt::format("name the {0}, \"{1}:NAME\"{2}", what, kind->word, hint("", all)));
    if (std::find(all.begin(), all.end(), object) == all.end()) {
      const int other = kind->object == mjOBJ_SITE ? mjOBJ_BODY : mjOBJ_SITE;
      const bool is_other = mj_name2id(&m, other, object.c_str()) >= 0;
      value.fail(fmt::format(
          "the model has no {} \"{}\"{}", what, one_line(object, 60),
          is_other ? fmt::format("; it is a {}", other == mjOBJ_SITE ? "site" : "body") : hint(object, all)));
    }
    const auto same = [&](const FrameSensor& other) { return other.kind == kind && other.object == object; };
    if (std::ranges::none_of(required, same)) required.push_back({kind, object});
  });
  return required;
}

}  // namespace kedge
