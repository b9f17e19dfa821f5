#include "kedge/update/kl_lqr.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The search accepts a KL in [bound (1 - 2 kMargin), bound (1 - kMargin)]: below the bound by more than rounding usually adds
/// when the policy is stored, and by less than anybody notices.
constexpr double kMargin = 1e-11;

// ---- Recursions -----------------------------------------------------------------------------------------------------

/// v's + s'V s / 2, without its constant.
struct Value {
  MatrixXd V;  ///< [ds, ds] symmetric
  VectorXd v;  ///< [ds]
};

/// Q(z) = z'Qzz z / 2 + z'qz, without its constant; z = [s; a].
struct ActionValue {
  MatrixXd Qzz;  ///< [n, n] symmetric
  VectorXd qz;   ///< [n]
};

/// Matrices that the recursions use again and again.
struct Scratch {
  MatrixXd FV, covF, KP, Hs;
  VectorXd v, hs;
  ActionValue q;
  Value value;
};

/// Q(z) = c(z) + E V(F z + f + noise).
void bellman(const Quadratic& cost, const LinearDynamics& dynamics, const Value& next, Scratch& w, ActionValue& q) {
  w.FV.noalias() = dynamics.F.transpose() * next.V;
  w.v = next.v;
  w.v.noalias() += next.V * dynamics.f;
  q.Qzz = cost.H;
  q.Qzz.noalias() += w.FV * dynamics.F;
  q.qz = cost.g;
  q.qz.noalias() += dynamics.F.transpose() * w.v;
}

/// dQ/da at the mean action, which is Hs s + hs. @param Hs [da, ds], out  @param hs [da], out
void slope_at_mean(const ActionValue& q, const LinearGaussian& pi, MatrixXd& Hs, VectorXd& hs) {
  const Index ds = pi.K.cols(), da = pi.K.rows();
  const auto Qaa = q.Qzz.bottomRightCorner(da, da);
  Hs = q.Qzz.bottomLeftCorner(da, ds);
  Hs.noalias() += Qaa * pi.K;
  hs = q.qz.tail(da);
  hs.noalias() += Qaa * pi.k;
}

/// E_{a ~ pi} Q(s, a), without its constant. @param Hs, hs as above
void value_of(const ActionValue& q, const LinearGaussian& pi, const MatrixXd& Hs, const VectorXd& hs, Value& value) {
  const Index ds = pi.K.cols(), da = pi.K.rows();
  const auto Qas = q.Qzz.bottomLeftCorner(da, ds);
  value.V = q.Qzz.topLeftCorner(ds, ds);
  value.V.noalias() += pi.K.transpose() * Hs;
  value.V.noalias() += Qas.transpose() * pi.K;
  value.v = q.qz.head(ds);
  value.v.noalias() += Qas.transpose() * pi.k;
  value.v.noalias() += pi.K.transpose() * hs;
}

void symmetrise(MatrixXd& m) {
  for (Index j = 0; j < m.cols(); ++j)
    for (Index i = 0; i < j; ++i) m(i, j) = m(j, i) = 0.5 * (m(i, j) + m(j, i));
}

/// The Bellman recursion from the last step to the first: Q_t = c_t + E V_{t+1}.
/// @param turn (t, Q_t, V): sets V_t, V_{t+1} until then; false ends the sweep
/// @return true if every step was reached
template <class Turn>
bool sweep_backwards(const LqModel& model, Scratch& w, Turn turn) {
  w.value = {model.cost.back().H, model.cost.back().g};
  for (std::size_t t = model.dynamics.size(); t-- > 0;) {
    bellman(model.cost[t], model.dynamics[t], w.value, w, w.q);
    if (!turn(t, w.q, w.value)) return false;
    symmetrise(w.value.V);
  }
  return true;
}

