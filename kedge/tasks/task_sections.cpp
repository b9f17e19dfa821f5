#include "kedge/tasks/task_sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

#include "kedge/core/text.h"
#include "kedge/mujoco/collisions.h"
#include "kedge/tasks/quantities.h"
#include "kedge/tasks/task_values.h"
#include "kedge/tasks/world_table.h"

namespace kedge {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int kLongestHorizon = 100000;
constexpr std::size_t kMostTerms = 1000;  ///< of the cost
constexpr double kMostWeight = 1e50;      ///< of a residual

/// Every actuator of the model, or those that the file names.
std::vector<Part> chosen_actuators(const std::optional<Value>& section, const mjModel& m) {
  std::vector<Part> all = actuators(m);
  const auto given = section ? section->find("actuators") : std::nullopt;
  if (!given) return all;
  std::vector<Part> chosen;
  for (const Value& element : one_or_more(*given)) {
    const Part& actuator = require_part(element, "actuator", all, element.text());
    if (find(chosen, actuator.name)) element.fail(fmt::format("actuator \"{}\" is named twice", actuator.name));
    chosen.push_back(actuator);
  }
  return chosen;
}

/// Puts the file's limits in place of the model's, which hold whatever the task says: MuJoCo clamps to them.
void read_limits(const Value& limit, Actions& actions) {
  const VectorXd low = actions.low, high = actions.high;
  const auto set_limit = [&](Index i, const Value& value) {
    std::tie(actions.low[i], actions.high[i]) = read_bounds(value);
    if (actions.low[i] < low[i] || actions.high[i] > high[i])
      value.fail(fmt::format("[{}, {}] is beyond the ctrlrange [{}, {}] of actuator \"{}\" in the model, which clamps",
                             actions.low[i], actions.high[i], low[i], high[i],
                             actions.names[static_cast<std::size_t>(i)]));
  };
  const std::size_t da = actions.names.size();
  if (limit.is_number()) {
    for (std::size_t i = 0; i < da; ++i) set_limit(static_cast<Index>(i), limit);
  } else if (limit.is_array()) {
    const std::vector<Value> elements = limit.elements();
    if (elements.size() != da)
      limit.fail(
          fmt::format("must be a number, or an array of {} with a number or [low, high] for each action, but is {}", da,
                      limit.describe()));
    for (std::size_t i = 0; i < da; ++i) set_limit(static_cast<Index>(i), elements[i]);
  } else {
    if (!limit.is_table())
      limit.fail(
          fmt::format("must be a number, an array of {} or a table of actuators, but is {}", da, limit.describe()));
    limit.allow(names(actions.parts));
    for (const auto& [name, value] : limit.entries()) {
      const Part& part = *find(actions.parts, name);
      for (Index i = 0; i < part.size; ++i) set_limit(part.first + i, value);
    }
  }
}

VectorXd state_part(const Value* section, const std::string& key, const std::vector<Part>& parts, VectorXd otherwise,
                    double (Value::*read)() const, toml::table& resolved) {
  VectorXd values = std::move(otherwise);
  if (const auto given = section ? section->find(key) : std::nullopt)
    values = read_numbers_by_name(*given, parts, values, read);
  resolved.insert(key, to_toml(values));
  return values;
}

bool is_one(double norm) { return std::abs(norm - 1.0) <= 1e-6; }

std::string quaternion_text(const Part& joint, double norm) {
  return fmt::format("the quaternion of joint \"{}\" must have norm 1, but has {}", joint.name, norm);
}

/// The keyframe that `from = "keyframe:NAME"` names; nothing if it names something else.
std::optional<Index> keyframe_of(const std::optional<Value>& from, const mjModel& m) {
  constexpr std::string_view start = "keyframe:";
  if (!from || !from->is_text() || !from->text().starts_with(start)) return std::nullopt;
  std::vector<std::string> all;
  for (int i = 0; i < static_cast<int>(m.nkey); ++i) {
    const char* name = mj_id2name(&m, mjOBJ_KEY, i);
    all.push_back(name && *name ? name : std::to_string(i));
  }
  const std::string name = from->text().substr(start.size());
  const auto found = std::find(all.begin(), all.end(), name);
  if (found == all.end())
    from->fail(all.empty() ? "the model has no keyframes"
                           : fmt::format("the model has no keyframe \"{}\"{}", one_line(name, 60), hint(name, all)));
  return found - all.begin();
}

bool is_hinge_angle(const mjModel& m, Index entry) {
  for (int joint = 0; joint < static_cast<int>(m.njnt); ++joint)
    if (m.jnt_qposadr[joint] == entry) return m.jnt_type[joint] == mjJNT_HINGE;
  return false;
}

/// Reads `angle` and `attitude`.
void read_turns(const Value& section, const mjModel& m, const Entries& entries, Residual& r, toml::table& resolved) {
  const bool of_state = r.source == Source::state || r.source == Source::sensor;
  if (const auto angle = section.find("angle")) {
    r.angle = angle->boolean();
    if (r.angle && !of_state) angle->fail("only states and sensors are angles");
    if (r.angle && r.source == Source::state && r.matrix.size() == 0)
      for (std::size_t i = 0; i < r.index.size(); ++i)
        if (r.index[i] < static_cast<Index>(m.nq + m.nv + m.na) && !is_hinge_angle(m, r.index[i]))
          angle->fail(fmt::format("{} is no angle: only the positions of hinges are", entries.names[i]));
    resolved.insert("angle", r.angle);
  }
  const auto attitude = section.find("attitude");
  r.quaternion = attitude ? attitude->boolean() : entries.attitude && r.matrix.size() == 0 && !r.angle;
  if (r.quaternion && attitude && (!of_state || r.index.size() != 4 || r.matrix.size() > 0 || r.angle))
    attitude->fail("needs the 4 entries of one quaternion, without matrix, difference or angle");
  if (attitude || r.quaternion) resolved.insert("attitude", r.quaternion);
}

/// Reads `target`: of an attitude a quaternion, by default that of no turn.
VectorXd read_target(const Value& section, const Residual& r, Index n) {
  const auto target = section.find("target");
  if (!target) return r.quaternion ? VectorXd(VectorXd::Unit(4, 0)) : VectorXd(VectorXd::Zero(n));
  VectorXd values = read_numbers(*target, n, &Value::number);
  if (r.quaternion && !is_one(values.norm()))
    target->fail(
        fmt::format("of an attitude must be a quaternion [w, x, y, z] of norm 1, but its norm is {}", values.norm()));
  return values;
}

Residual read_residual(const Value& section, const Plant& plant, const Actions& actions, toml::table& resolved) {
  const Value of = section.require("of");
  const Entries entries = read_quantities(of, plant, actions.parts);
  resolved.insert("of", to_toml(read_texts(of)));

  Residual r;
  r.source = entries.source;
  r.index = entries.index;
  r.needs_action = entries.needs_action;
  r.names = entries.names;
  r.matrix = entries.matrix;
  Index n = r.matrix.size() > 0 ? r.matrix.rows() : static_cast<Index>(r.index.size());
  if (const auto matrix = section.find("matrix")) {
    const std::vector<Value> rows = matrix->elements();
    if (rows.empty()) matrix->fail("must not be empty");
    MatrixXd given(static_cast<Index>(rows.size()), n);
    toml::array out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].is_array())
        rows[i].fail(fmt::format("must be a row of {} numbers, but is {}", n, rows[i].describe()));
      const VectorXd row = read_numbers(rows[i], n, &Value::number);
      given.row(static_cast<Index>(i)) = row.transpose();
      out.push_back(to_toml(row));
    }
    resolved.insert("matrix", std::move(out));
    r.matrix = entries.matrix.size() > 0 ? MatrixXd(given * entries.matrix) : given;
    n = r.matrix.rows();
  }
  read_turns(section, plant.model, entries, r, resolved);
  r.target = read_target(section, r, n);
  resolved.insert("target", to_toml(r.target));
  return r;
}

}  // namespace

