#include "kedge/pages/replay.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/json.h"
#include "kedge/files/metrics_file.h"
#include "kedge/files/tensor.h"
#include "kedge/math/statistics.h"
#include "kedge/pages/embedded.h"
#include "kedge/run/run_directory.h"
#include "kedge/run/version.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr std::array kBand{0.05, 0.95};  ///< quantiles

const MujocoSystem& mujoco_system(const TaskFile& task) {
  const auto* system = dynamic_cast<const MujocoSystem*>(task.task.system.get());
  if (!system)
    throw InputError(fmt::format("task {}: has no MuJoCo model, so there is nothing to show", task.task.name));
  return *system;
}

// ---- choosing policies

struct Kept {
  std::vector<KeptPolicy> all;  ///< by iterations, the last one is that of policy.h5
  int best = 0;                 ///< entry with the highest mean return while training
};

Kept kept_by_run(const fs::path& directory) {
  Kept kept{kept_policies(directory)};
  // The policy after n iterations made the rollouts of iteration n.
  const MetricsTable metrics = read_metrics(directory / "metrics.csv");
  const int iteration = metrics.column("iteration"), mean = metrics.column("return_mean");
  kept.best = static_cast<int>(kept.all.size()) - 1;
  if (iteration < 0 || mean < 0) return kept;
  double highest = -std::numeric_limits<double>::infinity();
  for (const std::vector<double>& row : metrics.rows)
    for (std::size_t i = 0; i < kept.all.size(); ++i)
      if (kept.all[i].iterations == static_cast<int>(row[iteration]) && row[mean] > highest) {
        highest = row[mean];
        kept.best = static_cast<int>(i);
      }
  return kept;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text + ",");
  for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
  return words;
}

/// Entries of `kept.all` that a text names.
std::set<int> choose(const Kept& kept, const std::string& text) {
  const int last = static_cast<int>(kept.all.size()) - 1;
  if (text.empty()) {
    std::set<int> chosen{0, kept.best, last};
    for (int i = 1; i <= 3; ++i) chosen.insert(static_cast<int>(std::lround(i * last / 4.0)));
    return chosen;
  }
  std::set<int> chosen;
  for (const std::string& word : split(text)) {
    if (word == "first") {
      chosen.insert(0);
    } else if (word == "best") {
      chosen.insert(kept.best);
    } else if (word == "last") {
      chosen.insert(last);
    } else if (word == "all") {
      for (int i = 0; i <= last; ++i) chosen.insert(i);
    } else {
      int number = -1;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
      const auto found = std::find_if(kept.all.begin(), kept.all.end(),
                                      [&](const KeptPolicy& policy) { return policy.iterations == number; });
      if (error != std::errc() || end != word.data() + word.size())
        throw InputError(fmt::format("--iterations = {}, but must be first, best, last, all or numbers, separated by ,",
                                     one_line(text, 60)));
      if (found == kept.all.end()) {
        std::vector<std::string> numbers;
        for (const KeptPolicy& policy : kept.all) numbers.push_back(fmt::format("{}", policy.iterations));
        throw InputError(fmt::format("--iterations = {}, but the run keeps the policies after {} iterations", number,
                                     fmt::join(numbers, ", ")));
      }
      chosen.insert(static_cast<int>(found - kept.all.begin()));
    }
  }
  return chosen;
}

ReplayedPolicy run_policy(const Task& task, AnyPolicy policy, const ReplayOptions& options) {
  ReplayedPolicy replayed;
  replayed.policy = std::move(policy);
  Run run;
  run.seed = options.seed;
  run.threads = options.threads;
  replayed.evaluation =
      *evaluate(task, as_policy(replayed.policy),
                {.rollouts = std::max(options.rollouts, options.shown), .deterministic = options.deterministic}, run);
  replayed.reference =
      evaluate(task, as_policy(replayed.policy), {.rollouts = 1, .deterministic = true}, run)->batch.state;
  return replayed;
}

// ---- the page

