// Vectors and matrices for tests: written out, random, compared bit by bit.
#pragma once

#include <cstring>
#include <initializer_list>

#include "kedge/core/random.h"
#include "kedge/core/types.h"

namespace kedge::test {

inline VectorXd vec(std::initializer_list<double> values) {
  VectorXd v(static_cast<Index>(values.size()));
  Index i = 0;
  for (const double value : values) v[i++] = value;
  return v;
}

/// Standard normal entries.
inline VectorXd random_vector(Index n, Stream& random) {
  VectorXd v(n);
  random.normal(v);
  return v;
}

/// Standard normal entries, column by column.
inline MatrixXd random_matrix(Index rows, Index cols, Stream& random) {
  MatrixXd m(rows, cols);
  for (Index j = 0; j < cols; ++j) random.normal(m.col(j));
  return m;
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), sizeof(double) * static_cast<std::size_t>(a.size())) == 0);
}

}  // namespace kedge::test
