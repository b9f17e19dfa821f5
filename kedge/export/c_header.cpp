#include "kedge/export/c_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <type_traits>

#include "kedge/export/export.h"
#include "kedge/files/tensor.h"

namespace kedge {

namespace {

/// The parts of a header that depend on the kind of the policy. "$name" and "$NAME" stand for the prefix.
struct Parts {
  std::string steps;  ///< in the comment: for which t it is defined
  std::string data;   ///< definitions of constants
  std::string code;   ///< the function $name_mean and what it needs
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string number(double value) {
  if (std::isinf(value)) return value > 0.0 ? "INFINITY" : "-INFINITY";
  return fmt::format("{:a}", value);
}

/// Returns nested braces around the entries of a tensor. @param shape not empty
std::string braces(std::span<const double> values, std::span<const Index> shape) {
  std::string text = "{";
  const std::size_t each = values.size() / static_cast<std::size_t>(shape.front());
  for (std::size_t i = 0; i < values.size(); i += each) {
    if (i > 0) text += shape.size() > 1 ? ",\n  " : i % 4 == 0 ? ",\n    " : ", ";
    text += shape.size() > 1 ? braces(values.subspan(i, each), shape.subspan(1)) : number(values[i]);
  }
  return text + "}";
}

/// Returns the definition of a constant array. @param name with its sizes, "K[2][3]"
std::string constant(const std::string& name, std::span<const double> values, const std::vector<Index>& shape) {
  std::string sizes;
  for (const Index size : shape) sizes += fmt::format("[{}]", size);
  return fmt::format("static const double $name_{}{} = {};\n", name, sizes, braces(values, shape));
}

std::string constant(const std::string& name, const VectorXd& v) {
  return constant(name, std::span(v.data(), static_cast<std::size_t>(v.size())), {v.size()});
}

std::string size(const char* name, Index value) { return fmt::format("#define $NAME_{} {}\n", name, value); }

constexpr const char* kLimited = R"(
static inline double $name_limited(double x, double low, double high) {
  return x < low ? low : high < x ? high : x; /* NaN stays NaN */
}
)";

constexpr const char* kGains = R"(
/* The mean action at step t, 0 <= t < $NAME_STEPS, before limits. Returns 0; -1 for any other t, and a is as it was. */
static inline int $name_mean(int t, const double *s, double *a) {
  if (t < 0 || t >= $NAME_STEPS) return -1;
  for (int i = 0; i < $NAME_ACTIONS; ++i) {
    double sum = 0.0;
    for (int j = 0; j < $NAME_OBSERVATIONS; ++j) sum += $name_K[t][i][j] * s[j];
    a[i] = sum + $name_k[t][i];
  }
  return 0;
}
)";

constexpr const char* kMovement = R"(
/* The mean action at step t, 0 <= t < $NAME_STEPS, within the limits of the movement. Returns 0; -1 for any other t, and a
 * is as it was. */
static inline int $name_mean(int t, const double *s, double *a) {
  if (t < 0 || t >= $NAME_STEPS) return -1;
  for (int i = 0; i < $NAME_ACTIONS; ++i) {
    double sum = $name_k[t][i];
    for (int j = 0; j < $NAME_OBSERVATIONS; ++j) sum += $name_K[t][i][j] * s[j];
    a[i] = $name_limited(sum, $name_movement_low[i], $name_movement_high[i]);
  }
  return 0;
}
)";

constexpr const char* kSteps = "t counts the control steps from 0; t < $NAME_STEPS.";

Parts parts_of(const TvLinearGaussian& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  return {kSteps,
          size("STEPS", T) +
              constant("K", stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy[t].K; }), {T, da, ds}) +
              constant("k", stack(T, da, 1, [&](int t) -> const VectorXd& { return policy[t].k; }), {T, da}),
          kGains};
}

Parts parts_of(const DmpPolicy& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  const auto gains =
      stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy.K()[static_cast<std::size_t>(t)]; });
  return {kSteps,
          size("STEPS", T) + constant("K", gains, {T, da, ds}) + constant("k", columns(policy.k()), {T, da}) +
              constant("movement_low", policy.tracking().low) + constant("movement_high", policy.tracking().high),
          kMovement};
}

// ---- Networks: kedge/math/activation.cpp and kedge/policy/layer_products.cpp in plain C, every fused operation written out

constexpr const char* kExponential = R"(
#ifndef KEDGE_FMA /* of your own: the last digits differ from kedge's */
#define KEDGE_FMA(a, b, c) fma(a, b, c)
#endif

