#include "kedge/catalogue/fields.h"

#include <cmath>
#include <limits>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

/// |S - L L'| relative to the largest entry above which L is the factor of another matrix.
constexpr double kFactorError = 1e-6;

bool is_factor(const MatrixXd& L, const MatrixXd& S) {
  return L.rows() == S.rows() && L.isLowerTriangular(0.0) && L.diagonal().minCoeff() > 0.0 &&
         (L * L.transpose() - S).cwiseAbs().maxCoeff() <= kFactorError * S.cwiseAbs().maxCoeff();
}

MatrixXd one_row(const std::vector<Index>& numbers) {
  MatrixXd row(1, static_cast<Index>(numbers.size()));
  for (Index i = 0; i < row.cols(); ++i) row(0, i) = static_cast<double>(numbers[static_cast<std::size_t>(i)]);
  return row;
}

/// An infinite limit is the largest finite number: fields are finite. @return [da, 2]
MatrixXd limits_matrix(const VectorXd& low, const VectorXd& high) {
  constexpr double most = std::numeric_limits<double>::max();
  MatrixXd limits(low.size(), 2);
  limits << low.cwiseMax(-most), high.cwiseMin(most);
  return limits;
}

VectorXd limits_vector(const MatrixXd& limits, Index column) {
  constexpr double most = std::numeric_limits<double>::max();
  return limits.col(column).unaryExpr(
      [](double x) { return std::abs(x) < most ? x : std::copysign(std::numeric_limits<double>::infinity(), x); });
}

/// Places the columns of `count` blocks next to each other. @param block i -> [rows, cols]
template <class Block>
MatrixXd side_by_side(Index count, Index rows, Index cols, const Block& block) {
  MatrixXd all(rows, cols * count);
  for (Index i = 0; i < count; ++i) all.middleCols(i * cols, cols) = block(i);
  return all;
}

/// Calls visit(name, member, rows, columns a step) for the parts of a time-varying policy.
template <class Visit>
void for_each_part(Index ds, Index da, const Visit& visit) {
  visit("K", &LinearGaussian::K, da, ds);
  visit("Sigma", &LinearGaussian::Sigma, da, da);
  visit("C", &LinearGaussian::C, da, da);
}

/// Calls visit(name, member, columns a rollout) for the matrices of a batch of T steps.
template <class Visit>
void for_each_matrix(int T, const Visit& visit) {
  visit("state", &Batch::state, T + 1);
  visit("observation", &Batch::observation, T + 1);
  visit("action", &Batch::action, T);
  visit("terms", &Batch::terms, T + 1);
}

}  // namespace

// ---- writing

void FieldWriter::operator()(const char* name, const std::vector<MatrixXd>& blocks) {
  const Scope scope(*this, name);
  add("count", static_cast<std::int64_t>(blocks.size()));
  if (blocks.empty()) return;
  add("all", side_by_side(static_cast<Index>(blocks.size()), blocks.front().rows(), blocks.front().cols(),
                          [&](Index i) -> const MatrixXd& { return blocks[static_cast<std::size_t>(i)]; }));
}

void FieldWriter::operator()(const char* name, const TvLinearGaussian& policy) {
  const Scope scope(*this, name);
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  const auto step = [&](Index t) -> const LinearGaussian& { return policy[static_cast<int>(t)]; };
  add("k", side_by_side(T, da, 1, [&](Index t) -> const VectorXd& { return step(t).k; }));
  for_each_part(ds, da, [&](const char* part, MatrixXd LinearGaussian::*field, Index rows, Index cols) {
    add(part, side_by_side(T, rows, cols, [&](Index t) -> const MatrixXd& { return step(t).*field; }));
  });
}

void FieldWriter::add_shape(const NetworkShape& network) {
  MatrixXd hidden(1, static_cast<Index>(network.hidden.size()));
  for (Index i = 0; i < hidden.cols(); ++i)
    hidden(0, i) = static_cast<double>(network.hidden[static_cast<std::size_t>(i)]);
  add("hidden", hidden);
  add("activation", static_cast<std::int64_t>(network.activation));
  add("output_bias", std::int64_t{network.output_bias});
  (*this)("input_mean", network.input_mean);
  (*this)("input_scale", network.input_scale);
  (*this)("output_scale", network.output_scale);
  add("input_clip", network.input_clip);
}

