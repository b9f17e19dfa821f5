#include "kedge/experiment/checkpoint.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/experiment/hdf5.h"
#include "kedge/experiment/policy_file.h"
#include "kedge/experiment/steps.h"

namespace kedge {

namespace {

constexpr const char* kind = "checkpoint";
constexpr std::uint64_t format = 1;      ///< of the layout below; raised with every change
constexpr double factor_error = 1e-6;    ///< |Sigma - C C'| relative to the largest entry: not the same matrix
constexpr std::uint64_t max_count = 1u << 30;

constexpr std::array<std::pair<Stop, const char*>, 3> stop_names = {{
    {Stop::max_iterations, "max_iterations"}, {Stop::cancelled, "cancelled"}, {Stop::numerical_failure, "numerical_failure"}}};

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

/// Every bit of a policy: unlike policy.h5 with the factors C as they were, not recomputed.
void write_exactly(hdf5::GroupWriter group, const TvLinearGaussian& policy) {
  const Index T = policy.horizon(), da = policy.action_dim();
  write_policy(group, policy);
  group.dataset("C", stack(T, da, da, [&](int t) -> const MatrixXd& { return policy[t].C; }), {T, da, da});
}

bool is_factor(const MatrixXd& L, const MatrixXd& cov) {
  return L.isLowerTriangular(0.0) && L.diagonal().minCoeff() > 0.0 &&
         (L * L.transpose() - cov).cwiseAbs().maxCoeff() <= factor_error * cov.cwiseAbs().maxCoeff();
}

TvLinearGaussian read_exactly(const hdf5::GroupReader& group) {
  const hdf5::Shape shape = group.shape("K");
  if (shape.size() != 3 || std::ranges::min(shape) < 1)
    group.fail(fmt::format("dataset K: found {}, expected [T, da, ds], all at least 1", hdf5::to_string(shape)));
  const Index T = shape[0], da = shape[1], ds = shape[2];
  const std::vector<double> K = group.doubles("K", shape);
  const std::vector<double> k = group.doubles("k", {T, da});
  const std::vector<double> Sigma = group.doubles("Sigma", {T, da, da});
  const std::vector<double> C = group.doubles("C", {T, da, da});
  std::vector<LinearGaussian> steps;
  for (Index t = 0; t < T; ++t) {
    steps.push_back({slice(K, t, da, ds), slice(k, t, da, 1), slice(Sigma, t, da, da), slice(C, t, da, da)});
    if (!is_factor(steps.back().C, steps.back().Sigma)) group.fail(fmt::format("dataset C: is not the factor of Sigma at step {}", t));
  }
  return TvLinearGaussian(std::move(steps));
}

void write_gaussians(hdf5::GroupWriter group, const std::vector<Gaussian>& all) {
  const auto T = static_cast<Index>(all.size());
  const Index n = all.empty() ? 0 : all.front().dim();
  const auto at = [&](int t) -> const Gaussian& { return all[static_cast<std::size_t>(t)]; };
  group.dataset("mean", stack(T, n, 1, [&](int t) -> const VectorXd& { return at(t).mean; }), {T, n});
  group.dataset("cov", stack(T, n, n, [&](int t) -> const MatrixXd& { return at(t).cov; }), {T, n, n});
  group.dataset("L", stack(T, n, n, [&](int t) -> const MatrixXd& { return at(t).L; }), {T, n, n});
}

std::vector<Gaussian> read_gaussians(const hdf5::GroupReader& group, Index T, Index n) {
  const std::vector<double> mean = group.doubles("mean", {T, n});
  const std::vector<double> cov = group.doubles("cov", {T, n, n});
  const std::vector<double> L = group.doubles("L", {T, n, n});
  std::vector<Gaussian> all;
  for (Index t = 0; t < T; ++t) {
    all.push_back({slice(mean, t, n, 1), slice(cov, t, n, n), slice(L, t, n, n)});
    if (!is_factor(all.back().L, all.back().cov)) group.fail(fmt::format("dataset L: is not the factor of cov at step {}", t));
  }
  return all;
}

void write_batch(hdf5::GroupWriter group, const Batch& batch) {
  const Index N = batch.rollouts, T = batch.horizon;
  group.dataset("state", columns(batch.state), {N, T + 1, batch.state.rows()});
  group.dataset("observation", columns(batch.observation), {N, T + 1, batch.observation.rows()});
  group.dataset("action", columns(batch.action), {N, T, batch.action.rows()});
  group.dataset("terms", columns(batch.terms), {N, T + 1, batch.terms.rows()});
  group.dataset("cost", columns(batch.cost), {N, T + 1});
  group.dataset("diverged_at", batch.diverged_at, {N});
  group.dataset("success", std::span(batch.success.data(), static_cast<std::size_t>(batch.success.size())), {batch.success.size()});
  group.attribute("saturated", batch.saturated);
}

/// A dataset [N, steps, n] as a matrix [n, N steps].
MatrixXd read_columns(const hdf5::GroupReader& group, const std::string& name, Index N, Index steps) {
  const hdf5::Shape shape = group.shape(name);
  if (shape.size() != 3 || shape[0] != N || shape[1] != steps)
    group.fail(fmt::format("dataset {}: found {}, expected [{}, {}, n]", name, hdf5::to_string(shape), N, steps));
  return from_columns(group.doubles(name, shape), shape[2], N * steps);
}

Batch read_batch(const hdf5::GroupReader& group, const TvLinearGaussian& policy) {
  const Index T = policy.horizon();
  const hdf5::Shape shape = group.shape("diverged_at");
  if (shape.size() != 1 || shape[0] < 1) group.fail("dataset diverged_at: found " + hdf5::to_string(shape) + ", expected [N]");
  const Index N = shape[0];
  Batch batch;
  batch.rollouts = static_cast<int>(N);
  batch.horizon = static_cast<int>(T);
  batch.state = read_columns(group, "state", N, T + 1);
  batch.observation = read_columns(group, "observation", N, T + 1);
  batch.action = read_columns(group, "action", N, T);
  batch.terms = read_columns(group, "terms", N, T + 1);
  batch.cost = from_columns(group.doubles("cost", {N, T + 1}), T + 1, N);
  batch.diverged_at = group.ints("diverged_at", {N});
  batch.success = from_columns(group.any_doubles("success", {N}), N, 1);
  batch.saturated = group.real("saturated");
  for (const int t : batch.diverged_at)
    if (t < -1 || t >= T) group.fail(fmt::format("dataset diverged_at: found {}, expected -1 ... {}", t, T - 1));
  if (batch.observation.rows() != policy.observation_dim() || batch.action.rows() != policy.action_dim())
    group.fail("the rollouts do not fit the policy");
  return batch;
}

bool same_sizes(const TvLinearGaussian& a, const TvLinearGaussian& b) {
  return a.horizon() == b.horizon() && a.observation_dim() == b.observation_dim() && a.action_dim() == b.action_dim();
}

void write_state(hdf5::GroupWriter group, const MotoState& state) {
  group.attribute("iteration", static_cast<std::uint64_t>(state.iteration));
  group.attribute("rollouts_total", static_cast<std::uint64_t>(state.rollouts_total));
  group.attribute("steps_total", static_cast<std::uint64_t>(state.steps_total));
  group.attribute("last_return_mean", state.last_return_mean);
  group.attribute("epochs", static_cast<std::uint64_t>(state.window.size()));
  write_exactly(group.group("policy"), state.policy);
  int number = 0;
  for (const Epoch& epoch : state.window) {
    hdf5::GroupWriter each = group.group(fmt::format("epoch_{:04d}", number++));
    each.attribute("iteration", static_cast<std::uint64_t>(epoch.iteration));
    write_exactly(each.group("policy"), epoch.policy);
    write_gaussians(each.group("rho"), epoch.rho);
    write_batch(each.group("batch"), epoch.batch);
  }
}

MotoState read_state(const hdf5::GroupReader& group) {
  MotoState state;
  state.iteration = read_int(group, "iteration");
  state.rollouts_total = static_cast<std::int64_t>(group.natural("rollouts_total"));
  state.steps_total = static_cast<std::int64_t>(group.natural("steps_total"));
  state.last_return_mean = group.real("last_return_mean");
  state.policy = read_exactly(group.group("policy"));
  const int epochs = read_int(group, "epochs");
  for (int number = 0; number < epochs; ++number) {
    const hdf5::GroupReader each = group.group(fmt::format("epoch_{:04d}", number));
    Epoch epoch;
    epoch.iteration = read_int(each, "iteration");
    epoch.policy = read_exactly(each.group("policy"));
    if (!same_sizes(epoch.policy, state.policy)) each.fail("the policies of the window have different sizes");
    if (epoch.iteration >= state.iteration || (number > 0 && epoch.iteration <= state.window.back().iteration))
      each.fail(fmt::format("attribute iteration: found {}, expected rising numbers below {}", epoch.iteration, state.iteration));
    epoch.rho = read_gaussians(each.group("rho"), epoch.policy.horizon(), epoch.policy.observation_dim());
    epoch.batch = read_batch(each.group("batch"), epoch.policy);
    state.window.push_back(std::move(epoch));
  }
  return state;
}

}  // namespace

void require_same_run(const RunIdentity& found, const RunIdentity& expected, const std::filesystem::path& file) {
  const auto refuse = [&](const char* what, const auto& there, const auto& here) {
    throw InputError(fmt::format("{}: belongs to another run: {} = {} there, {} here", file.string(), what, there, here));
  };
  if (found.algorithm != expected.algorithm) refuse("algorithm", hdf5::quoted(found.algorithm), hdf5::quoted(expected.algorithm));
  if (found.task != expected.task) refuse("task", hdf5::quoted(found.task), hdf5::quoted(expected.task));
  if (found.task_digest != expected.task_digest)
    refuse("task file or model changed: digest", hdf5::quoted(found.task_digest), hdf5::quoted(expected.task_digest));
  if (found.options_digest != expected.options_digest)
    refuse("options changed: digest", hdf5::quoted(found.options_digest), hdf5::quoted(expected.options_digest));
  if (found.seed != expected.seed) refuse("seed", found.seed, expected.seed);
}

std::string checkpoint_bytes(const CheckpointHeader& header, const MotoState& state) {
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

void save_checkpoint(const std::filesystem::path& path, const CheckpointHeader& header, const MotoState& state,
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
  if (header.identity.algorithm != "moto")
    root.fail(fmt::format("attribute algorithm: found {}, expected \"moto\"", hdf5::quoted(header.identity.algorithm)));
  result.state = read_state(root.group("state"));
  header.iteration = result.state.iteration;
  return result;
}

}  // namespace kedge
