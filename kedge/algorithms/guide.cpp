#include "kedge/algorithms/guide.h"

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/requirements.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/evaluation/trajectory_cost.h"

namespace kedge {

namespace {

/// DDP is asked for a few good steps here, not for the last digits of an optimum: centred differences lead to the same costs and
/// networks to three digits, in twice the time.
constexpr LinearisationOptions kOneSided{.centred = false, .state_step = 1e-7, .action_step = 1e-5};

/// Marginals where the network strays are at most this many times as wide as the guide's own: a network that is far from any gait
/// would leave to infinity.
constexpr double kWidest = 20.0;
/// Of a covariance's largest eigenvalue: what is less counts as 0.
constexpr double kSingular = 1e-14;

/// L with L L' = S, for S positive semidefinite up to rounding.
MatrixXd square_root(const MatrixXd& S) {
  const Eigen::LDLT<MatrixXd> factor(S);
  MatrixXd L = factor.matrixL();
  L *= factor.vectorD().cwiseMax(0.0).cwiseSqrt().asDiagonal();
  return factor.transpositionsP().transpose() * L;
}

/// M, but in every direction at least S and at most width^2 S.
MatrixXd within(const MatrixXd& M, const MatrixXd& S, double width) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> of_S(S);
  const VectorXd root =
      of_S.eigenvalues().cwiseMax(kSingular * of_S.eigenvalues().maxCoeff()).cwiseSqrt();  // S may be singular
  const MatrixXd white = root.cwiseInverse().asDiagonal() * of_S.eigenvectors().transpose();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> ratio(white * M * white.transpose());
  const MatrixXd Y = of_S.eigenvectors() * root.asDiagonal() * ratio.eigenvectors();
  return Y * ratio.eigenvalues().cwiseMax(1.0).cwiseMin(width * width).asDiagonal() * Y.transpose();
}

VectorXd observed(const Task& task, VectorIn x) { return x(task.observation); }

/// x (+) dx
VectorXd moved(const System& system, VectorIn x, VectorIn dx) {
  VectorXd y(x.size());
  system.integrate(x, dx, y);
  return y;
}

/// True if trajectory and derivatives have the sizes of the task.
bool fits(const Task& task, const Guide& guide) {
  const Index T = task.horizon, nx = task.nx(), n = task.system->ndx(), da = task.da();
  const Index ny = reads_sensors(task) ? task.system->nsensor() : 0;
  const auto all = [](const std::vector<MatrixXd>& blocks, Index count, Index rows, Index cols) {
    return static_cast<Index>(blocks.size()) == count && std::all_of(blocks.begin(), blocks.end(), [&](const auto& m) {
             return m.rows() == rows && m.cols() == cols;
           });
  };
  return guide.q.x.rows() == nx && guide.q.x.cols() == T + 1 && guide.q.a.rows() == da && guide.q.a.cols() == T &&
         all(guide.q.K, T, da, n) && all(guide.q.Sigma, T, da, da) && all(guide.lin.A, T, n, n) &&
         all(guide.lin.B, T, n, da) && all(guide.lin.C, T + 1, ny, n) && all(guide.lin.D, T, ny, da);
}

/// @param policy to which q was adapted; null: none
Outcome<GuidePlan> planned(const Task& task, std::optional<IlqrSolution> solution, const MlpGaussian* policy,
                           const GuidedOptions& options) {
  if (!solution) return cancelled();
  if (solution->q.K.empty()) return failure(std::move(solution->message));
  GuidePlan plan;
  plan.cost = solution->task_cost;
  plan.iterations = static_cast<int>(solution->history.size());
  plan.steps = solution->simulated_steps;
  plan.guide = with_marginals(task, {std::move(solution->q), std::move(solution->lin), {}, {}}, policy, options);
  return plan;
}

}  // namespace

void require_guidable(const Task& task, const GuidedOptions& options) {
  validate(task);
  require_whole_episodes(task, "an algorithm with guides");
  require_markov(task, "an algorithm with guides");
  require_observed_states(task, "an algorithm with guides");
  require_action_costs(task, false);
  require(options.tail < task.horizon, "tail", options.tail, fmt::format("< {}, the horizon", task.horizon).c_str());
}

double annealed(const GuidedOptions& options, int k) {
  const double share = k >= options.anneal ? 1.0 : static_cast<double>(k) / options.anneal;
  return std::exp((1.0 - share) * std::log(options.alpha_first) + share * std::log(options.alpha_last));
}

