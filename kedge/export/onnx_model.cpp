#include "kedge/export/onnx_model.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "kedge/core/errors.h"
#include "kedge/export/export.h"
#include "kedge/files/tensor.h"

namespace kedge {

namespace {

/// A message of Protocol Buffers, as its bytes (https://protobuf.dev/programming-guides/encoding).
class Message {
 public:
  Message& number(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(value);
    return *this;
  }
  Message& text(int field, const std::string& value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value % 128 + 128);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

enum ElementType : std::uint64_t { kFloat = 1, kInt64 = 7 };  // TensorProto.DataType

/// @throws InputError if the number is finite, but not in 32 bits
float rounded(double value) {
  const auto result = static_cast<float>(value);
  if (std::isfinite(value) && !std::isfinite(result))
    throw InputError(fmt::format("--format = onnx: the policy has the number {}, which 32 bits cannot hold", value));
  return result;
}

/// The graph of a model. Tensors are known by their names; those that nodes make are called "1", "2", ...
/// Numbers of fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
class Graph {
 public:
  using Shape = std::vector<Index>;  ///< -1: the number of observations

  std::string input(const std::string& name, ElementType type, const Shape& shape) {
    inputs_.push_back(value_info(name, type, shape));
    return name;
  }
  void output(const std::string& name, const std::string& tensor, const Shape& shape) {
    node("Identity", {tensor}, {}, name);
    outputs_.push_back(value_info(name, kFloat, shape));
  }
  std::string constant(std::span<const double> values, const Shape& shape) {
    std::string raw;
    for (const double value : values) append(raw, rounded(value));
    return tensor(kFloat, shape, raw);
  }
  std::string constant(const VectorXd& v) {
    return constant(std::span(v.data(), static_cast<std::size_t>(v.size())), {v.size()});
  }
  std::string integers(const std::vector<Index>& values) {
    std::string raw;
    for (const Index value : values) append(raw, std::int64_t{value});
    return tensor(kInt64, {static_cast<Index>(values.size())}, raw);
  }
  /// @param attributes whole numbers  @return the node's output
  std::string node(const std::string& operation, const std::vector<std::string>& inputs,
                   const std::vector<std::pair<std::string, std::uint64_t>>& attributes = {}, std::string output = {}) {
    if (output.empty()) output = fmt::format("{}", ++made_);
    Message node;
    for (const std::string& name : inputs) node.text(1, name);
    node.text(2, output).text(4, operation);
    for (const auto& [name, value] : attributes)
      node.message(5, Message().text(1, name).number(3, value).number(20, 2));
    nodes_.push_back(node);
    return output;
  }

  [[nodiscard]] Message message(const std::string& name) const {
    Message graph;
    for (const Message& node : nodes_) graph.message(1, node);
    graph.text(2, name);
    for (const Message& tensor : tensors_) graph.message(5, tensor);
    for (const Message& value : inputs_) graph.message(11, value);
    for (const Message& value : outputs_) graph.message(12, value);
    return graph;
  }

 private:
  template <class T>
  static void append(std::string& raw, T value) {
    static_assert(std::endian::native == std::endian::little);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    raw.append(bytes, sizeof value);
  }
  std::string tensor(ElementType type, const Shape& shape, const std::string& raw) {
    const std::string name = fmt::format("{}", ++made_);
    Message tensor;
    for (const Index size : shape) tensor.number(1, static_cast<std::uint64_t>(size));
    tensors_.push_back(tensor.number(2, type).text(8, name).text(9, raw));
    return name;
  }
  static Message value_info(const std::string& name, ElementType type, const Shape& shape) {
    Message sizes;
    for (const Index size : shape)
      sizes.message(1, size < 0 ? Message().text(2, "n") : Message().number(1, static_cast<std::uint64_t>(size)));
    return Message().text(1, name).message(2, Message().message(1, Message().number(1, type).message(2, sizes)));
  }

