#include "kedge/run/option_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <sstream>
#include <type_traits>

#include "kedge/core/errors.h"
#include "kedge/files/toml_value.h"

namespace kedge {

namespace {

struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_allowed = true;
};
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Range at_least(double low) { return {low, infinity, true}; }
constexpr Range above(double low) { return {low, infinity, false}; }
constexpr Range between(double low, double high) { return {low, high, true}; }

/// Names of an enumeration, in the order of its enumerators.
using Names = std::vector<std::string>;

/// The table of MOTO. Calls visit(name, field, allowed, meaning) for every option.
template <class Visit>
void for_each_option(MotoOptions& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), "outer iterations (N of Alg. 1); 0: nothing is learned");
  visit("rollouts", o.rollouts, at_least(2), "trajectories per iteration (M of Alg. 1)");
  visit("epsilon", o.epsilon, above(0),
        "step size, nats: the new policy stays within this expected KL of the old one at every time step (Eq. 2)");
  visit("beta0", o.beta0, at_least(0), "the entropy of a time step falls by at most this per iteration, nats (Eq. 3)");
  visit("entropy_constraint", o.entropy_constraint, Names{},
        "keep Eq. 3; false is the ablation of Fig. 1c: exploration may collapse");
  visit("initial_std", o.initial_std, above(0),
        "standard deviation of every action entry of the first policy, units of the action");
  visit("ridge", o.ridge, above(0), "lambda of Eq. 6, on whitened features and standardised targets");
  visit("targets", o.targets, Names{"dynamic_programming", "monte_carlo"},
        "what Q is fitted to: reward plus fitted V of the next state (Sec. 4.1.2) or the return to go (Sec. 4.1.1)");
  visit("reuse", o.reuse, Names{"none", "time", "iterations", "time_and_iterations"},
        "which samples enter a regression, by importance weights: also those of other time steps, of past iterations, "
        "of both (Sec. 4.2)");
  visit("window", o.window, at_least(1),
        "iterations whose samples are kept for reuse, the present one included (K of Sec. 4.2.2)");
  visit("weight_cutoff", o.weight_cutoff, between(0, 0.1),
        "samples whose importance weights sum to less than this share are left out of a regression (Sec. 4.2)");
  visit(
      "state_distribution", o.state_distribution, Names{"mixture", "forward"},
      "estimate of the state distribution: decaying mixture of past iterations (Sec. 4.3.2) or forward propagation by "
      "importance weights (Sec. 4.3.1)");
  visit("gamma", o.gamma, between(0, 1),
        "weight that an iteration keeps in the mixture with each newer one (Sec. 4.3.2)");
}

/// The table of GPS.
template <class Visit>
void for_each_option(GpsOptions& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), "outer iterations; 0: nothing is learned");
  visit("rollouts", o.rollouts, at_least(2), "trajectories per iteration");
  visit("epsilon", o.epsilon, above(0),
        "step size, nats per time step: the new policy stays within this expected KL of the old one, on average over "
        "the trajectory or at every step (Sec. 3.1)");
  visit("entropy_constraint", o.entropy_constraint, Names{},
        "keep MOTO's bound on the loss of entropy; false is the algorithm of the paper");
  visit("beta0", o.beta0, at_least(0), "the entropy of a time step falls by at most this per iteration, nats");
  visit("initial_std", o.initial_std, above(0),
        "standard deviation of every action entry of the first policy, units of the action");
  visit("kl", o.kl, Names{"trajectory", "step"},
        "what epsilon bounds: the sum of the KL over the trajectory, divided by its length (Sec. 3.1), or the KL of "
        "every step");
  visit("prior", o.prior, Names{"none", "gmm"},
        "of the fitted dynamics: none, or a mixture of Gaussians over stored transitions (Sec. 3.2)");
  visit("clusters", o.clusters, at_least(1), "components of the mixture, at most");
  visit("prior_strength", o.prior_strength, above(0), "samples of a time step that the prior is worth (Sec. 3.2)");
  visit("window", o.window, at_least(1),
        "iterations whose transitions the mixture is fitted to, the present one included");
  visit("ridge", o.ridge, at_least(0), "of the fitted dynamics, share of the variance of every input");
  visit("adapt_step", o.adapt_step, Names{}, "scale epsilon by predicted against realised improvement (supplement)");
}