void FieldWriter::operator()(const char* name, const Network& network) {
  const Scope scope(*this, name);
  add_shape(network.shape());
  (*this)("weights", network.weights());
}

void FieldWriter::operator()(const char* name, const MlpGaussian& policy) {
  const Scope scope(*this, name);
  add_shape(policy.shape());
  add("clock", std::int64_t{policy.clock()});
  (*this)("theta", policy.theta());
}

void FieldWriter::operator()(const char* name, const DmpPolicy& policy) {
  const Scope scope(*this, name);
  add("movement", policy.movement());
  add("step", policy.basis()->step);
  add("k", policy.k());
  (*this)("K", policy.K());
  const Tracking& tracking = policy.tracking();
  add("position", one_row(tracking.position));
  add("velocity", one_row(tracking.velocity));
  add("limits", limits_matrix(tracking.low, tracking.high));
  (*this)("std", tracking.std);
}

void FieldWriter::operator()(const char* name, const ContextualPolicy& policy) {
  const Scope scope(*this, name);
  const Context& context = policy.context();
  add("context", one_row(context.entry));
  add("squares", std::int64_t{context.squares});
  (*this)("mean", context.mean);
  (*this)("scale", context.scale);
  add("map", policy.map());
  (*this)("controller", policy.middle());
}

void FieldWriter::operator()(const char* name, const LinearGaussian& distribution) {
  const Scope scope(*this, name);
  (*this)("k", distribution.k);
  (*this)("K", distribution.K);
  (*this)("Sigma", distribution.Sigma);
  (*this)("C", distribution.C);
}

// The epochs' arrays are placed next to each other: as many fields whatever the window (a file takes longer to create a
// dataset than to fill it).
void FieldWriter::operator()(const char* name, const Window& window) {
  const Scope scope(*this, name);
  const auto E = static_cast<Index>(window.size());
  add("count", std::int64_t{E});
  if (E == 0) return;
  const auto epoch = [&](Index e) -> const Epoch& { return window[static_cast<std::size_t>(e)]; };
  const Batch& first = window.front().batch;
  const Index T = first.horizon, N = first.rollouts, ds = first.observation.rows();

  std::vector<LinearGaussian> steps;
  for (const Epoch& each : window)
    for (int t = 0; t < T; ++t) steps.push_back(each.policy[t]);
  (*this)("policy", TvLinearGaussian(std::move(steps)));
  const auto rho = [&](Index i) -> const Gaussian& { return epoch(i / T).rho[static_cast<std::size_t>(i % T)]; };
  add("rho_mean", side_by_side(E * T, ds, 1, [&](Index i) -> const VectorXd& { return rho(i).mean; }));
  add("rho_cov", side_by_side(E * T, ds, ds, [&](Index i) -> const MatrixXd& { return rho(i).cov; }));
  add("rho_L", side_by_side(E * T, ds, ds, [&](Index i) -> const MatrixXd& { return rho(i).L; }));
  for_each_matrix(static_cast<int>(T), [&](const char* part, MatrixXd Batch::*field, Index cols) {
    add(part, side_by_side(E, (first.*field).rows(), N * cols,
                           [&](Index e) -> const MatrixXd& { return epoch(e).batch.*field; }));
  });
  add("cost", side_by_side(E, T + 1, N, [&](Index e) -> const MatrixXd& { return epoch(e).batch.cost; }));
  add("success", side_by_side(E, N, 1, [&](Index e) -> const VectorXd& { return epoch(e).batch.success; }));
  MatrixXd numbers(2, E), diverged_at(N, E);
  for (Index e = 0; e < E; ++e) {
    numbers.col(e) << epoch(e).iteration, epoch(e).batch.saturated;
    for (Index n = 0; n < N; ++n) diverged_at(n, e) = epoch(e).batch.diverged_at[static_cast<std::size_t>(n)];
  }
  add("diverged_at", std::move(diverged_at));
  add("iteration_saturated", std::move(numbers));
}

