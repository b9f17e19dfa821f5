// What the methods share that learn one network from trajectories of a known model [LevineKoltun2013]: how the guiding
// distribution q is made and adapted, how samples are drawn from it, how a network starts and is judged.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kedge/algorithms/ilqr.h"
#include "kedge/algorithms/training.h"
#include "kedge/evaluation/linearisation.h"
#include "kedge/policy/mlp_gaussian.h"
#include "kedge/policy/trajectory_policy.h"
#include "kedge/update/supervised_fit.h"

namespace kedge {

struct GuidedOptions {
  int iterations = 50;  ///< K, outer iterations, >= 0
  int rollouts = 10;    ///< of the policy in each iteration, >= 1: what the metrics report, and the samples of the
                        ///< methods that learn from samples (Sec. 6)

  int hidden = 10;                               ///< units of a hidden layer, >= 1 (Sec. 6)
  int layers = 1;                                ///< hidden layers, >= 1
  Activation activation = Activation::softplus;  ///< Sec. 6
  bool output_bias = false;                      ///< the paper's parameter counts leave none

  double alpha_first = 1.0;  ///< alpha_0 > 0: the cost is multiplied by it (Alg. 1, line 5)
  double alpha_last = 0.1;   ///< alpha_K > 0
  int anneal = 50;           ///< iterations in which alpha goes from the first to the last, exponentially, >= 0

  int initial_iterations = 60;    ///< of DDP on the task's cost alone, at most, >= 0 (line 1)
  int guide_iterations = 5;       ///< of DDP in each outer iteration, at most, >= 1 (line 6)
  double guide_tolerance = 0.05;  ///< DDP stops where it improves by less than alpha times this, >= 0
  int policy_samples = 10;  ///< states of a marginal over which derivatives of log pi_theta are averaged, >= 1 (Sec. 4)
  double start_spread = 10.0;  ///< Sigma_1^1/2: this many spreads of the task's start, >= 0
  double process_std = 0.0;    ///< Sigma_f^1/2: noise of every state entry in a step, >= 0 (Sec. 4)
  double noise_scale =
      1.0;  ///< the wide marginals are those of this many times the guide's noise, >= 1: there Sigma_f is
            ///< also (noise_scale^2 - 1) B Sigma_t B'

  int stray = 0;  ///< the wide marginals also follow the network, for so many steps on average, >= 0; 0: they do not

  FitMethod optimiser = FitMethod::lbfgs;  ///< of the fit (Sec. 5)
  int fit_samples = 20;                    ///< M, states of each marginal to which the network is fitted, >= 1 (Sec. 5)
  int first_evaluations = 400;             ///< of the fit's objective in iteration 0, >= 1
  int evaluations = 100;                   ///< and in later ones, >= 1
  int resample = 0;            ///< new samples after so many evaluations, >= 0; 0: once an iteration (n of Sec. 5)
  int tail = 0;                ///< last steps left out of the fit, in [0, T): the end of the horizon is not stationary
  double weight_decay = 1e-5;  ///< of the network's weights, >= 0

