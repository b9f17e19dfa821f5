#include "kedge/algorithms/gps_is.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/core/parallel.h"
#include "kedge/math/lbfgs.h"
#include "kedge/rollout/rollout.h"
#include "kedge/update/importance_objective.h"

namespace kedge {

namespace {

const std::vector<std::string> kNumberNames = {"initial_cost", "guide_cost", "regulariser"};
constexpr double kLeastShare = 1e-4;  // of the regulariser, to which w_r may fall
constexpr double kLeastLogStd = -6.9, kLargestLogStd = 20.0;

/// The guide as a policy over the full state.
class GuidePolicy final : public Policy {
 public:
  GuidePolicy(const Task& task, const TrajectoryPolicy& q) : task_(task), q_(q) {
    for (const MatrixXd& Sigma : q.Sigma) factors_.emplace_back(Sigma);
  }
  [[nodiscard]] int horizon() const override { return q_.horizon(); }
  [[nodiscard]] Index observation_dim() const override { return task_.nx(); }
  [[nodiscard]] Index action_dim() const override { return task_.da(); }
  void mean(int t, VectorIn x, VectorOut a) const override {
    VectorXd dx(task_.system->ndx());
    task_.system->difference(q_.x.col(t), x, dx);
    a = q_.a.col(t) + q_.K[static_cast<std::size_t>(t)] * dx;
  }
  void sample(int t, VectorIn x, Stream& noise, VectorOut a) const override {
    mean(t, x, a);
    VectorXd z(a.size());
    noise.normal(z);
    a += factors_[static_cast<std::size_t>(t)].matrixL() * z;
  }
  [[nodiscard]] double log_prob(int t, VectorIn x, VectorIn a) const override {
    VectorXd e(a.size());
    mean(t, x, e);
    e = a - e;
    const auto& factor = factors_[static_cast<std::size_t>(t)];
    factor.matrixL().solveInPlace(e);
    return -0.5 * e.squaredNorm() - factor.matrixLLT().diagonal().array().log().sum() -
           0.5 * static_cast<double>(e.size()) * std::log(2.0 * std::numbers::pi);
  }

