// Linear-algebra aliases of the library (docs/notation.md: indices, shapes, units, signs).
#pragma once

#include <Eigen/Dense>

namespace kedge {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using VectorIn = const Eigen::Ref<const VectorXd>&;
using VectorOut = Eigen::Ref<VectorXd>;
using MatrixIn = const Eigen::Ref<const MatrixXd>&;
using MatrixOut = Eigen::Ref<MatrixXd>;

}  // namespace kedge
