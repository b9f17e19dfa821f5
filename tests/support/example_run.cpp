#include "tests/support/example_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "kedge/algorithms/moto.h"
#include "kedge/core/random.h"

namespace kedge::example {

namespace {

MatrixXd noise(Stream& stream, Index rows, Index cols) {
  MatrixXd m(rows, cols);
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) m(i, j) = stream.normal();
  return m;
}

MatrixXd positive_definite(Stream& stream, Index n) {
  const MatrixXd a = noise(stream, n, n);
  return a * a.transpose() + 0.1 * MatrixXd::Identity(n, n);
}

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

bool same(const MatrixXd& a, const MatrixXd& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.size(); ++i)
    if (!same(a.data()[i], b.data()[i])) return false;
  return true;
}

}  // namespace

TvLinearGaussian policy(const Sizes& sizes, std::uint32_t iteration) {
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < sizes.horizon; ++t) {
    Stream stream(1, iteration, 0, static_cast<std::uint32_t>(t));
    const MatrixXd K = noise(stream, sizes.da, sizes.ds);
    const VectorXd k = noise(stream, sizes.da, 1);
    steps.push_back(make_linear_gaussian(K, k, positive_definite(stream, sizes.da)));
  }
  return TvLinearGaussian(std::move(steps));
}

std::vector<Gaussian> state_distribution(const Sizes& sizes, std::uint32_t iteration) {
  std::vector<Gaussian> all;
  for (int t = 0; t < sizes.horizon; ++t) {
    Stream stream(2, iteration, 0, static_cast<std::uint32_t>(t));
    const VectorXd mean = noise(stream, sizes.ds, 1);
    all.push_back(make_gaussian(mean, positive_definite(stream, sizes.ds)).value());
  }
  return all;
}

Batch batch(const Sizes& sizes, std::uint32_t iteration) {
  const Index N = sizes.rollouts, T = sizes.horizon;
  Stream stream(3, iteration, 0, 0);
  Batch batch;
  batch.rollouts = sizes.rollouts;
  batch.horizon = sizes.horizon;
  batch.state = noise(stream, sizes.nx, N * (T + 1));
  batch.observation = noise(stream, sizes.ds, N * (T + 1));
  batch.action = noise(stream, sizes.da, N * T);
  batch.terms = noise(stream, sizes.terms, N * (T + 1));
  batch.cost = noise(stream, T + 1, N);
  batch.diverged_at.assign(static_cast<std::size_t>(N), -1);
  batch.success = noise(stream, N, 1);
  if (N > 1) {
    batch.diverged_at[1] = 0;
    batch.state.middleCols(T + 2, T).setZero();
    batch.success[1] = std::numeric_limits<double>::quiet_NaN();
  }
  batch.saturated = stream.uniform();
  return batch;
}

PolicyInfo policy_info(const Sizes& sizes) {
  PolicyInfo info;
  info.task = "example";
  for (Index i = 0; i < sizes.ds; ++i) info.observation_names.push_back("s" + std::to_string(i));
  for (Index i = 0; i < sizes.da; ++i) info.action_names.push_back("a" + std::to_string(i));
  info.action_low = VectorXd::Constant(sizes.da, -std::numeric_limits<double>::infinity());
  info.action_high = VectorXd::Constant(sizes.da, 25.0);
  return info;
}

Iteration report(int i) {
  Stream stream(4, static_cast<std::uint32_t>(i), 0, 0);
  Iteration iteration;
  iteration.number = i;
  iteration.metrics = {{"iteration", i},
                       {"rollouts_total", 20.0 * (i + 1)},
                       {"return_mean", stream.normal()},
                       {"kl_max", std::exp(-30.0 * stream.uniform())},
                       {"r2", i == 1 ? std::numeric_limits<double>::quiet_NaN() : stream.uniform()}};
  iteration.seconds = {{"rollout", 0.01 * i}, {"update", 1e-4}};
  iteration.steps = {{"kl", {0.1 * i, stream.uniform()}}, {"ess", {1.0 / 3, -0.0}}};
  iteration.warnings = {fmt::format("iteration {}: \"few\", too few", i), "lags"};
  return iteration;
}

