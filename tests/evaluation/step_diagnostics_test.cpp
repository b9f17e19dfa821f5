#include "kedge/evaluation/step_diagnostics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data.h"
#include "kedge/evaluation/whitening.h"

namespace kedge {
namespace {

using namespace kedge::test;

/// An iteration with the sample moments of its usable states as its distributions, fits and a new policy.
struct Update {
  Epoch epoch = random_epoch({3, 2, 4, 40, 1, {2, 5}}, 1, 81);
  std::vector<QuadraticFit> fits;
  TvLinearGaussian next;

  Update() {
    Stream random(82, 0, 0, 0);
    next = random_policy(4, 2, 3, random);
    for (int t = 0; t < 4; ++t) {
      const MatrixXd s = observations_at(epoch.batch, t);
      const VectorXd mean = s.rowwise().mean();
      const MatrixXd d = s.colwise() - mean;
      epoch.rho[static_cast<std::size_t>(t)] = *make_gaussian(mean, d * d.transpose() / static_cast<double>(s.cols()));
      fits.push_back({quadratic_from_features(random_vector(feature_count(5), random), 5), {}, 1.0});
    }
  }
};

TEST(StepDiagnostics, SpreadIsOneForTheMomentsOfTheStatesAndFallsWithTheVariance) {
  Update u;
  const StepDiagnostics exact = step_diagnostics(u.epoch, {}, u.fits, u.next, 1);
  for (const double spread : exact.state_spread) EXPECT_NEAR(spread, 1.0, 1e-12);
  for (Gaussian& rho : u.epoch.rho) rho = *make_gaussian(rho.mean, 4.0 * rho.cov);
  for (const double spread : step_diagnostics(u.epoch, {}, u.fits, u.next, 1).state_spread)
    EXPECT_NEAR(spread, 0.25, 1e-12);
}

TEST(StepDiagnostics, StateKlComparesWithTheIterationBefore) {
  const Update u;
  EXPECT_EQ(step_diagnostics(u.epoch, {}, u.fits, u.next, 1).state_kl, std::vector<double>(4, 0.0));
  Stream random(83, 0, 0, 0);
  std::vector<Gaussian> before;
  for (int t = 0; t < 4; ++t) before.push_back(random_gaussian(3, 1.0, random));
  const StepDiagnostics d = step_diagnostics(u.epoch, before, u.fits, u.next, 1);
  for (std::size_t t = 0; t < 4; ++t) EXPECT_EQ(d.state_kl[t], kl(u.epoch.rho[t], before[t]));
}

TEST(StepDiagnostics, AdvantageIsTheLargestChangeOfQAtAVisitedState) {
  const Update u;
  const StepDiagnostics d = step_diagnostics(u.epoch, {}, u.fits, u.next, 1);
  const Grid noise = gauss_hermite(2);
  for (int t = 0; t < 4; ++t) {
    const auto at = static_cast<std::size_t>(t);
    const Whitening map = whitening(u.epoch.rho[at], u.epoch.policy[t]);
    const auto expectation = [&](const LinearGaussian& pi, const VectorXd& s) {  // of Q(s, a), a ~ pi, by quadrature
      double sum = 0.0;
      for (Index k = 0; k < noise.z.rows(); ++k) {
        VectorXd x(5);
        x << s, pi.K * s + pi.k + pi.C * noise.z.row(k).transpose();
        sum += noise.weight[k] * u.fits[at].q(map.W * x - map.b);
      }
      return sum;
    };
    const MatrixXd states = observations_at(u.epoch.batch, t);
    double largest = 0.0;
    for (const auto s : states.colwise())
      largest = std::max(largest, std::abs(expectation(u.next[t], s) - expectation(u.epoch.policy[t], s)));
    EXPECT_NEAR(d.advantage[at], largest, 1e-10 * largest);
  }
}

TEST(StepDiagnostics, DoNotDependOnThreads) {
  const Update u;
  const StepDiagnostics one = step_diagnostics(u.epoch, u.epoch.rho, u.fits, u.next, 1);
  for (const int threads : {2, 8}) {
    const StepDiagnostics many = step_diagnostics(u.epoch, u.epoch.rho, u.fits, u.next, threads);
    EXPECT_EQ(many.state_kl, one.state_kl);
    EXPECT_EQ(many.state_spread, one.state_spread);
    EXPECT_EQ(many.advantage, one.advantage);
  }
}

}  // namespace
}  // namespace kedge