/// Numbers of the page, one behind the other; the JSON says where.
class Blob {
 public:
  /// @return `{"at":bytes,"n":count,"type":"f4"}`
  template <class T>
  std::string add(const std::vector<T>& values) {
    static_assert(sizeof(T) == 1 || sizeof(T) == 4 || sizeof(T) == 8);
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    const std::size_t at = bytes_.size();
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    const char* type = std::is_same_v<T, float>           ? "f4"
                       : std::is_same_v<T, double>        ? "f8"
                       : std::is_same_v<T, std::uint32_t> ? "u4"
                                                          : "u1";
    return fmt::format("{{\"at\":{},\"n\":{},\"type\":\"{}\"}}", at, values.size(), type);
  }
  std::string add(MatrixIn columns) {
    std::vector<float> values;
    for (Index j = 0; j < columns.cols(); ++j)
      for (Index i = 0; i < columns.rows(); ++i) values.push_back(static_cast<float>(columns(i, j)));
    return add(values);
  }
  /// zlib, base64.
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

template <class Range, class F>
std::string json_list(const Range& range, const F& f) {
  std::vector<std::string> texts;
  for (const auto& entry : range) texts.push_back(f(entry));
  return fmt::format("[{}]", fmt::join(texts, ",\n"));
}

template <class T, std::size_t N>
std::string json_list(const std::array<T, N>& values) {
  return fmt::format("[{}]", fmt::join(values, ","));
}

std::string indices(const std::vector<Index>& values) { return fmt::format("[{}]", fmt::join(values, ",")); }

const char* json_bool(bool value) { return value ? "true" : "false"; }

std::string active_steps(const std::vector<char>& active) {
  std::string text;
  for (const char a : active) text += a ? '1' : '0';
  return json_string(text);
}

std::string scene_json(const Scene& scene, Blob& blob) {
  const auto shape = [](const SceneShape& s) {
    return fmt::format(
        "{{\"shape\":\"{}\",\"body\":{},\"size\":{},\"position\":{},\"rotation\":{},\"colour\":{},\"shininess\":{},"
        "\"specular\":{},\"data\":{},\"texture\":{},\"repeat\":{},\"uniform\":{}}}",
        to_string(s.shape), s.body, json_list(s.size), json_list(s.position), json_list(s.rotation),
        json_list(s.colour), s.shininess, s.specular, s.data, s.texture, json_list(s.repeat), json_bool(s.uniform));
  };
  const auto mesh = [&](const SceneMesh& m) {
    return fmt::format("{{\"vertices\":{},\"faces\":{}}}", blob.add(m.vertices), blob.add(m.faces));
  };
  const auto field = [&](const SceneHeightField& h) {
    return fmt::format("{{\"rows\":{},\"columns\":{},\"size\":{},\"heights\":{}}}", h.rows, h.columns,
                       json_list(h.size), blob.add(h.heights));
  };
  const auto texture = [&](const SceneTexture& t) {
    return fmt::format("{{\"width\":{},\"height\":{},\"pixels\":{}}}", t.width, t.height, blob.add(t.pixels));
  };
  const auto light = [](const SceneLight& l) {
    return fmt::format(
        "{{\"body\":{},\"directional\":{},\"position\":{},\"direction\":{},\"diffuse\":{},\"ambient\":{},"
        "\"shadow\":{}}}",
        l.body, json_bool(l.directional), json_list(l.position), json_list(l.direction), json_list(l.diffuse),
        json_list(l.ambient), json_bool(l.shadow));
  };
  const auto camera = [](const SceneCamera& c) {
    return fmt::format(
        "{{\"name\":{},\"body\":{},\"target\":{},\"turns\":{},\"position\":{},\"rotation\":{},\"field\":{}}}",
        json_string(c.name), c.body, c.target, json_bool(c.turns_with_body), json_list(c.position),
        json_list(c.rotation), c.field);
  };
  const auto body = [](const SceneBody& b) {
    return fmt::format("{{\"name\":{},\"parent\":{}}}", json_string(b.name), b.parent);
  };
  return fmt::format(
      "{{\"bodies\":{},\"shapes\":{},\"meshes\":{},\"heightFields\":{},\"textures\":{},\"lights\":{},"
      "\"headlight\":{{\"ambient\":{},\"diffuse\":{}}},\"cameras\":{},\"centre\":{},\"extent\":{}}}",
      json_list(scene.bodies, body), json_list(scene.shapes, shape), json_list(scene.meshes, mesh),
      json_list(scene.height_fields, field), json_list(scene.textures, texture), json_list(scene.lights, light),
      json_list(scene.headlight_ambient), json_list(scene.headlight_diffuse), json_list(scene.cameras, camera),
      json_list(scene.centre), scene.extent);
}

std::string residual_json(const Residual& r) {
  static constexpr std::array sources{"state", "action", "control", "sensor"};
  std::vector<std::string> rows;
  for (Index i = 0; i < r.matrix.rows(); ++i) rows.push_back(json_array(VectorXd(r.matrix.row(i))));
  return fmt::format("\"source\":\"{}\",\"index\":{},\"matrix\":[{}],\"target\":{},\"needsAction\":{}",
                     sources[static_cast<std::size_t>(r.source)], indices(r.index), fmt::join(rows, ","),
                     json_array(r.target), json_bool(r.needs_action));
}

std::string task_json(const Task& task) {
  static constexpr std::array norms{"quadratic", "absolute", "smooth"};
  const auto term = [](const CostTerm& t) {
    return fmt::format("{{\"name\":{},{},\"weight\":{},\"norm\":\"{}\",\"width\":{},\"active\":{}}}",
                       json_string(t.name), residual_json(t.residual), json_array(t.weight),
                       norms[static_cast<std::size_t>(t.norm)], t.width, active_steps(t.active));
  };
  const auto success = [](const Success& s) {
    return fmt::format("{{{},\"statistic\":\"{}\",\"below\":{},\"active\":{},\"text\":{}}}", residual_json(s.residual),
                       s.statistic == Success::Statistic::max_abs ? "max_abs" : "mean_abs", s.below,
                       active_steps(s.active), json_string(s.text));
  };
  const bool gaussian = task.start.kind == StartDistribution::Kind::gaussian;
  return fmt::format(
      "{{\"name\":{},\"summary\":{},\"horizon\":{},\"controlStep\":{},\"observation\":{},\"observationNames\":{},"
      "\"actionNames\":{},\"actionLow\":{},\"actionHigh\":{},\"controlIndex\":{},\"nx\":{},\n"
      "\"start\":{{\"kind\":\"{}\",\"mean\":{},\"spread\":{}}},\n\"cost\":{},\n\"success\":{}}}",
      json_string(task.name), json_string(task.summary), task.horizon, json_number(task.control_step),
      indices(task.observation), json_array(task.observation_names), json_array(task.action_names),
      json_array(task.action_low), json_array(task.action_high), indices(task.control_index), task.nx(),
      gaussian ? "gaussian" : "uniform", json_array(task.start.mean), json_array(task.start.spread),
      json_list(task.cost, term), json_list(task.success, success));
}

/// Entry by entry and step by step, where 90 % of the rollouts are that have not diverged. @return [2, steps, rows]
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

std::string rollout_json(const MujocoSystem& system, const Batch& batch, int n, Blob& blob) {
  const int T = batch.horizon;
  const int diverged = batch.diverged_at[static_cast<std::size_t>(n)];
  const int states = diverged < 0 ? T + 1 : std::min(diverged, T) + 1;  // the others are zero
  const int steps = diverged < 0 ? T : std::min(diverged, T);
  const Index first = batch.at(n, 0);
  return fmt::format(
      "{{\"return\":{},\"success\":{},\"divergedAt\":{},\"states\":{},\"poses\":{},\"observation\":{},\"action\":{},"
      "\"terms\":{},\"cost\":{},\"start\":{}}}",
      json_number(-batch.cost.col(n).sum()), json_number(batch.success[n]), diverged, states,
      blob.add(body_poses(system, batch.state.middleCols(first, states))),
      blob.add(batch.observation.middleCols(first, states)), blob.add(batch.action.middleCols(batch.step(n, 0), steps)),
      blob.add(batch.terms.middleCols(first, states)), blob.add(batch.cost.col(n).head(states)),
      json_array(batch.state.col(first)));
}

/// What viewer/src/policy.ts evaluates.
std::string policy_json(const TvLinearGaussian& policy, Blob& blob) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  return fmt::format("{{\"kind\":\"tv_linear_gaussian\",\"ds\":{},\"da\":{},\"K\":{},\"k\":{},\"C\":{}}}", ds, da,
                     blob.add(stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy[t].K; })),
                     blob.add(stack(T, da, 1, [&](int t) -> const VectorXd& { return policy[t].k; })),
                     blob.add(stack(T, da, da, [&](int t) -> const MatrixXd& { return policy[t].C; })));
}