PolicyCost::PolicyCost(const Task& task, const MlpGaussian& policy, std::vector<MatrixXd> offsets,
                       const std::vector<MatrixXd>& K)
    : task_(task), policy_(policy), offsets_(std::move(offsets)) {
  for (std::size_t t = 0; t < K.size(); ++t) action_offsets_.push_back(K[t] * offsets_[t]);
}

double PolicyCost::value(int t, VectorIn x, VectorIn a) const {
  const auto at = static_cast<std::size_t>(t);
  double sum = 0.0;
  for (Index i = 0; i < offsets_[at].cols(); ++i)
    sum -= policy_.log_prob(t, observed(task_, moved(*task_.system, x, offsets_[at].col(i))),
                            a + action_offsets_[at].col(i));
  return sum / static_cast<double>(offsets_[at].cols());
}

void PolicyCost::add_expansion(int t, VectorIn x, VectorIn a, StageCost& q) const {
  const auto at = static_cast<std::size_t>(t);
  const double share = 1.0 / static_cast<double>(offsets_[at].cols());
  const VectorXd P = share * policy_.std().array().square().inverse();
  const MatrixXd ds_dx = observation_map(task_, x);
  VectorXd mean(a.size());
  MatrixXd dmean_ds(a.size(), task_.ds());
  for (Index i = 0; i < offsets_[at].cols(); ++i) {
    policy_.mean_and_jacobian(observed(task_, moved(*task_.system, x, offsets_[at].col(i))), mean, dmean_ds);
    const VectorXd Pe = P.cwiseProduct(a + action_offsets_[at].col(i) - mean);
    const MatrixXd J = dmean_ds * ds_dx, PJ = P.asDiagonal() * J;
    q.gx -= J.transpose() * Pe;
    q.gu += Pe;
    q.Hxx += J.transpose() * PJ;
    q.Hux -= PJ;
    q.Huu.diagonal() += P;
  }
  q.c += value(t, x, a);
}

MatrixXd observation_map(const Task& task, VectorIn x) {
  MatrixXd G(task.nx(), task.system->ndx());
  task.system->tangent(x, G);
  return G(task.observation, Eigen::all);
}

std::vector<MatrixXd> network_gains(const Task& task, const MlpGaussian& policy, const MatrixXd& x) {
  std::vector<MatrixXd> J;
  VectorXd mean(task.da());
  MatrixXd dmean_ds(task.da(), task.ds());
  for (Index t = 0; t + 1 < x.cols(); ++t) {
    policy.mean_and_jacobian(observed(task, x.col(t)), mean, dmean_ds);
    J.push_back(dmean_ds * observation_map(task, x.col(t)));
  }
  return J;
}

std::vector<MatrixXd> stray_marginals(const ClosedLoop& loop, const MatrixXd& Sf, const std::vector<MatrixXd>& S,
                                      const std::vector<MatrixXd>& S_wide, int stray) {
  const double back = 1.0 / stray;
  std::vector<MatrixXd> all = {S_wide.front()};
  for (std::size_t t = 0; t < loop.K.size(); ++t) {
    const MatrixXd on = next_covariance(loop, t, all[t], Sf);
    all.push_back(within((1.0 - back) * on + back * S_wide[t + 1], S[t + 1], kWidest));
  }
  return all;
}

void require_guides(const Task& task, int iteration, const std::vector<Guide>& guides, int count) {
  bool ok = static_cast<int>(guides.size()) == (iteration == 0 ? 0 : count);
  for (const Guide& guide : guides) ok = ok && fits(task, guide);
  if (!ok) throw InputError(fmt::format("the stored guides do not fit the task {} and the options", task.name));
}

Guide with_marginals(const Task& task, Guide guide, const MlpGaussian* policy, const GuidedOptions& options) {
  const TrajectoryPolicy& q = guide.q;
  const Linearisation& lin = guide.lin;
  const Index n = task.system->ndx();
  const MatrixXd noise = options.process_std * options.process_std * MatrixXd::Identity(n, n);
  const auto marginals = [&](const std::vector<MatrixXd>& Sigma) {
    return state_marginals({lin.A, lin.B, q.K, Sigma}, start_covariance(task, options.start_spread), noise);
  };
  std::vector<MatrixXd> wide = q.Sigma;
  for (MatrixXd& Sigma : wide) Sigma *= options.noise_scale * options.noise_scale;
  guide.S = marginals(q.Sigma);
  guide.S_wide = marginals(wide);
  if (options.stray > 0 && policy) {
    const std::vector<MatrixXd> J = network_gains(task, *policy, q.x);
    guide.S_wide = stray_marginals({lin.A, lin.B, J, wide}, noise, guide.S, guide.S_wide, options.stray);
  }
  return guide;
}