  /// @throws InputError naming option, value and rule.
  void validate() const;
};

/// @throws InputError if task or options do not fit together
void require_guidable(const Task& task, const GuidedOptions& options);

/// alpha_k = exp((1 - k/K) log alpha_0 + k/K log alpha_K), constant from K = anneal on (Alg. 1, line 5).
double annealed(const GuidedOptions& options, int k);

/// The distribution q over trajectories: pi_G(a|x) = N(a_t + K_t (x (-) x_t), Quu^-1) with linearised dynamics (Sec. 4).
struct Guide {
  TrajectoryPolicy q;
  Linearisation lin;        ///< around it
  std::vector<MatrixXd> S;  ///< [T+1] [ndx, ndx] covariance of x_t (-) the trajectory; its mean is 0
  std::vector<MatrixXd>
      S_wide;  ///< likewise, with noise_scale times the noise, and where the network strays: a margin for what q misses.
               ///< Where the network's mean is fitted, and its density averaged
};

/// -log pi_theta(a|x) as DDP sees it (Sec. 4): averaged over states x (+) d_i, d_i ~ N(0, S_t), and actions a + K_t d_i, with
/// the S_t and K_t of the guide before this optimisation. To second order, the curvature by Gauss-Newton.
class PolicyCost final : public ExtraCost {
 public:
  /// The arguments must outlive the object.
  /// @param offsets [T] [ndx, samples]  @param K [T] [da, ndx]
  PolicyCost(const Task& task, const MlpGaussian& policy, std::vector<MatrixXd> offsets,
             const std::vector<MatrixXd>& K);
  [[nodiscard]] double value(int t, VectorIn x, VectorIn a) const override;
  void add_expansion(int t, VectorIn x, VectorIn a, StageCost& q) const override;