Snapshot state(const Sizes& sizes, int completed) {
  MotoState state;
  state.iteration = completed;
  state.rollouts_total = std::int64_t{sizes.rollouts} * completed;
  state.steps_total = state.rollouts_total * sizes.horizon;
  state.policy = policy(sizes, static_cast<std::uint32_t>(completed));
  for (int i = std::max(0, completed - 2); i < completed; ++i) {
    const auto number = static_cast<std::uint32_t>(i);
    state.window.push_back({i, policy(sizes, number), state_distribution(sizes, number), batch(sizes, number)});
  }
  state.last_return_mean = completed == 0 ? 0.0 : report(completed - 1).metrics[2].second;
  return {state, state.policy, fields_of(state)};
}

UpdateRecord record(const Sizes& sizes, int i) {
  const auto number = static_cast<std::uint32_t>(i);
  UpdateRecord record;
  record.old_policy = policy(sizes, number);
  record.new_policy = policy(sizes, number + 1);
  record.rho = state_distribution(sizes, number);
  Stream stream(5, number, 0, 0);
  for (int t = 0; t < sizes.horizon; ++t) {
    record.q.push_back(
        {-positive_definite(stream, sizes.da), noise(stream, sizes.da, sizes.ds), noise(stream, sizes.da, 1)});
    GaussianStep update;
    update.eta = stream.uniform();
    update.omega = stream.uniform();
    update.kl = 0.05;
    update.entropy = stream.normal();
    update.beta = update.entropy - 0.1;
    record.updates.push_back(update);
  }
  record.epsilon = 0.05;
  return record;
}

RunIdentity identity() { return {"moto", "example", "0123456789abcdef", "fedcba9876543210", 0x8000'0000'0000'0001}; }

bool same(const TvLinearGaussian& a, const TvLinearGaussian& b) {
  if (a.horizon() != b.horizon()) return false;
  for (int t = 0; t < a.horizon(); ++t)
    if (!same(a[t].K, b[t].K) || !same(a[t].k, b[t].k) || !same(a[t].Sigma, b[t].Sigma) || !same(a[t].C, b[t].C))
      return false;
  return true;
}

bool same(const Fields& a, const Fields& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Field& x, const Field& y) {
    if (x.name != y.name || x.value.index() != y.value.index()) return false;
    if (const auto* whole = std::get_if<std::int64_t>(&x.value)) return *whole == std::get<std::int64_t>(y.value);
    if (const auto* number = std::get_if<double>(&x.value)) return same(*number, std::get<double>(y.value));
    return same(std::get<MatrixXd>(x.value), std::get<MatrixXd>(y.value));
  });
}

void train(const std::filesystem::path& path, int iterations) {
  const Sizes sizes;
  const bool exists = std::filesystem::exists(path / "run.toml");
  RunDirectory run = exists ? RunDirectory::open(path) : RunDirectory::create(path, "seed = 1\n", false);
  Snapshot now = state(sizes, 0);
  if (run.began()) {
    now = state(sizes, run.resume(identity(), policy_info(sizes)).header.iteration);
  } else {
    run.begin(identity(), policy_info(sizes), now, true);
  }
  while (now.loop.iteration < iterations) {
    const int i = now.loop.iteration;
    now = state(sizes, i + 1);
    const UpdateRecord update = record(sizes, i);
    run.commit(report(i), now, &update);
  }
  run.finish(Stop::max_iterations, "reached iterations = " + std::to_string(iterations), now);
}

std::string bytes_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

Folder::Folder() {
  // In memory where that is possible: these tests sync their files thousands of times.
  const bool memory = ::access("/dev/shm", W_OK) == 0;
  std::string name =
      (memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) / "kedge-test-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Folder::clear() const {
  for (const auto& entry : std::filesystem::directory_iterator(path_)) std::filesystem::remove_all(entry.path());
}

}  // namespace kedge::example