// ---- reading

void FieldReader::fail(const std::string& name, const std::string& what) const {
  throw InputError(fmt::format("state: {}{}: {}", prefix_, name, what));
}

template <class Value>
const Value& FieldReader::take(const char* name) {
  if (next_ >= fields_.size()) fail(name, "is missing");
  const Field& field = fields_[next_];
  if (field.name != prefix_ + name) fail(name, fmt::format("is missing; found {}", field.name));
  const auto* value = std::get_if<Value>(&field.value);
  if (value == nullptr) fail(name, "is of another type");
  ++next_;
  return *value;
}

void FieldReader::end() const {
  if (next_ < fields_.size())
    throw InputError(fmt::format("state: {} is not part of it: it belongs to another algorithm", fields_[next_].name));
}

const MatrixXd& FieldReader::array(const char* name, Index rows, Index cols) {
  const auto& value = take<MatrixXd>(name);
  if ((rows >= 0 && value.rows() != rows) || (cols >= 0 && value.cols() != cols))
    fail(name, fmt::format("found {} x {}, expected {} x {}", value.rows(), value.cols(),
                           rows >= 0 ? fmt::to_string(rows) : "any", cols >= 0 ? fmt::to_string(cols) : "any"));
  if (!value.allFinite()) fail(name, "has a number that is not finite");
  return value;
}

std::size_t FieldReader::count() {
  constexpr std::int64_t most = 1 << 20;
  const auto value = take<std::int64_t>("count");
  if (value < 0 || value > most) fail("count", fmt::format("found {}, expected 0 ... {}", value, most));
  return static_cast<std::size_t>(value);
}

void FieldReader::operator()(const char* name, std::int64_t& value) {
  value = take<std::int64_t>(name);
  if (value < 0) fail(name, fmt::format("found {}, expected >= 0", value));
}

void FieldReader::operator()(const char* name, int& value) {
  std::int64_t wide = 0;
  (*this)(name, wide);
  if (wide > 1 << 30) fail(name, fmt::format("found {}, expected at most {}", wide, 1 << 30));
  value = static_cast<int>(wide);
}

void FieldReader::operator()(const char* name, double& value) {
  value = take<double>(name);
  if (!std::isfinite(value)) fail(name, "is not finite");
}

void FieldReader::any(const char* name, double& value) { value = take<double>(name); }
void FieldReader::operator()(const char* name, MatrixXd& value) { value = array(name); }
void FieldReader::operator()(const char* name, VectorXd& value) { value = array(name, -1, 1); }

void FieldReader::operator()(const char* name, std::vector<MatrixXd>& blocks) {
  const Scope scope(*this, name);
  const auto n = static_cast<Index>(count());
  blocks.clear();
  if (n == 0) return;
  const MatrixXd& all = array("all");
  if (all.cols() % n != 0) fail("all", fmt::format("found {} columns for {} blocks", all.cols(), n));
  for (Index i = 0; i < n; ++i) blocks.emplace_back(all.middleCols(i * (all.cols() / n), all.cols() / n));
}

void FieldReader::operator()(const char* name, TvLinearGaussian& policy) {
  const Scope scope(*this, name);
  const MatrixXd& k = array("k");
  const Index da = k.rows(), T = k.cols();
  if (da < 1 || T < 1) fail("k", fmt::format("found {} x {}, expected at least 1 x 1", da, T));
  std::vector<LinearGaussian> steps(static_cast<std::size_t>(T));
  const MatrixXd& K = array("K", da);
  if (K.cols() < T || K.cols() % T != 0) fail("K", fmt::format("found {} columns for {} steps", K.cols(), T));
  const MatrixXd &Sigma = array("Sigma", da, da * T), &C = array("C", da, da * T);
  for (Index t = 0; t < T; ++t) {
    LinearGaussian& step = steps[static_cast<std::size_t>(t)];
    step = {K.middleCols(t * (K.cols() / T), K.cols() / T), k.col(t), Sigma.middleCols(t * da, da),
            C.middleCols(t * da, da)};
    if (!is_factor(step.C, step.Sigma)) fail("C", fmt::format("is not the factor of Sigma at step {}", t));
  }
  policy = TvLinearGaussian(std::move(steps));
}