/// The table of iLQR.
template <class Visit>
void for_each_option(IlqrOptions& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0),
        "derivative passes at most, each with one step; 0: nothing is learned");
  visit("tolerance", o.tolerance, between(1e-12, 1),
        "converged if a step improves the cost by less than this share of it");
  visit("improvement", o.improvement, at_least(0), "or by less than this, units of the cost");
  visit("lambda", o.lambda, between(0, 1e10),
        "regularisation of the first step, in units of the mean curvature of the cost by each action");
  visit("backtracks", o.backtracks, between(0, 40), "step sizes that the line search tries: 1, 1/2, ... 2^-backtracks");
  visit("box", o.box, Names{}, "keep the actions within their limits (Box-DDP); false: the simulation cuts them off");
  visit("centred", o.differences.centred, Names{},
        "differences of second order; false: one-sided ones, half the simulations, steps of 1e-7 and 1e-5 suit them");
  visit("state_step", o.differences.state_step, above(0), "step of the finite differences by entries of the state");
  visit("action_step", o.differences.action_step, above(0), "and by entries of the action, units of the action");
  visit("cost_scale", o.cost_scale, above(0),
        "factor on the cost: the covariance of the policy is the inverse of Quu of the scaled cost");
  visit("initial_noise", o.initial_noise, at_least(0),
        "standard deviation of noise on the first actions, units of the action: leaves a symmetric start");
}

/// What the methods share that learn a network from a known model.
template <class Visit>
void for_each_guided_option(GuidedOptions& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), "outer iterations (K of Alg. 1); 0: nothing is learned");
  visit("rollouts", o.rollouts, at_least(1),
        "rollouts of the policy in each iteration, for the report; methods that learn from samples learn from these "
        "(Sec. 6)");
  visit("hidden", o.hidden, at_least(1), "units of each hidden layer of the network (Sec. 6)");
  visit("layers", o.layers, at_least(1), "hidden layers of the network; the paper has one");
  visit("activation", o.activation, Names{"softplus", "tanh"}, "of the hidden layers (Sec. 6)");
  visit("output_bias", o.output_bias, Names{}, "give the outputs a bias; the paper's parameter counts leave none");
  visit("alpha_first", o.alpha_first, above(0), "factor on the cost in the first iteration (alpha_0 of Alg. 1)");
  visit("alpha_last", o.alpha_last, above(0), "factor on the cost from iteration `anneal` on (alpha_K)");
  visit("anneal", o.anneal, at_least(0),
        "iterations in which the factor goes exponentially from first to last (Sec. 5)");
  visit("initial_iterations", o.initial_iterations, at_least(0), "of the first DDP, at most (line 1 of Alg. 1)");
  visit("guide_iterations", o.guide_iterations, at_least(1), "of DDP in each outer iteration, at most (line 6)");
  visit("guide_tolerance", o.guide_tolerance, at_least(0),
        "DDP ends where a step improves by less than this times the factor on the cost");
  visit("policy_samples", o.policy_samples, at_least(1),
        "states of a marginal over which the derivatives of log pi are averaged (Sec. 4)");
  visit("start_spread", o.start_spread, at_least(0), "Sigma_1, in spreads of the task's start (Sec. 4)");
  visit("process_std", o.process_std, at_least(0), "noise of a state entry in a step, Sigma_f^1/2 (Sec. 4)");
  visit("noise_scale", o.noise_scale, at_least(1),
        "the marginals are those of this many times the guide's noise: a margin for what the linear model misses");
  visit("stray", o.stray, at_least(0), "steps for which the wide marginals follow the network, on average; 0: none");
  visit("optimiser", o.optimiser, Names{"lbfgs", "adam"}, "of the fit (Sec. 5)");
  visit("fit_samples", o.fit_samples, at_least(1),
        "states of each marginal to which the network is fitted (M, Sec. 5)");
  visit("first_evaluations", o.first_evaluations, at_least(1), "of the fit's objective in the first iteration");
  visit("evaluations", o.evaluations, at_least(1), "of the fit's objective in later iterations");
  visit("resample", o.resample, at_least(0),
        "draw new samples after so many evaluations of a fit (n, Sec. 5); 0: once an iteration");
  visit("tail", o.tail, at_least(0),
        "last steps that are left out of the fit: the end of a finite horizon is no steady gait");
  visit("weight_decay", o.weight_decay, at_least(0), "of the network's weights");
}

