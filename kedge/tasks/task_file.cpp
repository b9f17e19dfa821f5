#include "kedge/tasks/task_file.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <tuple>

#include "kedge/core/errors.h"
#include "kedge/files/toml_value.h"
#include "kedge/mujoco/model_files.h"
#include "kedge/mujoco/model_parts.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/rollout/episode.h"
#include "kedge/tasks/demonstration_table.h"

namespace kedge {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int kFormat = 1;
constexpr int kLongestHorizon = 100000;

const Part& find(const Value& where, const std::string& what, const std::vector<Part>& parts, const std::string& name) {
  const Part* part = find(parts, name);
  if (!part)
    where.fail(fmt::format("the model has no {} \"{}\"{}", what, one_line(name, 60), hint(name, names(parts))));
  return *part;
}

// ---- small pieces of the format ------------------------------------------------------------------------------------

toml::array to_toml(const VectorXd& values) {
  toml::array array;
  for (const double value : values) array.push_back(value);
  return array;
}

toml::array to_toml(const std::vector<std::string>& texts) {
  toml::array array;
  for (const std::string& text : texts) array.push_back(text);
  return array;
}

bool is_identifier(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= 64 && letter(name[0]) && std::all_of(name.begin(), name.end(), allowed);
}

/// The text of a name that reports and --set use.
std::string identifier(const Value& value) {
  const std::string& name = value.text();
  if (!is_identifier(name))
    value.fail(
        fmt::format("must be a letter, then up to 63 letters, digits, _ or -, but is \"{}\"", one_line(name, 60)));
  return name;
}

/// The norm of a quaternion.
bool is_one(double norm) { return std::abs(norm - 1.0) <= 1e-6; }

std::string quaternion_text(const Part& joint, double norm) {
  return fmt::format("the quaternion of joint \"{}\" must have norm 1, but has {}", joint.name, norm);
}

/// One text or an array of texts.
std::vector<Value> one_or_more(const Value& value) {
  if (!value.is_array()) return {value};
  std::vector<Value> all = value.elements();
  if (all.empty()) value.fail("must not be empty");
  return all;
}

std::vector<std::string> texts(const Value& value) {
  std::vector<std::string> all;
  for (const Value& element : one_or_more(value)) all.push_back(element.text());
  return all;
}

/// A number L > 0 for [-L, L], or an array [low, high].
std::pair<double, double> bounds(const Value& value) {
  if (!value.is_array()) {
    const double limit = value.number_or_infinity();
    if (!(limit > 0)) value.fail(fmt::format("must be > 0, or [low, high], but is {}", limit));
    return {-limit, limit};
  }
  const std::vector<Value> pair = value.elements();
  if (pair.size() != 2) value.fail(fmt::format("must be a number or [low, high], but is {}", value.describe()));
  const double low = pair[0].number_or_infinity(), high = pair[1].number_or_infinity();
  if (!(low < high)) value.fail(fmt::format("low must be < high, but is [{}, {}]", low, high));
  return {low, high};
}

/// A number for all n entries, or an array of n numbers. `read` checks one number.
VectorXd numbers(const Value& value, Index n, double (Value::*read)() const) {
  if (value.is_number()) return VectorXd::Constant(n, (value.*read)());
  if (!value.is_array()) value.fail(fmt::format("must be a number or an array of {}, but is {}", n, value.describe()));
  const std::vector<Value> elements = value.elements();
  if (static_cast<Index>(elements.size()) != n)
    value.fail(fmt::format("must be a number or an array of {}, but is {}", n, value.describe()));
  VectorXd all(n);
  for (Index i = 0; i < n; ++i) all[i] = (elements[static_cast<std::size_t>(i)].*read)();
  return all;
}

/// As `numbers`, or a table of parts by name; parts that it does not name keep their values in `otherwise`.
VectorXd numbers_by_name(const Value& value, const std::vector<Part>& parts, VectorXd otherwise,
                         double (Value::*read)() const) {
  if (!value.is_table()) return numbers(value, otherwise.size(), read);
  value.allow(names(parts));
  for (const auto& [name, entry] : value.entries()) {
    const Part& part = *find(parts, name);
    otherwise.segment(part.first, part.size) = numbers(entry, part.size, read);
  }
  return otherwise;
}

/// Marks the steps that one text or number names; see docs/tasks.md.
void mark_steps(const Value& value, int horizon, bool needs_action, std::vector<char>& active) {
  const std::string allowed = "must be \"all\", \"first N\", \"last N\", \"A..B\", \"final\" or the number of a step";
  const auto mark = [&](int first, int last) { std::fill(active.begin() + first, active.begin() + last + 1, char{1}); };
  if (value.is_number()) {
    const int step = value.integer(0, horizon - 1);
    return mark(step, step);
  }
  if (!value.is_text()) value.fail(fmt::format("{}, but is {}", allowed, value.describe()));
  const std::string& text = value.text();
  if (text == "all") return mark(0, horizon - 1);
  if (text == "final") {
    if (needs_action) value.fail("the final state has no action, and this quantity needs one");
    return mark(horizon, horizon);
  }
  const auto whole = [&](std::string_view digits, int low, int high) {
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty())
      value.fail(fmt::format("{}, but is \"{}\"", allowed, one_line(text, 60)));
    if (number < low || number > high)
      value.fail(fmt::format("\"{}\" has the number {}, but it must be in [{}, {}]", text, number, low, high));
    return number;
  };
  const std::string_view view = text;
  if (view.starts_with("first ")) return mark(0, whole(view.substr(6), 1, horizon) - 1);
  if (view.starts_with("last ")) return mark(horizon - whole(view.substr(5), 1, horizon), horizon - 1);
  if (const std::size_t dots = view.find(".."); dots != std::string_view::npos) {
    const int first = whole(view.substr(0, dots), 0, horizon - 1);
    return mark(first, whole(view.substr(dots + 2), first, horizon - 1));
  }
  value.fail(fmt::format("{}, but is \"{}\"", allowed, one_line(text, 60)));
}

