#include "kedge/export/python_file.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <span>

#include "kedge/export/export.h"
#include "kedge/files/json.h"
#include "kedge/files/tensor.h"

namespace kedge {

namespace {

std::string hexadecimal(std::span<const double> values) {
  static_assert(std::endian::native == std::endian::little);
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : std::as_bytes(values)) {
    text += digits[std::to_integer<int>(byte) >> 4];
    text += digits[std::to_integer<int>(byte) & 15];
  }
  return text;
}

/// Returns "name = numbers((2, 3), '...')\n".
std::string constant(const std::string& name, std::span<const double> values, const std::vector<Index>& shape) {
  return fmt::format("{} = numbers(({},), '{}')\n", name, fmt::join(shape, ", "), hexadecimal(values));
}

std::string constant(const std::string& name, const VectorXd& v) {
  return constant(name, std::span(v.data(), static_cast<std::size_t>(v.size())), {v.size()});
}

std::string names(const char* name, const std::vector<std::string>& list) {
  return fmt::format("{} = {}\n", name, json_text(Json(list)));
}

constexpr const char* kStepCheck = R"(    if not 0 <= t < STEPS:
        raise IndexError(f't = {t}, but must be in [0, {STEPS - 1}]')
)";

/// The parts of a file that depend on the kind of the policy: constants, and the function `mean` with what it needs.
struct Parts {
  std::string data, code;
};

Parts parts_of(const TvLinearGaussian& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  return {fmt::format("STEPS = {}\n", T) +
              constant("K", stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy[t].K; }), {T, da, ds}) +
              constant("k", stack(T, da, 1, [&](int t) -> const VectorXd& { return policy[t].k; }), {T, da}),
          std::string("def mean(t, s):\n") + kStepCheck + "    return K[t] @ s + k[t]\n"};
}

Parts parts_of(const DmpPolicy& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  const auto gains =
      stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy.K()[static_cast<std::size_t>(t)]; });
  return {fmt::format("STEPS = {}\n", T) + constant("K", gains, {T, da, ds}) +
              constant("k", columns(policy.k()), {T, da}) + constant("movement_low", policy.tracking().low) +
              constant("movement_high", policy.tracking().high),
          std::string("def mean(t, s):\n") + kStepCheck +
              "    return np.clip(K[t] @ s + k[t], movement_low, movement_high)\n"};
}

/// A network as the function `network(w, t, s)` of its weights.
Parts network_parts(const MlpGaussian& policy) {
  const NetworkShape& network = policy.shape();
  std::string layers = "[";
  Index in = network.inputs();
  for (const Index units : network.hidden) {
    layers += fmt::format("({}, {}, True), ", units, in);
    in = units;
  }
  layers += fmt::format("({}, {}, {})]", network.outputs(), in, network.output_bias ? "True" : "False");
  const char* activation = network.activation == Activation::tanh ? "np.tanh(x)" : "np.logaddexp(0.0, x)";
  std::string code = "def network(w, t, s):\n";
  if (policy.clock() > 0) code += "    s = np.append(s, t / STEPS)\n";
  code += "    x = (s - input_mean) / input_scale\n";
  if (network.input_clip > 0) code += fmt::format("    x = np.clip(x, -{0}, {0})\n", network.input_clip);
  code += fmt::format(R"(    at = 0
    for layer, (rows, columns, bias) in enumerate(LAYERS):
        x = w[at:at + rows * columns].reshape(columns, rows).T @ x
        at += rows * columns
        if bias:
            x = x + w[at:at + rows]
            at += rows
        if layer + 1 < len(LAYERS):
            x = {}
    return output_scale * x


)",
                      activation);
  return {(policy.clock() > 0 ? fmt::format("STEPS = {}\n", policy.clock()) : "") +
              fmt::format("LAYERS = {}  # rows, columns, with a bias\n", layers) +
              constant("input_mean", network.input_mean) + constant("input_scale", network.input_scale) +
              constant("output_scale", network.output_scale),
          code};
}

Parts parts_of(const MlpGaussian& policy) {
  Parts parts = network_parts(policy);
  parts.data += constant("weights", policy.theta().head(weight_count(policy.shape())));
  parts.code +=
      std::string("def mean(t, s):\n") + (policy.clock() > 0 ? kStepCheck : "") + "    return network(weights, t, s)\n";
  return parts;
}

Parts chosen_parts(const TvLinearGaussian& policy) {
  const Index ds = policy.observation_dim(), da = policy.action_dim();
  return {fmt::format("STEPS = {}\n", policy.horizon()),
          std::string("def mean(parameters, t, s):\n") + kStepCheck +
              fmt::format("    K = parameters.reshape({}, {}).T\n    return K[:, :-1] @ s + K[:, -1]\n", ds + 1, da)};
}

Parts chosen_parts(const MlpGaussian& policy) {
  Parts parts = network_parts(policy);
  parts.code += std::string("def mean(parameters, t, s):\n") + (policy.clock() > 0 ? kStepCheck : "") +
                "    return network(parameters, t, s)\n";
  return parts;
}

Parts chosen_parts(const DmpPolicy&) { refuse_contextual_movement("python"); }

Parts parts_of(const ContextualPolicy& policy) {
  const Context& context = policy.context();
  Parts parts = std::visit([](const auto& middle) { return chosen_parts(middle); }, policy.middle());
  const MatrixXd& map = policy.map();
  parts.data += fmt::format("CONTEXT = [{}]  # entries of the initial state\n", fmt::join(context.entry, ", ")) +
                constant("context_mean", context.mean) + constant("context_scale", context.scale) +
                constant("map_", stack(1, map.rows(), map.cols(), [&](int) -> const MatrixXd& { return map; }),
                         {map.rows(), map.cols()});
  parts.code = std::string("def start(x0):\n    c = (np.asarray(x0)[CONTEXT] - context_mean) / context_scale\n") +
               (context.squares ? "    c = np.concatenate([c, c * c])\n" : "") +
               "    return map_[:, 0] + map_[:, 1:] @ c\n\n\n" + parts.code;
  return parts;
}

}  // namespace

std::string python_file(const PolicyFile& file) {
  const PolicyInfo& info = file.info;
  const bool contextual = std::holds_alternative<ContextualPolicy>(file.policy), limits = info.action_low.size() > 0;
  const Parts parts = std::visit([](const auto& p) { return parts_of(p); }, file.policy);
  std::string text = fmt::format("\"\"\"{}.\n\n", exported_title(file));
  if (contextual)
    text += "p = start(x0) chooses its parameters by the initial state; then action(p, t, s) is the action at step t, ";
  else
    text += "action(t, s) is the action at step t, ";
  text +=
      "where the observation is s: the mean of the policy,\nwithout exploration noise, within the limits of the "
      "actions.\n\"\"\"\nimport numpy as np\n\n\ndef numbers(shape, text):\n"
      "    return np.frombuffer(bytes.fromhex(text), '<f8').reshape(shape)\n\n\n";
  text += names("OBSERVATIONS", info.observation_names) + names("ACTIONS", info.action_names) + parts.data;
  if (limits) text += constant("low", info.action_low) + constant("high", info.action_high);
  const char* arguments = contextual ? "parameters, t, s" : "t, s";
  const std::string mean = fmt::format("mean({})", arguments);
  return text + fmt::format("\n\n{}\n\ndef action({}):\n    return {}\n", parts.code, arguments,
                            limits ? fmt::format("np.clip({}, low, high)", mean) : mean);
}

}  // namespace kedge
