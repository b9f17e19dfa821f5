// The guiding distribution q of the methods that train one network on trajectories of a known model [LevineKoltun2013]:
// planning it, adapting it to the network, and sampling from it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kedge/algorithms/ilqr_solver.h"
#include "kedge/core/option.h"
#include "kedge/core/outcome.h"
#include "kedge/evaluation/linearisation.h"
#include "kedge/math/lq.h"
#include "kedge/policy/mlp_gaussian.h"
#include "kedge/policy/trajectory_policy.h"
#include "kedge/update/supervised_fit.h"

namespace kedge {

/// Options of the methods that train one network on trajectories of a known model. `describe_guided` below gives the
/// meaning and the range of each.
struct GuidedOptions {
  int iterations = 50;
  int rollouts = 10;

  int hidden = 10;
  int layers = 1;
  Activation activation = Activation::softplus;
  bool output_bias = false;

  double alpha_first = 1.0;
  double alpha_last = 0.1;
  int anneal = 50;

  int initial_iterations = 60;
  int guide_iterations = 5;
  double guide_tolerance = 0.05;
  int policy_samples = 10;
  double start_spread = 10.0;
  double process_std = 0.0;
  double noise_scale = 1.0;
  int stray = 0;

  FitMethod optimiser = FitMethod::lbfgs;
  int fit_samples = 20;
  int first_evaluations = 400;
  int evaluations = 100;
  int resample = 0;
  int tail = 0;
  double weight_decay = 1e-5;
};

template <class O, class Visit>
void describe_guided(O& o, Visit&& visit) {
  visit("iterations", o.iterations, at_least(0), {"outer iterations; 0: nothing is learned", "", "K, Alg. 1"});
  visit("rollouts", o.rollouts, at_least(1),
        {"rollouts of the policy in each iteration, for the metrics and for the methods that learn from samples", "",
         "Sec. 6"});
  visit("hidden", o.hidden, at_least(1), {"units of each hidden layer of the network", "", "Sec. 6"});
  visit("layers", o.layers, at_least(1), {"hidden layers of the network; the paper has one"});
  visit("activation", o.activation, Choices{"softplus", "tanh"}, {"activation of the hidden layers", "", "Sec. 6"});
  visit("output_bias", o.output_bias, TrueOrFalse{},
        {"give the outputs a bias; the paper's parameter counts leave none"});
  visit("alpha_first", o.alpha_first, above(0), {"factor on the cost in the first iteration", "", "alpha_0, Alg. 1"});
  visit("alpha_last", o.alpha_last, above(0), {"factor on the cost from iteration `anneal` on", "", "alpha_K, Alg. 1"});
  visit("anneal", o.anneal, at_least(0),
        {"iterations in which the factor changes exponentially from first to last", "", "Sec. 5"});
  visit("initial_iterations", o.initial_iterations, at_least(0),
        {"iterations of the first DDP, at most", "", "Alg. 1, line 1"});
  visit("guide_iterations", o.guide_iterations, at_least(1),
        {"iterations of DDP in each outer iteration, at most", "", "Alg. 1, line 6"});
  visit("guide_tolerance", o.guide_tolerance, at_least(0),
        {"DDP ends where a step improves by less than this times the factor on the cost"});
  visit("policy_samples", o.policy_samples, at_least(1),
        {"states of a marginal over which the derivatives of log pi are averaged", "", "Sec. 4"});
  visit("start_spread", o.start_spread, at_least(0),
        {"standard deviation of the initial states, in spreads of the task's start", "", "Sigma_1, Sec. 4"});
  visit("process_std", o.process_std, at_least(0),
        {"standard deviation of the noise of a state entry in a step", "", "Sigma_f, Sec. 4"});
  visit("noise_scale", o.noise_scale, at_least(1),
        {"the wide marginals are those of this many times the guide's noise, a margin for errors of the linear model; "
         "Sigma_f then also holds (noise_scale^2 - 1) B Sigma_t B'"});
  visit("stray", o.stray, at_least(0),
        {"mean number of steps for which the wide marginals follow the network instead of the guide; 0 disables it"});
  visit("optimiser", o.optimiser, Choices{"lbfgs", "adam"}, {"optimiser of the fit", "", "Sec. 5"});
  visit("fit_samples", o.fit_samples, at_least(1),
        {"states of each marginal to which the network is fitted", "", "M, Sec. 5"});
  visit("first_evaluations", o.first_evaluations, at_least(1),
        {"evaluations of the fit's objective in the first iteration"});
  visit("evaluations", o.evaluations, at_least(1),
        {"evaluations of the fit's objective in later iterations, or steps of a minibatch"});
  visit("resample", o.resample, at_least(0),
        {"draw new samples after this many evaluations of a fit; 0: once an iteration", "", "n, Sec. 5"});
  visit("tail", o.tail, at_least(0),
        {"last steps that are left out of the fit, fewer than the horizon: the end of a finite horizon is no steady "
         "gait"});
  visit("weight_decay", o.weight_decay, at_least(0), {"weight decay of the network's weights"});
}

/// Checks that the methods can run. @throws InputError if task and options do not fit together
void require_guidable(const Task& task, const GuidedOptions& options);

/// Returns alpha_k = exp((1 - k/K) log alpha_0 + k/K log alpha_K), constant from K = anneal on (Alg. 1, line 5).
double annealed(const GuidedOptions& options, int k);

/// The distribution q over trajectories: pi_G(a|x) = N(a_t + K_t (x (-) x_t), Quu^-1) with linearised dynamics (Sec. 4).
struct Guide {
  TrajectoryPolicy q;
  Linearisation lin;  ///< around that trajectory