/// The parts of Q that depend on the action, of the return.
void set_return_quadratic(const ActionValue& q, Index ds, ActionQuadratic& result) {
  const Index da = q.qz.size() - ds;
  result.Qaa = -q.Qzz.bottomRightCorner(da, da);
  result.Qas = -q.Qzz.bottomLeftCorner(da, ds);
  result.qa = -q.qz.tail(da);
}

/// Moments of z = [s; a] from those of s.
void join(const Moments& s, const LinearGaussian& pi, Scratch& w, Moments& z) {
  const Index ds = s.mean.size(), da = pi.k.size();
  z.mean.resize(ds + da);
  z.cov.resize(ds + da, ds + da);
  w.KP.noalias() = pi.K * s.cov;
  z.mean.head(ds) = s.mean;
  z.mean.tail(da) = pi.k;
  z.mean.tail(da).noalias() += pi.K * s.mean;
  z.cov.topLeftCorner(ds, ds) = s.cov;
  z.cov.bottomLeftCorner(da, ds) = w.KP;
  z.cov.topRightCorner(ds, da) = w.KP.transpose();
  z.cov.bottomRightCorner(da, da) = pi.Sigma;
  z.cov.bottomRightCorner(da, da).noalias() += w.KP * pi.K.transpose();
}

/// Moments of s' = F z + f + noise.
void advance(const Moments& z, const LinearDynamics& dynamics, Scratch& w, Moments& s) {
  w.covF.noalias() = z.cov * dynamics.F.transpose();
  s.mean = dynamics.f;
  s.mean.noalias() += dynamics.F * z.mean;
  s.cov = dynamics.S;
  s.cov.noalias() += dynamics.F * w.covF;
  symmetrise(s.cov);
}

/// E q(x)
double expectation(const Quadratic& q, const Moments& x) {
  double second = 0.0;  // tr(H (cov + mean mean')) / 2, without a temporary
  for (Index j = 0; j < x.mean.size(); ++j) second += q.H.col(j).dot(x.cov.col(j)) + x.mean[j] * q.H.col(j).dot(x.mean);
  return q.c + q.g.dot(x.mean) + 0.5 * second;
}

// ---- The problem for one eta ----------------------------------------------------------------------------------------

/// What one step of the backward pass leaves for the forward pass, in the eigenvectors of C'Qaa C.
struct Step {
  VectorXd lambda;  ///< [da] eigenvalues of A, ascending
  MatrixXd W;       ///< [da, da] C U
  MatrixXd G;       ///< [da, ds] U'H: h(s) = G s + g
  VectorXd g;       ///< [da]
  VectorXd x;       ///< [da] eta + lambda
  VectorXd r;       ///< [da] eigenvalues of the new covariance relative to the old one
  VectorXd m;       ///< [da] E h_i^2 under the new state distribution
  double omega = 0.0;
  double kl = 0.0;
};

class Problem {
 public:
  Problem(const TvLinearGaussian& policy, const LqModel& model, std::optional<double> entropy_drop)
      : policy_(policy),
        model_(model),
        entropy_drop_(entropy_drop),
        steps_(model.dynamics.size()),
        q_(model.dynamics.size()),
        next_(policy) {}

  /// Backward and forward pass. @param eta >= 0, or infinity: the old policy
  /// @return false if X is not positive definite somewhere, or something is not finite
  bool evaluate(double eta) {
    ++evaluations;
    return sweep_backwards(model_, scratch_,
                           [&](std::size_t t, const ActionValue& q, Value& value) { return turn(eta, t, q, value); }) &&
           forward(eta);
  }

  /// The eta at which the KL would be the bound if it kept its law for large eta: KL -> (constant) / eta^2. After evaluate(infinity).
  [[nodiscard]] double large_eta(double bound) const {
    double sum = 0.0;
    for (const Step& step : steps_) sum += 0.5 * step.lambda.squaredNorm() + step.m.sum();
    return std::sqrt(0.5 * sum / bound);
  }