std::vector<char> steps(const Value& value, int horizon, bool needs_action) {
  std::vector<char> active(static_cast<std::size_t>(horizon) + 1, 0);
  for (const Value& element : one_or_more(value)) mark_steps(element, horizon, needs_action, active);
  return active;
}

std::string steps_text(const Value& value) {
  std::vector<std::string> words;
  for (const Value& element : one_or_more(value))
    words.push_back(element.is_text() ? element.text() : element.describe());
  return list(words);
}

// ---- the sections of the file ----------------------------------------------------------------------------------------

/// Reads the sections in the order of the file. Each writes what it understood, defaults included, to `resolved`.
class Reader {
 public:
  Reader(Value root, const mjModel& model) : root_(std::move(root)), m_(model) {}

  void clock(Task& task, toml::table& resolved);
  void actions(Task& task, toml::table& resolved);
  void joint_limits(const Task& task, toml::table& resolved);
  void observation(Task& task, toml::table& resolved) const;
  void start(Task& task, toml::table& resolved) const;
  void start_from_demonstration(Task& task) const;
  void cost(Task& task, toml::table& resolved) const;
  void success(Task& task, toml::table& resolved) const;

  int substeps = 1;
  std::vector<JointLimit> laws;
  std::vector<std::string> law_texts;

 private:
  /// What `of` or a part of the observation names.
  struct Entries {
    Source source = Source::state;
    std::vector<Index> index;
    std::vector<std::string> names;
    bool needs_action = false;
  };
  void add_entries(const Value& value, bool states_only, Entries& entries) const;
  [[nodiscard]] Residual residual(const Value& section, toml::table& resolved) const;
  [[nodiscard]] VectorXd state_part(const Value* section, const std::string& key, const std::vector<Part>& parts,
                                    VectorXd otherwise, double (Value::*read)() const, toml::table& resolved) const;