Clock read_clock(const Value& root, const mjModel& m, toml::table& resolved) {
  Clock clock;
  clock.horizon = root.require("horizon").integer(1, kLongestHorizon);
  const Value step = root.require("control_step");
  clock.control_step = step.positive();
  if (clock.control_step < 1e-6 || clock.control_step > 1e3)
    step.fail(fmt::format("must be in [1e-6, 1000] seconds, but is {}", clock.control_step));
  if (const auto given = root.find("substeps")) {
    clock.substeps = given->integer(1, 10000);
  } else {
    const double ratio = clock.control_step / m.opt.timestep;
    if (!(ratio < 10000.5) || std::round(ratio) < 1 || std::abs(ratio - std::round(ratio)) > 1e-6 * ratio)
      step.fail(fmt::format("{} s is not a whole number, 1 to 10000, of the model's time steps of {} s; give substeps",
                            clock.control_step, m.opt.timestep));
    clock.substeps = static_cast<int>(std::round(ratio));
  }
  resolved.insert("horizon", clock.horizon);
  resolved.insert("control_step", clock.control_step);
  resolved.insert("substeps", clock.substeps);
  return clock;
}

Actions read_actions(const Value& root, const mjModel& m, toml::table& resolved) {
  const auto section = root.find("actions");
  if (section) section->allow({"actuators", "limit"});
  const std::vector<Part> chosen = chosen_actuators(section, m);
  Actions actions;
  for (const Part& actuator : chosen) {
    actions.parts.push_back({actuator.name, static_cast<Index>(actions.names.size()), actuator.size});
    for (Index i = 0; i < actuator.size; ++i) {
      actions.control_index.push_back(actuator.first + i);
      actions.names.push_back(actuator.size == 1 ? actuator.name : fmt::format("{}[{}]", actuator.name, i));
    }
  }

  const auto da = static_cast<Index>(actions.names.size());
  actions.low = VectorXd::Constant(da, -infinity);
  actions.high = VectorXd::Constant(da, infinity);
  const bool clamps = !(m.opt.disableflags & mjDSBL_CLAMPCTRL);
  for (Index i = 0; i < da; ++i) {
    const Index u = actions.control_index[static_cast<std::size_t>(i)];
    if (!clamps || !m.actuator_ctrllimited[u]) continue;
    actions.low[i] = m.actuator_ctrlrange[2 * u];
    actions.high[i] = m.actuator_ctrlrange[2 * u + 1];
  }
  if (const auto limit = section ? section->find("limit") : std::nullopt) read_limits(*limit, actions);

  toml::array limits;
  for (Index i = 0; i < da; ++i) limits.push_back(toml::array{actions.low[i], actions.high[i]});
  resolved.insert("actions", toml::table{{"actuators", to_toml(names(chosen))}, {"limit", std::move(limits)}});
  return actions;
}

