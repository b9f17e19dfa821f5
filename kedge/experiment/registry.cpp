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
TrainingEnd train_ilqr(const Training& t) { return train_with(t, to_ilqr_options(t.options), ilqr_start, ilqr); }

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
  };
  return table;
}

}  // namespace kedge