  Value root_;
  const mjModel& m_;
  std::vector<Part> action_parts_;  ///< actuators that the actions drive, as pieces of the action
};

void Reader::clock(Task& task, toml::table& resolved) {
  task.horizon = root_.require("horizon").integer(1, kLongestHorizon);
  const Value step = root_.require("control_step");
  task.control_step = step.positive();
  if (task.control_step < 1e-6 || task.control_step > 1e3)
    step.fail(fmt::format("must be in [1e-6, 1000] seconds, but is {}", task.control_step));
  if (const auto given = root_.find("substeps")) {
    substeps = given->integer(1, 10000);
  } else {
    const double ratio = task.control_step / m_.opt.timestep;
    if (!(ratio < 10000.5) || std::round(ratio) < 1 || std::abs(ratio - std::round(ratio)) > 1e-6 * ratio)
      step.fail(fmt::format("{} s is not a whole number, 1 to 10000, of the model's time steps of {} s; give substeps",
                            task.control_step, m_.opt.timestep));
    substeps = static_cast<int>(std::round(ratio));
  }
  resolved.insert("horizon", task.horizon);
  resolved.insert("control_step", task.control_step);
  resolved.insert("substeps", substeps);
}

void Reader::actions(Task& task, toml::table& resolved) {
  const std::vector<Part> all = actuators(m_);
  std::vector<Part> chosen = all;
  const auto section = root_.find("actions");
  if (section) section->allow({"actuators", "limit"});
  if (const auto given = section ? section->find("actuators") : std::nullopt) {
    chosen.clear();
    for (const Value& element : one_or_more(*given)) {
      const Part& actuator = find(element, "actuator", all, element.text());
      if (find(chosen, actuator.name)) element.fail(fmt::format("actuator \"{}\" is named twice", actuator.name));
      chosen.push_back(actuator);
    }
  }

  for (const Part& actuator : chosen) {
    action_parts_.push_back({actuator.name, task.da(), actuator.size});
    for (Index i = 0; i < actuator.size; ++i) {
      task.control_index.push_back(actuator.first + i);
      task.action_names.push_back(actuator.size == 1 ? actuator.name : fmt::format("{}[{}]", actuator.name, i));
    }
  }

  // The model's own limits hold whatever the task says: MuJoCo clamps to them.
  VectorXd low(task.da()), high(task.da());
  const bool clamps = !(m_.opt.disableflags & mjDSBL_CLAMPCTRL);
  for (Index i = 0; i < task.da(); ++i) {
    const Index u = task.control_index[static_cast<std::size_t>(i)];
    const bool limited = clamps && m_.actuator_ctrllimited[u];
    low[i] = limited ? m_.actuator_ctrlrange[2 * u] : -infinity;
    high[i] = limited ? m_.actuator_ctrlrange[2 * u + 1] : infinity;
  }
  task.action_low = low;
  task.action_high = high;

  const auto set_limit = [&](Index i, const Value& value) {
    std::tie(task.action_low[i], task.action_high[i]) = bounds(value);
    if (task.action_low[i] < low[i] || task.action_high[i] > high[i])
      value.fail(fmt::format("[{}, {}] is beyond the ctrlrange [{}, {}] of actuator \"{}\" in the model, which clamps",
                             task.action_low[i], task.action_high[i], low[i], high[i],
                             task.action_names[static_cast<std::size_t>(i)]));
  };
  if (const auto limit = section ? section->find("limit") : std::nullopt) {
    const auto da = static_cast<std::size_t>(task.da());
    if (limit->is_number()) {
      for (std::size_t i = 0; i < da; ++i) set_limit(static_cast<Index>(i), *limit);
    } else if (limit->is_array()) {
      const std::vector<Value> elements = limit->elements();
      if (elements.size() != da)
        limit->fail(
            fmt::format("must be a number, or an array of {} with a number or [low, high] for each action, but is {}",
                        da, limit->describe()));
      for (std::size_t i = 0; i < da; ++i) set_limit(static_cast<Index>(i), elements[i]);
    } else {
      if (!limit->is_table())
        limit->fail(
            fmt::format("must be a number, an array of {} or a table of actuators, but is {}", da, limit->describe()));
      limit->allow(names(action_parts_));
      for (const auto& [name, value] : limit->entries()) {
        const Part& part = *find(action_parts_, name);
        for (Index i = 0; i < part.size; ++i) set_limit(part.first + i, value);
      }
    }
  }

  toml::array limits;
  for (Index i = 0; i < task.da(); ++i) limits.push_back(toml::array{task.action_low[i], task.action_high[i]});
  resolved.insert("actions", toml::table{{"actuators", to_toml(names(chosen))}, {"limit", std::move(limits)}});
}