JointLimits read_joint_limits(const Value& root, const mjModel& m, const Actions& actions, toml::table& resolved) {
  JointLimits limits;
  const auto sections = root.find("joint_limit");
  if (!sections) return limits;
  if (!sections->is_array()) sections->fail("must be written [[joint_limit]]");
  std::vector<std::string> taken;
  toml::array all;
  for (const Value& element : sections->elements()) {
    element.allow({"name", "actuators", "range", "stiffness", "damping"});
    const std::string name = read_identifier(element.require("name"));
    if (std::find(taken.begin(), taken.end(), name) != taken.end())
      element.require("name").fail(fmt::format("two joint limits are called \"{}\"", name));
    taken.push_back(name);
    const Value section(element.node(), "joint_limit." + name, root.file());
    JointLimit limit;
    std::tie(limit.low, limit.high) = read_bounds(section.require("range"));
    limit.stiffness = section.require("stiffness").positive();
    if (const auto damping = section.find("damping")) limit.damping = damping->not_negative();
    toml::array driving;
    for (const Value& actuator : one_or_more(section.require("actuators"))) {
      const Part& action = require_part(actuator, "actuator among the actions", actions.parts, actuator.text());
      const Index joint = driven_joint(m, action.name);
      if (action.size != 1 || joint < 0)
        actuator.fail(fmt::format("actuator \"{}\" does not drive a hinge or a slide joint", action.name));
      limit.control = actions.control_index[static_cast<std::size_t>(action.first)];
      limit.qpos = m.jnt_qposadr[joint];
      limit.qvel = m.jnt_dofadr[joint];
      limit.control_low = actions.low[action.first];
      limit.control_high = actions.high[action.first];
      for (const JointLimit& other : limits.laws)
        if (other.control == limit.control)
          actuator.fail(fmt::format("actuator \"{}\" has a joint limit already", action.name));
      limits.laws.push_back(limit);
      driving.push_back(action.name);
    }
    limits.texts.push_back(fmt::format("{}: {} in [{}, {}], stiffness {}, damping {}", name,
                                       list(read_texts(section.require("actuators"))), limit.low, limit.high,
                                       limit.stiffness, limit.damping));
    all.push_back(toml::table{{"name", name},
                              {"actuators", std::move(driving)},
                              {"range", toml::array{limit.low, limit.high}},
                              {"stiffness", limit.stiffness},
                              {"damping", limit.damping}});
  }
  resolved.insert("joint_limit", std::move(all));
  return limits;
}