template <class Visit>
void for_each_option(VgpsOptions& o, Visit&& visit) {
  for_each_guided_option(o, visit);
  visit("conditions", o.conditions, at_least(1),
        "initial states, each with a guide of its own, for one policy (Sec. 8)");
}

template <class Visit>
void for_each_option(DaggerOptions& o, Visit&& visit) {
  for_each_guided_option(o, visit);
  visit("weighted", o.weighted, Names{},
        "weigh a visited state by its density under the DDP solution's marginal (Sec. 6)");
  visit("adapt", o.adapt, Names{}, "optimise the DDP solution again in each iteration, to suit the policy (Sec. 6)");
  visit("thin", o.thin, at_least(1), "every so many steps, a visited state enters the data set");
}

template <class Visit>
void for_each_option(GpsIsOptions& o, Visit&& visit) {
  for_each_guided_option(o, visit);
  visit("adapt", o.adapt, Names{},
        "optimise the DDP solution again in each iteration, to suit the policy, and sample it (adaptive GPS)");
  visit("guide_rollouts", o.guide_rollouts, at_least(1), "rollouts of the DDP solution that enter the samples");
  visit("window", o.window, at_least(1), "iterations whose rollouts are kept, beside those of the DDP solution");
  visit("regulariser", o.regulariser, at_least(0),
        "w_r at the start and at most, in units of alpha times the cost: keeps the policy near its samples; falls and "
        "rises tenfold");
  visit("least_effective", o.least_effective, at_least(1),
        "effective samples of a step below which an update is refused: its weights are degenerate");
}

template <class Visit>
void for_each_option(CostWeightedOptions& o, Visit&& visit) {
  for_each_guided_option(o, visit);
}

std::vector<std::string> names_of(const Options& options) {
  std::vector<std::string> names;
  for (const Option& option : options) names.push_back(option.name);
  return names;
}

/// The value in the type of the option, if it is allowed.
std::optional<OptionValue> converted(const Option& option, const toml::node& node) {
  const auto in_range = [&](double v) {
    return std::isfinite(v) && (option.low_allowed ? v >= option.low : v > option.low) && v <= option.high;
  };
  if (std::holds_alternative<bool>(option.value)) {
    if (const auto value = node.value_exact<bool>()) return *value;
  } else if (std::holds_alternative<std::string>(option.value)) {
    const auto word = node.value_exact<std::string>();
    if (word && std::find(option.names.begin(), option.names.end(), *word) != option.names.end()) return *word;
  } else if (std::holds_alternative<std::int64_t>(option.value)) {
    const auto whole = node.value_exact<std::int64_t>();
    if (whole && in_range(static_cast<double>(*whole))) return *whole;
  } else if (node.is_number()) {
    // A whole number is a number.
    const double number = node.is_integer() ? static_cast<double>(node.ref<std::int64_t>()) : node.ref<double>();
    if (in_range(number)) return number;
  }
  return std::nullopt;
}

}  // namespace

template <class AlgorithmOptions>
Options default_options() {
  AlgorithmOptions defaults;
  Options options;
  for_each_option(defaults, [&](const char* name, auto& field, const auto& allowed, const char* meaning) {
    using Field = std::remove_reference_t<decltype(field)>;
    Option option{.name = name, .meaning = meaning, .value = {}, .names = {}};
    if constexpr (std::is_enum_v<Field>) {
      option.value = allowed.at(static_cast<std::size_t>(field));
      option.names = allowed;
    } else if constexpr (std::is_same_v<Field, bool>) {
      option.value = field;
    } else {
      if constexpr (std::is_same_v<Field, int>) {
        option.value = std::int64_t{field};
        option.high = std::min(allowed.high, static_cast<double>(std::numeric_limits<int>::max()));
      } else {
        option.value = field;
        option.high = allowed.high;
      }
      option.low = allowed.low;
      option.low_allowed = allowed.low_allowed;
    }
    options.push_back(std::move(option));
  });
  return options;
}

