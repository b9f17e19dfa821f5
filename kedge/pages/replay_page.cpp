#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/files/json.h"
#include "kedge/files/tensor.h"
#include "kedge/math/statistics.h"
#include "kedge/mujoco/labels.h"
#include "kedge/mujoco/marks.h"
#include "kedge/pages/embedded.h"
#include "kedge/pages/replay.h"
#include "kedge/run/version.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr std::array kBand{0.05, 0.95};  ///< quantiles

/// Numbers of the page, one after the other; the JSON says where.
class Blob {
 public:
  /// Returns {"at": bytes, "n": count, "type": "f4"}.
  template <class T>
  Json add(const std::vector<T>& values) {
    static_assert(sizeof(T) == 1 || sizeof(T) == 4 || sizeof(T) == 8);
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    const std::size_t at = bytes_.size();
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    const char* type = std::is_same_v<T, float>           ? "f4"
                       : std::is_same_v<T, double>        ? "f8"
                       : std::is_same_v<T, std::uint32_t> ? "u4"
                                                          : "u1";
    return {{"at", at}, {"n", values.size()}, {"type", type}};
  }
  Json add(MatrixIn columns) {
    std::vector<float> values;
    for (Index j = 0; j < columns.cols(); ++j)
      for (Index i = 0; i < columns.rows(); ++i) values.push_back(static_cast<float>(columns(i, j)));
    return add(values);
  }
  /// Returns all of it: zlib, base64.
  [[nodiscard]] std::string text() const {
    uLongf size = compressBound(bytes_.size());
    std::string packed(size, '\0');
    if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes_.data()),
                  bytes_.size(), 9) != Z_OK)
      throw SystemError("zlib cannot compress the page's numbers");
    packed.resize(size);
    return base64(packed);
  }

 private:
  std::string bytes_;
};

std::vector<double> entries(const MatrixXd& matrix) { return {matrix.data(), matrix.data() + matrix.size()}; }

template <class Range, class F>
Json list_json(const Range& range, const F& f) {
  Json list = Json::array();
  for (const auto& entry : range) list.push_back(f(entry));
  return list;
}

template <class T, std::size_t N>
Json numbers_json(const std::array<T, N>& values) {
  return list_json(values, [](T value) { return json_number(value); });
}

/// "0110": a digit for each step.
std::string active_steps(const std::vector<char>& active) {
  std::string text;
  for (const char a : active) text += a ? '1' : '0';
  return text;
}

// ---- the model

Json shape_json(const SceneShape& s) {
  return {{"shape", to_string(s.shape)},
          {"body", s.body},
          {"size", numbers_json(s.size)},
          {"position", numbers_json(s.position)},
          {"rotation", numbers_json(s.rotation)},
          {"colour", numbers_json(s.colour)},
          {"shininess", json_number(s.shininess)},
          {"specular", json_number(s.specular)},
          {"data", s.data},
          {"texture", s.texture},
          {"repeat", numbers_json(s.repeat)},
          {"uniform", s.uniform}};
}

Json light_json(const SceneLight& l) {
  return {{"body", l.body},
          {"directional", l.directional},
          {"position", numbers_json(l.position)},
          {"direction", numbers_json(l.direction)},
          {"diffuse", numbers_json(l.diffuse)},
          {"ambient", numbers_json(l.ambient)},
          {"shadow", l.shadow}};
}

Json camera_json(const SceneCamera& c) {
  return {{"name", c.name},
          {"body", c.body},
          {"target", c.target},
          {"turns", c.turns_with_body},
          {"position", numbers_json(c.position)},
          {"rotation", numbers_json(c.rotation)},
          {"field", json_number(c.field)}};
}

