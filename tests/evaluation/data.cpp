#include "data.h"

#include <cmath>
#include <memory>
#include <numbers>
#include <numeric>

#include "kedge/system/linear_system.h"

namespace kedge::test {

Gaussian random_gaussian(Index n, double scale, Stream& random) {
  const MatrixXd m = random_matrix(n, n, random);
  return *make_gaussian(scale * random_vector(n, random),
                        scale * scale * (0.3 * MatrixXd::Identity(n, n) + 0.5 * m * m.transpose()));
}

LinearGaussian random_step(Index da, Index ds, Stream& random) {
  const MatrixXd K = 0.5 * random_matrix(da, ds, random);
  const Gaussian noise = random_gaussian(da, 0.8, random);
  return make_linear_gaussian(K, noise.mean, noise.cov);
}

TvLinearGaussian random_policy(int horizon, Index da, Index ds, Stream& random) {
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < horizon; ++t) steps.push_back(random_step(da, ds, random));
  return TvLinearGaussian(std::move(steps));
}

bool same_bits(const std::vector<Gaussian>& a, const std::vector<Gaussian>& b) {
  bool same = a.size() == b.size();
  for (std::size_t t = 0; same && t < a.size(); ++t)
    same = same_bits(a[t].mean, b[t].mean) && same_bits(a[t].cov, b[t].cov) && same_bits(a[t].L, b[t].L);
  return same;
}

Epoch random_epoch(const Sizes& sizes, int iteration, std::uint64_t seed) {
  Stream random(seed, static_cast<std::uint32_t>(iteration), 0, 0);
  Epoch epoch;
  epoch.iteration = iteration;
  epoch.policy = random_policy(sizes.horizon, sizes.da, sizes.ds, random);
  for (int t = 0; t < sizes.horizon; ++t) epoch.rho.push_back(random_gaussian(sizes.ds, 1.0, random));
  Batch& b = epoch.batch;
  b.rollouts = sizes.rollouts;
  b.horizon = sizes.horizon;
  const Index states = Index{b.rollouts} * (b.horizon + 1);
  b.state = b.observation = random_matrix(sizes.ds, states, random);
  b.action = random_matrix(sizes.da, Index{b.rollouts} * b.horizon, random);
  b.terms = random_matrix(sizes.terms, states, random).cwiseAbs();
  b.cost = random_matrix(b.horizon + 1, b.rollouts, random).cwiseAbs();
  b.success = random_vector(b.rollouts, random);
  b.diverged_at.assign(static_cast<std::size_t>(b.rollouts), -1);
  for (const int n : sizes.diverged) b.diverged_at[static_cast<std::size_t>(n)] = n % (sizes.horizon + 1);
  return epoch;
}

Task task_with_terms(int horizon, const std::vector<std::vector<char>>& active, Index ds, Index da) {
  Task task;
  task.system = std::make_shared<LinearSystem>(MatrixXd::Identity(ds, ds), MatrixXd::Ones(ds, da));
  task.horizon = horizon;
  task.observation.resize(static_cast<std::size_t>(ds));
  std::iota(task.observation.begin(), task.observation.end(), Index{0});
  for (const std::vector<char>& steps : active) task.cost.push_back({"", {}, VectorXd(), Norm::quadratic, 0.0, steps});
  return task;
}

long double log_density(const Gaussian& rho, const LinearGaussian& pi, const VectorXd& s, const VectorXd& a) {
  using MatrixXl = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
  using VectorXl = Eigen::Matrix<long double, Eigen::Dynamic, 1>;
  const auto log_normal = [](const MatrixXl& cov, const VectorXl& d) {
    const Eigen::PartialPivLU<MatrixXl> lu(cov);
    const long double quadratic = d.dot(VectorXl(lu.solve(d)));
    const long double n = static_cast<long double>(d.size());
    return -0.5L * (quadratic + n * std::log(2 * std::numbers::pi_v<long double>) + std::log(lu.determinant()));
  };
  const VectorXl ds = s.cast<long double>() - rho.mean.cast<long double>();
  const VectorXl da =
      a.cast<long double>() - pi.K.cast<long double>() * s.cast<long double>() - pi.k.cast<long double>();
  return log_normal(rho.cov.cast<long double>(), ds) + log_normal(pi.Sigma.cast<long double>(), da);
}

VectorXd plain_features(const VectorXd& z) {
  std::vector<double> phi = {1.0};
  for (Index i = 0; i < z.size(); ++i) {
    phi.push_back(z[i]);
    for (Index j = 0; j < i; ++j) phi.push_back(z[i] * z[j]);
    phi.push_back((z[i] * z[i] - 1.0) / std::sqrt(2.0));
  }
  return Eigen::Map<const VectorXd>(phi.data(), static_cast<Index>(phi.size()));
}

Grid gauss_hermite(Index n) {
  Index points = 1;
  for (Index i = 0; i < n; ++i) points *= 3;
  Grid grid{MatrixXd(points, n), VectorXd::Ones(points)};
  const double node[] = {0.0, std::sqrt(3.0), -std::sqrt(3.0)}, weight[] = {2.0 / 3, 1.0 / 6, 1.0 / 6};
  for (Index k = 0; k < points; ++k) {
    Index digits = k;
    for (Index i = 0; i < n; ++i, digits /= 3) {
      grid.z(k, i) = node[digits % 3];
      grid.weight[k] *= weight[digits % 3];
    }
  }
  return grid;
}

NoisyLinear random_noisy_linear(Index ds, Index da, Stream& random) {
  const MatrixXd A = 0.8 * MatrixXd::Identity(ds, ds) + 0.2 * random_matrix(ds, ds, random);
  const MatrixXd B = 0.5 * random_matrix(ds, da, random);
  Gaussian noise = random_gaussian(ds, 0.2, random);
  noise.mean.setZero();
  return {A, B, noise};
}

std::vector<Gaussian> propagate(const NoisyLinear& system, const Gaussian& start, const TvLinearGaussian& policy) {
  std::vector<Gaussian> rho = {start};
  for (int t = 0; t < policy.horizon(); ++t) {
    const MatrixXd closed = system.A + system.B * policy[t].K;
    const MatrixXd cov = closed * rho.back().cov * closed.transpose() +
                         system.B * policy[t].Sigma * system.B.transpose() + system.noise.cov;
    rho.push_back(*make_gaussian(closed * rho.back().mean + system.B * policy[t].k, cov));
  }
  return rho;
}

Epoch simulate(const NoisyLinear& system, const Gaussian& start, const TvLinearGaussian& policy, int rollouts,
               int iteration, std::uint64_t seed) {
  const int T = policy.horizon();
  Epoch epoch = random_epoch({start.dim(), policy.action_dim(), T, rollouts, 1, {}}, iteration, seed);
  epoch.policy = policy;
  epoch.rho = propagate(system, start, policy);
  epoch.rho.pop_back();
  Batch& b = epoch.batch;
  for (int n = 0; n < rollouts; ++n) {
    Stream random(seed, static_cast<std::uint32_t>(iteration), static_cast<std::uint32_t>(n), 1);
    VectorXd s = start.mean + start.L * random_vector(start.dim(), random);
    for (int t = 0; t < T; ++t) {
      VectorXd a(policy.action_dim());
      policy.sample(t, s, random, a);
      b.observation.col(b.at(n, t)) = s;
      b.action.col(b.step(n, t)) = a;
      s = (system.A * s + system.B * a + system.noise.L * random_vector(start.dim(), random)).eval();
    }
    b.observation.col(b.at(n, T)) = s;
  }
  b.state = b.observation;
  return epoch;
}

}  // namespace kedge::test
