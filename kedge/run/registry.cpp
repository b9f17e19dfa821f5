#include "kedge/run/registry.h"

#include <array>
#include <limits>
#include <type_traits>

#include "kedge/core/errors.h"
#include "kedge/evaluation/cost_expansion.h"
#include "kedge/files/toml_value.h"

namespace kedge {

namespace {

double metric(const Iteration& iteration, std::string_view name) {
  for (const auto& [key, value] : iteration.metrics)
    if (key == name) return value;
  return std::numeric_limits<double>::quiet_NaN();
}

/// Begins or resumes, trains, saves every iteration.
/// @param start makes the first state  @param loop continues a state, as `moto` does
template <class AlgorithmOptions, class Start, class Loop>
TrainingEnd train_with(const Training& t, AlgorithmOptions options, Start start, Loop loop) {
  if constexpr (requires { options.record_updates; }) options.record_updates = t.record_updates;
  options.validate();

  TrainingState state;
  if (t.directory.began()) {
    state = t.directory.resume(t.identity, policy_info(t.task)).state;
  } else {
    state = start(t.task, options);
    t.directory.begin(t.identity, policy_info(t.task), state, t.record_updates);
  }

  const auto observe = [&](const Iteration& iteration, const TrainingState& after, const UpdateRecord* record) {
    t.directory.commit(iteration, after, record);
    if (!t.observe) return;
    Progress progress;
    progress.iterations_done = after.iteration;
    progress.iterations = options.iterations;
    progress.rollouts_total = after.rollouts_total;
    progress.return_mean = metric(iteration, "return_mean");
    progress.return_median = metric(iteration, "return_median");
    progress.iteration = &iteration;
    t.observe(progress);
  };
  const TrainingResult result = loop(t.task, std::move(state), options, t.run, observe);
  t.directory.finish(result.stop, result.message, result.state);
  return {result.stop, result.message, result.state.iteration};
}

template <class AlgorithmOptions, auto start, auto loop>
TrainingEnd train(const Training& t) {
  return train_with(t, options_as<AlgorithmOptions>(t.options), start, loop);
}

template <class AlgorithmOptions>
std::optional<MatrixXd> first_guide(const Task& task, const Options& options, const Run& run) {
  const GuidePlan plan = initial_guide(task, 0, nullptr, options_as<AlgorithmOptions>(options), run);
  if (!plan.guide) return std::nullopt;
  return plan.guide->q.x;
}

/// What follows from the type of an algorithm's options and its two functions; for those that learn a network from a guide,
/// what it starts from.
template <class AlgorithmOptions, auto start, auto loop>
constexpr Algorithm algorithm(const char* name, const char* summary) {
  Algorithm row{.name = name, .summary = summary};
  row.options = default_options<AlgorithmOptions>;
  row.check = [](const Options& options) { options_as<AlgorithmOptions>(options).validate(); };
  row.train = train<AlgorithmOptions, start, loop>;
  if constexpr (std::is_base_of_v<GuidedOptions, AlgorithmOptions>)
    row.initial_trajectory = first_guide<AlgorithmOptions>;
  return row;
}

constexpr auto table() {
  Algorithm moto_row = algorithm<MotoOptions, moto_start, moto>(
      "moto", "model-free trajectory optimisation with exact KL and entropy bounds [Akrour2018]");
  moto_row.records_updates = true;
  Algorithm gps_row = algorithm<GpsOptions, gps_start, gps>(
      "gps", "trajectory optimisation of guided policy search: fitted linear dynamics [LevineAbbeel2014]");
  gps_row.check_task = require_expandable;
  gps_row.records_updates = true;
  Algorithm ilqr_row = algorithm<IlqrOptions, ilqr_start, ilqr>(
      "ilqr", "iterative linear-quadratic regulator: the model itself, its derivatives [LiTodorov2004; Tassa2014]");
  ilqr_row.check_task = require_full_state;
  ilqr_row.full_state = true;
  return std::array{
      moto_row,
      gps_row,
      ilqr_row,
      algorithm<VgpsOptions, vgps_start, vgps>(
          "vgps",
          "variational guided policy search: a network that imitates trajectory optimisation [LevineKoltun2013]"),
      algorithm<GpsIsOptions, gps_is_start, gps_is>(
          "gps_is", "guided policy search by importance sampling of a network, plain or adaptive [LevineKoltun2013b]"),
      algorithm<DaggerOptions, dagger_start, dagger>(
          "dagger", "a network that imitates a DDP solution at the states it visits [Ross2011]"),
      algorithm<CostWeightedOptions, cost_weighted_start, cost_weighted>(
          "cost_weighted", "a network fitted to its own rollouts, weighted by the exponential of their cost"),
  };
}

}  // namespace

std::span<const Algorithm> algorithms() {
  static constexpr auto rows = table();
  return rows;
}

const Algorithm& find_algorithm(std::string_view name) {
  std::vector<std::string> names;
  for (const Algorithm& algorithm : algorithms()) {
    if (algorithm.name == name) return algorithm;
    names.emplace_back(algorithm.name);
  }
  throw InputError(fmt::format("unknown algorithm '{}'{}", name, hint(name, names)));
}

std::span<const PolicyKind> policies() {
  static constexpr std::array table{
      PolicyKind{"tv_linear_gaussian", "a ~ N(K_t s + k_t, Sigma_t), one linear controller per time step"},
      PolicyKind{"mlp_gaussian", "a ~ N(network(s), diag(sigma^2)), one neural network for all steps"},
  };
  return table;
}

}  // namespace kedge