Json scene_json(const Scene& scene, Blob& blob) {
  const auto body = [](const SceneBody& b) { return Json{{"name", b.name}, {"parent", b.parent}}; };
  const auto mesh = [&](const SceneMesh& m) {
    return Json{{"vertices", blob.add(m.vertices)}, {"faces", blob.add(m.faces)}};
  };
  const auto field = [&](const SceneHeightField& h) {
    return Json{
        {"rows", h.rows}, {"columns", h.columns}, {"size", numbers_json(h.size)}, {"heights", blob.add(h.heights)}};
  };
  const auto texture = [&](const SceneTexture& t) {
    return Json{{"width", t.width}, {"height", t.height}, {"pixels", blob.add(t.pixels)}};
  };
  const Json headlight = {{"ambient", numbers_json(scene.headlight_ambient)},
                          {"diffuse", numbers_json(scene.headlight_diffuse)}};
  return {{"bodies", list_json(scene.bodies, body)},
          {"shapes", list_json(scene.shapes, shape_json)},
          {"meshes", list_json(scene.meshes, mesh)},
          {"heightFields", list_json(scene.height_fields, field)},
          {"textures", list_json(scene.textures, texture)},
          {"lights", list_json(scene.lights, light_json)},
          {"headlight", headlight},
          {"cameras", list_json(scene.cameras, camera_json)},
          {"centre", numbers_json(scene.centre)},
          {"extent", json_number(scene.extent)}};
}

Json framing_json(const Framing& f) {
  return {{"radius", json_number(f.radius)},
          {"direction", json_array(f.direction)},
          {"follows", f.follows},
          {"camera", f.camera}};
}

// ---- the task

/// The members of a residual, after others of its object.
void add_residual(Json& json, const Residual& r) {
  static constexpr std::array sources{"state", "action", "control", "sensor"};
  Json rows = Json::array();
  for (Index i = 0; i < r.matrix.rows(); ++i) rows.push_back(json_array(VectorXd(r.matrix.row(i))));
  json["source"] = sources[static_cast<std::size_t>(r.source)];
  json["index"] = r.index;
  json["matrix"] = rows;
  json["target"] = json_array(r.target);
  json["needsAction"] = r.needs_action;
  json["angle"] = r.angle;
  json["quaternion"] = r.quaternion;
}

Json term_json(const CostTerm& t) {
  static constexpr std::array norms{"quadratic", "absolute", "smooth", "bounded", "distance"};
  Json json = {{"name", t.name}};
  add_residual(json, t.residual);
  json["weight"] = json_array(t.weight);
  json["norm"] = norms[static_cast<std::size_t>(t.norm)];
  json["width"] = json_number(t.width);
  json["active"] = active_steps(t.active);
  return json;
}

Json success_json(const Success& s) {
  Json json;
  add_residual(json, s.residual);
  static constexpr std::array statistics{"mean_abs", "max_abs", "max_distance"};
  json["statistic"] = statistics[static_cast<std::size_t>(s.statistic)];
  json["below"] = json_number(s.below);
  json["active"] = active_steps(s.active);
  json["text"] = s.text;
  return json;
}

Json label_json(const Label& l) { return {{"text", l.text}, {"unit", l.unit}}; }

/// Returns the labels of the observation. What a world adds goes by its name in the task file.
std::vector<Label> observation_labels(const Task& task, const MujocoSystem& system) {
  const std::vector<Label> states = state_labels(system), sensors = sensor_labels(system);
  std::vector<Label> labels;
  for (std::size_t i = 0; i < task.observation.size(); ++i) {
    const Index entry = task.observation[i], sensor = entry - task.nx();
    Label label{task.observation_names[i], ""};
    if (entry < system.nx())
      label = states[static_cast<std::size_t>(entry)];
    else if (sensor >= 0 && sensor < system.nsensor())
      label.unit = sensors[static_cast<std::size_t>(sensor)].unit;
    labels.push_back(std::move(label));
  }
  return labels;
}

std::vector<Label> action_labels(const Task& task, const MujocoSystem& system) {
  const std::vector<Label> controls = control_labels(system);
  std::vector<Label> labels;
  for (std::size_t i = 0; i < task.action_names.size(); ++i)
    labels.push_back({task.action_names[i], controls[static_cast<std::size_t>(task.control_index[i])].unit});
  return labels;
}

Json task_json(const Task& task, const MujocoSystem& system) {
  const Json start = {{"kind", task.start.kind == StartDistribution::Kind::gaussian ? "gaussian" : "uniform"},
                      {"mean", json_array(task.start.mean)},
                      {"spread", json_array(task.start.spread)}};
  return {{"name", task.name},
          {"summary", task.summary},
          {"horizon", task.horizon},
          {"controlStep", json_number(task.control_step)},
          {"observation", task.observation},
          {"observationNames", task.observation_names},
          {"observationLabels", list_json(observation_labels(task, system), label_json)},
          {"actionNames", task.action_names},
          {"actionLabels", list_json(action_labels(task, system), label_json)},
          {"actionLow", json_array(task.action_low)},
          {"actionHigh", json_array(task.action_high)},
          {"controlIndex", task.control_index},
          {"nx", task.nx()},
          {"start", start},
          {"cost", list_json(task.cost, term_json)},
          {"success", list_json(task.success, success_json)}};
}