Observation read_observation(const Value& root, const Plant& plant, toml::table& resolved) {
  std::vector<std::string> parts = {"qpos", "qvel"};
  if (plant.model.na > 0) parts.emplace_back("act");
  const toml::array all = to_toml(parts);
  const auto section = root.find("observation");
  if (section) section->allow({"parts"});
  const auto given = section ? section->find("parts") : std::nullopt;
  const Value words = given ? *given : Value(all, "observation.parts", root.file());
  Entries entries = read_observed(words, plant);
  resolved.insert("observation", toml::table{{"parts", to_toml(read_texts(words))}});
  return {std::move(entries.index), std::move(entries.names)};
}

std::vector<Index> read_context(const Value& root, const Plant& plant, toml::table& resolved) {
  const auto section = root.find("context");
  if (!section) return {};  // not in `resolved`: what varies follows from the start
  section->allow({"parts"});
  const Value parts = section->require("parts");
  Entries entries = read_states(parts, plant);
  resolved.insert("context", toml::table{{"parts", to_toml(read_texts(parts))}});
  return std::move(entries.index);
}

void name_numbers(const mjModel& m, toml::table& resolved) {
  const auto name = [](toml::node_view<toml::node> section, const std::string& key, const std::vector<Part>& parts) {
    const toml::array* numbers = section[key].as_array();
    if (!numbers || parts.empty()) return;
    toml::table named;
    for (const Part& part : parts) {
      toml::array own;
      for (Index i = 0; i < part.size; ++i) own.push_back(*numbers->get(static_cast<std::size_t>(part.first + i)));
      if (part.size == 1)
        named.insert(part.name, own[0]);
      else
        named.insert(part.name, std::move(own));
    }
    section.as_table()->insert_or_assign(key, std::move(named));
  };
  const toml::node_view<toml::node> start = resolved["start"], actions = resolved["actions"];
  for (const std::string suffix : {"", "_spread"}) {
    name(start, "qpos" + suffix, positions(m));
    name(start, "qvel" + suffix, velocities(m));
    name(start, "act" + suffix, activations(m));
  }
  const toml::array& actuators = *actions["actuators"].as_array();
  std::vector<Part> parts;
  for (const toml::node& actuator : actuators)
    parts.push_back({*actuator.value<std::string>(), static_cast<Index>(parts.size()), 1});
  if (actions["limit"].as_array()->size() == parts.size())
    name(actions, "limit", parts);  // else one has several controls
}