void Reader::joint_limits(const Task& task, toml::table& resolved) {
  const auto sections = root_.find("joint_limit");
  if (!sections) return;
  if (!sections->is_array()) sections->fail("must be written [[joint_limit]]");
  std::vector<std::string> taken;
  toml::array all;
  for (const Value& element : sections->elements()) {
    element.allow({"name", "actuators", "range", "stiffness", "damping"});
    const std::string name = identifier(element.require("name"));
    if (std::find(taken.begin(), taken.end(), name) != taken.end())
      element.require("name").fail(fmt::format("two joint limits are called \"{}\"", name));
    taken.push_back(name);
    const Value section(element.node(), "joint_limit." + name, root_.file());
    JointLimit limit;
    std::tie(limit.low, limit.high) = bounds(section.require("range"));
    limit.stiffness = section.require("stiffness").positive();
    if (const auto damping = section.find("damping")) limit.damping = damping->not_negative();
    toml::array actuators;
    for (const Value& actuator : one_or_more(section.require("actuators"))) {
      const Part& action = find(actuator, "actuator among the actions", action_parts_, actuator.text());
      const Index joint = driven_joint(m_, action.name);
      if (action.size != 1 || joint < 0)
        actuator.fail(fmt::format("actuator \"{}\" does not drive a hinge or a slide joint", action.name));
      limit.control = task.control_index[static_cast<std::size_t>(action.first)];
      limit.qpos = m_.jnt_qposadr[joint];
      limit.qvel = m_.jnt_dofadr[joint];
      limit.control_low = task.action_low[action.first];
      limit.control_high = task.action_high[action.first];
      for (const JointLimit& other : laws)
        if (other.control == limit.control)
          actuator.fail(fmt::format("actuator \"{}\" has a joint limit already", action.name));
      laws.push_back(limit);
      actuators.push_back(action.name);
    }
    law_texts.push_back(fmt::format("{}: {} in [{}, {}], stiffness {}, damping {}", name,
                                    list(texts(section.require("actuators"))), limit.low, limit.high, limit.stiffness,
                                    limit.damping));
    all.push_back(toml::table{{"name", name},
                              {"actuators", std::move(actuators)},
                              {"range", toml::array{limit.low, limit.high}},
                              {"stiffness", limit.stiffness},
                              {"damping", limit.damping}});
  }
  resolved.insert("joint_limit", std::move(all));
}