  std::vector<Message> nodes_, tensors_, inputs_, outputs_;
  int made_ = 0;
};

/// The parameters of a controller as tensors: written in the model, or chosen by the context.
class Parameters {
 public:
  Parameters(Graph& graph, VectorXd fixed) : graph_(graph), fixed_(std::move(fixed)) {}
  Parameters(Graph& graph, std::string chosen) : graph_(graph), chosen_(std::move(chosen)) {}

  /// Returns the parameters from `at` on that make a matrix, column by column, transposed: [columns, rows].
  std::string transposed(Index at, Index rows, Index columns) {
    const Index end = at + rows * columns;
    if (chosen_.empty()) return graph_.constant(std::span(fixed_.data() + at, fixed_.data() + end), {columns, rows});
    return graph_.node("Reshape", {vector(at, rows * columns), graph_.integers({columns, rows})});
  }
  /// Returns some parameters. @return [size]
  std::string vector(Index at, Index size) {
    if (chosen_.empty()) return graph_.constant(VectorXd(fixed_.segment(at, size)));
    return graph_.node("Slice", {chosen_, graph_.integers({at}), graph_.integers({at + size})});
  }

 private:
  Graph& graph_;
  VectorXd fixed_;
  std::string chosen_;
};

std::string within(Graph& graph, const std::string& x, const VectorXd& low, const VectorXd& high) {
  return graph.node("Min", {graph.node("Max", {x, graph.constant(low)}), graph.constant(high)});
}

// Each returns the mean [n, da] for the observations [n, ds].

/// K_t s + k_t. @param K [T] [da, ds], k [T, da] in C order
std::string gains_at_step(Graph& graph, const std::string& s, std::span<const double> K, std::span<const double> k,
                          Index T, Index da, Index ds) {
  const std::string t = graph.input("t", kInt64, {});
  const std::string K_t = graph.node("Gather", {graph.constant(K, {T, da, ds}), t}),
                    k_t = graph.node("Gather", {graph.constant(k, {T, da}), t});
  return graph.node("Gemm", {s, K_t, k_t}, {{"transB", 1}});
}

std::string mean(Graph& graph, const std::string& s, const TvLinearGaussian& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  return gains_at_step(graph, s, stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy[t].K; }),
                       stack(T, da, 1, [&](int t) -> const VectorXd& { return policy[t].k; }), T, da, ds);
}

std::string mean(Graph& graph, const std::string& s, const DmpPolicy& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  const auto gains =
      stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy.K()[static_cast<std::size_t>(t)]; });
  const std::string a = gains_at_step(graph, s, gains, columns(policy.k()), T, da, ds);
  return within(graph, a, policy.tracking().low, policy.tracking().high);
}

/// A constant that is divided by. @throws InputError if one of its numbers is 0 in 32 bits
std::string divisor(Graph& graph, const VectorXd& values) {
  for (const double value : values)
    if (rounded(value) == 0.0F)
      throw InputError(fmt::format("--format = onnx: the policy divides by {}, which is 0 in 32 bits", value));
  return graph.constant(values);
}

/// One input more, the last: t / T.
std::string with_time(Graph& graph, const std::string& s, int clock) {
  const std::string t = graph.node("Cast", {graph.input("t", kInt64, {})}, {{"to", kFloat}});
  const std::string time = graph.node("Div", {t, graph.constant(VectorXd::Constant(1, clock))});  // [1]
  const std::string rows = graph.node("Slice", {graph.node("Shape", {s}), graph.integers({0}), graph.integers({1})});
  const std::string column = graph.node("Concat", {rows, graph.integers({1})}, {{"axis", 0}});
  return graph.node("Concat", {s, graph.node("Expand", {time, column})}, {{"axis", 1}});
}

