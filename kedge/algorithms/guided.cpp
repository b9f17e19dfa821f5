#include "kedge/algorithms/guided.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/rollout/rollout.h"

namespace kedge {

namespace {

/// Random streams that are no rollouts' (those are numbered from 0).
constexpr std::uint32_t kNetworkStream = 0xfffffff0u, kConditionStream = 0xfffffff1u, kFitStream = 0xfffffff2u,
                        kMarginalStream = 0xffff0000u;
constexpr std::uint32_t kStepsPerDraw = 1u << 20;  // more than any horizon
/// Draw of the states over which the policy's derivatives are averaged; draws of the fit count from 0.
constexpr int kPolicyCostDraw = 4095;
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

/// ds / d(dx), the tangent map's rows that are observed. @return [ds, ndx]
MatrixXd observation_map(const Task& task, VectorIn x) {
  MatrixXd G(task.nx(), task.system->ndx());
  task.system->tangent(x, G);
  return G(task.observation, Eigen::all);
}

/// x (+) dx
VectorXd moved(const System& system, VectorIn x, VectorIn dx) {
  VectorXd y(x.size());
  system.integrate(x, dx, y);
  return y;
}

/// @param policy to which q was adapted; null: none
GuidePlan planned(const Task& task, IlqrSolution solution, const MlpGaussian* policy, const GuidedOptions& options) {
  GuidePlan result;
  result.message = std::move(solution.message);
  result.iterations = static_cast<int>(solution.history.size());
  result.steps = solution.simulated_steps;
  if (solution.stop == IlqrStop::cancelled) result.stop = Stop::cancelled;
  if (solution.q.K.empty()) return result;
  result.cost = solution.task_cost;
  result.guide = guide_around(task, std::move(solution.q), std::move(solution.lin), policy, options);
  return result;
}

MatrixXd stacked(const std::vector<MatrixXd>& blocks) {
  const Index rows = blocks.front().rows(), cols = blocks.front().cols();
  MatrixXd all(rows, cols * static_cast<Index>(blocks.size()));
  for (std::size_t t = 0; t < blocks.size(); ++t) all.middleCols(static_cast<Index>(t) * cols, cols) = blocks[t];
  return all;
}

std::vector<MatrixXd> unstacked(const MatrixXd& all, Index rows, Index cols, int count, const std::string& name) {
  if (all.rows() != rows || all.cols() != cols * count)
    throw InputError(fmt::format("matrix {} of the state has size {} x {}, but must be {} x {}", name, all.rows(),
                                 all.cols(), rows, cols * count));
  std::vector<MatrixXd> blocks;
  for (int t = 0; t < count; ++t) blocks.push_back(all.middleCols(t * cols, cols));
  return blocks;
}

/// Without normalisation.
Network plain_network(const Task& task, const GuidedOptions& options) {
  return {.hidden = std::vector<Index>(static_cast<std::size_t>(options.layers), options.hidden),
          .activation = options.activation,
          .output_bias = options.output_bias,
          .input_mean = VectorXd::Zero(task.ds()),
          .input_scale = VectorXd::Ones(task.ds()),
          .output_scale = VectorXd::Ones(task.da())};
}

/// Units of the entries of x: root mean square along a trajectory; 1 where an entry does not move. @param x [n, T]
VectorXd units(const MatrixXd& x) {
  VectorXd unit = x.cwiseAbs2().rowwise().mean().cwiseSqrt();
  for (Index i = 0; i < unit.size(); ++i)
    if (!(unit[i] > 1e-6)) unit[i] = 1.0;
  return unit;
}

}  // namespace

void GuidedOptions::validate() const {
  require(iterations >= 0, "iterations", iterations, ">= 0");
  require(rollouts >= 1, "rollouts", rollouts, ">= 1");
  require(hidden >= 1, "hidden", hidden, ">= 1");
  require(layers >= 1, "layers", layers, ">= 1");
  require(alpha_first > 0 && std::isfinite(alpha_first), "alpha_first", alpha_first, "> 0");
  require(alpha_last > 0 && std::isfinite(alpha_last), "alpha_last", alpha_last, "> 0");
  require(anneal >= 0, "anneal", anneal, ">= 0");
  require(initial_iterations >= 0, "initial_iterations", initial_iterations, ">= 0");
  require(guide_iterations >= 1, "guide_iterations", guide_iterations, ">= 1");
  require(guide_tolerance >= 0 && std::isfinite(guide_tolerance), "guide_tolerance", guide_tolerance, ">= 0");
  require(policy_samples >= 1, "policy_samples", policy_samples, ">= 1");
  require(start_spread >= 0 && std::isfinite(start_spread), "start_spread", start_spread, ">= 0");
  require(process_std >= 0 && std::isfinite(process_std), "process_std", process_std, ">= 0");
  require(stray >= 0, "stray", stray, ">= 0");
  require(noise_scale >= 1 && std::isfinite(noise_scale), "noise_scale", noise_scale, ">= 1");
  require(fit_samples >= 1, "fit_samples", fit_samples, ">= 1");
  require(first_evaluations >= 1, "first_evaluations", first_evaluations, ">= 1");
  require(evaluations >= 1, "evaluations", evaluations, ">= 1");
  require(resample >= 0, "resample", resample, ">= 0");
  require(tail >= 0, "tail", tail, ">= 0");
  require(weight_decay >= 0 && std::isfinite(weight_decay), "weight_decay", weight_decay, ">= 0");
}

void require_guidable(const Task& task, const GuidedOptions& options) {
  validate(task);
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

std::vector<MatrixXd> stray_marginals(const Linearisation& lin, const std::vector<MatrixXd>& J,
                                      const std::vector<MatrixXd>& Sigma, const MatrixXd& Sf,
                                      const std::vector<MatrixXd>& S, const std::vector<MatrixXd>& S_wide, int stray) {
  const double back = 1.0 / stray;
  std::vector<MatrixXd> all = {S_wide.front()};
  for (std::size_t t = 0; t < J.size(); ++t) {
    const MatrixXd on = next_covariance({lin.A, lin.B, J, Sigma}, t, all[t], Sf);
    all.push_back(within((1.0 - back) * on + back * S_wide[t + 1], S[t + 1], kWidest));
  }
  return all;
}

Guide guide_around(const Task& task, TrajectoryPolicy q, Linearisation lin, const MlpGaussian* policy,
                   const GuidedOptions& options) {
  const Index n = task.system->ndx();
  const MatrixXd noise = options.process_std * options.process_std * MatrixXd::Identity(n, n);
  const auto marginals = [&](const std::vector<MatrixXd>& Sigma) {
    return state_marginals({lin.A, lin.B, q.K, Sigma}, start_covariance(task, options.start_spread), noise);
  };
  std::vector<MatrixXd> wide = q.Sigma;
  for (MatrixXd& Sigma : wide) Sigma *= options.noise_scale * options.noise_scale;
  std::vector<MatrixXd> S = marginals(q.Sigma), S_wide = marginals(wide);
  if (options.stray > 0 && policy)
    S_wide = stray_marginals(lin, network_gains(task, *policy, q.x), wide, noise, S, S_wide, options.stray);
  return {std::move(q), std::move(lin), std::move(S), std::move(S_wide)};
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
    const auto step = static_cast<std::uint32_t>(name.draw) * kStepsPerDraw + static_cast<std::uint32_t>(t);
    Stream noise(name.seed, static_cast<std::uint32_t>(name.iteration),
                 kMarginalStream + static_cast<std::uint32_t>(name.condition), step);
    MatrixXd z = MatrixXd::Zero(S_t.rows(), count);
    for (int i = 1; i < count; ++i) noise.normal(z.col(i));
    offsets[static_cast<std::size_t>(t)] = square_root(S_t) * z;
  });
  return offsets;
}

