// x+ = A x + B u: the system whose optimal control is known exactly. For tests and first steps.
#pragma once

#include "kedge/system/system.h"

namespace kedge {

class LinearSystem final : public System {
 public:
  /// @param A [nx, nx]  @param B [nx, nu]  @throws InputError if shapes do not agree
  LinearSystem(MatrixXd A, MatrixXd B);

  [[nodiscard]] Index nx() const override { return A_.rows(); }
  [[nodiscard]] Index nu() const override { return B_.cols(); }
  [[nodiscard]] Index nsensor() const override { return 0; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<LinearSystem>(*this); }
  void reset(VectorIn x) override { x_ = x; }
  [[nodiscard]] bool step(VectorIn u) override;
  void settle() override {}
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut) const override {}

 private:
  MatrixXd A_, B_;
  VectorXd x_, next_;
};

}  // namespace kedge