std::string network(Graph& graph, const std::string& s, const MlpGaussian& policy, Parameters weights) {
  const NetworkShape& shape = policy.shape();
  std::string x = policy.clock() > 0 ? with_time(graph, s, policy.clock()) : s;
  x = graph.node("Div", {graph.node("Sub", {x, graph.constant(shape.input_mean)}), divisor(graph, shape.input_scale)});
  const VectorXd bound = VectorXd::Constant(shape.inputs(), shape.input_clip);
  if (shape.input_clip > 0) x = within(graph, x, -bound, bound);
  Index at = 0, in = shape.inputs();
  for (std::size_t l = 0; l <= shape.hidden.size(); ++l) {
    const bool last = l == shape.hidden.size();
    const Index out = last ? shape.outputs() : shape.hidden[l];
    x = graph.node("MatMul", {x, weights.transposed(at, out, in)});
    at += out * in;
    if (!last || shape.output_bias) {
      x = graph.node("Add", {x, weights.vector(at, out)});
      at += out;
    }
    if (!last) x = graph.node(shape.activation == Activation::tanh ? "Tanh" : "Softplus", {x});
    in = out;
  }
  return graph.node("Mul", {x, graph.constant(shape.output_scale)});
}

std::string mean(Graph& graph, const std::string& s, const MlpGaussian& policy) {
  return network(graph, s, policy, Parameters(graph, policy.theta()));
}

std::string chosen_mean(Graph& graph, const std::string& s, const TvLinearGaussian& policy, Parameters parameters) {
  const Index ds = policy.observation_dim(), da = policy.action_dim();
  return graph.node("Gemm", {s, parameters.transposed(0, da, ds), parameters.vector(da * ds, da)});
}

std::string chosen_mean(Graph& graph, const std::string& s, const MlpGaussian& policy, Parameters parameters) {
  return network(graph, s, policy, std::move(parameters));
}

std::string chosen_mean(Graph&, const std::string&, const DmpPolicy&, const Parameters&) {
  refuse_contextual_movement("onnx");
}

std::string mean(Graph& graph, const std::string& s, const ContextualPolicy& policy) {
  const Context& context = policy.context();
  const MatrixXd& map = policy.map();
  const std::string input = graph.input("context", kFloat, {context.mean.size()});
  std::string phi =
      graph.node("Div", {graph.node("Sub", {input, graph.constant(context.mean)}), divisor(graph, context.scale)});
  if (context.squares) phi = graph.node("Concat", {phi, graph.node("Mul", {phi, phi})}, {{"axis", 0}});
  const std::string slopes =
      graph.constant(columns(MatrixXd(map.rightCols(map.cols() - 1))), {map.cols() - 1, map.rows()});
  const std::string theta =
      graph.node("Add", {graph.node("MatMul", {phi, slopes}), graph.constant(VectorXd(map.col(0)))});
  return std::visit([&](const auto& middle) { return chosen_mean(graph, s, middle, Parameters(graph, theta)); },
                    policy.middle());
}

std::string lines(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, "\n")); }

}  // namespace

std::string onnx_model(const PolicyFile& file, const std::string& name) {
  const Policy& policy = as_policy(file.policy);
  const PolicyInfo& info = file.info;
  Graph graph;
  const std::string s = graph.input("observation", kFloat, {-1, policy.observation_dim()});
  const std::string a = std::visit([&](const auto& p) { return mean(graph, s, p); }, file.policy);
  graph.output("mean", a, {-1, policy.action_dim()});
  graph.output("action", info.action_low.size() > 0 ? within(graph, a, info.action_low, info.action_high) : a,
               {-1, policy.action_dim()});

  constexpr std::uint64_t ir_version = 7, operator_set = 13;
  Message model = Message().number(1, ir_version).text(2, "kedge").text(3, KEDGE_VERSION);
  model.text(6, exported_title(file)).message(7, graph.message(name));
  model.message(8, Message().text(1, "").number(2, operator_set));
  const auto property = [&](const char* key, const std::string& value) {
    if (!value.empty()) model.message(14, Message().text(1, key).text(2, value));
  };
  property("task", info.task);
  property("observation_names", lines(info.observation_names));
  property("action_names", lines(info.action_names));
  if (const auto* contextual = std::get_if<ContextualPolicy>(&file.policy))
    property("context", fmt::format("{}", fmt::join(contextual->context().entry, "\n")));
  return model.bytes();
}

}  // namespace kedge