void Reader::add_entries(const Value& value, bool states_only, Entries& entries) const {
  const std::string& text = value.text();
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);

  Source source = Source::state;
  Index offset = 0;         // of the kind's vector in the source
  std::vector<Part> parts;  // of the kind's vector
  std::string what = "joint";
  if (kind == "qpos") {
    parts = positions(m_);
  } else if (kind == "qvel") {
    offset = static_cast<Index>(m_.nq);
    parts = velocities(m_);
  } else if (kind == "act") {
    offset = static_cast<Index>(m_.nq + m_.nv);
    parts = activations(m_);
    what = "actuator with an activation";
  } else if (kind == "action" && !states_only) {
    source = Source::action;
    parts = action_parts_;
    what = "actuator among the actions";
  } else if (kind == "ctrl" && !states_only) {
    source = Source::control;
    const std::vector<Part> all = actuators(m_);
    for (const Part& action : action_parts_) parts.push_back(*find(all, action.name));
    what = "actuator among the actions";
  } else if (kind == "sensor" && !states_only) {
    source = Source::sensor;
    parts = sensors(m_);
    what = "sensor";
    if (colon == std::string::npos) value.fail("name the sensor, \"sensor:NAME\"" + hint("", names(parts)));
    if (m_.opt.disableflags & mjDSBL_SENSOR) value.fail("the model disables its sensors");
  } else {
    std::vector<std::string> kinds = {"qpos", "qvel", "act"};
    if (!states_only) kinds.insert(kinds.end(), {"action", "ctrl", "sensor:NAME"});
    value.fail(fmt::format("\"{}\" is not known{}", one_line(text, 60), hint(kind, kinds)));
  }
  if (parts.empty()) value.fail(fmt::format("the model has no {}", what));

  if (colon != std::string::npos) {
    const Part part = find(value, what, parts, text.substr(colon + 1));
    if (source == Source::sensor) {
      const auto is_it = [&](const Part& sensor) { return sensor.first == part.first; };
      const auto number = std::find_if(parts.begin(), parts.end(), is_it) - parts.begin();
      entries.needs_action |= m_.sensor_needstage[number] == mjSTAGE_ACC;
    }
    parts = {part};
  }
  entries.needs_action |= source == Source::action || source == Source::control;

  if (!entries.index.empty() && entries.source != source)
    value.fail("all of them must be of one kind: the state (qpos, qvel, act), action, ctrl or sensors");
  entries.source = source;
  for (const Part& part : parts)
    for (Index i = 0; i < part.size; ++i) {
      const Index index = offset + part.first + i;
      if (std::find(entries.index.begin(), entries.index.end(), index) != entries.index.end())
        value.fail(fmt::format("\"{}\" is named twice", one_line(text, 60)));
      entries.index.push_back(index);
      entries.names.push_back(part.size == 1 ? fmt::format("{}:{}", kind, part.name)
                                             : fmt::format("{}:{}[{}]", kind, part.name, i));
    }
}

void Reader::observation(Task& task, toml::table& resolved) const {
  Entries entries;
  std::vector<std::string> parts = {"qpos", "qvel"};
  if (m_.na > 0) parts.emplace_back("act");
  const auto section = root_.find("observation");
  if (section) section->allow({"parts"});
  if (const auto given = section ? section->find("parts") : std::nullopt) {
    parts.clear();
    for (const Value& element : one_or_more(*given)) {
      add_entries(element, true, entries);
      parts.push_back(element.text());
    }
  } else {
    const toml::array all = to_toml(parts);
    for (const toml::node& part : all) add_entries(Value(part, "observation.parts", root_.file()), true, entries);
  }
  task.observation = entries.index;
  task.observation_names = entries.names;
  resolved.insert("observation", toml::table{{"parts", to_toml(parts)}});
}

VectorXd Reader::state_part(const Value* section, const std::string& key, const std::vector<Part>& parts,
                            VectorXd otherwise, double (Value::*read)() const, toml::table& resolved) const {
  VectorXd values = std::move(otherwise);
  if (const auto given = section ? section->find(key) : std::nullopt)
    values = numbers_by_name(*given, parts, values, read);
  resolved.insert(key, to_toml(values));
  return values;
}

