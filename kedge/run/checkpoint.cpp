#include "kedge/run/checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/policy_file.h"
#include "kedge/files/tensor.h"

namespace kedge {

namespace {

constexpr const char* kind = "checkpoint";
constexpr std::uint64_t format = 3;    ///< of the layout below; raised with every change
constexpr double factor_error = 1e-6;  ///< |Sigma - C C'| relative to the largest entry: not the same matrix
constexpr std::uint64_t max_count = 1u << 30;

constexpr std::array<std::pair<Stop, const char*>, 4> stop_names = {{{Stop::max_iterations, "max_iterations"},
                                                                     {Stop::converged, "converged"},
                                                                     {Stop::cancelled, "cancelled"},
                                                                     {Stop::numerical_failure, "numerical_failure"}}};

std::string stop_text(const std::optional<Stop>& stop) {
  for (const auto& [value, name] : stop_names)
    if (stop == value) return name;
  return "";
}

std::optional<Stop> read_stop(const hdf5::GroupReader& group) {
  const std::string text = group.text("stop");
  for (const auto& [value, name] : stop_names)
    if (text == name) return value;
  if (!text.empty()) group.fail(fmt::format("attribute stop: found {}", hdf5::quoted(text)));
  return std::nullopt;
}

int read_int(const hdf5::GroupReader& group, const std::string& name) {
  const std::uint64_t value = group.natural(name);
  if (value > max_count) group.fail(fmt::format("attribute {}: found {}, expected at most {}", name, value, max_count));
  return static_cast<int>(value);
}

bool is_factor(const MatrixXd& L, const MatrixXd& cov) {
  return L.isLowerTriangular(0.0) && L.diagonal().minCoeff() > 0.0 &&
         (L * L.transpose() - cov).cwiseAbs().maxCoeff() <= factor_error * cov.cwiseAbs().maxCoeff();
}

// The iterations of the window lie behind each other in tensors with one more index in front, [E, ...]: as many datasets
// whatever the window. (HDF5 takes longer to create a dataset than to fill it.)

using Policies = std::vector<const TvLinearGaussian*>;  // of equal sizes, at least one

/// Every bit of policies: unlike policy.h5 with the factors C as they were, not recomputed.
void write_policies(hdf5::GroupWriter& group, const Policies& policies) {
  const TvLinearGaussian& first = *policies.front();
  const Index E = static_cast<Index>(policies.size()), T = first.horizon(), ds = first.observation_dim(),
              da = first.action_dim();
  const auto all = [&](auto LinearGaussian::*field, Index cols) {
    return stack(
        E * T, da, cols, [&](int i) -> const auto& {
          return (*policies[static_cast<std::size_t>(i / T)])[static_cast<int>(i % T)].*field;
        });
  };
  group.dataset("K", all(&LinearGaussian::K, ds), {E, T, da, ds});
  group.dataset("k", all(&LinearGaussian::k, 1), {E, T, da});
  group.dataset("Sigma", all(&LinearGaussian::Sigma, da), {E, T, da, da});
  group.dataset("C", all(&LinearGaussian::C, da), {E, T, da, da});
}

/// Every bit of a policy.
void write_all(hdf5::GroupWriter& group, const TvLinearGaussian& policy) { write_policies(group, {&policy}); }
void write_all(hdf5::GroupWriter& group, const MlpGaussian& policy) { write_policy(group, policy); }

std::vector<TvLinearGaussian> read_policies(const hdf5::GroupReader& group, Index E) {
  const hdf5::Shape shape = group.shape("K");
  if (shape.size() != 4 || shape[0] != E || std::ranges::min(shape) < 1)
    group.fail(fmt::format("dataset K: found {}, expected [{}, T, da, ds], all at least 1", hdf5::to_string(shape), E));
  const Index T = shape[1], da = shape[2], ds = shape[3];
  const std::vector<double> K = group.doubles("K", shape);
  const std::vector<double> k = group.doubles("k", {E, T, da});
  const std::vector<double> Sigma = group.doubles("Sigma", {E, T, da, da});
  const std::vector<double> C = group.doubles("C", {E, T, da, da});
  std::vector<TvLinearGaussian> policies;
  for (Index e = 0; e < E; ++e) {
    std::vector<LinearGaussian> steps;
    for (Index i = e * T; i < (e + 1) * T; ++i) {
      steps.push_back({slice(K, i, da, ds), slice(k, i, da, 1), slice(Sigma, i, da, da), slice(C, i, da, da)});
      if (!is_factor(steps.back().C, steps.back().Sigma))
        group.fail(fmt::format("dataset C: is not the factor of Sigma at [{}, {}]", e, i - e * T));
    }
    policies.emplace_back(std::move(steps));
  }
  return policies;
}

/// The values of all epochs, one behind the other. @param values  epoch -> range of numbers
template <class Number, class Values>
std::vector<Number> joined(const std::deque<Epoch>& window, Values values) {
  std::vector<Number> all;
  for (const Epoch& epoch : window) {
    const auto& each = values(epoch);
    all.insert(all.end(), each.begin(), each.end());
  }
  return all;
}

void write_distributions(hdf5::GroupWriter& group, const std::deque<Epoch>& window) {
  const TvLinearGaussian& policy = window.front().policy;
  const Index E = static_cast<Index>(window.size()), T = policy.horizon(), n = policy.observation_dim();
  const auto all = [&](auto Gaussian::*field, Index cols) {
    return stack(
        E * T, n, cols, [&](int i) -> const auto& {
          return window[static_cast<std::size_t>(i / T)].rho[static_cast<std::size_t>(i % T)].*field;
        });
  };
  group.dataset("rho_mean", all(&Gaussian::mean, 1), {E, T, n});
  group.dataset("rho_cov", all(&Gaussian::cov, n), {E, T, n, n});
  group.dataset("rho_L", all(&Gaussian::L, n), {E, T, n, n});
}

void read_distributions(const hdf5::GroupReader& group, std::deque<Epoch>& window) {
  const TvLinearGaussian& policy = window.front().policy;
  const Index E = static_cast<Index>(window.size()), T = policy.horizon(), n = policy.observation_dim();
  const std::vector<double> mean = group.doubles("rho_mean", {E, T, n});
  const std::vector<double> cov = group.doubles("rho_cov", {E, T, n, n});
  const std::vector<double> L = group.doubles("rho_L", {E, T, n, n});
  for (Index i = 0; i < E * T; ++i) {
    Gaussian rho{slice(mean, i, n, 1), slice(cov, i, n, n), slice(L, i, n, n)};
    if (!is_factor(rho.L, rho.cov))
      group.fail(fmt::format("dataset rho_L: is not the factor of rho_cov at [{}, {}]", i / T, i % T));
    window[static_cast<std::size_t>(i / T)].rho.push_back(std::move(rho));
  }
}

void write_rollouts(hdf5::GroupWriter& group, const std::deque<Epoch>& window) {
  const Batch& first = window.front().batch;
  const Index E = static_cast<Index>(window.size()), N = first.rollouts, T = first.horizon;
  const auto all = [&](MatrixXd Batch::*field) {
    return joined<double>(window, [&](const Epoch& epoch) { return columns(epoch.batch.*field); });
  };
  group.dataset("state", all(&Batch::state), {E, N, T + 1, first.state.rows()});
  group.dataset("observation", all(&Batch::observation), {E, N, T + 1, first.observation.rows()});
  group.dataset("action", all(&Batch::action), {E, N, T, first.action.rows()});
  group.dataset("terms", all(&Batch::terms), {E, N, T + 1, first.terms.rows()});
  group.dataset("cost", all(&Batch::cost), {E, N, T + 1});
  group.dataset("diverged_at",
                joined<int>(
                    window, [](const Epoch& epoch) -> const auto& { return epoch.batch.diverged_at; }),
                {E, N});
  group.dataset("success",
                joined<double>(
                    window, [](const Epoch& epoch) -> const auto& { return epoch.batch.success; }),
                {E, N});
  group.dataset("saturated",
                joined<double>(window, [](const Epoch& epoch) { return std::array{epoch.batch.saturated}; }), {E});
}

void read_rollouts(const hdf5::GroupReader& group, std::deque<Epoch>& window) {
  const TvLinearGaussian& policy = window.front().policy;
  const Index E = static_cast<Index>(window.size()), T = policy.horizon();
  const hdf5::Shape state = group.shape("state"), terms = group.shape("terms");
  if (state.size() != 4 || terms.size() != 4)
    group.fail(fmt::format("datasets state, terms: found {}, {}, expected four indices", hdf5::to_string(state),
                           hdf5::to_string(terms)));
  const Index N = state[1];
  /// A dataset [E, ...] whose part e, in memory, is the matrix [rows, cols] of epoch e.
  const auto read = [&](MatrixXd Batch::*field, const char* name, const hdf5::Shape& shape, Index rows, Index cols) {
    const std::vector<double> all = group.doubles(name, shape);
    for (Index e = 0; e < E; ++e)
      window[static_cast<std::size_t>(e)].batch.*field =
          from_columns(std::span(all).subspan(static_cast<std::size_t>(e * rows * cols)), rows, cols);
  };
  const Index nx = state[3], ds = policy.observation_dim(), da = policy.action_dim(), nterms = terms[3];
  read(&Batch::state, "state", {E, N, T + 1, nx}, nx, N * (T + 1));
  read(&Batch::observation, "observation", {E, N, T + 1, ds}, ds, N * (T + 1));
  read(&Batch::action, "action", {E, N, T, da}, da, N * T);
  read(&Batch::terms, "terms", {E, N, T + 1, nterms}, nterms, N * (T + 1));
  read(&Batch::cost, "cost", {E, N, T + 1}, T + 1, N);
  const std::vector<int> diverged_at = group.ints("diverged_at", {E, N});
  const std::vector<double> success = group.any_doubles("success", {E, N});
  const std::vector<double> saturated = group.doubles("saturated", {E});
  for (const int t : diverged_at)
    if (t < -1 || t >= T) group.fail(fmt::format("dataset diverged_at: found {}, expected -1 ... {}", t, T - 1));
  for (Index e = 0; e < E; ++e) {
    Batch& batch = window[static_cast<std::size_t>(e)].batch;
    batch.rollouts = static_cast<int>(N);
    batch.horizon = static_cast<int>(T);
    batch.diverged_at.assign(diverged_at.begin() + e * N, diverged_at.begin() + (e + 1) * N);
    batch.success = slice(success, e, N, 1);
    batch.saturated = saturated[static_cast<std::size_t>(e)];
  }
}

bool same_sizes(const TvLinearGaussian& a, const TvLinearGaussian& b) {
  return a.horizon() == b.horizon() && a.observation_dim() == b.observation_dim() && a.action_dim() == b.action_dim();
}

void write_window(hdf5::GroupWriter group, const std::deque<Epoch>& window) {
  const auto E = static_cast<Index>(window.size());
  group.dataset("iteration", joined<int>(window, [](const Epoch& epoch) { return std::array{epoch.iteration}; }), {E});
  if (window.empty()) return;
  Policies policies;
  for (const Epoch& epoch : window) policies.push_back(&epoch.policy);
  write_policies(group, policies);
  write_distributions(group, window);
  write_rollouts(group, window);
}

std::deque<Epoch> read_window(const hdf5::GroupReader& group, const TrainingState& state) {
  const hdf5::Shape shape = group.shape("iteration");
  const std::vector<int> iteration = group.ints("iteration", {shape.empty() ? 0 : shape.front()});
  std::deque<Epoch> window(iteration.size());
  if (window.empty()) return window;
  for (std::size_t e = 0; e < iteration.size(); ++e)
    if (iteration[e] < 0 || iteration[e] >= state.iteration || (e > 0 && iteration[e] <= iteration[e - 1]))
      group.fail(
          fmt::format("dataset iteration: found {}, expected rising numbers below {}", iteration[e], state.iteration));
  std::vector<TvLinearGaussian> policies = read_policies(group, static_cast<Index>(window.size()));
  const auto* policy = std::get_if<TvLinearGaussian>(&state.policy);
  if (!policy || !same_sizes(policies.front(), *policy))
    group.fail("dataset K: has other sizes than the policy outside the window");
  for (std::size_t e = 0; e < window.size(); ++e) {
    window[e].iteration = iteration[e];
    window[e].policy = std::move(policies[e]);
  }
  read_distributions(group, window);
  read_rollouts(group, window);
  return window;
}

void write_numbers(hdf5::GroupWriter& group, const std::vector<Metric>& numbers) {
  std::vector<std::string> names;
  std::vector<double> values;
  for (const auto& [name, value] : numbers) {
    names.push_back(name);
    values.push_back(value);
  }
  group.attribute("number_names", names);
  group.attribute("numbers", values);
}

std::vector<Metric> read_numbers(const hdf5::GroupReader& group) {
  const std::vector<std::string> names = group.texts("number_names");
  const std::vector<double> values = group.reals("numbers");
  if (names.size() != values.size())
    group.fail(fmt::format("attribute numbers: found {} for {} names", values.size(), names.size()));
  std::vector<Metric> numbers;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!std::isfinite(values[i])) group.fail(fmt::format("attribute numbers: {} is not finite", names[i]));
    numbers.emplace_back(names[i], values[i]);
  }
  return numbers;
}