// ---- policies and their rollouts

/// Returns, entry by entry and step by step, where 90 % of the rollouts are that have not diverged: [2, steps, rows].
std::vector<float> band(const MatrixXd& columns, const Batch& batch, int steps) {
  std::vector<float> ends[2];
  std::vector<double> values;
  for (int t = 0; t < steps; ++t)
    for (Index i = 0; i < columns.rows(); ++i) {
      values.clear();
      for (int n = 0; n < batch.rollouts; ++n)
        if (batch.usable(n)) values.push_back(columns(i, Index{n} * steps + t));
      for (std::size_t end = 0; end < 2; ++end)
        ends[end].push_back(values.empty() ? std::numeric_limits<float>::quiet_NaN()
                                           : static_cast<float>(quantile(values, kBand[end])));
    }
  ends[0].insert(ends[0].end(), ends[1].begin(), ends[1].end());
  return ends[0];
}

/// Returns the results of the rollouts as points of the world: [n, 4], x, y, z and whether they are good.
std::vector<float> marks(const Marked& world, const Batch& batch) {
  std::vector<float> all;
  for (int n = 0; n < batch.rollouts; ++n) {
    if (!batch.usable(n)) continue;
    const auto mark = world.mark(batch.state.col(batch.at(n, batch.steps(n))));
    if (!mark) continue;
    for (const double x : mark->at) all.push_back(static_cast<float>(x));
    all.push_back(mark->good ? 1.0F : 0.0F);
  }
  return all;
}

/// @param marked null if the world marks nothing
Json rollout_json(const MujocoSystem& system, const Marked* marked, const Batch& batch, int n, Blob& blob) {
  const int steps = recorded_steps(batch, n);
  const int states = steps + 1;  // the others are zero, or the same
  const Index first = batch.at(n, 0);
  Json json = {{"return", json_number(-batch.cost.col(n).sum())},
               {"success", json_number(batch.success[n])},
               {"divergedAt", batch.diverged_at[static_cast<std::size_t>(n)]},
               {"states", states},
               {"poses", blob.add(motion_of(system, batch, n))},
               {"observation", blob.add(batch.observation.middleCols(first, states))},
               {"action", blob.add(batch.action.middleCols(batch.step(n, 0), steps))},
               {"terms", blob.add(batch.terms.middleCols(first, states))},
               {"cost", blob.add(batch.cost.col(n).head(states))},
               {"start", json_array(batch.state.col(first))}};
  if (marked) json["path"] = blob.add(marked->path(batch.state.middleCols(first, states)));
  return json;
}

/// What viewer/src/policy.ts evaluates.
Json policy_json(const TvLinearGaussian& policy, Blob& blob) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  return {{"kind", "tv_linear_gaussian"},
          {"ds", ds},
          {"da", da},
          {"K", blob.add(stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy[t].K; }))},
          {"k", blob.add(stack(T, da, 1, [&](int t) -> const VectorXd& { return policy[t].k; }))},
          {"C", blob.add(stack(T, da, da, [&](int t) -> const MatrixXd& { return policy[t].C; }))}};
}

Json policy_json(const MlpGaussian& policy, Blob& blob) {
  const NetworkShape& network = policy.shape();
  return {{"kind", "mlp_gaussian"},
          {"ds", policy.observation_dim()},
          {"da", network.outputs()},
          {"hidden", network.hidden},
          {"activation", to_string(network.activation)},
          {"outputBias", network.output_bias},
          {"inputMean", json_array(network.input_mean)},
          {"inputScale", json_array(network.input_scale)},
          {"outputScale", json_array(network.output_scale)},
          {"inputClip", network.input_clip},
          {"clock", policy.clock()},
          {"theta", blob.add(entries(policy.theta()))}};
}