  // Of the last evaluation.
  double kl = 0.0, cost = 0.0;
  int evaluations = 0;
  [[nodiscard]] const TvLinearGaussian& minimiser() const { return next_; }
  [[nodiscard]] const Step& step(std::size_t t) const { return steps_[t]; }
  /// Q_t of the return, with V_{t+1} of the dual.
  [[nodiscard]] const std::vector<ActionQuadratic>& q() const { return q_; }
  /// Expected fall of Q by the step, under the new state distribution.
  [[nodiscard]] double gain(std::size_t t) const {
    const Step& p = steps_[t];
    double sum = 0.0;
    for (Index i = 0; i < p.x.size(); ++i)
      sum += p.m[i] / p.x[i] * (1.0 - 0.5 * p.lambda[i] / p.x[i]) - 0.5 * p.lambda[i] * (p.r[i] - 1.0);
    return sum;
  }

 private:
  bool turn(double eta, std::size_t t, const ActionValue& q, Value& value);
  bool forward(double eta);
  void minimise(double eta, Step& p);

  const TvLinearGaussian& policy_;
  const LqModel& model_;
  std::optional<double> entropy_drop_;
  std::vector<Step> steps_;
  std::vector<ActionQuadratic> q_;
  TvLinearGaussian next_;
  Scratch scratch_;
  MatrixXd A_, AC_, XG_;  // [da, da], [da, da], [da, ds]
  VectorXd xg_;
  Moments state_, joint_;
  Eigen::SelfAdjointEigenSolver<MatrixXd> eigen_;
};

/// The step of the minimiser at t, and V_t = E_{a ~ pi_t} Q_t - h'X^-1 h / 2.
bool Problem::turn(double eta, std::size_t t, const ActionValue& q, Value& value) {
  const LinearGaussian& pi = policy_[static_cast<int>(t)];
  const Index ds = pi.K.cols(), da = pi.K.rows();
  MatrixXd& Hs = scratch_.Hs;
  VectorXd& hs = scratch_.hs;
  slope_at_mean(q, pi, Hs, hs);
  set_return_quadratic(q, ds, q_[t]);

  Step& p = steps_[t];
  AC_.noalias() = q.Qzz.bottomRightCorner(da, da) * pi.C;
  A_.noalias() = pi.C.transpose() * AC_;
  symmetrise(A_);
  if (!A_.allFinite() || !Hs.allFinite() || !hs.allFinite()) return false;
  eigen_.compute(A_);
  p.lambda = eigen_.eigenvalues();
  p.x = p.lambda.array() + eta;
  if (!(p.x[0] > 0.0)) return false;
  p.W.noalias() = pi.C * eigen_.eigenvectors();
  p.G.noalias() = p.W.transpose() * Hs;
  p.g.noalias() = p.W.transpose() * hs;

  XG_ = p.x.cwiseInverse().asDiagonal() * p.G;
  xg_ = p.g.cwiseQuotient(p.x);
  value_of(q, pi, Hs, hs, value);
  value.V.noalias() -= p.G.transpose() * XG_;
  value.v.noalias() -= p.G.transpose() * xg_;

  LinearGaussian& next = next_[static_cast<int>(t)];
  next.K = pi.K;
  next.K.noalias() -= p.W * XG_;
  next.k = pi.k;
  next.k.noalias() -= p.W * xg_;
  minimise(eta, p);
  AC_ = p.W * p.r.asDiagonal();
  next.Sigma.noalias() = AC_ * p.W.transpose();
  return true;
}

/// omega_t and the eigenvalues of the new covariance: H' - H = 1/2 sum_i log r_i >= -entropy_drop,  r_i = (eta + omega) / x_i.
void Problem::minimise(double eta, Step& p) {
  const double n = static_cast<double>(p.x.size());
  p.omega = 0.0;
  if (entropy_drop_ && eta < kInfinity) {
    double log_total = -2.0 * *entropy_drop_ / n;  // log((eta + omega) / unit) that just keeps the entropy
    for (const double lambda : p.lambda) log_total += (eta > 0.0 ? std::log1p(lambda / eta) : std::log(lambda)) / n;
    if (eta == 0.0) p.omega = std::exp(log_total);
    if (eta > 0.0 && log_total > 0.0) p.omega = eta * std::expm1(log_total);
  }
  p.r = p.x.cwiseInverse();
  if (eta < kInfinity)
    p.r *= eta + p.omega;
  else
    p.r.setOnes();
}