MatrixXd start_covariance(const Task& task, double spreads) {
  const double share = task.start.kind == StartDistribution::Kind::uniform ? 1.0 / 3.0 : 1.0;
  MatrixXd G(task.nx(), task.system->ndx());
  task.system->tangent(task.start.mean, G);
  const MatrixXd E = (G.transpose() * G).ldlt().solve(G.transpose());
  return share * spreads * spreads * E * task.start.spread.cwiseAbs2().asDiagonal() * E.transpose();
}

std::vector<MatrixXd> marginal_offsets(const std::vector<MatrixXd>& S, int count, const DrawName& name, int threads) {
  std::vector<MatrixXd> offsets(S.size() - 1);
  parallel_for(static_cast<Index>(offsets.size()), threads, [&](Index t) {
    const MatrixXd& S_t = S[static_cast<std::size_t>(t)];
    Stream noise(name.seed, streams::marginals.iteration(name.iteration), streams::marginals.rollout(name.condition),
                 streams::marginal_step(name.draw, t));
    MatrixXd z = MatrixXd::Zero(S_t.rows(), count);
    for (int i = 1; i < count; ++i) noise.normal(z.col(i));
    offsets[static_cast<std::size_t>(t)] = square_root(S_t) * z;
  });
  return offsets;
}

Outcome<GuidePlan> initial_guide(const Task& task, int condition, const Guide* first, const GuidedOptions& options,
                                 const Run& run) {
  IlqrSolverOptions how;
  how.iterations = options.initial_iterations;
  how.differences = kOneSided;
  IlqrProblem problem{.task = task, .scale = options.alpha_first, .extra = nullptr, .x0 = task.start.mean};
  if (condition > 0) {
    StartDistribution wide = task.start;
    wide.spread *= options.start_spread;
    Stream random(run.seed, 0, streams::conditions.rollout(0), static_cast<std::uint32_t>(condition));
    problem.x0 = sample_start(wide, random);
  }
  const ActionLaw law = first ? mean_of(first->q, *task.system) : open_loop(first_actions(task));
  return planned(task, ilqr_optimise(problem, law, how, run), nullptr, options);
}

Outcome<GuidePlan> adapted_guide(const Task& task, const Guide& guide, const MlpGaussian& policy, double alpha,
                                 int iteration, int condition, const GuidedOptions& options, const Run& run) {
  const PolicyCost extra(task, policy,
                         marginal_offsets(guide.S_wide, options.policy_samples,
                                          {run.seed, iteration, condition, streams::policy_cost_draw}, run.threads),
                         guide.q.K);
  IlqrSolverOptions how;
  how.iterations = options.guide_iterations;
  how.improvement = alpha * options.guide_tolerance;
  how.differences = kOneSided;
  const IlqrProblem problem{.task = task, .scale = alpha, .extra = &extra, .x0 = guide.q.x.col(0)};
  return planned(task, ilqr_optimise(problem, mean_of(guide.q, *task.system), how, run, &guide.lin), &policy, options);
}

FitData guide_samples(const Task& task, const std::vector<Guide>& guides, Marginals marginals,
                      const GuidedOptions& options, DrawName name, int threads) {
  const Index T = task.horizon - options.tail, M = options.fit_samples, N = T * M * static_cast<Index>(guides.size());
  FitData data{MatrixXd(task.ds(), N), MatrixXd(task.da(), N), MatrixXd(task.da(), N), VectorXd::Ones(N)};
  Index n = 0;
  for (const Guide& guide : guides) {
    const std::vector<MatrixXd> offsets =
        marginal_offsets(marginals == Marginals::wide ? guide.S_wide : guide.S, options.fit_samples, name, threads);
    ++name.condition;
    for (Index t = 0; t < T; ++t) {
      const auto at = static_cast<std::size_t>(t);
      for (Index i = 0; i < M; ++i, ++n) {
        const auto d = offsets[at].col(i);
        data.s.col(n) = observed(task, moved(*task.system, guide.q.x.col(t), d));
        data.target.col(n) = guide.q.a.col(t) + guide.q.K[at] * d;
        data.variance.col(n) = guide.q.Sigma[at].diagonal();
      }
    }
  }
  return data;
}

}  // namespace kedge