std::string policy_json(const MlpGaussian& policy, Blob& blob) {
  const Network& network = policy.network();
  return fmt::format(
      "{{\"kind\":\"mlp_gaussian\",\"ds\":{},\"da\":{},\"hidden\":{},\"activation\":\"{}\",\"outputBias\":{},"
      "\"inputMean\":{},\"inputScale\":{},\"outputScale\":{},\"theta\":{}}}",
      network.ds(), network.da(), indices(network.hidden), to_string(network.activation),
      json_bool(network.output_bias), json_array(network.input_mean), json_array(network.input_scale),
      json_array(network.output_scale),
      blob.add(std::vector<double>(policy.theta().data(), policy.theta().data() + policy.theta().size())));
}

std::string policies_json(const Replay& replay, bool play, Blob& blob) {
  const MujocoSystem& system = mujoco_system(replay.subject.task);
  return json_list(replay.policies, [&](const ReplayedPolicy& p) {
    const Evaluation& e = p.evaluation;
    std::vector<std::string> rollouts;
    for (int n = 0; n < replay.shown; ++n) rollouts.push_back(rollout_json(system, e.batch, n, blob));
    std::string text = fmt::format(
        "{{\"iterations\":{},\"names\":{},\"return\":{},\"succeeded\":{},\"diverged\":{},\"evaluated\":{},\n"
        "\"observationBand\":{},\"actionBand\":{},\n\"rollouts\":[{}]",
        p.iterations, json_array(p.names),
        json_number(e.returns.empty() ? std::numeric_limits<double>::quiet_NaN() : mean(e.returns)), e.succeeded,
        e.diverged, e.rollouts, blob.add(band(e.batch.observation, e.batch, e.batch.horizon + 1)),
        blob.add(band(e.batch.action, e.batch, e.batch.horizon)), fmt::join(rollouts, ",\n"));
    if (play)
      text += fmt::format(",\n\"policy\":{},\"reference\":{}",
                          std::visit([&](const auto& policy) { return policy_json(policy, blob); }, p.policy),
                          blob.add(std::vector<double>(p.reference.data(), p.reference.data() + p.reference.size())));
    return text + "}";
  });
}