NetworkShape FieldReader::take_shape() {
  NetworkShape network;
  network.hidden.clear();
  for (const double units : array("hidden", 1).reshaped()) {
    if (!(units >= 1 && units <= 1 << 20 && units == std::floor(units))) fail("hidden", fmt::format("found {}", units));
    network.hidden.push_back(static_cast<Index>(units));
  }
  int activation = 0, output_bias = 0;
  (*this)("activation", activation);
  (*this)("output_bias", output_bias);
  if (activation > 1 || output_bias > 1) fail("activation", "and output_bias must be 0 or 1");
  network.activation = static_cast<Activation>(activation);
  network.output_bias = output_bias == 1;
  (*this)("input_mean", network.input_mean);
  (*this)("input_scale", network.input_scale);
  (*this)("output_scale", network.output_scale);
  (*this)("input_clip", network.input_clip);
  return network;
}

void FieldReader::operator()(const char* name, Network& network) {
  const Scope scope(*this, name);
  NetworkShape shape = take_shape();
  VectorXd weights;
  (*this)("weights", weights);
  try {
    network = Network(std::move(shape));
    network.set_weights(std::move(weights));
  } catch (const InputError& error) {
    fail("weights", error.what());
  }
}

void FieldReader::operator()(const char* name, MlpGaussian& policy) {
  const Scope scope(*this, name);
  NetworkShape network = take_shape();
  int clock = 0;
  (*this)("clock", clock);
  VectorXd theta;
  (*this)("theta", theta);
  try {
    policy = MlpGaussian(std::move(network), std::move(theta), clock);
  } catch (const InputError& error) {
    fail("theta", error.what());
  }
}

std::vector<Index> FieldReader::indices(const char* name) {
  std::vector<Index> numbers;
  for (const double number : array(name, 1).reshaped()) {
    if (!(number >= 0 && number <= 1 << 30 && number == std::floor(number)))
      fail(name, fmt::format("found {}", number));
    numbers.push_back(static_cast<Index>(number));
  }
  return numbers;
}

void FieldReader::operator()(const char* name, DmpPolicy& policy) {
  const Scope scope(*this, name);
  MatrixXd movement = array("movement");
  double step = 0.0;
  (*this)("step", step);
  MatrixXd k = array("k", movement.rows());
  std::vector<MatrixXd> K;
  (*this)("K", K);
  Tracking tracking;
  tracking.position = indices("position");
  tracking.velocity = indices("velocity");
  const MatrixXd& limits = array("limits", movement.rows(), 2);
  tracking.low = limits_vector(limits, 0);
  tracking.high = limits_vector(limits, 1);
  (*this)("std", tracking.std);
  try {
    policy = DmpPolicy(std::move(movement), step, std::move(tracking), std::move(K), std::move(k));
  } catch (const InputError& error) {
    fail("movement", error.what());
  }
}

void FieldReader::operator()(const char* name, ContextualPolicy& policy) {
  const Scope scope(*this, name);
  Context context;
  context.entry = indices("context");
  int squares = 0;
  (*this)("squares", squares);
  if (squares > 1) fail("squares", "must be 0 or 1");
  context.squares = squares == 1;
  (*this)("mean", context.mean);
  (*this)("scale", context.scale);
  MatrixXd map = array("map");
  Controller middle;
  (*this)("controller", middle);
  try {
    policy = ContextualPolicy(std::move(context), std::move(map), std::move(middle));
  } catch (const InputError& error) {
    fail("map", error.what());
  }
}

