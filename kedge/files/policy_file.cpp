#include "kedge/files/policy_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/json.h"
#include "kedge/files/tensor.h"

namespace kedge {

namespace {

constexpr const char* kNotMeant = "not meant";

constexpr Index kMaxSteps = 1'000'000;
constexpr Index kMaxUnits = 100'000;  ///< of a layer
constexpr double kSymmetry = 1e-9;    ///< |Sigma - Sigma'| relative to the largest entry: rounding of another program

std::span<const double> entries(const VectorXd& v) { return {v.data(), static_cast<std::size_t>(v.size())}; }

void require_entries(const hdf5::GroupReader& file, const char* name, std::size_t found, Index expected) {
  if (found != static_cast<std::size_t>(expected))
    file.fail(fmt::format("attribute {}: found {} entries, expected {}", name, found, expected));
}

VectorXd read_limits(const hdf5::GroupReader& file, const char* name, Index da) {
  const std::vector<double> values = file.reals(name);
  require_entries(file, name, values.size(), da);
  return Eigen::Map<const VectorXd>(values.data(), da);
}

PolicyInfo read_info(const hdf5::GroupReader& file, Index ds, Index da) {
  PolicyInfo info;
  if (file.has_attribute("task")) info.task = file.text("task");
  if (file.has_attribute("noise")) info.noise_meant = file.text("noise") != kNotMeant;
  if (file.has_attribute("observation_names")) {
    info.observation_names = file.texts("observation_names");
    require_entries(file, "observation_names", info.observation_names.size(), ds);
  }
  if (file.has_attribute("action_names")) {
    info.action_names = file.texts("action_names");
    require_entries(file, "action_names", info.action_names.size(), da);
  }
  if (file.has_attribute("action_low") || file.has_attribute("action_high")) {
    info.action_low = read_limits(file, "action_low", da);
    info.action_high = read_limits(file, "action_high", da);
    for (Index j = 0; j < da; ++j)
      if (!(info.action_low[j] < info.action_high[j]))
        file.fail(fmt::format("attributes action_low, action_high: found {} and {} at [{}], expected low < high",
                              info.action_low[j], info.action_high[j], j));
  }
  return info;
}

/// What hdf5::GroupWriter writes, as an object: attributes and datasets alike are its members, tensors are nested arrays.
class JsonGroup {
 public:
  explicit JsonGroup(Json& object) : object_(&object) {}
  JsonGroup group(const std::string& name) { return JsonGroup((*object_)[name] = Json::object()); }
  void attribute(const std::string& name, const std::string& value) { (*object_)[name] = value; }
  void attribute(const std::string& name, const std::vector<std::string>& value) { (*object_)[name] = value; }
  void attribute(const std::string& name, std::uint64_t value) { (*object_)[name] = value; }
  void attribute(const std::string& name, double value) { (*object_)[name] = json_number(value); }
  void attribute(const std::string& name, std::span<const double> value) {
    dataset(name, value, {static_cast<Index>(value.size())});
  }
  void dataset(const std::string& name, std::span<const double> values, const hdf5::Shape& shape) {
    (*object_)[name] = nested(values, shape);
  }

 private:
  static Json nested(std::span<const double> values, std::span<const Index> shape) {
    if (shape.empty()) return json_number(values.front());
    Json array = Json::array();
    const std::size_t each = values.size() / static_cast<std::size_t>(shape.front());
    for (std::size_t i = 0; i < values.size(); i += each)
      array.push_back(nested(values.subspan(i, each), shape.subspan(1)));
    return array;
  }

  Json* object_;
};

// ---- The column of the table of kinds: write_datasets and read_datasets of each ------------------------------------

template <class Group>
void write_datasets(Group& group, const TvLinearGaussian& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  group.dataset("K", stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy[t].K; }), {T, da, ds});
  group.dataset("k", stack(T, da, 1, [&](int t) -> const VectorXd& { return policy[t].k; }), {T, da});
  group.dataset("Sigma", stack(T, da, da, [&](int t) -> const MatrixXd& { return policy[t].Sigma; }), {T, da, da});
}

