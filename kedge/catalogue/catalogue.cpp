#include "kedge/catalogue/catalogue.h"

#include <array>
#include <type_traits>

#include "kedge/algorithms/cost_weighted.h"
#include "kedge/algorithms/dagger.h"
#include "kedge/algorithms/gps.h"
#include "kedge/algorithms/gps_is.h"
#include "kedge/algorithms/ilqr.h"
#include "kedge/algorithms/more.h"
#include "kedge/algorithms/moto.h"
#include "kedge/algorithms/random_search.h"
#include "kedge/algorithms/reckon.h"
#include "kedge/algorithms/reps.h"
#include "kedge/algorithms/trpo.h"
#include "kedge/algorithms/vgps.h"
#include "kedge/core/errors.h"
#include "kedge/core/text.h"

namespace kedge {

namespace {

template <class State>
Snapshot snapshot_of(const State& state) {
  return {state, state.policy, fields_of(state)};
}

template <class O>
Options default_options() {
  return named_options(O{});
}

template <class O>
void check(const Options& options) {
  options_as<O>(options).validate();
}

template <class O, auto start>
Snapshot first_snapshot(const Task& task, const Options& options) {
  return snapshot_of(start(task, options_as<O>(options)));
}

template <class O, auto start_from>
Snapshot snapshot_from(const Task& task, const Options& options, const TvLinearGaussian& from) {
  return snapshot_of(start_from(task, options_as<O>(options), from));
}

template <class O>
Needs needs_by(const Task& task, const Options& options, int threads) {
  return needs(task, options_as<O>(options), threads);
}

template <class O, auto start>
using StateOf = decltype(start(std::declval<const Task&>(), std::declval<const O&>()));

/// A loop of no iterations checks its state and does nothing.
template <class O, auto start, auto loop>
void check_state(const Task& task, const Options& options, const Fields& fields) {
  O none = options_as<O>(options);
  none.iterations = 0;
  static_cast<void>(loop(task, state_from<StateOf<O, start>>(fields), none, Run{}, {}));
}

template <class O, auto start, auto loop>
TrainingEnd train(const Training& t) {
  using State = StateOf<O, start>;
  const O options = options_as<O>(t.options);
  LoopObserver<State> observe;
  if (t.observe)
    observe = [&](const Iteration& iteration, const State& state, const UpdateRecord* record) {
      t.observe(iteration, snapshot_of(state), record);
    };
  const LoopResult<State> result =
      loop(t.task, t.from ? state_from<State>(*t.from) : start(t.task, options), options, t.run, observe);
  return {result.stop, result.message, snapshot_of(result.state)};
}

template <class O>
std::optional<MatrixXd> first_path(const Task& task, const Options& options, const Run& run) {
  auto plan = initial_guide(task, 0, nullptr, options_as<O>(options), run);
  if (!plan) return std::nullopt;
  return plan->guide.q.x;
}

/// Completes a row: the rest follows from the type of the options and the two functions.
template <class O, auto start, auto loop>
constexpr Algorithm row(Algorithm words) {
  words.options = default_options<O>;
  words.check = check<O>;
  words.start = first_snapshot<O, start>;
  words.needs = needs_by<O>;
  words.check_state = check_state<O, start, loop>;
  words.train = train<O, start, loop>;
  if constexpr (std::is_base_of_v<GuidedOptions, O>) {
    words.initial_trajectory = first_path<O>;
    words.begins_with_demonstration = true;
  }
  return words;
}

constexpr std::array kAlgorithms = {
    row<MotoOptions, moto_start, moto>(
        {.name = "moto",
         .summary = "model-free trajectory optimisation with exact KL and entropy bounds [Akrour2018]",
         .records_updates = true,
         .start_from = snapshot_from<MotoOptions, moto_start_from>}),
    row<GpsOptions, gps_start, gps>(
        {.name = "gps",
         .summary = "trajectory optimisation of guided policy search: fitted linear dynamics [LevineAbbeel2014]",
         .records_updates = true,
         .start_from = snapshot_from<GpsOptions, gps_start_from>}),
    row<IlqrOptions, ilqr_start, ilqr>(
        {.name = "ilqr",
         .summary =
             "iterative linear-quadratic regulator: the model itself, its derivatives [LiTodorov2004; Tassa2014]",
         .full_state = true,
         .noise_meant = false,
         .advice = "starts=64    # more first trajectories: another one may lead there",
         .begins_with_demonstration = true}),
    row<ReckonOptions, reckon_start, reckon>(
        {.name = "reckon",
         .summary = "exact KL steps on rollouts imagined with a learned model, a few real rollouts an iteration",
         .start_from = snapshot_from<ReckonOptions, reckon_start_from>}),
    row<VgpsOptions, vgps_start, vgps>(
        {.name = "vgps",
         .summary =
             "variational guided policy search: a network that imitates trajectory optimisation [LevineKoltun2013]"}),
    row<GpsIsOptions, gps_is_start, gps_is>(
        {.name = "gps_is",
         .summary = "guided policy search by importance sampling of a network, plain or adaptive [LevineKoltun2013b]"}),
    row<DaggerOptions, dagger_start, dagger>(
        {.name = "dagger", .summary = "a network that imitates a DDP solution at the states it visits [Ross2011]"}),
    row<CostWeightedOptions, cost_weighted_start, cost_weighted>(
        {.name = "cost_weighted",
         .summary = "a network fitted to its own rollouts, weighted by the exponential of their cost"}),
    row<TrpoOptions, trpo_start, trpo>(
        {.name = "trpo",
         .summary = "trust-region policy optimisation of a network or of linear controllers [Schulman2015]",
         .from_needs = "policy=linear",
         .start_from = snapshot_from<TrpoOptions, trpo_start_from>}),
    row<RepsOptions, reps_start, reps>(
        {.name = "reps",
         .summary = "relative entropy policy search of a controller's parameters, plain or contextual [Peters2010]"}),
    row<MoreOptions, more_start, more>(
        {.name = "more",
         .summary =
             "stochastic search of a controller's parameters with a quadratic model of the return [Abdolmaleki2015]"}),
    row<RandomSearchOptions, random_search_start, random_search>(
        {.name = "random_search",
         .summary = "augmented random search of one linear controller: a floor to compare with [Mania2018]"}),
};

}  // namespace

std::span<const Algorithm> algorithms() { return kAlgorithms; }

const Algorithm& find_algorithm(std::string_view name) {
  std::vector<std::string> names;
  for (const Algorithm& algorithm : kAlgorithms) {
    if (algorithm.name == name) return algorithm;
    names.emplace_back(algorithm.name);
  }
  throw InputError(fmt::format("unknown algorithm '{}'{}", name, hint(name, names)));
}

}  // namespace kedge