void write_any_policy(hdf5::GroupWriter group, const AnyPolicy& policy) {
  group.attribute("kind", policy_kind(policy));
  std::visit([&](const auto& p) { write_all(group, p); }, policy);
}

AnyPolicy read_any_policy(const hdf5::GroupReader& group) {
  const std::string found = group.text("kind");
  if (found == policy_kind(TvLinearGaussian())) return std::move(read_policies(group, 1).front());
  return read_policy(group);
}

// Columns lie behind each other, so the shape in the file is [columns, rows].
void write_matrices(hdf5::GroupWriter group, const std::vector<NamedMatrix>& matrices) {
  std::vector<std::string> names;
  std::vector<double> sizes;  ///< rows, columns of each: a part that was cut is noticed
  for (const auto& [name, value] : matrices) {
    names.push_back(name);
    sizes.push_back(static_cast<double>(value.rows()));
    sizes.push_back(static_cast<double>(value.cols()));
    group.dataset(name, columns(value), {value.cols(), value.rows()});
  }
  group.attribute("names", names);
  group.attribute("sizes", sizes);
}

std::vector<NamedMatrix> read_matrices(const hdf5::GroupReader& group) {
  std::vector<NamedMatrix> matrices;
  const std::vector<std::string> names = group.texts("names");
  const std::vector<double> sizes = group.reals("sizes");
  if (sizes.size() != 2 * names.size())
    group.fail(fmt::format("attribute sizes: found {} for {} names", sizes.size(), names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!(sizes[2 * i] >= 0 && sizes[2 * i + 1] >= 0 && sizes[2 * i] * sizes[2 * i + 1] <= max_count))
      group.fail(fmt::format("attribute sizes: found {} x {}", sizes[2 * i], sizes[2 * i + 1]));
    const auto rows = static_cast<Index>(sizes[2 * i]), cols = static_cast<Index>(sizes[2 * i + 1]);
    matrices.push_back({names[i], from_columns(group.doubles(names[i], {cols, rows}), rows, cols)});
  }
  return matrices;
}