template <class AlgorithmOptions>
AlgorithmOptions options_as(const Options& options) {
  AlgorithmOptions result;
  for_each_option(result, [&](const char* name, auto& field, const auto&, const char*) {
    using Field = std::remove_reference_t<decltype(field)>;
    for (const Option& option : options) {
      if (option.name != name) continue;
      if constexpr (std::is_enum_v<Field>) {
        const auto at = std::find(option.names.begin(), option.names.end(), std::get<std::string>(option.value));
        field = static_cast<Field>(at - option.names.begin());
      } else if constexpr (std::is_same_v<Field, int>) {
        field = static_cast<int>(std::get<std::int64_t>(option.value));
      } else {
        field = std::get<Field>(option.value);
      }
    }
  });
  return result;
}

template Options default_options<MotoOptions>();
template MotoOptions options_as(const Options&);
template Options default_options<GpsOptions>();
template GpsOptions options_as(const Options&);
template Options default_options<IlqrOptions>();
template IlqrOptions options_as(const Options&);
template Options default_options<VgpsOptions>();
template VgpsOptions options_as(const Options&);
template Options default_options<GpsIsOptions>();
template GpsIsOptions options_as(const Options&);
template Options default_options<DaggerOptions>();
template DaggerOptions options_as(const Options&);
template Options default_options<CostWeightedOptions>();
template CostWeightedOptions options_as(const Options&);

std::string allowed_text(const Option& option) {
  if (std::holds_alternative<bool>(option.value)) return "true or false";
  if (std::holds_alternative<std::string>(option.value)) return "one of " + list(option.names);
  const bool whole = std::holds_alternative<std::int64_t>(option.value);
  std::string text = whole ? "a whole number" : "a number";
  const double no_limit = whole ? static_cast<double>(std::numeric_limits<int>::max()) : infinity;
  if (option.high < no_limit) return text + fmt::format(" in [{}, {}]", option.low, option.high);
  return text + fmt::format(" {} {}", option.low_allowed ? ">=" : ">", option.low);
}

std::string value_text(const OptionValue& value) {
  if (const auto* number = std::get_if<double>(&value)) {
    // The shortest text that reads back to the same bits; TOML wants a point or an exponent.
    const std::string text = fmt::format("{}", *number);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  std::ostringstream out;
  std::visit(
      [&](const auto& v) {
        const toml::value<std::remove_cvref_t<decltype(v)>> node{v};
        out << toml::toml_formatter{node, toml::format_flags::none};
      },
      value);
  return out.str();
}

void set_options(Options& options, const Value& table) {
  table.allow(names_of(options));
  for (Option& option : options) {
    const auto value = table.find(option.name);
    if (!value) continue;
    auto allowed = converted(option, value->node());
    if (!allowed) value->fail(fmt::format("must be {}, but is {}", allowed_text(option), value->describe()));
    option.value = std::move(*allowed);
  }
}

void read_options(Options& options, const std::filesystem::path& file) {
  const std::string name = file.string();
  const toml::table document = read_toml(name);
  const Value root(document, "", name);
  set_options(options, root.find("options").value_or(root));
}

void assign_option(Options& options, const std::string& key, const std::string& value) {
  toml::table document;
  override_value(document, key, value, "");
  const std::string nowhere;
  set_options(options, Value(document, "", nowhere));
}

Assignment parse_assignment(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw InputError(fmt::format("--set {}: must be KEY=VALUE, e.g. --set epsilon=0.1", text));
  const auto trim = [](std::string_view s) {
    while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
    while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
    return std::string(s);
  };
  return {trim(text.substr(0, equals)), trim(text.substr(equals + 1))};
}

const OptionValue& option_value(const Options& options, std::string_view name) {
  const auto found = std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
  assert(found != options.end());
  return found->value;
}

}  // namespace kedge
