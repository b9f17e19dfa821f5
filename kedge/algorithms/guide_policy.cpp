#include "kedge/algorithms/guide_policy.h"

#include <cmath>
#include <numbers>

namespace kedge {

GuidePolicy::GuidePolicy(const Task& task, const TrajectoryPolicy& q) : task_(task), q_(q) {
  for (const MatrixXd& Sigma : q.Sigma) factors_.emplace_back(Sigma);
}

void GuidePolicy::mean(int t, VectorIn x, VectorOut a) const {
  VectorXd dx(task_.system->ndx());
  task_.system->difference(q_.x.col(t), x, dx);
  a = q_.a.col(t) + q_.K[static_cast<std::size_t>(t)] * dx;
}

void GuidePolicy::sample(int t, VectorIn x, Stream& noise, VectorOut a) const {
  mean(t, x, a);
  VectorXd z(a.size());
  noise.normal(z);
  a += factors_[static_cast<std::size_t>(t)].matrixL() * z;
}

double GuidePolicy::log_prob(int t, VectorIn x, VectorIn a) const {
  VectorXd e(a.size());
  mean(t, x, e);
  e = a - e;
  const auto& factor = factors_[static_cast<std::size_t>(t)];
  factor.matrixL().solveInPlace(e);
  return -0.5 * e.squaredNorm() - factor.matrixLLT().diagonal().array().log().sum() -
         0.5 * static_cast<double>(e.size()) * std::log(2.0 * std::numbers::pi);
}

}  // namespace kedge