TvLinearGaussian read_datasets(const hdf5::GroupReader& group, std::type_identity<TvLinearGaussian>) {
  const hdf5::Shape shape = group.shape("K");
  if (shape.size() != 3 || shape[0] < 1 || shape[0] > kMaxSteps || shape[1] < 1 || shape[2] < 1)
    group.fail(fmt::format("dataset K: found {}, expected [T, da, ds], all at least 1", hdf5::to_string(shape)));
  const Index T = shape[0], da = shape[1], ds = shape[2];
  const std::vector<double> K = group.doubles("K", shape);
  const std::vector<double> k = group.doubles("k", {T, da});
  const std::vector<double> Sigma = group.doubles("Sigma", {T, da, da});

  std::vector<LinearGaussian> steps;
  steps.reserve(static_cast<std::size_t>(T));
  for (Index t = 0; t < T; ++t) {
    const MatrixXd S = slice(Sigma, t, da, da);
    if ((S - S.transpose()).cwiseAbs().maxCoeff() > kSymmetry * S.cwiseAbs().maxCoeff())
      group.fail(fmt::format("dataset Sigma: found a matrix that is not symmetric at step {}", t));
    try {
      steps.push_back(make_linear_gaussian(slice(K, t, da, ds), slice(k, t, da, 1), S));
    } catch (const InputError&) {  // sizes and finiteness are checked: what is left is
      group.fail(fmt::format("dataset Sigma: found a matrix that is not positive definite at step {}", t));
    }
  }
  return TvLinearGaussian(std::move(steps));
}

template <class Group>
void write_datasets(Group& group, const MlpGaussian& policy) {
  const NetworkShape& network = policy.shape();
  const auto vector = [&](const std::string& name, const VectorXd& v) {
    group.dataset(name, entries(v), {static_cast<Index>(v.size())});
  };
  group.attribute("activation", to_string(network.activation));
  if (policy.clock() > 0) group.attribute("clock", static_cast<std::uint64_t>(policy.clock()));
  if (network.input_clip > 0) group.attribute("input_clip", network.input_clip);
  vector("input_mean", network.input_mean);
  vector("input_scale", network.input_scale);
  vector("output_scale", network.output_scale);
  const VectorXd& theta = policy.theta();
  Index at = 0, in = network.inputs();
  const std::size_t layers = network.hidden.size() + 1;
  for (std::size_t l = 1; l <= layers; ++l) {
    const Index out = l < layers ? network.hidden[l - 1] : network.outputs();
    const MatrixXd W = Eigen::Map<const MatrixXd>(theta.data() + at, out, in);
    group.dataset(fmt::format("W{}", l), stack(1, out, in, [&](int) -> const MatrixXd& { return W; }), {out, in});
    at += out * in;
    if (l < layers || network.output_bias) {
      vector(fmt::format("b{}", l), theta.segment(at, out));
      at += out;
    }
    in = out;
  }
  vector("log_std", policy.log_std());
}

MlpGaussian read_datasets(const hdf5::GroupReader& group, std::type_identity<MlpGaussian>) {
  const auto vector = [&](const std::string& name, Index size) -> VectorXd {
    const std::vector<double> values = group.doubles(name, {size});
    return Eigen::Map<const VectorXd>(values.data(), size);
  };
  const auto size_of = [&](const std::string& name) {
    const hdf5::Shape shape = group.shape(name);
    if (shape.size() != 1 || shape[0] < 1 || shape[0] > kMaxUnits)
      group.fail(
          fmt::format("dataset {}: found {}, expected [n], 1 <= n <= {}", name, hdf5::to_string(shape), kMaxUnits));
    return shape[0];
  };
  NetworkShape network;
  const std::uint64_t clock = group.has_attribute("clock") ? group.natural("clock") : 0;
  if (clock > static_cast<std::uint64_t>(kMaxSteps))
    group.fail(fmt::format("attribute clock: found {}, expected at most {}", clock, kMaxSteps));
  if (group.has_attribute("input_clip")) network.input_clip = group.real("input_clip");
  const std::string activation = group.text("activation");
  if (activation == to_string(Activation::tanh))
    network.activation = Activation::tanh;
  else if (activation != to_string(Activation::softplus))
    group.fail(
        fmt::format("attribute activation: found {}, expected \"softplus\" or \"tanh\"", hdf5::quoted(activation)));
  network.input_mean = vector("input_mean", size_of("input_mean"));
  network.input_scale = vector("input_scale", network.inputs());
  network.output_scale = vector("output_scale", size_of("output_scale"));
  network.hidden.clear();
  while (group.has(fmt::format("W{}", network.hidden.size() + 2)))
    network.hidden.push_back(size_of(fmt::format("b{}", network.hidden.size() + 1)));
  network.output_bias = group.has(fmt::format("b{}", network.hidden.size() + 1));

  std::vector<double> theta;
  const auto append = [&](const MatrixXd& m) { theta.insert(theta.end(), m.data(), m.data() + m.size()); };
  Index in = network.inputs();
  for (std::size_t l = 0; l <= network.hidden.size(); ++l) {
    const bool last = l == network.hidden.size();
    const Index out = last ? network.outputs() : network.hidden[l];
    append(slice(group.doubles(fmt::format("W{}", l + 1), {out, in}), 0, out, in));
    if (!last || network.output_bias) append(vector(fmt::format("b{}", l + 1), out));
    in = out;
  }
  append(vector("log_std", network.outputs()));
  try {
    return MlpGaussian(std::move(network), Eigen::Map<const VectorXd>(theta.data(), static_cast<Index>(theta.size())),
                       static_cast<int>(clock));
  } catch (const InputError& error) {
    group.fail(error.what());
  }
}