 private:
  const Task& task_;
  const TrajectoryPolicy& q_;
  std::vector<Eigen::LLT<MatrixXd>> factors_;
};

/// The usable rollouts that one policy made.
struct Samples {
  MatrixXd x;      ///< [nx, N T] states
  MatrixXd a;      ///< [da, N T] actions
  MatrixXd cost;   ///< [T, N]; the cost of the final state is in its last row
  VectorXd theta;  ///< [P] of the network that made them; empty: the guide below did
  std::optional<Guide> guide;
};

Samples samples_of(const Batch& batch) {
  std::vector<Index> states, steps;
  std::vector<int> usable;
  for (int n = 0; n < batch.rollouts; ++n) {
    if (!batch.usable(n)) continue;
    usable.push_back(n);
    for (int t = 0; t < batch.horizon; ++t) {
      states.push_back(batch.at(n, t));
      steps.push_back(batch.step(n, t));
    }
  }
  Samples samples{batch.state(Eigen::all, states), batch.action(Eigen::all, steps), {}, {}, {}};
  samples.cost = batch.cost(Eigen::seqN(0, batch.horizon), usable);
  samples.cost.bottomRows(1) += batch.cost(Eigen::lastN(1), usable);
  return samples;
}

/// Rollouts of the guide itself, with its noise. @return nullopt if a stop was requested
std::optional<Samples> sample_guide(const Task& task, const Guide& guide, int rollouts, int iteration, const Run& run) {
  Task all_seen = task;
  all_seen.observation.resize(static_cast<std::size_t>(task.nx()));
  std::iota(all_seen.observation.begin(), all_seen.observation.end(), Index{0});
  all_seen.observation_names.assign(all_seen.observation.size(), "x");
  const auto batch = rollout(all_seen, GuidePolicy(task, guide.q),
                             {rollouts, streams::guide_rollouts.iteration(iteration), true}, run);
  if (!batch) return std::nullopt;
  Samples samples = samples_of(*batch);
  samples.guide = guide;
  return samples;
}

/// All samples as the objective reads them: in the unit alpha c, with their density under every policy that made some.
ImportanceData importance_data(const Task& task, const MlpGaussian& network, const std::vector<Samples>& all,
                               double alpha, int threads) {
  const Index T = task.horizon, J = static_cast<Index>(all.size());
  Index N = 0;
  for (const Samples& samples : all) N += samples.cost.cols();
  ImportanceData data{static_cast<int>(T), MatrixXd(task.ds(), N * T), MatrixXd(task.da(), N * T),
                      MatrixXd(T, N),      MatrixXd(J, N * T),         VectorXd(J)};
  MatrixXd x(task.nx(), N * T);
  Index first = 0;
  for (Index j = 0; j < J; ++j) {
    const Samples& samples = all[static_cast<std::size_t>(j)];
    const Index n = samples.cost.cols();
    x.middleCols(first * T, n * T) = samples.x;
    data.a.middleCols(first * T, n * T) = samples.a;
    data.reward.middleCols(first, n) = -alpha * samples.cost;
    data.share[j] = static_cast<double>(n) / static_cast<double>(N);
    first += n;
  }
  data.s = x(task.observation, Eigen::all);
  for (Index j = 0; j < J; ++j) {
    const Samples& samples = all[static_cast<std::size_t>(j)];
    if (!samples.guide) {
      data.log_q.row(j) = MlpGaussian(network.network(), samples.theta).log_probs(data.s, data.a, threads).transpose();
      continue;
    }
    const GuidePolicy policy(task, samples.guide->q);
    parallel_for(N, threads, [&](Index n) {
      for (Index t = 0; t < T; ++t)
        data.log_q(j, n * T + t) = policy.log_prob(static_cast<int>(t), x.col(n * T + t), data.a.col(n * T + t));
    });
  }
  return data;
}

std::vector<NamedMatrix> to_matrices(const std::vector<Samples>& all) {
  std::vector<NamedMatrix> matrices;
  for (std::size_t j = 0; j < all.size(); ++j) {
    const std::string name = fmt::format("samples{}", j);
    matrices.push_back({name + "_x", all[j].x});
    matrices.push_back({name + "_a", all[j].a});
    matrices.push_back({name + "_cost", all[j].cost});
    matrices.push_back({name + "_theta", all[j].theta});
    if (!all[j].guide) continue;
    for (NamedMatrix& m : to_matrices(*all[j].guide, name)) matrices.push_back(std::move(m));
  }
  return matrices;
}

std::vector<Samples> samples_in(const Task& task, const TrainingState& state, const GuidedOptions& options) {
  std::vector<Samples> all;
  const auto has = [&](const std::string& name) {
    return std::any_of(state.matrices.begin(), state.matrices.end(), [&](const auto& m) { return m.name == name; });
  };
  for (std::string name = "samples0"; has(name + "_x"); name = fmt::format("samples{}", all.size())) {
    Samples samples{matrix(state, name + "_x"),
                    matrix(state, name + "_a"),
                    matrix(state, name + "_cost"),
                    matrix(state, name + "_theta"),
                    {}};
    if (samples.theta.size() == 0) samples.guide = guide_of(task, state, name, options);
    all.push_back(std::move(samples));
  }
  return all;
}

/// The first entry, rollouts of the first guide, stays; of the others the newest.
void forget(std::vector<Samples>& all, int window, bool adapt) {
  const std::size_t most = 1 + static_cast<std::size_t>(window) * (adapt ? 2 : 1);
  if (all.size() > most) all.erase(all.begin() + 1, all.end() - static_cast<std::ptrdiff_t>(most - 1));
}

}  // namespace

void GpsIsOptions::validate() const {
  GuidedOptions::validate();
  require(guide_rollouts >= 1, "guide_rollouts", guide_rollouts, ">= 1");
  require(window >= 1, "window", window, ">= 1");
  require(regulariser >= 0 && std::isfinite(regulariser), "regulariser", regulariser, ">= 0");
  require(least_effective >= 1 && std::isfinite(least_effective), "least_effective", least_effective, ">= 1");
}

TrainingState gps_is_start(const Task& task, const GpsIsOptions& options) {
  options.validate();
  TrainingState state = guided_start(task, options, kNumberNames);
  state.numbers[2].second = options.regulariser;
  return state;
}

TrainingResult gps_is(const Task& task, TrainingState state, const GpsIsOptions& options, const Run& run,
                      const TrainingObserver& observe) {
  options.validate();
  require_guidable(task, options);
  require_network(task, state, kNumberNames);
  const LoopEnd end{state};

  while (state.iteration < options.iterations) {
    PhaseClock clock;
    const int k = state.iteration;
    double initial_cost = state.numbers[0].second, guide_cost = state.numbers[1].second, w_r = state.numbers[2].second;
    std::int64_t steps = 0;
    MlpGaussian best = std::get<MlpGaussian>(state.policy);  // theta*
    Guide guide;
    std::vector<Samples> samples;
    std::vector<std::string> warnings;

    // DDP solution, samples of it, and a network trained on it
    if (k == 0) {
      GuidePlan plan = initial_guide(task, 0, nullptr, options, run);
      if (!plan.guide) return end.without_guide("the initial solution", plan);
      initial_cost = guide_cost = plan.cost;
      steps += plan.steps;
      guide = std::move(*plan.guide);
      auto guided = sample_guide(task, guide, options.guide_rollouts, k, run);
      if (!guided) return end.cancelled();
      steps += std::int64_t{options.guide_rollouts} * task.horizon;
      if (guided->cost.cols() == 0) return end.failure("all rollouts of the DDP solution diverged");
      samples.push_back(std::move(*guided));
      best = initial_network(task, guide, options, run.seed);
      const FitResult fit = fit_to_guides(task, best, {guide}, k, options, run);
      if (fit.status != FitStatus::ok) return end.without_fit(fit);
      best.set_theta(fit.theta);
    } else {
      guide = guide_of(task, state, "guide", options);
      samples = samples_in(task, state, options);
    }
    clock.lap("initial_guide");

    // Maximise Phi over the samples, sample the candidate, keep the better of the two
    const double alpha = annealed(options, k);
    double accepted = 0.0, effective = 0.0, value_best = 0.0, value_candidate = 0.0;
    if (k > 0) {
      MlpGaussian candidate = best;
      ImportanceObjective phi(best, importance_data(task, best, samples, alpha, run.threads), w_r,
                              options.least_effective, run.threads);
      const ImportanceValue before = phi(best.theta());
      if (before.status == ImportanceStatus::not_finite) return end.failure("importance weights: " + before.message);
      effective = before.effective.minCoeff();
      if (before.status == ImportanceStatus::degenerate) {
        warnings.push_back("no update: " + before.message);
      } else {
        LbfgsOptions how;
        how.max_evaluations = options.evaluations;
        how.lower = VectorXd::Constant(best.theta().size(), -std::numeric_limits<double>::infinity());
        how.upper = -how.lower;
        how.lower.tail(task.da()).setConstant(kLeastLogStd);
        how.upper.tail(task.da()).setConstant(kLargestLogStd);
        how.stop = run.stop;
        const LbfgsResult found = lbfgs(
            [&](VectorIn theta, VectorOut gradient) {
              const ImportanceValue value = phi(theta);
              gradient = -value.gradient;
              // A step to where the weights degenerate is none.
              return value.status == ImportanceStatus::ok ? -value.value : std::numeric_limits<double>::infinity();
            },
            best.theta(), how);
        if (found.status == LbfgsStatus::cancelled) return end.cancelled();
        candidate.set_theta(found.x);
      }
      clock.lap("optimise");

      const auto batch =
          rollout(task, candidate, {options.rollouts, streams::candidate_rollouts.iteration(k), true}, run);
      if (!batch) return end.cancelled();
      steps += simulated_steps(*batch);
      Samples of_candidate = samples_of(*batch);
      of_candidate.theta = candidate.theta();
      if (of_candidate.cost.cols() > 0) samples.push_back(std::move(of_candidate));
      if (options.adapt) {
        GuidePlan plan = adapted_guide(task, guide, best, alpha, k, 0, options, run);
        if (!plan.guide) return end.without_guide("the DDP solution", plan);
        guide_cost = plan.cost;
        steps += plan.steps;
        guide = std::move(*plan.guide);
        auto guided = sample_guide(task, guide, options.rollouts, k, run);
        if (!guided) return end.cancelled();
        steps += std::int64_t{options.rollouts} * task.horizon;
        if (guided->cost.cols() > 0) samples.push_back(std::move(*guided));
      }
      forget(samples, options.window, options.adapt);
      clock.lap("samples");

      ImportanceObjective estimate(best, importance_data(task, best, samples, alpha, run.threads), 0.0, 1.0,
                                   run.threads);
      value_best = estimate(best.theta()).reward;
      value_candidate = estimate(candidate.theta()).reward;
      // The estimate knows nothing of rollouts that diverged: they left no samples.
      const bool sound = diverged_rollouts(*batch) == 0;
      accepted = sound && value_candidate > value_best ? 1.0 : 0.0;
      if (accepted > 0.0) best = candidate;
      w_r =
          std::clamp(accepted > 0.0 ? w_r / 10.0 : w_r * 10.0, kLeastShare * options.regulariser, options.regulariser);
    } else {  // the same phases in every iteration
      clock.lap("optimise");
      clock.lap("samples");
    }
    clock.lap("estimate");

    const auto judgement = judge(task, best, k, options.rollouts, run);
    if (!judgement) return end.cancelled();
    if (k == 0) {
      Samples own = samples_of(judgement->noisy);
      own.theta = best.theta();
      if (own.cost.cols() > 0) samples.push_back(std::move(own));
    }
    clock.lap("rollouts");

    Iteration report = guided_report(task, *judgement, best, steps, state);
    const std::vector<Metric> own = {{"initial_cost", initial_cost},
                                     {"guide_cost", guide_cost},
                                     {"alpha", alpha},
                                     {"accepted", accepted},
                                     {"effective_rollouts_min", effective},
                                     {"estimate_best", value_best},
                                     {"estimate_candidate", value_candidate},
                                     {"regulariser", w_r}};
    report.metrics.insert(report.metrics.end(), own.begin(), own.end());
    report.warnings.insert(report.warnings.end(), warnings.begin(), warnings.end());
    state.iteration = k + 1;
    state.rollouts_total += judgement->noisy.rollouts;
    state.steps_total += simulated_steps(judgement->noisy) + steps;
    state.numbers = {{kNumberNames[0], initial_cost}, {kNumberNames[1], guide_cost}, {kNumberNames[2], w_r}};
    state.policy = std::move(best);
    state.matrices = to_matrices(guide, "guide");
    for (NamedMatrix& m : to_matrices(samples)) state.matrices.push_back(std::move(m));
    clock.lap("report");
    report.seconds = std::move(clock.seconds);
    if (observe) observe(report, state, nullptr);
  }
  return end.done();
}

}  // namespace kedge