StartDistribution read_start(const Value& root, const Plant& plant, toml::table& resolved) {
  const mjModel& m = plant.model;
  const Index nq = static_cast<Index>(m.nq), nv = static_cast<Index>(m.nv), na = static_cast<Index>(m.na);
  const Index own = plant.world.start.size();
  const auto given = root.find("start");
  const Value* section = given ? &*given : nullptr;
  const auto from = section ? section->find("from") : std::nullopt;
  const std::optional<Index> key = keyframe_of(from, m);
  if (from && !key && from->is_text() && mj_name2id(&m, mjOBJ_KEY, from->text().c_str()) >= 0)
    from->fail(fmt::format("\"{0}\" is a keyframe: write \"keyframe:{0}\"", one_line(from->text(), 60)));
  const bool shown = from && !key && from->choice({"model", "demonstration"}) == 1;
  if (shown && !root.find("demonstration")) from->fail("this task has no [demonstration]");
  std::vector<std::string> keys = {"distribution", "qpos_spread", "qvel_spread", "act_spread", "from"};
  if (!shown) keys.insert(keys.end(), {"qpos", "qvel", "act"});
  if (own > 0) keys.emplace_back("world_spread");
  if (own > 0 && !shown) keys.emplace_back("world");
  if (section) section->allow(keys);

  toml::table out;
  if (shown || key) out.insert("from", from->text());
  const std::vector<std::string> kinds = {"gaussian", "uniform"};
  const auto kind = section ? section->find("distribution") : std::nullopt;
  const std::size_t which = kind ? kind->choice(kinds) : 0;
  StartDistribution distribution;
  distribution.kind = which == 0 ? StartDistribution::Kind::gaussian : StartDistribution::Kind::uniform;
  out.insert("distribution", kinds[which]);

  const VectorXd qpos0 = Eigen::Map<const VectorXd>(m.qpos0, nq);
  const std::vector<Part> q = positions(m), v = velocities(m), a = activations(m);
  VectorXd mean(nq + nv + na + own), spread(nq + nv + na + own);
  mean << qpos0, VectorXd::Zero(nv + na), plant.world.start;
  if (key)
    for (const auto& [first, size, from_key] :
         {std::tuple{Index{0}, nq, m.key_qpos}, {nq, nv, m.key_qvel}, {nq + nv, na, m.key_act}})
      for (Index i = 0; i < size; ++i) mean[first + i] = from_key[*key * size + i];
  if (!shown) {
    mean.head(nq) = state_part(section, "qpos", q, mean.head(nq), &Value::number, out);
    mean.segment(nq, nv) = state_part(section, "qvel", v, mean.segment(nq, nv), &Value::number, out);
    mean.segment(nq + nv, na) = state_part(section, "act", a, mean.segment(nq + nv, na), &Value::number, out);
    if (own > 0) mean.tail(own) = state_part(section, "world", plant.world.state, mean.tail(own), &Value::number, out);
  }
  spread.head(nq) = state_part(section, "qpos_spread", q, VectorXd::Zero(nq), &Value::not_negative, out);
  spread.segment(nq, nv) = state_part(section, "qvel_spread", v, VectorXd::Zero(nv), &Value::not_negative, out);
  spread.segment(nq + nv, na) = state_part(section, "act_spread", a, VectorXd::Zero(na), &Value::not_negative, out);
  if (own > 0)
    spread.tail(own) =
        state_part(section, "world_spread", plant.world.state, VectorXd::Zero(own), &Value::not_negative, out);

  for (const Part& joint : quaternions(m)) {
    if (const double norm = mean.segment(joint.first, 4).norm(); !is_one(norm))
      (section->find("qpos") ? *section->find("qpos") : *from).fail(quaternion_text(joint, norm));
    if (!spread.segment(joint.first, 4).isZero(0.0))
      section->require("qpos_spread")
          .fail(fmt::format(
              "joint \"{}\" has a quaternion, which cannot be spread; give 0 for its 4 entries, and spread its qvel",
              joint.name));
  }
  resolved.insert("start", std::move(out));
  distribution.mean = mean;
  distribution.spread = spread;
  return distribution;
}

