#include "kedge/experiment/registry.h"

#include <array>
#include <limits>

#include "kedge/core/errors.h"
#include "kedge/evaluation/cost_expansion.h"
#include "kedge/mujoco/toml_value.h"

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

TrainingEnd train_moto(const Training& t) { return train_with(t, to_moto_options(t.options), moto_start, moto); }
TrainingEnd train_gps(const Training& t) { return train_with(t, to_gps_options(t.options), gps_start, gps); }
TrainingEnd train_vgps(const Training& t) { return train_with(t, to_vgps_options(t.options), vgps_start, vgps); }
TrainingEnd train_gps_is(const Training& t) {
  return train_with(t, to_gps_is_options(t.options), gps_is_start, gps_is);
}
TrainingEnd train_dagger(const Training& t) {
  return train_with(t, to_dagger_options(t.options), dagger_start, dagger);
}
TrainingEnd train_cost_weighted(const Training& t) {
  return train_with(t, to_cost_weighted_options(t.options), cost_weighted_start, cost_weighted);
}
TrainingEnd train_ilqr(const Training& t) { return train_with(t, to_ilqr_options(t.options), ilqr_start, ilqr); }

template <auto to_options>
std::optional<MatrixXd> first_guide(const Task& task, const Options& options, const Run& run) {
  const GuidePlan plan = initial_guide(task, 0, nullptr, to_options(options), run);
  if (!plan.guide) return std::nullopt;
  return plan.guide->q.x;
}

}  // namespace

std::span<const Algorithm> algorithms() {
  static constexpr std::array table{
      Algorithm{"moto", "model-free trajectory optimisation with exact KL and entropy bounds [Akrour2018]",
                moto_options, [](const Options& options) { to_moto_options(options).validate(); }, [](const Task&) {},
                false, true, train_moto},
      Algorithm{"gps", "trajectory optimisation of guided policy search: fitted linear dynamics [LevineAbbeel2014]",
                gps_options, [](const Options& options) { to_gps_options(options).validate(); }, require_expandable,
                false, true, train_gps},
      Algorithm{"ilqr",
                "iterative linear-quadratic regulator: the model itself, its derivatives [LiTodorov2004; Tassa2014]",
                ilqr_options, [](const Options& options) { to_ilqr_options(options).validate(); }, require_full_state,
                true, false, train_ilqr},
      Algorithm{"vgps",
                "variational guided policy search: a network that imitates trajectory optimisation [LevineKoltun2013]",
                vgps_options, [](const Options& options) { to_vgps_options(options).validate(); }, [](const Task&) {},
                false, false, train_vgps, first_guide<to_vgps_options>},
      Algorithm{"gps_is",
                "guided policy search by importance sampling of a network, plain or adaptive [LevineKoltun2013b]",
                gps_is_options, [](const Options& options) { to_gps_is_options(options).validate(); },
                [](const Task&) {}, false, false, train_gps_is, first_guide<to_gps_is_options>},
      Algorithm{"dagger", "a network that imitates a DDP solution at the states it visits [Ross2011]", dagger_options,
                [](const Options& options) { to_dagger_options(options).validate(); }, [](const Task&) {}, false, false,
                train_dagger, first_guide<to_dagger_options>},
      Algorithm{"cost_weighted", "a network fitted to its own rollouts, weighted by the exponential of their cost",
                cost_weighted_options, [](const Options& options) { to_cost_weighted_options(options).validate(); },
                [](const Task&) {}, false, false, train_cost_weighted, first_guide<to_cost_weighted_options>},
  };
  return table;
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