std::string play_json(const TaskFile& task, Blob& blob) {
  const MujocoSystem& system = mujoco_system(task);
  const std::vector<fs::path> relative = relative_files(task);
  std::vector<std::string> files;
  for (std::size_t i = 0; i < task.model_files->size(); ++i) {  // without the recording: the simulation does not need it
    const std::string& bytes = (*task.model_files)[i].bytes;
    files.push_back(fmt::format("{{\"path\":{},\"bytes\":{}}}", json_string(relative[i].generic_string()),
                                blob.add(std::vector<std::uint8_t>(bytes.begin(), bytes.end()))));
  }
  const auto limit = [](const JointLimit& l) {
    return fmt::format(
        "{{\"control\":{},\"qpos\":{},\"qvel\":{},\"low\":{},\"high\":{},\"stiffness\":{},\"damping\":{},"
        "\"controlLow\":{},\"controlHigh\":{}}}",
        l.control, l.qpos, l.qvel, json_number(l.low), json_number(l.high), l.stiffness, l.damping,
        json_number(l.control_low), json_number(l.control_high));
  };
  return fmt::format("{{\"substeps\":{},\"files\":[{}],\"jointLimits\":{}}}", system.substeps(), fmt::join(files, ","),
                     json_list(system.joint_limits(), limit));
}

}  // namespace

Replay make_replay(const Subject& subject, const ReplayOptions& options) {
  require(options.shown >= 1, "rollouts", options.shown, ">= 1");
  mujoco_system(subject.task);
  Replay replay;
  replay.subject = subject;
  replay.shown = options.shown;
  replay.seed = options.seed;
  replay.deterministic = options.deterministic;
  replay.title =
      fs::absolute(subject.is_run ? subject.run_directory : subject.policy_file).lexically_normal().filename();
  if (!subject.is_run) {
    if (!options.iterations.empty())
      throw InputError(fmt::format("--iterations: {} is one policy; only runs have several", subject.name));
    replay.policies.push_back(run_policy(subject.task.task, load_policy(subject.policy_file).policy, options));
    return replay;
  }
  const Kept kept = kept_by_run(subject.run_directory);
  const int last = static_cast<int>(kept.all.size()) - 1;
  for (const int i : choose(kept, options.iterations)) {
    const KeptPolicy& policy = kept.all[static_cast<std::size_t>(i)];
    ReplayedPolicy& added =
        replay.policies.emplace_back(run_policy(subject.task.task, load_policy(policy.file).policy, options));
    added.iterations = policy.iterations;
    if (i == 0 && policy.iterations == 0) added.names.emplace_back("first");
    if (i == kept.best) added.names.emplace_back("best");
    if (i == last) added.names.emplace_back("last");
  }
  return replay;
}

std::string replay_page(const Replay& replay, bool play) {
  const std::string_view html = page("replay.html");
  const TaskFile& task = replay.subject.task;
  const Versions version = versions();
  Blob blob;
  std::string json = fmt::format(
      "{{\"kedge\":{},\"mujoco\":{},\"title\":{},\"seed\":{},\"deterministic\":{},\"band\":{},\n\"task\":{},\n"
      "\"scene\":{},\n\"policies\":{}",
      json_string(version.kedge), json_string(version.mujoco), json_string(replay.title), replay.seed,
      json_bool(replay.deterministic), json_list(kBand), task_json(task.task),
      scene_json(scene(mujoco_system(task)), blob), policies_json(replay, play, blob));
  if (play) json += fmt::format(",\n\"play\":{}", play_json(task, blob));
  json += "}";
  std::vector<PagePart> parts{{"data", "application/json", std::move(json)}, {"numbers", "text/plain", blob.text()}};
  if (play) {
    parts.push_back({"mujoco-wasm", "text/plain", base64(page("mujoco.wasm.gz"))});
    parts.push_back({"mujoco-js", "module", std::string(page("mujoco.js"))});
  }
  return page_with(html, parts);
}

}  // namespace kedge