void Reader::start(Task& task, toml::table& resolved) const {
  const Index nq = static_cast<Index>(m_.nq), nv = static_cast<Index>(m_.nv), na = static_cast<Index>(m_.na);
  const auto given = root_.find("start");
  const Value* section = given ? &*given : nullptr;
  const auto from = section ? section->find("from") : std::nullopt;
  const bool shown = from && from->choice({"model", "demonstration"}) == 1;
  if (shown && !root_.find("demonstration")) from->fail("this task has no [demonstration]");
  if (shown)
    section->allow({"distribution", "qpos_spread", "qvel_spread", "act_spread", "from"});
  else if (section)
    section->allow({"distribution", "qpos", "qvel", "act", "qpos_spread", "qvel_spread", "act_spread", "from"});

  toml::table out;
  if (shown) out.insert("from", from->text());
  const std::vector<std::string> kinds = {"gaussian", "uniform"};
  const auto kind = section ? section->find("distribution") : std::nullopt;
  const std::size_t which = kind ? kind->choice(kinds) : 0;
  task.start.kind = which == 0 ? StartDistribution::Kind::gaussian : StartDistribution::Kind::uniform;
  out.insert("distribution", kinds[which]);

  const VectorXd qpos0 = Eigen::Map<const VectorXd>(m_.qpos0, nq);
  const std::vector<Part> q = positions(m_), v = velocities(m_), a = activations(m_);
  VectorXd mean(nq + nv + na), spread(nq + nv + na);
  mean << qpos0, VectorXd::Zero(nv + na);
  if (!shown) {
    mean.head(nq) = state_part(section, "qpos", q, mean.head(nq), &Value::number, out);
    mean.segment(nq, nv) = state_part(section, "qvel", v, mean.segment(nq, nv), &Value::number, out);
    mean.tail(na) = state_part(section, "act", a, mean.tail(na), &Value::number, out);
  }
  spread.head(nq) = state_part(section, "qpos_spread", q, VectorXd::Zero(nq), &Value::not_negative, out);
  spread.segment(nq, nv) = state_part(section, "qvel_spread", v, VectorXd::Zero(nv), &Value::not_negative, out);
  spread.tail(na) = state_part(section, "act_spread", a, VectorXd::Zero(na), &Value::not_negative, out);

  for (const Part& joint : quaternions(m_)) {
    if (const double norm = mean.segment(joint.first, 4).norm(); !is_one(norm))
      section->require("qpos").fail(quaternion_text(joint, norm));
    if (!spread.segment(joint.first, 4).isZero(0.0))
      section->require("qpos_spread")
          .fail(fmt::format(
              "joint \"{}\" has a quaternion, which cannot be spread; give 0 for its 4 entries, and spread its qvel",
              joint.name));
  }
  task.start.mean = mean;
  task.start.spread = spread;
  resolved.insert("start", std::move(out));
}

void Reader::start_from_demonstration(Task& task) const {
  const auto section = root_.find("start");
  const auto from = section ? section->find("from") : std::nullopt;
  if (!from || from->text() != "demonstration") return;
  task.start.mean = task.demonstration->state.col(0);
  for (const Part& joint : quaternions(m_))
    if (const double norm = task.start.mean.segment(joint.first, 4).norm(); !is_one(norm))
      from->fail(quaternion_text(joint, norm));
}

Residual Reader::residual(const Value& section, toml::table& resolved) const {
  Entries entries;
  std::vector<std::string> of;
  for (const Value& element : one_or_more(section.require("of"))) {
    add_entries(element, false, entries);
    of.push_back(element.text());
  }
  resolved.insert("of", to_toml(of));

  Residual r;
  r.source = entries.source;
  r.index = entries.index;
  r.needs_action = entries.needs_action;
  Index n = static_cast<Index>(r.index.size());
  if (const auto matrix = section.find("matrix")) {
    const std::vector<Value> rows = matrix->elements();
    if (rows.empty()) matrix->fail("must not be empty");
    r.matrix.resize(static_cast<Index>(rows.size()), n);
    toml::array out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].is_array())
        rows[i].fail(fmt::format("must be a row of {} numbers, but is {}", n, rows[i].describe()));
      const VectorXd row = numbers(rows[i], n, &Value::number);
      r.matrix.row(static_cast<Index>(i)) = row.transpose();
      out.push_back(to_toml(row));
    }
    resolved.insert("matrix", std::move(out));
    n = r.matrix.rows();
  }
  const auto target = section.find("target");
  r.target = target ? numbers(*target, n, &Value::number) : VectorXd::Zero(n);
  resolved.insert("target", to_toml(r.target));
  return r;
}