bool Problem::forward(double eta) {
  kl = cost = 0.0;
  state_ = model_.start;
  for (std::size_t t = 0; t < steps_.size(); ++t) {
    Step& p = steps_[t];
    const Index da = p.x.size();
    p.m.noalias() = p.G * state_.mean;
    p.m = (p.m + p.g).cwiseAbs2();
    XG_.noalias() = p.G * state_.cov;
    for (Index i = 0; i < da; ++i) p.m[i] += std::max(0.0, XG_.row(i).dot(p.G.row(i)));

    p.kl = 0.0;
    for (Index i = 0; i < da && eta < kInfinity; ++i) {
      const double change = (p.omega - p.lambda[i]) / p.x[i];  // r_i - 1
      p.kl += 0.5 * ((std::abs(change) < 0.1 ? x_minus_log1p(change) : change - std::log(p.r[i])) +
                     p.m[i] / (p.x[i] * p.x[i]));
    }
    kl += p.kl;
    join(state_, next_[static_cast<int>(t)], scratch_, joint_);
    cost += expectation(model_.cost[t], joint_);
    advance(joint_, model_.dynamics[t], scratch_, state_);
  }
  cost += expectation(model_.cost.back(), state_);
  return std::isfinite(kl) && std::isfinite(cost);
}

// ---- The search for eta ---------------------------------------------------------------------------------------------

/// Finds eta with KL in [bound (1 - 2 kMargin), bound (1 - kMargin)] and leaves the problem evaluated there.
/// Bracketed search in (log eta, log KL), where the KL is nearly a straight line; where X is not positive definite the KL
/// counts as infinite. @return nullopt if no eta has a KL below the bound
std::optional<double> solve(Problem& problem, double bound, double guess) {
  struct End {
    double eta, gap;  // gap: log(KL / target), infinite where X is not positive definite
  };
  const double target = bound * (1.0 - 1.5 * kMargin);
  std::optional<End> low, high;  // KL above and below the bound
  const std::optional<End>* repeated = nullptr;
  double eta = guess;
  for (int iteration = 0; iteration < 400; ++iteration) {
    const bool defined = problem.evaluate(eta);
    const double kl = defined ? problem.kl : kInfinity;
    if (kl >= bound * (1.0 - 2.0 * kMargin) && kl <= bound * (1.0 - kMargin)) return eta;
    std::optional<End>&end = kl > target ? low : high, &other = kl > target ? high : low;
    if (end && other && repeated == &end) other->gap *= 0.5;  // the Illinois rule: both ends move
    repeated = &end;
    end = {eta, std::log(kl / target)};
    if (!high) {
      eta *= std::pow(10.0, std::min(1 << std::min(iteration, 8), 100));
      if (!(eta < 1e300)) return std::nullopt;
      continue;
    }
    if (!low) {
      eta *= std::clamp(0.9 * std::exp(0.5 * end->gap), 1e-100, 0.9);  // KL ~ eta^-2
      if (eta < 1e-300) return high->eta;                              // cannot happen while an action matters
      continue;
    }
    const double a = std::log(low->eta), b = std::log(high->eta);
    if (b - a <= 4e-16 * std::max(1.0, std::abs(b))) break;
    double share = 0.5;  // of the way from low to high
    if (std::isfinite(low->gap) && std::isfinite(high->gap) && iteration % 4 != 3)
      share = std::clamp(low->gap / (low->gap - high->gap), 1e-13, 1.0 - 1e-13);
    eta = std::exp(a + share * (b - a));
    if (!(eta > low->eta && eta < high->eta)) eta = low->eta + 0.5 * (high->eta - low->eta);
    if (!(eta > low->eta && eta < high->eta)) break;
  }
  if (!high || !problem.evaluate(high->eta)) return std::nullopt;
  return high->eta;
}

