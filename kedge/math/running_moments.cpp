#include "kedge/math/running_moments.h"

namespace kedge {

void add_columns(MatrixIn x, RunningMoments& moments) {
  if (x.cols() == 0) return;
  const auto n = static_cast<double>(x.cols());
  const VectorXd mean = x.rowwise().mean(), apart = mean - moments.mean;
  const double all = moments.count + n;
  moments.squares += (x.colwise() - mean).cwiseAbs2().rowwise().sum() + apart.cwiseAbs2() * (moments.count * n / all);
  moments.mean += apart * (n / all);
  moments.count = all;
}

VectorXd deviations(const RunningMoments& moments) {
  constexpr double least = 1e-8;  // less is no spread
  if (!(moments.count > 1.0)) return VectorXd::Ones(moments.mean.size());
  VectorXd deviation = (moments.squares / moments.count).cwiseSqrt();
  for (double& d : deviation)
    if (!(d > least)) d = 1.0;
  return deviation;
}

}  // namespace kedge