  std::vector<MatrixXd> S;  ///< [T+1] [ndx, ndx] covariance of x_t (-) the trajectory; its mean is 0

  /// [T+1] the same with noise_scale times the noise, and the states to which the network strays: a margin for states
  /// that q does not visit. The network's mean is fitted there, and its density averaged.
  std::vector<MatrixXd> S_wide;
};

/// Describes a saved guide: its trajectory and the derivatives, from which the marginals follow (`with_marginals`).
template <class G, class Visit>
requires IsOptions<G, Guide>
void describe(G& g, Visit&& visit) {
  visit("x", g.q.x);
  visit("a", g.q.a);
  visit("K", g.q.K);
  visit("Sigma", g.q.Sigma);
  visit("A", g.lin.A);
  visit("B", g.lin.B);
  visit("C", g.lin.C);
  visit("D", g.lin.D);
}

/// Checks the guides of a state.
/// @throws InputError unless there are `count` guides, each with the sizes of the task; none before the first iteration
void require_guides(const Task& task, int iteration, const std::vector<Guide>& guides, int count);

/// Returns the guide with its marginals, own and wide, by the options.
/// @param policy to which the guide was adapted; null: none
Guide with_marginals(const Task& task, Guide guide, const MlpGaussian* policy, const GuidedOptions& options);

/// The cost -log pi_theta(a|x) in DDP (Sec. 4): averaged over states x (+) d_i, d_i ~ N(0, S_t), and actions
/// a + K_t d_i, with the S_t and K_t of the guide before this optimisation. Expanded to second order, with the curvature by
/// Gauss-Newton.
class PolicyCost final : public ExtraCost {
 public:
  /// Makes the cost of a network; task and policy outlive this object.
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

/// Returns ds / d(dx) at x, the tangent map's rows that are observed. @return [ds, ndx]
MatrixXd observation_map(const Task& task, VectorIn x);

/// Returns the gains of the network's mean along a trajectory, in tangent coordinates: J_t = d mu / d(dx).
/// @param x [nx, T+1]  @return [T] [da, ndx]
std::vector<MatrixXd> network_gains(const Task& task, const MlpGaussian& policy, const MatrixXd& x);

/// Returns the state covariances of a rollout that follows the network's gains J_t with noise Sigma_t and, at each
/// step, is reset to the guide's marginal S_wide_t with probability 1/stray. They are at least as wide as S_t in every
/// direction.
///   P_{t+1} = (1 - 1/stray) ((A_t + B_t J_t) P_t (A_t + B_t J_t)' + B_t Sigma_t B_t' + Sf) + S_wide_{t+1} / stray,    P_0 = S_wide_0
/// A guide's own marginals are narrow where its gains are high. They do not show that a network's gains are too low there.
/// @param loop its K is J  @param Sf [ndx, ndx]  @param S, S_wide [T+1]  @return [T+1]
std::vector<MatrixXd> stray_marginals(const ClosedLoop& loop, const MatrixXd& Sf, const std::vector<MatrixXd>& S,
                                      const std::vector<MatrixXd>& S_wide, int stray);

/// Returns the covariance of the start in tangent coordinates, Sigma_1. @return [ndx, ndx]
MatrixXd start_covariance(const Task& task, double spreads);

/// Names the random numbers of a draw of states from the marginals.
struct DrawName {
  std::uint64_t seed = 0;
  int iteration = 0;
  int condition = 0;  ///< number of the guide
  int draw = 0;       ///< number of the draw in this iteration, < 4096
};

/// Returns draws of N(0, S_t), t = 0 ... T-1. The first is 0: the trajectory itself.
/// @param S [T+1]  @return [T] [ndx, count]
std::vector<MatrixXd> marginal_offsets(const std::vector<MatrixXd>& S, int count, const DrawName& name, int threads);

/// A guide, and the effort of planning it.
struct GuidePlan {
  Guide guide;
  double cost = 0.0;       ///< the task's own cost along the trajectory
  int iterations = 0;      ///< steps of DDP that were accepted
  std::int64_t steps = 0;  ///< control steps simulated
};

/// Plans the q that minimises alpha_0 c (Alg. 1, line 1). Condition 0 starts in the middle of the task's start, from
/// its demonstration or without action; the others in states drawn from the start with start_spread times its spread
/// (Sigma_1), from the feedback of `first`, the guide of condition 0.
Outcome<GuidePlan> initial_guide(const Task& task, int condition, const Guide* first, const GuidedOptions& options,
                                 const Run& run);

/// Plans the q that minimises alpha c - log pi_theta, from the present q (Alg. 1, line 6).
Outcome<GuidePlan> adapted_guide(const Task& task, const Guide& guide, const MlpGaussian& policy, double alpha,
                                 int iteration, int condition, const GuidedOptions& options, const Run& run);

enum class Marginals { own, wide };

/// Returns the data to which the network is fitted (Sec. 5): states of the marginals of all guides, the guide's mean
/// action there and its variances. The last `tail` steps are left out.
/// @param name its condition is counted through
FitData guide_samples(const Task& task, const std::vector<Guide>& guides, Marginals marginals,
                      const GuidedOptions& options, DrawName name, int threads);

}  // namespace kedge