void write_state(hdf5::GroupWriter group, const TrainingState& state) {
  group.attribute("iteration", static_cast<std::uint64_t>(state.iteration));
  group.attribute("rollouts_total", static_cast<std::uint64_t>(state.rollouts_total));
  group.attribute("steps_total", static_cast<std::uint64_t>(state.steps_total));
  group.attribute("last_return_mean", state.last_return_mean);
  write_numbers(group, state.numbers);
  write_any_policy(group.group("policy"), state.policy);
  write_matrices(group.group("matrices"), state.matrices);
  write_window(group.group("window"), state.window);
}

TrainingState read_state(const hdf5::GroupReader& group) {
  TrainingState state;
  state.iteration = read_int(group, "iteration");
  state.rollouts_total = static_cast<std::int64_t>(group.natural("rollouts_total"));
  state.steps_total = static_cast<std::int64_t>(group.natural("steps_total"));
  state.last_return_mean = group.real("last_return_mean");
  state.numbers = read_numbers(group);
  state.policy = read_any_policy(group.group("policy"));
  state.matrices = read_matrices(group.group("matrices"));
  state.window = read_window(group.group("window"), state);
  return state;
}

}  // namespace

void require_same_run(const RunIdentity& found, const RunIdentity& expected, const std::filesystem::path& file) {
  const auto refuse = [&](const char* what, const auto& there, const auto& here) {
    throw InputError(
        fmt::format("{}: belongs to another run: {} = {} there, {} here", file.string(), what, there, here));
  };
  if (found.algorithm != expected.algorithm)
    refuse("algorithm", hdf5::quoted(found.algorithm), hdf5::quoted(expected.algorithm));
  if (found.task != expected.task) refuse("task", hdf5::quoted(found.task), hdf5::quoted(expected.task));
  if (found.task_digest != expected.task_digest)
    refuse("task file or model changed: digest", hdf5::quoted(found.task_digest), hdf5::quoted(expected.task_digest));
  if (found.options_digest != expected.options_digest)
    refuse("options changed: digest", hdf5::quoted(found.options_digest), hdf5::quoted(expected.options_digest));
  if (found.seed != expected.seed) refuse("seed", found.seed, expected.seed);
}