GuidePlan initial_guide(const Task& task, int condition, const Guide* first, const GuidedOptions& options,
                        const Run& run) {
  IlqrOptions how;
  how.iterations = options.initial_iterations;
  how.differences = kOneSided;
  IlqrProblem problem{.task = task, .scale = options.alpha_first, .extra = nullptr, .x0 = task.start.mean};
  if (condition > 0) {
    StartDistribution wide = task.start;
    wide.spread *= options.start_spread;
    Stream random(run.seed, 0, kConditionStream, static_cast<std::uint32_t>(condition));
    problem.x0 = sample_start(wide, random);
  }
  const ActionLaw law = first ? mean_of(first->q, *task.system) : open_loop(first_actions(task));
  return planned(task, ilqr_optimise(problem, law, how, run), nullptr, options);
}

GuidePlan adapted_guide(const Task& task, const Guide& guide, const MlpGaussian& policy, double alpha, int iteration,
                        int condition, const GuidedOptions& options, const Run& run) {
  const PolicyCost extra(task, policy,
                         marginal_offsets(guide.S_wide, options.policy_samples,
                                          {run.seed, iteration, condition, kPolicyCostDraw}, run.threads),
                         guide.q.K);
  IlqrOptions how;
  how.iterations = options.guide_iterations;
  how.improvement = alpha * options.guide_tolerance;
  how.differences = kOneSided;
  const IlqrProblem problem{.task = task, .scale = alpha, .extra = &extra, .x0 = guide.q.x.col(0)};
  return planned(task, ilqr_optimise(problem, mean_of(guide.q, *task.system), how, run, &guide.lin), &policy, options);
}