void FieldReader::operator()(const char* name, LinearGaussian& distribution) {
  const Scope scope(*this, name);
  (*this)("k", distribution.k);
  const Index n = distribution.k.size();
  distribution.K = array("K", n);
  distribution.Sigma = array("Sigma", n, n);
  distribution.C = array("C", n, n);
  if (n < 1 || !is_factor(distribution.C, distribution.Sigma)) fail("C", "is not the factor of Sigma");
}

void FieldReader::operator()(const char* name, Window& window) {
  const Scope scope(*this, name);
  window = {};
  const auto E = static_cast<Index>(count());
  if (E == 0) return;
  TvLinearGaussian policies;
  (*this)("policy", policies);
  if (policies.horizon() % E != 0) fail("policy", fmt::format("found {} steps for {} epochs", policies.horizon(), E));
  const Index T = policies.horizon() / E, ds = policies.observation_dim(), da = policies.action_dim();
  const MatrixXd &mean = array("rho_mean", ds, E * T), &cov = array("rho_cov", ds, ds * E * T),
                 &L = array("rho_L", ds, ds * E * T);
  const MatrixXd& state = array("state");
  if (state.rows() < 1 || state.cols() == 0 || state.cols() % (E * (T + 1)) != 0)
    fail("state", fmt::format("found {} columns for {} epochs of {} steps", state.cols(), E, T));
  const Index N = state.cols() / (E * (T + 1));
  const MatrixXd &observation = array("observation", ds, E * N * (T + 1)), &action = array("action", da, E * N * T),
                 &terms = array("terms", -1, E * N * (T + 1)), &cost = array("cost", T + 1, E * N);
  const auto& success = take<MatrixXd>("success");  // NaN where none is declared
  if (success.rows() != N || success.cols() != E) fail("success", "has another size");
  const MatrixXd &diverged_at = array("diverged_at", N, E), &numbers = array("iteration_saturated", 2, E);

  for (Index e = 0; e < E; ++e) {
    Epoch epoch;
    epoch.iteration = static_cast<int>(numbers(0, e));
    if (numbers(0, e) < 0 || (e > 0 && numbers(0, e) <= numbers(0, e - 1)) || numbers(0, e) > 1 << 30)
      fail("iteration_saturated", fmt::format("found {}, expected rising numbers", numbers(0, e)));
    std::vector<LinearGaussian> steps;
    for (Index i = e * T; i < (e + 1) * T; ++i) {
      steps.push_back(policies[static_cast<int>(i)]);
      epoch.rho.push_back({mean.col(i), cov.middleCols(i * ds, ds), L.middleCols(i * ds, ds)});
      if (!is_factor(epoch.rho.back().L, epoch.rho.back().cov))
        fail("rho_L", fmt::format("is not the factor of rho_cov at step {} of epoch {}", i % T, e));
    }
    epoch.policy = TvLinearGaussian(std::move(steps));
    Batch& batch = epoch.batch;
    batch.rollouts = static_cast<int>(N);
    batch.horizon = static_cast<int>(T);
    batch.state = state.middleCols(e * N * (T + 1), N * (T + 1));
    batch.observation = observation.middleCols(e * N * (T + 1), N * (T + 1));
    batch.action = action.middleCols(e * N * T, N * T);
    batch.terms = terms.middleCols(e * N * (T + 1), N * (T + 1));
    batch.cost = cost.middleCols(e * N, N);
    batch.success = success.col(e);
    batch.saturated = numbers(1, e);
    for (const double at : diverged_at.col(e)) {
      if (!(at >= -1 && at < static_cast<double>(T) && at == std::floor(at)))
        fail("diverged_at", fmt::format("found {}, expected -1 ... {}", at, T - 1));
      batch.diverged_at.push_back(static_cast<int>(at));
    }
    window.push_back(std::move(epoch));
  }
}

AnyPolicy policy_in(const Fields& state) {
  const std::string prefix = "policy.";
  Fields fields;
  for (const Field& field : state)
    if (field.name.starts_with(prefix)) fields.push_back(field);
  if (fields.empty()) throw InputError("state: has no policy");
  FieldReader reader(fields);
  AnyPolicy policy;
  reader("policy", policy);
  reader.end();
  return policy;
}

}  // namespace kedge