void Reader::cost(Task& task, toml::table& resolved) const {
  const Value terms = root_.require("cost");
  if (!terms.is_array()) terms.fail(fmt::format("must be one or more [[cost]] tables, but is {}", terms.describe()));
  const std::vector<Value> all = terms.elements();
  if (all.empty()) terms.fail("must have at least one element");
  toml::array out;
  for (const Value& element : all) {
    element.allow({"name", "of", "matrix", "target", "weight", "norm", "width", "steps"});
    const Value name = element.require("name");
    CostTerm term;
    term.name = identifier(name);
    for (const CostTerm& other : task.cost)
      if (other.name == term.name) name.fail(fmt::format("two terms are called \"{}\"", term.name));

    const Value section(element.node(), "cost." + term.name, root_.file());
    toml::table term_out{{"name", term.name}};
    term.residual = residual(section, term_out);

    const auto weight = section.find("weight");
    const Index n = term.residual.target.size();
    term.weight = weight ? numbers(*weight, n, &Value::not_negative) : VectorXd::Ones(n);
    term_out.insert("weight", to_toml(term.weight));

    const std::vector<std::string> norms = {"quadratic", "absolute", "smooth"};
    const auto norm = section.find("norm");
    const std::size_t which = norm ? norm->choice(norms) : 0;
    term.norm = std::array{Norm::quadratic, Norm::absolute, Norm::smooth}[which];
    term_out.insert("norm", norms[which]);
    const auto width = section.find("width");
    if (term.norm == Norm::smooth) {
      term.width = section.require("width").positive();
      term_out.insert("width", term.width);
    } else if (width) {
      width->fail("only the norm \"smooth\" has a width");
    }

    const toml::value<std::string> everywhere("all");
    const auto given = section.find("steps");
    const Value when = given ? *given : Value(everywhere, "steps", root_.file());
    term.active = steps(when, task.horizon, term.residual.needs_action);
    when.node().visit([&](const auto& node) { term_out.insert("steps", node); });

    task.cost.push_back(std::move(term));
    out.push_back(std::move(term_out));
  }
  resolved.insert("cost", std::move(out));
}

void Reader::success(Task& task, toml::table& resolved) const {
  const auto section = root_.find("success");
  if (!section) return;
  section->allow({"text", "of", "matrix", "target", "statistic", "below", "steps"});
  toml::table out;
  Success success;
  success.residual = residual(*section, out);
  const std::vector<std::string> statistics = {"mean_abs", "max_abs"};
  const auto statistic = section->find("statistic");
  const std::size_t which = statistic ? statistic->choice(statistics) : 0;
  success.statistic = which == 0 ? Success::Statistic::mean_abs : Success::Statistic::max_abs;
  out.insert("statistic", statistics[which]);
  success.below = section->require("below").positive();
  out.insert("below", success.below);
  const Value when = section->require("steps");
  success.active = steps(when, task.horizon, success.residual.needs_action);
  when.node().visit([&](const auto& node) { out.insert("steps", node); });
  const auto text = section->find("text");
  success.text =
      text ? text->text()
           : fmt::format("{} |{}| at steps {} < {}", which == 0 ? "mean" : "largest",
                         out["of"].as_array()->get(0)->value_or<std::string>(""), steps_text(when), success.below);
  task.success.push_back(std::move(success));
  resolved.insert("success", std::move(out));
}