/* exp(x) = power (1 + part) for x <= 0 */
static inline void $name_exponential(double argument, double *power, double *part) {
  static const double c[10] = {2.5100424157005067e-08, 2.7620138719733994e-07, 2.7557268378684192e-06,
                               2.480152119021773e-05,  0.00019841269863105968, 0.0013888888917281794,
                               0.008333333333330051,   0.04166666666662399,    0.16666666666666669, 0.5};
  const double x = argument < -708.0 ? -708.0 : argument;
  const double shifted = KEDGE_FMA(x, 1.4426950408889634, 0x1.8p52), k = shifted - 0x1.8p52;
  const double r = KEDGE_FMA(-k, 0x1.cf79abc9e3b3ap-40, KEDGE_FMA(-k, 0x1.62e42fefap-1, x));
  double p = c[0];
  uint64_t bits;
  for (int i = 1; i < 10; ++i) p = KEDGE_FMA(p, r, c[i]);
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) << 52;
  memcpy(power, &bits, sizeof bits);
  *part = KEDGE_FMA(r * r, p, r);
}
)";

constexpr const char* kTanh = R"(
static inline double $name_activation(double z) { /* tanh */
  double power, part;
  $name_exponential(-fabs(z + z), &power, &part);
  const double minus_one = KEDGE_FMA(power, part, power - 1.0);
  const double y = minus_one * (1.0 / (2.0 + minus_one));
  return z < 0.0 ? y : -y;
}
)";

constexpr const char* kSoftplus = R"(
static inline double $name_activation(double z) { /* softplus, log(1 + exp(z)) */
  static const double c[7] = {0.07308903576708663, 0.07665805861027504, 0.09091446216268435, 0.11111105544689748,
                              0.14285714313126918, 0.19999999999949444, 0.3333333333333335};
  double power, part;
  $name_exponential(-fabs(z), &power, &part);
  const double e = KEDGE_FMA(power, part, power);
  const int large = e > 0.41421356237309503;
  const double f = large ? KEDGE_FMA(0.5, e, -0.5) : e;
  const double one_e = 1.0 + e, two_f = 2.0 + f, inverse = 1.0 / (one_e * two_f);
  const double q = f * (one_e * inverse), u = q * q, twice_q = q + q;
  double p = c[0];
  for (int i = 1; i < 7; ++i) p = KEDGE_FMA(p, u, c[i]);
  return (z > 0.0 ? z : 0.0) + (KEDGE_FMA(twice_q * u, p, twice_q) + (large ? 0.6931471805599453 : 0.0));
}
)";

constexpr const char* kLayer = R"(
/* z = W x + b, W column by column; b may be null */
static inline void $name_layer(int rows, int columns, const double *W, const double *b, const double *x, double *z) {
  for (int i = 0; i < rows; ++i) z[i] = b ? b[i] : 0.0;
  for (int j = 0; j < columns; ++j)
    for (int i = 0; i < rows; ++i) z[i] = KEDGE_FMA(W[j * rows + i], x[j], z[i]);
}
)";

constexpr const char* kNetwork = R"(
/* The network with weights w */
static inline void $name_network(const double *w, int t, const double *s, double *a) {
  double x[$NAME_WIDEST], z[$NAME_WIDEST];
  for (int j = 0; j < $NAME_OBSERVATIONS; ++j) x[j] = s[j];
$TIME  for (int j = 0; j < $NAME_INPUTS; ++j) {
    x[j] = (x[j] - $name_input_mean[j]) / $name_input_scale[j];
$CLIP  }
$LAYERS  for (int i = 0; i < $NAME_ACTIONS; ++i) a[i] = $RESULT[i] * $name_output_scale[i];
}
)";

/// Returns the calls of the layers, and in `result` the name of the array with the last one's output.
std::string layer_calls(const NetworkShape& network, std::string& result) {
  std::string calls, from = "x", to = "z";
  Index at = 0, in = network.inputs();
  for (std::size_t l = 0; l <= network.hidden.size(); ++l) {
    const bool last = l == network.hidden.size();
    const Index out = last ? network.outputs() : network.hidden[l];
    const bool bias = !last || network.output_bias;
    calls += fmt::format("  $name_layer({}, {}, w + {}, {}, {}, {});\n", out, in, at,
                         bias ? fmt::format("w + {}", at + out * in) : "0", from, to);
    if (!last) calls += fmt::format("  for (int i = 0; i < {0}; ++i) {1}[i] = $name_activation({1}[i]);\n", out, to);
    at += out * in + (bias ? out : 0);
    in = out;
    std::swap(from, to);
  }
  result = from;
  return calls;
}

