#include "kedge/policy/trajectory_policy.h"

namespace kedge {

TvLinearGaussian to_tv_linear_gaussian(const TrajectoryPolicy& policy, const std::vector<MatrixXd>& G) {
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < policy.horizon(); ++t) {
    const auto i = static_cast<std::size_t>(t);
    const MatrixXd E = (G[i].transpose() * G[i]).llt().solve(G[i].transpose());
    const MatrixXd K = policy.K[i] * E;
    steps.push_back(make_linear_gaussian(K, policy.a.col(t) - K * policy.x.col(t), policy.Sigma[i]));
  }
  return TvLinearGaussian(std::move(steps));
}

}  // namespace kedge