std::string checkpoint_bytes(const CheckpointHeader& header, const TrainingState& state) {
  hdf5::Writer file;
  hdf5::GroupWriter root = file.root();
  root.attribute("kind", kind);
  root.attribute("format", format);
  root.attribute("kedge_version", KEDGE_VERSION);
  root.attribute("algorithm", header.identity.algorithm);
  root.attribute("task", header.identity.task);
  root.attribute("task_digest", header.identity.task_digest);
  root.attribute("options_digest", header.identity.options_digest);
  root.attribute("seed", header.identity.seed);
  root.attribute("stop", stop_text(header.stop));
  root.attribute("message", header.message);
  root.attribute("record_updates", std::uint64_t{header.record_updates});
  root.dataset("metrics", header.metrics);
  write_state(root.group("state"), state);
  return hdf5::seal(file.image());
}

void save_checkpoint(const std::filesystem::path& path, const CheckpointHeader& header, const TrainingState& state,
                     Durability durability) {
  write_file(path, checkpoint_bytes(header, state), durability);
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  const std::string image = hdf5::read_sealed(path, hdf5::Trailer::required);
  const hdf5::Reader file(image, path.string());
  const hdf5::GroupReader root = file.root();
  if (const std::string found = root.text("kind"); found != kind)
    root.fail(fmt::format("attribute kind: found {}, expected \"{}\"", hdf5::quoted(found), kind));
  if (const std::uint64_t found = root.natural("format"); found != format)
    root.fail(fmt::format("was written by kedge {} in format {}, but kedge " KEDGE_VERSION " reads format {}",
                          root.text("kedge_version"), found, format));
  Checkpoint result;
  CheckpointHeader& header = result.header;
  header.identity = {root.text("algorithm"), root.text("task"), root.text("task_digest"), root.text("options_digest"),
                     root.natural("seed")};
  header.stop = read_stop(root);
  header.message = root.text("message");
  header.record_updates = root.natural("record_updates") != 0;
  header.metrics = root.bytes("metrics");
  result.state = read_state(root.group("state"));
  header.iteration = result.state.iteration;
  return result;
}

}  // namespace kedge