/// The network as a function of its weights.
Parts network_parts(const MlpGaussian& policy) {
  const NetworkShape& network = policy.shape();
  Index widest = std::max(network.inputs(), network.outputs());
  for (const Index units : network.hidden) widest = std::max(widest, units);
  std::string result;
  const std::string calls = layer_calls(network, result);
  std::string code = replaced(kNetwork, "$LAYERS", calls);
  code = replaced(code, "$RESULT", result);
  code = replaced(code, "$TIME",
                  policy.clock() > 0 ? "  x[$NAME_OBSERVATIONS] = (double)t / (double)$NAME_STEPS;\n" : "  (void)t;\n");
  const std::string clip = number(network.input_clip);
  code = replaced(code, "$CLIP",
                  network.input_clip > 0 ? fmt::format("    x[j] = $name_limited(x[j], -{0}, {0});\n", clip) : "");
  const bool hidden = !network.hidden.empty();
  const char* activation = !hidden ? "" : network.activation == Activation::tanh ? kTanh : kSoftplus;
  return {policy.clock() > 0 ? kSteps : "t >= 0 does not matter.",
          (policy.clock() > 0 ? size("STEPS", policy.clock()) : "") + size("INPUTS", network.inputs()) +
              size("WIDEST", widest) + size("PARAMETERS", weight_count(network)) +
              constant("input_mean", network.input_mean) + constant("input_scale", network.input_scale) +
              constant("output_scale", network.output_scale),
          std::string(kExponential) + activation + kLayer + code};
}

constexpr const char* kMeanOfNetwork = R"(
/* The mean action at step t, before limits. Returns 0; -1 for a t that is no step, and a is as it was. */
static inline int $name_mean(int t, const double *s, double *a) {
  if (t < 0$HORIZON) return -1;
  $name_network($name_theta, t, s, a);
  return 0;
}
)";

std::string horizon_check(const MlpGaussian& policy) { return policy.clock() > 0 ? " || t >= $NAME_STEPS" : ""; }

Parts parts_of(const MlpGaussian& policy) {
  Parts parts = network_parts(policy);
  parts.data += constant("theta", policy.theta().head(weight_count(policy.shape())));
  parts.code += replaced(kMeanOfNetwork, "$HORIZON", horizon_check(policy));
  return parts;
}

// ---- Contextual policies

constexpr const char* kStart = R"(
/* The parameters of the controller of an episode */
typedef struct {
  double theta[$NAME_PARAMETERS];
} $name_episode;

/* Chooses the controller by the initial state of the robot: x0[i] is entry i of kedge's state. */
static inline void $name_start(const double *x0, $name_episode *episode) {
  static const int entry[$NAME_CONTEXT] = $ENTRIES;
  double phi[$NAME_FEATURES];
  for (int c = 0; c < $NAME_CONTEXT; ++c) phi[c] = (x0[entry[c]] - $name_context_mean[c]) / $name_context_scale[c];
  for (int c = $NAME_CONTEXT; c < $NAME_FEATURES; ++c) phi[c] = phi[c - $NAME_CONTEXT] * phi[c - $NAME_CONTEXT];
  for (int p = 0; p < $NAME_PARAMETERS; ++p) {
    double sum = 0.0;
    for (int f = 0; f < $NAME_FEATURES; ++f) sum += $name_map[p][f + 1] * phi[f];
    episode->theta[p] = $name_map[p][0] + sum;
  }
}
)";

constexpr const char* kMeanOfChosenGains = R"(
/* The mean action at step t of the episode, 0 <= t < $NAME_STEPS, before limits. Returns 0; -1 for any other t, and a is as
 * it was. */
static inline int $name_mean(const $name_episode *episode, int t, const double *s, double *a) {
  if (t < 0 || t >= $NAME_STEPS) return -1;
  for (int i = 0; i < $NAME_ACTIONS; ++i) {
    double sum = 0.0;
    for (int j = 0; j < $NAME_OBSERVATIONS; ++j) sum += episode->theta[j * $NAME_ACTIONS + i] * s[j];
    a[i] = sum + episode->theta[$NAME_OBSERVATIONS * $NAME_ACTIONS + i];
  }
  return 0;
}
)";

constexpr const char* kMeanOfChosenNetwork = R"(
/* The mean action at step t of the episode, before limits. Returns 0; -1 for a t that is no step, and a is as it was. */
static inline int $name_mean(const $name_episode *episode, int t, const double *s, double *a) {
  if (t < 0$HORIZON) return -1;
  $name_network(episode->theta, t, s, a);
  return 0;
}
)";