VectorXd start_of_demonstration(const Value& root, const mjModel& m, const Demonstration& shown, VectorXd mean) {
  const auto section = root.find("start");
  const auto from = section ? section->find("from") : std::nullopt;
  if (!from || from->text() != "demonstration") return mean;
  mean = shown.state.col(0);
  for (const Part& joint : quaternions(m))
    if (const double norm = mean.segment(joint.first, 4).norm(); !is_one(norm))
      from->fail(quaternion_text(joint, norm));
  return mean;
}

std::vector<CostTerm> read_cost(const Value& root, const Plant& plant, const Actions& actions, int horizon,
                                toml::table& resolved) {
  std::vector<CostTerm> cost;
  const Value terms = root.require("cost");
  if (!terms.is_array()) terms.fail(fmt::format("must be one or more [[cost]] tables, but is {}", terms.describe()));
  const std::vector<Value> all = terms.elements();
  if (all.empty()) terms.fail("must have at least one element");
  if (all.size() > kMostTerms)
    terms.fail(fmt::format("has {} terms, but must have at most {}", all.size(), kMostTerms));
  toml::array out;
  for (const Value& element : all) {
    element.allow({"name", "of", "matrix", "target", "weight", "norm", "width", "steps", "angle", "attitude"});
    const Value name = element.require("name");
    CostTerm term;
    term.name = read_identifier(name);
    for (const CostTerm& other : cost)
      if (other.name == term.name) name.fail(fmt::format("two terms are called \"{}\"", term.name));

    const Value section(element.node(), "cost." + term.name, root.file());
    toml::table term_out{{"name", term.name}};
    term.residual = read_residual(section, plant, actions, term_out);

    const auto weight = section.find("weight");
    const Index n = term.residual.target.size();
    term.weight = weight ? read_numbers(*weight, n, &Value::not_negative) : VectorXd::Ones(n);
    if (term.weight.maxCoeff() > kMostWeight)
      weight->fail(fmt::format("must be <= {:.0e}, but is {:.3g}: squares of returns would overflow", kMostWeight,
                               term.weight.maxCoeff()));
    term_out.insert("weight", to_toml(term.weight));

    const std::vector<std::string> norms = {"quadratic", "absolute", "smooth", "bounded", "distance"};
    const auto norm = section.find("norm");
    const std::size_t which = norm ? norm->choice(norms) : 0;
    term.norm = std::array{Norm::quadratic, Norm::absolute, Norm::smooth, Norm::bounded, Norm::distance}[which];
    term_out.insert("norm", norms[which]);
    const auto width = section.find("width");
    if (term.norm == Norm::smooth || term.norm == Norm::bounded)
      term.width = section.require("width").positive();
    else if (term.norm == Norm::distance && width)
      term.width = width->not_negative();
    else if (width)
      width->fail("only the norms \"smooth\", \"bounded\" and \"distance\" have a width");
    if (term.width > 0) term_out.insert("width", term.width);

    const toml::value<std::string> everywhere("all");
    const auto given = section.find("steps");
    const Value when = given ? *given : Value(everywhere, "steps", root.file());
    term.active = read_steps(when, horizon, term.residual.needs_action);
    when.node().visit([&](const auto& node) { term_out.insert("steps", node); });

    cost.push_back(std::move(term));
    out.push_back(std::move(term_out));
  }
  resolved.insert("cost", std::move(out));
  return cost;
}