// ---- Checks and results ---------------------------------------------------------------------------------------------

void check_shapes(const TvLinearGaussian& policy, const LqModel& model) {
  const Index ds = policy.observation_dim(), da = policy.action_dim(), n = ds + da;
  const auto T = static_cast<std::size_t>(policy.horizon());
  const auto is = [](const MatrixXd& m, Index rows, Index cols) { return m.rows() == rows && m.cols() == cols; };
  bool ok = T >= 1 && da >= 1 && model.dynamics.size() == T && model.cost.size() == T + 1 &&
            model.start.mean.size() == ds && is(model.start.cov, ds, ds);
  for (const LinearDynamics& d : model.dynamics) ok = ok && is(d.F, ds, n) && d.f.size() == ds && is(d.S, ds, ds);
  for (std::size_t t = 0; ok && t <= T; ++t) {
    const Index size = t < T ? n : ds;
    ok = model.cost[t].g.size() == size && is(model.cost[t].H, size, size);
  }
  if (!ok)
    throw InputError(
        fmt::format("trajectory update: the policy has {} steps, {} observations and {} actions, but the shapes of the "
                    "model ({} dynamics, {} costs) do not agree with it",
                    T, ds, da, model.dynamics.size(), model.cost.size()));
}

void check_bounds(const TrustRegion& bounds) {
  require(bounds.epsilon > 0.0, "epsilon", bounds.epsilon, "> 0 (nats)");
  const double drop = bounds.entropy_drop.value_or(0.0);
  require(drop >= 0.0 && std::isfinite(drop), "entropy_drop", drop, ">= 0 (nats)");
}

/// Which input is not finite; null: none.
const char* not_finite(const TvLinearGaussian& policy, const LqModel& model) {
  for (int t = 0; t < policy.horizon(); ++t)
    if (!(policy[t].K.allFinite() && policy[t].k.allFinite() && policy[t].Sigma.allFinite() && policy[t].C.allFinite()))
      return "the old policy";
  if (!model.start.mean.allFinite() || !model.start.cov.allFinite()) return "the distribution of the first state";
  for (const LinearDynamics& d : model.dynamics)
    if (!d.F.allFinite() || !d.f.allFinite() || !d.S.allFinite()) return "the dynamics";
  for (const Quadratic& c : model.cost)
    if (!std::isfinite(c.c) || !c.g.allFinite() || !c.H.allFinite()) return "the cost";
  return nullptr;
}

KlLqrUpdate failed(StepStatus status, std::string message) {
  KlLqrUpdate update;
  update.status = status;
  update.message = std::move(message);
  return update;
}

/// Factorises the new covariance and measures the step. @return false if that is not positive definite
bool factor_and_measure(const LinearGaussian& old, const TrustRegion& bounds, const Moments& state,
                        GaussianStep& step) {
  symmetrise(step.next.Sigma);
  const Eigen::LLT<MatrixXd> cholesky(step.next.Sigma);
  if (cholesky.info() != Eigen::Success) return false;
  step.next.C = cholesky.matrixL();
  step.beta = least_entropy(entropy(old.C), bounds);
  measure_step(old, state, step);
  return std::isfinite(step.kl + step.entropy);
}

/// The old policy as its own update: no action matters.
KlLqrUpdate unchanged(const TvLinearGaussian& policy, const LqModel& model, const TrustRegion& bounds,
                      const Problem& problem) {
  KlLqrUpdate update;
  for (int t = 0; t < policy.horizon(); ++t) {
    GaussianStep step;
    step.next = policy[t];
    step.entropy = entropy(policy[t].C);
    step.beta = least_entropy(step.entropy, bounds);
    update.steps.push_back(std::move(step));
  }
  update.q = problem.q();
  update.cost_old = update.cost_new = problem.cost;
  for (const Moments& z : joint_moments(policy, model))
    update.states.push_back({z.mean.head(policy.observation_dim()),
                             z.cov.topLeftCorner(policy.observation_dim(), policy.observation_dim())});
  return update;
}