 private:
  const Task& task_;
  const MlpGaussian& policy_;
  std::vector<MatrixXd> offsets_, action_offsets_;
};

/// Gains of the network's mean along a trajectory, in tangent coordinates: J_t = d mu / d(dx). @param x [nx, T+1]  @return [T] [da, ndx]
std::vector<MatrixXd> network_gains(const Task& task, const MlpGaussian& policy, const MatrixXd& x);

/// Where the network goes that is not kept on the trajectory: who follows its gains J_t with noise Sigma_t, and at each step, with
/// probability 1/stray, is put back into the guide's marginal S_wide_t. In every direction at least as wide as S_t.
///   P_{t+1} = (1 - 1/stray) ((A_t + B_t J_t) P_t (A_t + B_t J_t)' + B_t Sigma_t B_t' + Sf) + S_wide_{t+1} / stray,    P_0 = S_wide_0
/// A guide's own marginals are narrow where its gains are firm. A network that is not firm there is not found out on them.
/// @param J, Sigma [T]  @param Sf [ndx, ndx]  @param S, S_wide [T+1]  @return [T+1]
std::vector<MatrixXd> stray_marginals(const Linearisation& lin, const std::vector<MatrixXd>& J,
                                      const std::vector<MatrixXd>& Sigma, const MatrixXd& Sf,
                                      const std::vector<MatrixXd>& S, const std::vector<MatrixXd>& S_wide, int stray);

/// The distribution around a solution of DDP: its marginals, own and wide, by the options.
/// @param policy to which it was adapted; null: none
Guide guide_around(const Task& task, TrajectoryPolicy q, Linearisation lin, const MlpGaussian* policy,
                   const GuidedOptions& options);

/// Covariance of the start in tangent coordinates, Sigma_1. @return [ndx, ndx]
MatrixXd start_covariance(const Task& task, double spreads);

/// Names the random numbers of a draw of states from the marginals.
struct DrawName {
  std::uint64_t seed = 0;
  int iteration = 0;
  int condition = 0;  ///< which of several guides
  int draw = 0;       ///< of this iteration, < 4096
};

/// Draws of N(0, S_t), t = 0 ... T-1. The first is 0: the trajectory itself. @param S [T+1]  @return [T] [ndx, count]
std::vector<MatrixXd> marginal_offsets(const std::vector<MatrixXd>& S, int count, const DrawName& name, int threads);

/// The result of planning; unless `guide` is set, `message` says why not.
struct GuidePlan {
  std::optional<Guide> guide;
  Stop stop = Stop::numerical_failure;  ///< cancelled or numerical_failure, where there is no guide
  std::string message;
  double cost = 0.0;       ///< the task's own cost along the trajectory
  int iterations = 0;      ///< steps of DDP that were accepted
  std::int64_t steps = 0;  ///< control steps simulated
};

/// Line 1: q minimises alpha_0 c. Condition 0 starts in the middle of the task's start, from its demonstration or without
/// action; the others in states drawn from the start with start_spread times its spread (Sigma_1), from the feedback of `first`,
/// the guide of condition 0.
GuidePlan initial_guide(const Task& task, int condition, const Guide* first, const GuidedOptions& options,
                        const Run& run);

/// Line 6: q minimises alpha c - log pi_theta, from the present q.
GuidePlan adapted_guide(const Task& task, const Guide& guide, const MlpGaussian& policy, double alpha, int iteration,
                        int condition, const GuidedOptions& options, const Run& run);

/// The network before its first fit: inputs in units of their spread along the trajectory, outputs in units of the
/// root-mean-square action, small random weights.
MlpGaussian initial_network(const Task& task, const Guide& guide, const GuidedOptions& options, std::uint64_t seed);

enum class Marginals { own, wide };

/// What the network is fitted to (Sec. 5): states of the marginals of all guides, the guide's mean action there and its
/// variances; the last `tail` steps are left out. @param name its condition is counted through
FitData guide_samples(const Task& task, const std::vector<Guide>& guides, Marginals marginals,
                      const GuidedOptions& options, DrawName name, int threads);

/// A fit of the network from where it is. @param evaluations of the objective, or steps of a minibatch  @param draw names the
/// random numbers of this fit among those of the iteration
FitResult fit_network(const MlpGaussian& policy, const FitData& data, int evaluations, int iteration, int draw,
                      const GuidedOptions& options, const Run& run);

/// Whether its theta can be gone on with: the better one, or the old one where nothing better was found.
inline bool usable(const FitResult& fit) {
  return fit.status == FitStatus::ok || fit.status == FitStatus::no_improvement;
}

/// Lines 3 and 4: fits the network to samples of the guides' wide marginals, then its noise, given the mean, to their own: q does
/// not visit the wide ones, and the network's error there is no reason for noise.
FitResult fit_to_guides(const Task& task, const MlpGaussian& policy, const std::vector<Guide>& guides, int iteration,
                        const GuidedOptions& options, const Run& run);

/// The guide as matrices of a state, their names beginning with `name`, and back. @throws InputError if they do not fit the task
std::vector<NamedMatrix> to_matrices(const Guide& guide, const std::string& name);
Guide guide_of(const Task& task, const TrainingState& state, const std::string& name, const GuidedOptions& options);

/// How the present policy does: rollouts with its noise, and one without from the middle of the start.
struct Judgement {
  Batch noisy;
  double return_deterministic = 0.0;   ///< NaN if it diverged
  double success_deterministic = 0.0;  ///< 1 or 0
};
/// @return nullopt if a stop was requested
std::optional<Judgement> judge(const Task& task, const MlpGaussian& policy, int iteration, int rollouts,
                               const Run& run);

/// The columns that all of these methods report first, and warnings about the rollouts.
/// @param before state of the loop before this iteration  @param steps control steps simulated beside the rollouts
Iteration guided_report(const Task& task, const Judgement& judgement, const MlpGaussian& policy, std::int64_t steps,
                        const TrainingState& before);

/// The state before the first iteration: a network that does nothing, no guide.
/// @param numbers names of the algorithm's own  @throws InputError if task or options do not fit together
TrainingState guided_start(const Task& task, const GuidedOptions& options, const std::vector<std::string>& numbers);

/// @throws InputError if the state's policy is no network for the task, or `numbers` are not those of the algorithm
void require_network(const Task& task, const TrainingState& state, const std::vector<std::string>& numbers);

/// The ways in which these loops end. Each hands the state over: its policy is that of the last completed iteration.
struct LoopEnd {
  TrainingState& state;

  [[nodiscard]] TrainingResult done() const;
  [[nodiscard]] TrainingResult cancelled() const;
  [[nodiscard]] TrainingResult failure(const std::string& what) const;
  [[nodiscard]] TrainingResult without_guide(const std::string& what, const GuidePlan& planned) const;
  [[nodiscard]] TrainingResult without_fit(const FitResult& fit) const;
};

}  // namespace kedge