template <class... P>
std::variant<P...> read_by_kind(const hdf5::GroupReader& group, std::type_identity<std::variant<P...>>);

std::vector<double> numbers_of(const std::vector<Index>& entries) { return {entries.begin(), entries.end()}; }

std::vector<Index> read_entries(const hdf5::GroupReader& group, const std::string& name, Index size) {
  std::vector<Index> all;
  for (const int entry : group.ints(name, {size})) {
    if (entry < 0) group.fail(fmt::format("dataset {}: found {}, expected numbers >= 0", name, entry));
    all.push_back(entry);
  }
  return all;
}

template <class Group>
void write_datasets(Group& group, const DmpPolicy& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  const MatrixXd& movement = policy.movement();
  const Index columns = movement.cols();
  const Tracking& tracking = policy.tracking();
  group.attribute("step", policy.basis()->step);
  group.attribute("low", entries(tracking.low));
  group.attribute("high", entries(tracking.high));
  group.dataset("movement", stack(1, da, columns, [&](int) -> const MatrixXd& { return movement; }), {da, columns});
  group.dataset("K",
                stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy.K()[static_cast<std::size_t>(t)]; }),
                {T, da, ds});
  group.dataset("k", std::span<const double>(policy.k().data(), static_cast<std::size_t>(T * da)), {T, da});
  group.dataset("std", entries(tracking.std), {da});
  group.dataset("position", numbers_of(tracking.position), {da});
  group.dataset("velocity", numbers_of(tracking.velocity), {da});
}

DmpPolicy read_datasets(const hdf5::GroupReader& group, std::type_identity<DmpPolicy>) {
  const hdf5::Shape shape = group.shape("K"), movement = group.shape("movement");
  if (shape.size() != 3 || shape[0] < 1 || shape[0] > kMaxSteps || shape[1] < 1 || shape[2] < 1)
    group.fail(fmt::format("dataset K: found {}, expected [T, da, ds], all at least 1", hdf5::to_string(shape)));
  const Index T = shape[0], da = shape[1], ds = shape[2];
  if (movement.size() != 2 || movement[0] != da || movement[1] < kWeights || movement[1] > kMaxUnits)
    group.fail(fmt::format("dataset movement: found {}, expected [{}, 4 + B]", hdf5::to_string(movement), da));
  const std::vector<double> K = group.doubles("K", shape);
  std::vector<MatrixXd> gains;
  for (Index t = 0; t < T; ++t) gains.push_back(slice(K, t, da, ds));
  const std::vector<double> std = group.doubles("std", {da});
  Tracking tracking{read_entries(group, "position", da), read_entries(group, "velocity", da),
                    read_limits(group, "low", da), read_limits(group, "high", da),
                    Eigen::Map<const VectorXd>(std.data(), da)};
  try {
    return DmpPolicy(slice(group.doubles("movement", movement), 0, da, movement[1]), group.real("step"),
                     std::move(tracking), std::move(gains), slice(group.doubles("k", {T, da}), 0, T, da).transpose());
  } catch (const InputError& error) {
    group.fail(error.what());
  }
}

template <class Group>
void write_datasets(Group& group, const ContextualPolicy& policy) {
  const Context& context = policy.context();
  const auto C = static_cast<Index>(context.entry.size());
  const MatrixXd& map = policy.map();
  group.attribute("features", context.squares ? "quadratic" : "linear");
  group.dataset("context", numbers_of(context.entry), {C});
  group.dataset("context_mean", entries(context.mean), {C});
  group.dataset("context_scale", entries(context.scale), {C});
  group.dataset("map", stack(1, map.rows(), map.cols(), [&](int) -> const MatrixXd& { return map; }),
                {map.rows(), map.cols()});
  Group controller = group.group("controller");
  std::visit(
      [&](const auto& p) {
        controller.attribute("kind", std::decay_t<decltype(p)>::kKind);
        write_datasets(controller, p);
      },
      policy.middle());
}

