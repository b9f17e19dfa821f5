#include "kedge/evaluation/step_diagnostics.h"

#include "kedge/core/parallel.h"
#include "kedge/evaluation/improvement_bound.h"

namespace kedge {

namespace {

double spread_of(const MatrixXd& xi) { return xi.squaredNorm() / static_cast<double>(xi.size()); }

/// max |a(xi)| over the columns of xi.
double largest(const Quadratic& a, const MatrixXd& xi) {
  const MatrixXd slope = (0.5 * a.H * xi).colwise() + a.g;
  return (slope.cwiseProduct(xi).colwise().sum().array() + a.c).abs().maxCoeff();
}

}  // namespace

StepDiagnostics step_diagnostics(const Epoch& epoch, const std::vector<Gaussian>& previous_rho,
                                 const std::vector<QuadraticFit>& fits, const TvLinearGaussian& next, int threads) {
  const std::size_t T = fits.size();
  StepDiagnostics d{std::vector<double>(T, 0.0), std::vector<double>(T), std::vector<double>(T)};
  parallel_for(static_cast<Index>(T), threads, [&](Index step) {
    const auto t = static_cast<std::size_t>(step);
    const int at = static_cast<int>(step);
    const Gaussian& rho = epoch.rho[t];
    const MatrixXd s = observations_at(epoch.batch, at);
    const MatrixXd xi = rho.L.triangularView<Eigen::Lower>().solve(s.colwise() - rho.mean);
    if (!previous_rho.empty()) d.state_kl[t] = kl(rho, previous_rho[t]);
    d.state_spread[t] = spread_of(xi);
    d.advantage[t] = largest(expected_advantage(fits[t].q, epoch.policy[at], next[at], rho), xi);
  });
  return d;
}

}  // namespace kedge