std::vector<Success> read_success(const Value& root, const Plant& plant, const Actions& actions, int horizon,
                                  toml::table& resolved) {
  const auto section = root.find("success");
  if (!section) return {};
  section->allow({"text", "of", "matrix", "target", "statistic", "below", "steps", "angle", "attitude"});
  toml::table out;
  Success success;
  success.residual = read_residual(*section, plant, actions, out);
  const std::vector<std::string> statistics = {"mean_abs", "max_abs", "max_distance"};
  const auto statistic = section->find("statistic");
  const std::size_t which = statistic ? statistic->choice(statistics) : 0;
  success.statistic =
      std::array{Success::Statistic::mean_abs, Success::Statistic::max_abs, Success::Statistic::max_distance}[which];
  out.insert("statistic", statistics[which]);
  success.below = section->require("below").positive();
  out.insert("below", success.below);
  const Value when = section->require("steps");
  success.active = read_steps(when, horizon, success.residual.needs_action);
  when.node().visit([&](const auto& node) { out.insert("steps", node); });
  const auto text = section->find("text");
  success.text = text ? text->text() : success_text(success, steps_text(when));
  resolved.insert("success", std::move(out));
  return {std::move(success)};
}

std::vector<Termination> read_termination(const Value& root, const Plant& plant, const Actions& actions,
                                          toml::table& resolved) {
  std::vector<Termination> all;
  const auto sections = root.find("termination");
  if (!sections) return all;
  if (!sections->is_array()) sections->fail("must be written [[termination]]");
  const std::vector<Value> elements = sections->elements();
  if (elements.size() > kMostTerms)
    sections->fail(fmt::format("has {} tables, but must have at most {}", elements.size(), kMostTerms));
  toml::array out;
  for (const Value& element : elements) {
    element.allow({"name", "of", "matrix", "target", "angle", "attitude", "range", "cost", "missing_step"});
    const Value name = element.require("name");
    Termination end;
    end.name = read_identifier(name);
    for (const Termination& other : all)
      if (other.name == end.name) name.fail(fmt::format("two terminations are called \"{}\"", end.name));
    const Value section(element.node(), "termination." + end.name, root.file());
    toml::table end_out{{"name", end.name}};
    end.residual = read_residual(section, plant, actions, end_out);
    if (end.residual.needs_action)
      section.require("of").fail("must have a value at every state, but this depends on the action");
    const Value range = section.require("range");
    const auto [low, high] = read_bounds(range);
    end.low = VectorXd::Constant(end.residual.target.size(), low);
    end.high = VectorXd::Constant(end.residual.target.size(), high);
    end_out.insert("range", toml::array{low, high});
    end.cost = section.require("cost").not_negative();
    end_out.insert("cost", end.cost);
    if (const auto missing = section.find("missing_step")) end.missing_step = missing->not_negative();
    end_out.insert("missing_step", end.missing_step);
    all.push_back(std::move(end));
    out.push_back(std::move(end_out));
  }
  resolved.insert("termination", std::move(out));
  return all;
}

Task read_task(const Value& root, const std::shared_ptr<mjModel>& model, std::vector<std::string>& law_texts,
               toml::table& resolved) {
  Task task;
  const Clock clock = read_clock(root, *model, resolved);
  task.horizon = clock.horizon;
  task.control_step = clock.control_step;
  model->opt.timestep = task.control_step / clock.substeps;
  skip_middle_phase(*model);
  Actions actions = read_actions(root, *model, resolved);
  JointLimits limits = read_joint_limits(root, *model, actions, resolved);
  law_texts = std::move(limits.texts);
  const Plant plant{*model, read_world(root, model, clock.substeps, std::move(limits.laws), resolved)};
  task.system = plant.world.system;
  Observation observation = read_observation(root, plant, resolved);
  task.start = read_start(root, plant, resolved);
  task.cost = read_cost(root, plant, actions, task.horizon, resolved);
  task.success = read_success(root, plant, actions, task.horizon, resolved);
  task.termination = read_termination(root, plant, actions, resolved);
  task.observation = std::move(observation.index);
  task.observation_names = std::move(observation.names);
  task.context = read_context(root, plant, resolved);
  task.control_index = std::move(actions.control_index);
  task.action_names = std::move(actions.names);
  task.action_low = std::move(actions.low);
  task.action_high = std::move(actions.high);
  return task;
}

}  // namespace kedge
