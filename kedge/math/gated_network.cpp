#include "kedge/math/gated_network.h"

#include <cmath>

namespace kedge {
namespace {

/// The weights as matrices. All that acts on the input is one matrix, biases in its last column.
template <class Scalar>
struct Parts {
  using Map = Eigen::Map<std::conditional_t<std::is_const_v<Scalar>, const MatrixXf, MatrixXf>>;
  Map skip;    // [3 units, inputs + 1]: (W_1, b_1), (V_1, c_1), (V_2, c_2)
  Map W2;      // [units, units]
  Map b2;      // [units, 1]
  Map W3;      // [outputs, units]
  Map direct;  // [outputs, inputs + 1]: (W_s, b_3)

  Parts(const GatedShape& s, Scalar* w)
      : skip(w, 3 * s.units, s.inputs + 1),
        W2(w += skip.size(), s.units, s.units),
        b2(w += W2.size(), s.units, 1),
        W3(w += b2.size(), s.outputs, s.units),
        direct(w += W3.size(), s.outputs, s.inputs + 1) {}
};

}  // namespace

Index weight_count(const GatedShape& s) {
  return (3 * s.units + s.outputs) * (s.inputs + 1) + s.units * (s.units + 1) + s.outputs * s.units;
}

VectorXf random_weights(const GatedShape& s, Stream& random) {
  VectorXf weights = VectorXf::Zero(weight_count(s));
  Parts<float> parts(s, weights.data());
  const auto draw = [&](auto&& block, double deviation) {
    for (Index j = 0; j < block.cols(); ++j)
      for (Index i = 0; i < block.rows(); ++i) block(i, j) = static_cast<float>(deviation * random.normal());
  };
  const double from_input = 1.0 / std::sqrt(static_cast<double>(s.inputs));
  const double from_units = 1.0 / std::sqrt(static_cast<double>(s.units));
  draw(parts.skip.topLeftCorner(s.units, s.inputs), from_input);
  draw(parts.skip.bottomLeftCorner(2 * s.units, s.inputs), 0.5 * from_input);
  parts.skip.rightCols(1).bottomRows(2 * s.units).setOnes();
  draw(parts.W2, from_units);
  draw(parts.W3, from_units);
  return weights;
}

void outputs(const GatedShape& s, const VectorXf& weights, const Eigen::Ref<const MatrixXf>& x, GatedWork& w) {
  const Parts<const float> parts(s, weights.data());
  const Index H = s.units;
  w.x.resize(s.inputs + 1, x.cols());
  w.x.topRows(s.inputs) = x;
  w.x.row(s.inputs).setOnes();
  w.skip.noalias() = parts.skip * w.x;
  // phi(v) = v sigmoid(v), and its derivative sigmoid(v) + phi(v) (1 - sigmoid(v)).
  const auto activate = [](const auto& v, MatrixXf& phi, MatrixXf& slope) {
    slope = v.array().logistic();
    phi = v.array() * slope.array();
    slope.array() += phi.array() * (1.0F - slope.array());
  };
  activate(w.skip.topRows(H), w.phi1, w.slope1);
  w.h1 = w.phi1.array() * w.skip.middleRows(H, H).array();
  w.z2.noalias() = parts.W2 * w.h1;
  w.z2.colwise() += parts.b2.col(0);
  activate(w.z2, w.phi2, w.slope2);
  w.h2 = w.phi2.array() * w.skip.bottomRows(H).array();
  w.y.noalias() = parts.W3 * w.h2;
  w.y.noalias() += parts.direct * w.x;
}

void gradient(const GatedShape& s, const VectorXf& weights, const MatrixXf& dy, GatedWork& w, VectorXf& gradient) {
  const Parts<const float> parts(s, weights.data());
  gradient.resize(weights.size());
  Parts<float> g(s, gradient.data());
  const Index H = s.units;
  g.W3.noalias() = dy * w.h2.transpose();
  g.direct.noalias() = dy * w.x.transpose();
  w.d_h2.noalias() = parts.W3.transpose() * dy;
  w.d_z2 = w.d_h2.array() * w.skip.bottomRows(H).array() * w.slope2.array();
  g.W2.noalias() = w.d_z2 * w.h1.transpose();
  g.b2 = w.d_z2.rowwise().sum();
  w.d_h1.noalias() = parts.W2.transpose() * w.d_z2;
  w.d_skip.resize(3 * H, dy.cols());
  w.d_skip.topRows(H) = w.d_h1.array() * w.skip.middleRows(H, H).array() * w.slope1.array();
  w.d_skip.middleRows(H, H) = w.d_h1.array() * w.phi1.array();
  w.d_skip.bottomRows(H) = w.d_h2.array() * w.phi2.array();
  g.skip.noalias() = w.d_skip * w.x.transpose();
}

MatrixXf jacobian(const GatedShape& s, const VectorXf& weights, const VectorXf& x) {
  GatedWork w;
  outputs(s, weights, x, w);
  const Parts<const float> parts(s, weights.data());
  const Index H = s.units, n = s.inputs;
  const auto slopes = parts.skip.leftCols(n);  // of the three maps of the input
  const MatrixXf d_h1 = (w.slope1.array() * w.skip.middleRows(H, H).array()).matrix().asDiagonal() * slopes.topRows(H);
  const MatrixXf D1 = d_h1 + MatrixXf(w.phi1.col(0).asDiagonal() * slopes.middleRows(H, H));
  const MatrixXf d_h2 =
      (w.slope2.array() * w.skip.bottomRows(H).array()).matrix().asDiagonal() * MatrixXf(parts.W2 * D1);
  const MatrixXf D2 = d_h2 + MatrixXf(w.phi2.col(0).asDiagonal() * slopes.bottomRows(H));
  return parts.W3 * D2 + parts.direct.leftCols(n);
}

}  // namespace kedge