Json policy_json(const DmpPolicy& policy, Blob& blob) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  const MatrixXd C = policy.tracking().std.asDiagonal();
  const std::vector<double> k(policy.k().data(), policy.k().data() + policy.k().size());
  return {{"kind", "dmp"},
          {"ds", ds},
          {"da", da},
          {"K", blob.add(stack(T, da, ds,
                               [&](int t) -> const MatrixXd& { return policy.K()[static_cast<std::size_t>(t)]; }))},
          {"k", blob.add(k)},
          {"C", blob.add(stack(T, da, da, [&](int) -> const MatrixXd& { return C; }))}};
}

/// The page has no model to choose a controller with: it shows the one of the middle of the start.
Json policy_json(const ContextualPolicy& policy, Blob& blob) {
  return std::visit([&](const auto& middle) { return policy_json(middle, blob); }, policy.middle());
}

Json replayed_json(const Replay& replay, const ReplayedPolicy& p, bool play, Blob& blob) {
  const Evaluation& e = p.evaluation;
  const auto* marked = dynamic_cast<const Marked*>(replay.subject.task.task.system.get());
  Json rollouts = Json::array();
  for (int n = 0; n < replay.shown; ++n)
    rollouts.push_back(rollout_json(shown_system(replay.subject.task), marked, e.batch, n, blob));
  Json json = {{"iterations", p.iterations},
               {"names", p.names},
               {"return", e.returns.empty() ? Json() : json_number(mean(e.returns))},
               {"succeeded", e.succeeded},
               {"diverged", e.diverged},
               {"evaluated", e.rollouts},
               {"observationBand", blob.add(band(e.batch.observation, e.batch, e.batch.horizon + 1))},
               {"actionBand", blob.add(band(e.batch.action, e.batch, e.batch.horizon))},
               {"rollouts", rollouts}};
  if (marked) json["marks"] = blob.add(marks(*marked, e.batch));
  if (play) {
    json["policy"] = std::visit([&](const auto& policy) { return policy_json(policy, blob); }, p.policy);
    json["reference"] = blob.add(entries(p.reference));
  }
  return json;
}

// ---- what the browser needs to simulate

Json limit_json(const JointLimit& l) {
  return {{"control", l.control},
          {"qpos", l.qpos},
          {"qvel", l.qvel},
          {"low", json_number(l.low)},
          {"high", json_number(l.high)},
          {"stiffness", json_number(l.stiffness)},
          {"damping", json_number(l.damping)},
          {"controlLow", json_number(l.control_low)},
          {"controlHigh", json_number(l.control_high)}};
}

Json play_json(const TaskFile& task, Blob& blob) {
  const MujocoSystem& system = shown_system(task);
  const std::vector<fs::path> relative = relative_files(task);
  Json files = Json::array();
  for (std::size_t i = 0; i < task.model_files->size();
       ++i) {  // without the recording: the simulation does not need it
    const bool extended = i == 0 && !task.model_with_sensors.empty();
    const std::string& bytes = extended ? task.model_with_sensors : (*task.model_files)[i].bytes;
    files.push_back({{"path", relative[i].generic_string()},
                     {"bytes", blob.add(std::vector<std::uint8_t>(bytes.begin(), bytes.end()))}});
  }
  return {
      {"substeps", system.substeps()}, {"files", files}, {"jointLimits", list_json(system.joint_limits(), limit_json)}};
}

}  // namespace

std::string replay_page(const Replay& replay, bool play) {
  const std::string_view html = page("replay.html");
  const TaskFile& task = replay.subject.task;
  if (play) require_playable(task);
  const Versions version = versions();
  Blob blob;
  Json data = {{"kedge", version.kedge},
               {"mujoco", version.mujoco},
               {"title", replay.title},
               {"seed", replay.seed},
               {"deterministic", replay.deterministic},
               {"band", numbers_json(kBand)},
               {"task", task_json(task.task, shown_system(task))},
               {"scene", scene_json(replay.scene, blob)},
               {"framing", framing_json(replay.framing)},
               {"policies", list_json(replay.policies,
                                      [&](const ReplayedPolicy& p) { return replayed_json(replay, p, play, blob); })}};
  if (play) data["play"] = play_json(task, blob);
  std::vector<PagePart> parts{{"data", "application/json", json_text(data)}, {"numbers", "text/plain", blob.text()}};
  if (play) {
    parts.push_back({"mujoco-wasm", "text/plain", base64(page("mujoco.wasm.gz"))});
    parts.push_back({"mujoco-js", "module", std::string(page("mujoco.js"))});
  }
  return page_with(html, parts);
}

}  // namespace kedge