MlpGaussian initial_network(const Task& task, const Guide& guide, const GuidedOptions& options, std::uint64_t seed) {
  const MatrixXd s = guide.q.x(task.observation, Eigen::seqN(0, task.horizon));
  Network network = plain_network(task, options);
  network.input_mean = s.rowwise().mean();
  network.input_scale = units(s.colwise() - network.input_mean);
  network.output_scale = units(guide.q.a);
  Stream random(seed, 0, kNetworkStream, 0);
  VectorXd theta = random_theta(network, network.output_scale.array().log(), random);
  return MlpGaussian(std::move(network), std::move(theta));
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

FitResult fit_network(const MlpGaussian& policy, const FitData& data, int evaluations, int iteration, int draw,
                      const GuidedOptions& options, const Run& run) {
  FitOptions how;
  how.method = options.optimiser;
  how.decay = options.weight_decay;
  how.max_evaluations = how.steps = evaluations;
  const Stream minibatches(run.seed, static_cast<std::uint32_t>(iteration), kFitStream,
                           static_cast<std::uint32_t>(draw));
  return supervised_fit(policy, data, how, minibatches, run);
}

FitResult fit_to_guides(const Task& task, const MlpGaussian& policy, const std::vector<Guide>& guides, int iteration,
                        const GuidedOptions& options, const Run& run) {
  const int evaluations = iteration == 0 ? options.first_evaluations : options.evaluations;
  const int chunk = options.resample > 0 ? std::min(options.resample, evaluations) : evaluations;
  MlpGaussian network = policy;
  FitResult fit;
  for (int draw = 0, left = evaluations; left > 0; ++draw, left -= chunk) {
    const DrawName name{run.seed, iteration, 0, draw};
    const FitData data = guide_samples(task, guides, Marginals::wide, options, name, run.threads);
    FitResult part = fit_network(network, data, std::min(left, chunk), iteration, draw, options, run);
    if (part.status == FitStatus::no_improvement && draw > 0) break;  // these samples leave nothing to gain
    if (part.status != FitStatus::ok) return part;
    network.set_theta(part.theta);
    part.theta = with_fitted_noise(network, guide_samples(task, guides, Marginals::own, options, name, run.threads),
                                   run.threads);
    network.set_theta(part.theta);
    if (draw > 0) part.before = fit.before;
    part.evaluations += fit.evaluations;
    fit = std::move(part);
  }
  return fit;
}

std::vector<NamedMatrix> to_matrices(const Guide& guide, const std::string& name) {
  return {{name + "_state", guide.q.x},        {name + "_action", guide.q.a},
          {name + "_K", stacked(guide.q.K)},   {name + "_Sigma", stacked(guide.q.Sigma)},
          {name + "_A", stacked(guide.lin.A)}, {name + "_B", stacked(guide.lin.B)},
          {name + "_C", stacked(guide.lin.C)}, {name + "_D", stacked(guide.lin.D)}};
}

Guide guide_of(const Task& task, const TrainingState& state, const std::string& name, const GuidedOptions& options) {
  const Index n = task.system->ndx(), da = task.da(), ny = reads_sensors(task) ? task.system->nsensor() : 0;
  const int T = task.horizon;
  const auto read = [&](const char* part, Index rows, Index cols, int count) {
    return unstacked(matrix(state, name + part), rows, cols, count, name + part);
  };
  TrajectoryPolicy q{read("_state", task.nx(), T + 1, 1).front(), read("_action", da, T, 1).front(),
                     read("_K", da, n, T), read("_Sigma", da, da, T)};
  Linearisation lin{
      .A = read("_A", n, n, T), .B = read("_B", n, da, T), .C = read("_C", ny, n, T + 1), .D = read("_D", ny, da, T)};
  return guide_around(task, std::move(q), std::move(lin), std::get_if<MlpGaussian>(&state.policy), options);
}

std::optional<Judgement> judge(const Task& task, const MlpGaussian& policy, int iteration, int rollouts,
                               const Run& run) {
  const auto name = static_cast<std::uint32_t>(iteration);
  auto noisy = rollout(task, policy, {rollouts, name, true}, run);
  Task from_middle = task;
  from_middle.start.spread.setZero();
  const auto quiet = rollout(from_middle, policy, {1, name, false}, run);
  if (!noisy || !quiet) return std::nullopt;
  Judgement result{std::move(*noisy), std::numeric_limits<double>::quiet_NaN(), success_rate(task, *quiet)};
  if (quiet->usable(0)) result.return_deterministic = rollout_return(*quiet, 0);
  return result;
}

Iteration guided_report(const Task& task, const Judgement& judgement, const MlpGaussian& policy, std::int64_t steps,
                        const TrainingState& before) {
  const Batch& batch = judgement.noisy;
  const std::vector<double> r = returns(batch);
  const double none = std::numeric_limits<double>::quiet_NaN();
  const double mean = r.empty() ? none : mean_of(r);
  double variance = 0.0;
  for (const double value : r) variance += (value - mean) * (value - mean) / static_cast<double>(r.size());
  Iteration report;
  report.number = before.iteration;
  report.metrics = {
      {"iteration", before.iteration},
      {"rollouts_total", static_cast<double>(before.rollouts_total + batch.rollouts)},
      {"steps_total", static_cast<double>(before.steps_total + simulated_steps(batch) + steps)},
      {"return_mean", mean},
      {"return_std", r.empty() ? none : std::sqrt(variance)},
      {"return_min", r.empty() ? none : min_of(r)},
      {"return_max", r.empty() ? none : max_of(r)},
      {"return_median", r.empty() ? none : median_of(r)},
      {"return_deterministic", judgement.return_deterministic},
      {"success_rate", success_rate(task, batch)},
      {"success_deterministic", judgement.success_deterministic},
      {"policy_std_mean", policy.std().mean()},
      {"diverged", static_cast<double>(batch.rollouts - usable_rollouts(batch))},
  };
  warn_of_saturation(batch, "alpha_first", report.warnings);
  warn_of_divergence(batch, report.warnings);
  return report;
}

TrainingState guided_start(const Task& task, const GuidedOptions& options, const std::vector<std::string>& numbers) {
  require_guidable(task, options);
  TrainingState state;
  Network network = plain_network(task, options);
  VectorXd theta = VectorXd::Zero(parameter_count(network));
  state.policy = MlpGaussian(std::move(network), std::move(theta));
  for (const std::string& name : numbers) state.numbers.emplace_back(name, 0.0);
  return state;
}

void require_network(const Task& task, const TrainingState& state, const std::vector<std::string>& numbers) {
  const auto* policy = std::get_if<MlpGaussian>(&state.policy);
  bool ok = policy && policy->observation_dim() == task.ds() && policy->action_dim() == task.da() &&
            state.iteration >= 0 && state.numbers.size() == numbers.size();
  for (std::size_t i = 0; ok && i < numbers.size(); ++i) ok = state.numbers[i].first == numbers[i];
  if (!ok)
    throw InputError(
        fmt::format("the state does not belong to this algorithm on the task {}: {} observations, {} actions",
                    task.name, task.ds(), task.da()));
}

TrainingResult LoopEnd::done() const {
  return {Stop::max_iterations, fmt::format("{} iterations done", state.iteration), std::move(state)};
}

TrainingResult LoopEnd::cancelled() const {
  return {Stop::cancelled, fmt::format("cancelled after {} iterations", state.iteration), std::move(state)};
}

TrainingResult LoopEnd::failure(const std::string& what) const {
  return {Stop::numerical_failure,
          fmt::format("iteration {}: {}; the policy of the last iteration is kept", state.iteration, what),
          std::move(state)};
}

TrainingResult LoopEnd::without_guide(const std::string& what, const GuidePlan& planned) const {
  return planned.stop == Stop::cancelled ? cancelled() : failure(fmt::format("{}: {}", what, planned.message));
}

TrainingResult LoopEnd::without_fit(const FitResult& fit) const {
  if (fit.status == FitStatus::cancelled) return cancelled();
  return failure(fmt::format("the fit of the network: {} ({})", fit.message, to_string(fit.status)));
}

}  // namespace kedge