Parts chosen_parts(const TvLinearGaussian& policy) {
  const Index parameters = policy.action_dim() * (policy.observation_dim() + 1);
  return {kSteps, size("STEPS", policy.horizon()) + size("PARAMETERS", parameters), kMeanOfChosenGains};
}

Parts chosen_parts(const MlpGaussian& policy) {
  Parts parts = network_parts(policy);
  parts.code += replaced(kMeanOfChosenNetwork, "$HORIZON", horizon_check(policy));
  return parts;
}

Parts chosen_parts(const DmpPolicy&) { refuse_contextual_movement("c"); }

Parts parts_of(const ContextualPolicy& policy) {
  const Context& context = policy.context();
  Parts parts = std::visit([](const auto& middle) { return chosen_parts(middle); }, policy.middle());
  const MatrixXd& map = policy.map();
  parts.data += size("CONTEXT", static_cast<Index>(context.entry.size())) + size("FEATURES", context.features()) +
                constant("context_mean", context.mean) + constant("context_scale", context.scale) +
                constant("map", stack(1, map.rows(), map.cols(), [&](int) -> const MatrixXd& { return map; }),
                         {map.rows(), map.cols()});
  parts.code = replaced(kStart, "$ENTRIES", fmt::format("{{{}}}", fmt::join(context.entry, ", "))) + parts.code;
  return parts;
}

// ---- The whole

constexpr const char* kHead = R"(/* $TITLE.
 *
 *   observation s [$NAME_OBSERVATIONS]: $OBSERVED
 *   action a [$NAME_ACTIONS]: $ACTED
 *   $CALL
 *
 * $STEPS $LIMITS
 * The action is the mean of the policy, without exploration noise. C99, no allocation, no state; of the C library it includes
 * <math.h>, <stdint.h> and <string.h>. The bits are those of kedge where double is IEEE 754's, and the compiler neither widens nor contracts
 * expressions: not -ffast-math, but -std=c99 or -ffp-contract=off. */
)";

constexpr const char* kAction = R"(
/* The same within the limits of the actions: what kedge applies to the robot. */
static inline int $name_action($EPISODE_PARAMETERint t, const double *s, double *a) {
  if ($name_mean($EPISODE_ARGUMENTt, s, a)) return -1;
$LIMIT  return 0;
}
)";

}  // namespace

std::string c_header(const PolicyFile& file, const std::string& prefix) {
  const Policy& policy = as_policy(file.policy);
  const PolicyInfo& info = file.info;
  const bool contextual = std::holds_alternative<ContextualPolicy>(file.policy), limits = info.action_low.size() > 0;
  const Parts parts = std::visit([](const auto& p) { return parts_of(p); }, file.policy);

  std::string text = kHead;
  text = replaced(text, "$STEPS", parts.steps);
  text = replaced(text, "$LIMITS", limits ? "Limits of the actions are inside." : "The file has no limits of actions.");
  text =
      replaced(text, "$CALL",
               contextual ? "$name_start(x0, &episode); $name_action(&episode, t, s, a);" : "$name_action(t, s, a);");
  text +=
      "#ifndef $NAME_POLICY_H\n#define $NAME_POLICY_H\n#include <math.h>\n#include <stdint.h>\n#include <string.h>\n\n";
  text += size("OBSERVATIONS", policy.observation_dim()) + size("ACTIONS", policy.action_dim()) + parts.data;
  if (limits) text += constant("low", info.action_low) + constant("high", info.action_high);
  text += kLimited + parts.code + kAction;
  text = replaced(text, "$LIMIT",
                  limits ? "  for (int i = 0; i < $NAME_ACTIONS; ++i) a[i] = $name_limited(a[i], $name_low[i], "
                           "$name_high[i]);\n"
                         : "");
  text = replaced(text, "$EPISODE_PARAMETER", contextual ? "const $name_episode *episode, " : "");
  text = replaced(text, "$EPISODE_ARGUMENT", contextual ? "episode, " : "");
  text += "#endif\n";
  std::string capitals = prefix;
  for (char& c : capitals) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  text = replaced(replaced(text, "$name", prefix), "$NAME", capitals);
  // Last: what they say came with the file.
  text = replaced(text, "$TITLE", exported_title(file));
  text = replaced(text, "$OBSERVED", names_for_comment(info.observation_names));
  return replaced(text, "$ACTED", names_for_comment(info.action_names));
}

}  // namespace kedge