TvLinearGaussian policy_of(const std::vector<GaussianStep>& steps) {
  std::vector<LinearGaussian> all;
  for (const GaussianStep& step : steps) all.push_back(step.next);
  return TvLinearGaussian(std::move(all));
}

/// The solution as its stored parameters say; nothing else is trusted.
/// @param problem evaluated at eta
KlLqrUpdate stored(const TvLinearGaussian& policy, const LqModel& model, const TrustRegion& bounds,
                   const Problem& problem, double eta) {
  KlLqrUpdate update;
  update.eta = eta;
  update.evaluations = problem.evaluations;
  update.q = problem.q();
  const Index ds = policy.observation_dim();
  const std::vector<Moments> joint = joint_moments(problem.minimiser(), model);
  double entropy_residual = 0.0;
  bool ok = true;
  for (std::size_t t = 0; ok && t < joint.size(); ++t) {
    const Step& p = problem.step(t);
    update.states.push_back({joint[t].mean.head(ds), joint[t].cov.topLeftCorner(ds, ds)});
    GaussianStep step;
    step.next = problem.minimiser()[static_cast<int>(t)];
    step.eta = eta;
    step.omega = p.omega;
    step.gain = problem.gain(t);
    step.qaa_max = -p.lambda[0];
    ok = factor_and_measure(policy[static_cast<int>(t)], bounds, update.states.back(), step);
    entropy_residual = std::max(entropy_residual, step.entropy_residual);
    update.kl += step.kl;
    update.steps.push_back(std::move(step));
  }
  update.kl_residual = relative_excess(update.kl, bounds.epsilon);
  ok = ok && update.kl_residual <= kBoundTolerance && entropy_residual <= kBoundTolerance;
  if (ok) update.cost_new = expected_cost(policy_of(update.steps), model);
  if (ok && std::isfinite(update.cost_new)) return update;
  return failed(
      StepStatus::imprecise,
      fmt::format("KL {:.17g} for a bound of {:.17g}, largest excess over an entropy bound {:.3g}, eta = {:.6g}",
                  update.kl, bounds.epsilon, entropy_residual, eta));
}

}  // namespace

std::vector<Moments> joint_moments(const TvLinearGaussian& policy, const LqModel& model) {
  check_shapes(policy, model);
  std::vector<Moments> all(model.dynamics.size());
  Scratch scratch;
  Moments state = model.start;
  for (std::size_t t = 0; t < all.size(); ++t) {
    join(state, policy[static_cast<int>(t)], scratch, all[t]);
    advance(all[t], model.dynamics[t], scratch, state);
  }
  return all;
}

double expected_cost(const TvLinearGaussian& policy, const LqModel& model) {
  const std::vector<Moments> joint = joint_moments(policy, model);
  Scratch scratch;
  Moments last;
  double cost = 0.0;
  for (std::size_t t = 0; t < joint.size(); ++t) cost += expectation(model.cost[t], joint[t]);
  advance(joint.back(), model.dynamics.back(), scratch, last);
  return cost + expectation(model.cost.back(), last);
}

std::optional<KlLqrPoint> kl_lqr_dual(const TvLinearGaussian& policy, const LqModel& model, const TrustRegion& bounds,
                                      double eta) {
  check_bounds(bounds);
  check_shapes(policy, model);
  Problem problem(policy, model, bounds.entropy_drop);
  if (!problem.evaluate(eta)) return std::nullopt;
  return KlLqrPoint{eta, problem.kl, problem.cost, problem.cost + eta * (problem.kl - bounds.epsilon),
                    problem.minimiser()};
}

