#include "kedge/evaluation/local_residual.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>

#include "kedge/core/parallel.h"

namespace kedge {
namespace {

constexpr std::array kLengths = {0.5, 1.0, 2.0, 4.0, 8.0, 16.0};
constexpr std::array kNoises = {1e-3, 1e-2, 1e-1};
constexpr int kEvery = 8;  // steps that choose the kernel

MatrixXd kernel_matrix(const ResidualKernel& kernel, const MatrixXd& x) {
  MatrixXd K = kernel_values(kernel, x, x);
  K.diagonal().array() += kernel.noise;
  return K;
}

/// Sum of squared leave-one-out errors: the error of sample i is a_i / [(K + noise I)^-1]_ii with a = (K + noise I)^-1 R.
double left_out_error(const ResidualKernel& kernel, const MatrixXd& x, const MatrixXd& residuals) {
  const MatrixXd inverse = kernel_matrix(kernel, x).llt().solve(MatrixXd::Identity(x.cols(), x.cols()));
  const MatrixXd a = residuals * inverse;
  return (a.array().rowwise() / inverse.diagonal().transpose().array()).square().sum();
}

/// Columns of the samples of a step.
std::vector<Index> samples_of(const TransitionStore& data, const std::vector<Index>& iterations, int t, int horizon) {
  std::vector<Index> columns;
  for (const Index i : iterations) {
    const auto usable = static_cast<Index>(data.layout(1, i));
    const auto before = static_cast<Index>(data.layout.row(1).head(i).sum());
    const int first = std::max(0, t - 1), last = std::min(horizon - 1, t + 1);
    for (Index c = first * usable; c < (last + 1) * usable; ++c) columns.push_back(before * horizon + c);
  }
  return columns;
}

}  // namespace

MatrixXd kernel_values(const ResidualKernel& kernel, const MatrixXd& samples, const MatrixXd& x) {
  MatrixXd squares(samples.cols(), x.cols());
  for (Index n = 0; n < x.cols(); ++n)
    squares.col(n) = (samples.colwise() - x.col(n)).colwise().squaredNorm().transpose();
  return (squares.array() * (-0.5 / (kernel.length * kernel.length))).exp();
}

LocalResiduals fit_local_residuals(const DynamicsEnsemble& model, const TransitionStore& data,
                                   const std::vector<Index>& iterations, int horizon, int threads) {
  assert(!iterations.empty());
  const Index ds = model.shape.outputs;
  const TransitionScale& scale = model.scale;
  // Scaled inputs and residuals of every member, for the columns of these iterations.
  MatrixXd x(data.z.rows(), data.size());
  std::vector<MatrixXd> residuals(model.members.size(), MatrixXd(ds, data.size()));
  MatrixXd mean_residuals = MatrixXd::Zero(ds, data.size());
  EnsembleWork work;
  for (const Index i : iterations) {
    const auto first = static_cast<Index>(data.layout.row(1).head(i).sum()) * horizon;
    const auto count = static_cast<Index>(data.layout(1, i)) * horizon;
    const auto z = data.z.middleCols(first, count);
    x.middleCols(first, count) = (z.colwise() - scale.z_mean).array().colwise() / scale.z_scale.array();
    const MatrixXd y =
        ((data.next.middleCols(first, count) - z.topRows(ds)).colwise() - scale.change_mean).array().colwise() /
        scale.change_scale.array();
    for (std::size_t e = 0; e < residuals.size(); ++e) {
      MatrixXd predicted(ds, count);
      scaled_changes(model, e, z, work, predicted);
      residuals[e].middleCols(first, count) = y - predicted;
      mean_residuals.middleCols(first, count) += (y - predicted) / static_cast<double>(residuals.size());
    }
  }

  std::vector<ResidualKernel> kernels;
  for (const double length : kLengths)
    for (const double noise : kNoises) kernels.push_back({length, noise});
  const Index tried = (horizon + kEvery - 1) / kEvery;
  MatrixXd errors(static_cast<Index>(kernels.size()), tried);
  VectorXd counts = VectorXd::Zero(tried);
  parallel_for(tried, threads, [&](Index j) {
    const std::vector<Index> columns = samples_of(data, iterations, static_cast<int>(j) * kEvery, horizon);
    const MatrixXd xs = x(Eigen::all, columns), rs = mean_residuals(Eigen::all, columns);
    for (std::size_t k = 0; k < kernels.size(); ++k)
      errors(static_cast<Index>(k), j) = left_out_error(kernels[k], xs, rs);
    counts[j] = static_cast<double>(rs.size());
  });
  Index best = 0;
  const VectorXd total = errors.rowwise().sum();
  total.minCoeff(&best);

  LocalResiduals local{kernels[static_cast<std::size_t>(best)], std::sqrt(total[best] / counts.sum()),
                       std::vector<LocalResidual>(static_cast<std::size_t>(horizon))};
  parallel_for(horizon, threads, [&](Index t) {
    const std::vector<Index> columns = samples_of(data, iterations, static_cast<int>(t), horizon);
    LocalResidual& step = local.steps[static_cast<std::size_t>(t)];
    step.x = x(Eigen::all, columns);
    const Eigen::LLT<MatrixXd> K(kernel_matrix(local.kernel, step.x));
    step.mean_coefficients = MatrixXd::Zero(ds, step.x.cols());
    for (const MatrixXd& residual : residuals) {
      step.coefficients.push_back(K.solve(residual(Eigen::all, columns).transpose()).transpose());
      step.mean_coefficients += step.coefficients.back() / static_cast<double>(residuals.size());
    }
  });
  return local;
}

}  // namespace kedge