/// One control step from the mean start, with actions as near to 0 as their limits allow: NaN in a model shows here.
bool first_step_succeeds(const Task& task) {
  const auto system = task.system->clone();
  Episode episode(task, *system);
  episode.reset(task.start.mean);
  return !episode.step(VectorXd::Zero(task.da())).diverged;
}

}  // namespace

TaskFile load_task(const std::string& path, const std::vector<Override>& overrides, const DemonstrationReader& read) {
  namespace fs = std::filesystem;
  toml::table document = read_toml(path);
  for (const auto& [key, value] : overrides) override_value(document, key, value, "task.");
  const Value root(document, "", path);

  root.allow({"kedge", "name", "summary", "model", "horizon", "control_step", "substeps", "actions", "joint_limit",
              "observation", "start", "demonstration", "cost", "success"});
  if (const Value format = root.require("kedge"); !format.is_number() || format.number() != kFormat)
    format.fail(fmt::format("this program reads task files of format {}, but this is {}", kFormat, format.describe()));

  TaskFile file;
  Task& task = file.task;
  toml::table resolved{{"kedge", kFormat}};
  std::error_code error;
  const fs::path folder = fs::absolute(path, error).lexically_normal().parent_path();
  const auto name = root.find("name");
  task.name = name ? identifier(*name) : folder.filename().string();
  const auto summary = root.find("summary");
  task.summary = summary ? summary->text() : "";

  const Value model_key = root.require("model");
  file.model_path = (folder / model_key.text()).lexically_normal().string();
  const auto status = fs::status(file.model_path, error);
  if (!fs::exists(status)) model_key.fail(fmt::format("there is no file {}", file.model_path));
  if (!fs::is_regular_file(status)) model_key.fail(fmt::format("{} is not a file", file.model_path));
  LoadedModel loaded = load_mujoco_model(file.model_path);
  if (!loaded.model) model_key.fail(fmt::format("MuJoCo refuses {}: {}", model_key.text(), one_line(loaded.error)));
  if (const std::string why = unsupported(*loaded.model); !why.empty())
    model_key.fail(fmt::format("kedge cannot use {}: {}", model_key.text(), why));
  for (const std::string& warning : loaded.warnings) file.warnings.push_back(one_line(warning));

  Reader reader(root, *loaded.model);
  reader.clock(task, resolved);
  reader.actions(task, resolved);
  reader.joint_limits(task, resolved);
  reader.observation(task, resolved);
  reader.start(task, resolved);
  reader.cost(task, resolved);
  reader.success(task, resolved);
  loaded.model->opt.timestep = task.control_step / reader.substeps;
  task.system = std::make_shared<MujocoSystem>(loaded.model, reader.substeps, reader.laws);
  if (const auto section = root.find("demonstration")) {
    DemonstrationTable table = read_demonstration(*section, task, loaded.model, folder.string(), read);
    task.demonstration = std::make_shared<const Demonstration>(std::move(table.demonstration));
    file.demonstration_path = std::move(table.file);
    file.demonstration_text = std::move(table.text);
    resolved.insert("demonstration", std::move(table.resolved));
  }
  reader.start_from_demonstration(task);
  validate(task);
  if (!first_step_succeeds(task))
    model_key.fail(
        fmt::format("the simulation of {} diverges in the first control step from the mean start, without action",
                    model_key.text()));

  file.joint_limits = reader.law_texts;
  file.files = model_files(file.model_path);
  if (!file.demonstration_path.empty()) file.files.push_back(file.demonstration_path);
  file.digest = digest(write_toml(resolved), file.files);
  if (!task.success.empty()) resolved["success"].as_table()->insert("text", task.success[0].text);
  resolved.insert("name", task.name);
  if (summary) resolved.insert("summary", task.summary);
  resolved.insert("model", file.model_path);
  if (!file.demonstration_path.empty()) resolved["demonstration"].as_table()->insert("file", file.demonstration_path);
  file.resolved_toml = write_toml(resolved);
  return file;
}

}  // namespace kedge