KlLqrUpdate kl_lqr(const TvLinearGaussian& policy, const LqModel& model, const TrustRegion& bounds) {
  check_bounds(bounds);
  check_shapes(policy, model);
  if (const char* what = not_finite(policy, model))
    return failed(StepStatus::not_finite, fmt::format("{} contains a number that is not finite", what));

  Problem problem(policy, model, bounds.entropy_drop);
  const bool finite = problem.evaluate(kInfinity);
  const double cost_old = problem.cost, guess = finite ? problem.large_eta(bounds.epsilon) : kInfinity;
  if (!finite || !std::isfinite(bounds.epsilon < kInfinity ? guess : 0.0))
    return failed(StepStatus::infeasible,
                  "no multiplier of the KL bound makes eta Sigma^-1 + Quu positive definite in the range of floating "
                  "point: costs or dynamics of the model are too large");
  if (guess == 0.0 && bounds.epsilon < kInfinity) return unchanged(policy, model, bounds, problem);

  double eta = 0.0;
  const bool without_bound = bounds.entropy_drop && problem.evaluate(0.0) && problem.kl <= bounds.epsilon;
  if (!without_bound) {
    if (bounds.epsilon == kInfinity)
      return failed(StepStatus::unbounded,
                    fmt::format("without a bound on the KL, Quu must be positive definite at every step and the "
                                "entropy bounded, but {}",
                                bounds.entropy_drop ? "Quu is not" : "there is no entropy constraint"));
    const auto found = solve(problem, bounds.epsilon, guess);
    if (!found)
      return failed(
          StepStatus::infeasible,
          fmt::format("no multiplier of the KL bound makes eta Sigma^-1 + Quu positive definite and the KL less than "
                      "{:.6g} nats; the search began at eta = {:.6g}",
                      bounds.epsilon, guess));
    eta = *found;
  }

  KlLqrUpdate update = stored(policy, model, bounds, problem, eta);
  update.cost_old = cost_old;
  return update;
}

KlLqrUpdate kl_lqr_stepwise(const TvLinearGaussian& policy, const LqModel& model, const std::vector<Gaussian>& rho,
                            const TrustRegion& bounds) {
  check_bounds(bounds);
  check_shapes(policy, model);
  const std::size_t T = model.dynamics.size();
  if (rho.size() != T)
    throw InputError(fmt::format("trajectory update: {} state distributions for {} steps", rho.size(), T));
  if (const char* what = not_finite(policy, model))
    return failed(StepStatus::not_finite, fmt::format("{} contains a number that is not finite", what));

  KlLqrUpdate update;
  update.steps.resize(T);
  update.q.resize(T);
  Scratch scratch;
  std::size_t failed_at = 0;
  const auto turn = [&](std::size_t t, const ActionValue& q, Value& value) {
    const LinearGaussian& old = policy[static_cast<int>(t)];
    GaussianStep& step = update.steps[t];
    set_return_quadratic(q, policy.observation_dim(), update.q[t]);
    step = gaussian_step(old, whiten(update.q[t], old, rho[t]), rho[t], bounds);
    failed_at = t;
    if (step.status != StepStatus::ok) return false;
    slope_at_mean(q, step.next, scratch.Hs, scratch.hs);
    value_of(q, step.next, scratch.Hs, scratch.hs, value);
    return true;
  };
  if (!sweep_backwards(model, scratch, turn)) {
    const GaussianStep& step = update.steps[failed_at];
    return failed(step.status, fmt::format("step {}: {}", failed_at, step.message));
  }
  for (std::size_t t = 0; t < T; ++t) {
    update.states.push_back({rho[t].mean, rho[t].cov});
    update.kl += update.steps[t].kl;
    update.kl_residual = std::max(update.kl_residual, update.steps[t].kl_residual);
  }
  update.cost_old = expected_cost(policy, model);
  update.cost_new = expected_cost(policy_of(update.steps), model);
  update.evaluations = 1;
  if (!std::isfinite(update.cost_new) || !std::isfinite(update.cost_old))
    return failed(StepStatus::not_finite, "the expected cost under the model is not finite");
  return update;
}

}  // namespace kedge