ContextualPolicy read_datasets(const hdf5::GroupReader& group, std::type_identity<ContextualPolicy>) {
  const hdf5::Shape entry = group.shape("context"), map = group.shape("map");
  if (entry.size() != 1 || entry[0] < 1 || entry[0] > kMaxUnits)
    group.fail(fmt::format("dataset context: found {}, expected [C], at least 1", hdf5::to_string(entry)));
  if (map.size() != 2 || map[0] < 1)
    group.fail(fmt::format("dataset map: found {}, expected [P, 1 + F]", hdf5::to_string(map)));
  const std::string features = group.text("features");
  if (features != "linear" && features != "quadratic")
    group.fail(
        fmt::format("attribute features: found {}, expected \"linear\" or \"quadratic\"", hdf5::quoted(features)));
  const std::vector<double> mean = group.doubles("context_mean", entry), scale = group.doubles("context_scale", entry);
  Context context{read_entries(group, "context", entry[0]), Eigen::Map<const VectorXd>(mean.data(), entry[0]),
                  Eigen::Map<const VectorXd>(scale.data(), entry[0]), features == "quadratic"};
  try {
    return ContextualPolicy(std::move(context), slice(group.doubles("map", map), 0, map[0], map[1]),
                            read_by_kind(group.group("controller"), std::type_identity<Controller>()));
  } catch (const InputError& error) {
    group.fail(error.what());
  }
}

/// Reads a policy of the kind that the attribute `kind` names.
template <class... P>
std::variant<P...> read_by_kind(const hdf5::GroupReader& group, std::type_identity<std::variant<P...>>) {
  const std::string kind = group.text("kind");
  std::optional<std::variant<P...>> policy;
  ((kind == P::kKind && (policy = read_datasets(group, std::type_identity<P>()), true)) || ...);
  if (policy) return std::move(*policy);
  std::vector<std::string> known;
  (known.push_back(hdf5::quoted(P::kKind)), ...);
  group.fail(fmt::format("attribute kind: found {}, expected {}", hdf5::quoted(kind), fmt::join(known, " or ")));
}

}  // namespace

namespace {

template <class Group>
void write_policy(Group& root, const AnyPolicy& policy, const PolicyInfo& info) {
  root.attribute("kind", policy_kind(policy));
  root.attribute("kedge_version", KEDGE_VERSION);
  if (!info.task.empty()) root.attribute("task", info.task);
  if (!info.noise_meant) root.attribute("noise", std::string(kNotMeant));
  if (!info.observation_names.empty()) root.attribute("observation_names", info.observation_names);
  if (!info.action_names.empty()) root.attribute("action_names", info.action_names);
  if (info.action_low.size() > 0) root.attribute("action_low", entries(info.action_low));
  if (info.action_high.size() > 0) root.attribute("action_high", entries(info.action_high));
  std::visit([&](const auto& p) { write_datasets(root, p); }, policy);
}

}  // namespace

PolicyInfo policy_info(const Task& task) {
  return {task.name, task.observation_names, task.action_names, task.action_low, task.action_high, true};
}

std::string policy_bytes(const AnyPolicy& policy, const PolicyInfo& info) {
  hdf5::Writer file;
  hdf5::GroupWriter root = file.root();
  write_policy(root, policy, info);
  return hdf5::seal(file.image());
}

std::string policy_as_json(const AnyPolicy& policy, const PolicyInfo& info) {
  Json object = Json::object();
  JsonGroup root(object);
  write_policy(root, policy, info);
  return json_text(object) + "\n";
}

void save_policy(const FileName& file, const AnyPolicy& policy, const PolicyInfo& info, Durability durability) {
  write_file(file, policy_bytes(policy, info), durability);
}

PolicyFile load_policy(const FileName& file) {
  const std::string image = hdf5::read_sealed(file, hdf5::Trailer::optional);
  const hdf5::Reader reader(image, file.string());
  const hdf5::GroupReader root = reader.root();
  PolicyFile result;
  result.policy = read_by_kind(root, std::type_identity<AnyPolicy>());
  result.info = read_info(root, as_policy(result.policy).observation_dim(), as_policy(result.policy).action_dim());
  return result;
}

}  // namespace kedge
