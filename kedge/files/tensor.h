// Time-dependent matrices as C-order tensors: Eigen stores columns, files store rows.
#pragma once

#include <span>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Returns the tensor [steps, rows, cols] in C order. @param matrix t -> [rows, cols], or [rows] with cols = 1
template <class Matrix>
std::vector<double> stack(Index steps, Index rows, Index cols, Matrix matrix) {
  std::vector<double> all(static_cast<std::size_t>(steps * rows * cols));
  for (Index t = 0; t < steps; ++t)
    Eigen::Map<RowMajor>(all.data() + t * rows * cols, rows, cols) = matrix(static_cast<int>(t));
  return all;
}

/// Returns matrix t of such a tensor.
inline MatrixXd slice(std::span<const double> all, Index t, Index rows, Index cols) {
  return Eigen::Map<const RowMajor>(all.data() + t * rows * cols, rows, cols);
}

/// Returns the memory of a matrix as a C-order tensor [..., rows], whose entries are the columns; and the other way round.
inline std::span<const double> columns(const MatrixXd& m) { return {m.data(), static_cast<std::size_t>(m.size())}; }
inline MatrixXd from_columns(std::span<const double> all, Index rows, Index cols) {
  return Eigen::Map<const MatrixXd>(all.data(), rows, cols);
}

}  // namespace kedge
