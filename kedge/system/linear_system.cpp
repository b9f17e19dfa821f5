#include "kedge/system/linear_system.h"

#include "kedge/core/errors.h"

namespace kedge {

LinearSystem::LinearSystem(MatrixXd A, MatrixXd B)
    : A_(std::move(A)), B_(std::move(B)), x_(VectorXd::Zero(A_.rows())), next_(VectorXd::Zero(A_.rows())) {
  if (A_.rows() != A_.cols() || B_.rows() != A_.rows())
    throw InputError(fmt::format("linear system: A is {}x{}, B is {}x{}, but A must be square with B's rows", A_.rows(),
                                 A_.cols(), B_.rows(), B_.cols()));
}

bool LinearSystem::step(VectorIn u) {
  next_.noalias() = A_ * x_;
  next_.noalias() += B_ * u;
  x_.swap(next_);
  return x_.allFinite();
}

}  // namespace kedge
