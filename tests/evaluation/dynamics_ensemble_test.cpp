// The learned model of the dynamics: its data, its fit on a system that is known, its derivatives, its correction around a
// trajectory, and what is imagined with it.
#include "kedge/evaluation/dynamics_ensemble.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kedge/evaluation/imagined.h"
#include "kedge/evaluation/local_residual.h"
#include "kedge/system/linear_system.h"

namespace kedge {
namespace {

constexpr Index kAll = std::numeric_limits<Index>::max();

/// Position and speed under a limited force, with a cost of both.
Task pendulum_like(int horizon) {
  Task task;
  task.name = "test";
  task.system = std::make_shared<LinearSystem>(MatrixXd{{1.0, 0.1}, {-0.1, 0.95}}, MatrixXd{{0.0}, {0.1}});
  task.horizon = horizon;
  task.control_step = 0.1;
  task.observation = {0, 1};
  task.observation_names = {"position", "speed"};
  task.control_index = {0};
  task.action_names = {"force"};
  task.action_low = VectorXd::Constant(1, -2.0);
  task.action_high = VectorXd::Constant(1, 2.0);
  task.start = {StartDistribution::Kind::gaussian, VectorXd::Zero(2), VectorXd::Ones(2)};
  const std::vector<char> active(static_cast<std::size_t>(horizon) + 1, 1);
  task.cost.push_back({"position",
                       {Source::state, {0}, {}, VectorXd::Ones(1), false},
                       VectorXd::Ones(1),
                       Norm::quadratic,
                       0.0,
                       active});
  std::vector<char> acting = active;
  acting.back() = 0;
  task.cost.push_back(
      {"force", {Source::control, {0}, {}, VectorXd::Zero(1), true}, VectorXd::Ones(1), Norm::absolute, 0.0, acting});
  validate(task);
  return task;
}

VectorXd true_step(const VectorXd& s, double u) {
  return MatrixXd{{1.0, 0.1}, {-0.1, 0.95}} * s + VectorXd{{0.0, 0.1 * u}};
}

/// Rollouts with random actions, some of them beyond the limits.
Batch random_rollouts(const Task& task, int rollouts, std::uint32_t name) {
  Batch batch = empty_batch(rollouts, task.horizon, 2, 2, 1, 2);
  for (int n = 0; n < rollouts; ++n) {
    Stream random(5, name, static_cast<std::uint32_t>(n), 0);
    VectorXd s(2);
    random.normal(s);
    for (int t = 0; t <= task.horizon; ++t) {
      batch.observation.col(batch.at(n, t)) = s;
      if (t == task.horizon) break;
      const double a = 2.0 * random.normal();
      batch.action(0, batch.step(n, t)) = a;
      s = true_step(s, task.limited(0, a));
    }
  }
  return batch;
}

EnsembleFit short_fit(int batches) {
  EnsembleFit how;
  how.batches = batches;
  how.minibatch = 64;
  return how;
}

DynamicsEnsemble trained(const TransitionStore& data, int batches = 300) {
  auto model =
      fit(new_ensemble(scale_of(data), 3, 16, 1), data, short_fit(batches), 0, kedge::Run{.seed = 1, .threads = 2});
  EXPECT_TRUE(model);
  return *model;
}

TEST(TransitionStore, HoldsUsableTransitionsByStepWithLimitedActions) {
  const Task task = pendulum_like(4);
  Batch first = random_rollouts(task, 3, 0);
  const Batch second = random_rollouts(task, 2, 1);
  first.diverged_at[1] = 2;
  const TransitionStore store = with_rollouts({}, task, 7, {&first, &second}, kAll);
  ASSERT_EQ(store.size(), 4 * 4);
  EXPECT_EQ(store.layout, (MatrixXd{{7.0}, {4.0}}));
  for (int t = 0; t < 4; ++t) {
    EXPECT_EQ(store.z.col(4 * t + 1).head(2), first.observation.col(first.at(2, t)));
    EXPECT_EQ(store.z(2, 4 * t + 3), std::clamp(second.action(0, second.step(1, t)), -2.0, 2.0));
    EXPECT_EQ(store.next.col(4 * t + 3), second.observation.col(second.at(1, t + 1)));
  }
  EXPECT_EQ(starts(store).col(3), second.observation.col(second.at(1, 0)));
}

/// A system whose second control is held at ten times the first entry of the state where that is positive, and whose third one
/// at 7 where the second entry of the state is below 1.
class Holding final : public System {
 public:
  [[nodiscard]] Index nx() const override { return 3; }
  [[nodiscard]] Index nu() const override { return 3; }
  [[nodiscard]] Index nsensor() const override { return 0; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Holding>(); }
  void reset(VectorIn) override {}
  [[nodiscard]] bool step(VectorIn) override { return false; }
  void settle() override {}
  void state(VectorOut) const override {}
  void sensors(VectorOut) const override {}
  void hold(VectorIn x, VectorOut u) const override {
    if (x[0] > 0.0) u[1] = 10.0 * x[0];
    if (x[1] < 1.0) u[2] = 7.0;
  }
};

Task holding_task() {
  Task task;
  task.system = std::make_shared<Holding>();
  task.horizon = 1;
  task.observation = {2, 0};  // not the second entry of the state: what its law holds is not known
  task.control_index = {2, 1};
  task.action_low = VectorXd::Constant(2, -1.0);
  task.action_high = VectorXd::Constant(2, 1.0);
  return task;
}

TEST(ReceivedAction, IsLimitedAndThenHeldByTheSystem) {
  const Task task = holding_task();
  ReceivedWork work;
  VectorXd u(2);
  received_action(task, VectorXd{{7.0, -0.5}}, VectorXd{{3.0, -0.25}}, work, u);
  EXPECT_EQ(u, (VectorXd{{1.0, -0.25}}));
  received_action(task, VectorXd{{7.0, 0.5}}, VectorXd{{-3.0, 4.0}}, work, u);
  EXPECT_EQ(u, (VectorXd{{-1.0, 5.0}}));
}

TEST(ReceivedAction, IsWhatTheModelLearnsFromAndImagines) {
  const Task task = holding_task();
  Batch batch = empty_batch(2, 1, 3, 2, 2, 0);
  batch.observation = MatrixXd{{7.0, 8.0, 7.0, 8.0}, {0.5, 0.1, -0.5, 0.2}};
  batch.action = MatrixXd{{0.5, 0.25}, {0.3, 0.3}};
  const TransitionStore data = with_rollouts({}, task, 0, {&batch}, kAll);
  EXPECT_EQ(data.z.row(3), (Eigen::RowVectorXd{{5.0, 0.3}}));

  TransitionScale scale{VectorXd::Zero(4), VectorXd::Ones(4), VectorXd::Zero(2), VectorXd::Ones(2)};
  ImaginedDynamics model{new_ensemble(scale, 1, 4, 1), {}, {}, {}};
  model.local = fit_local_residuals(model.ensemble, data, {0}, 1, 1);
  model.low = VectorXd::Constant(2, -1e3);
  model.high = VectorXd::Constant(2, 1e3);
  const Particles particles{MatrixXd{{7.0, 7.0}, {0.5, -0.5}}, MatrixXd::Zero(2, 2)};
  SystemClones one(*task.system, 1);
  const auto next = [&](int n, double action) -> VectorXd {
    const auto policy = TvLinearGaussian::constant(1, 2, VectorXd{{0.5, action}}, VectorXd::Ones(2));
    const Batch imagined = imagine(task, policy, model, particles, Predictor::mean, 1.0, one);
    return imagined.observation.col(imagined.at(n, 1));
  };
  EXPECT_EQ(next(0, 0.3), next(0, -0.3));  // held, whatever is asked
  EXPECT_NE(next(1, 0.3), next(1, -0.3));
}

TEST(TransitionStore, ForgetsWholeOldIterations) {
  const Task task = pendulum_like(4);
  TransitionStore store;
  for (int i = 0; i < 4; ++i) {
    const Batch batch = random_rollouts(task, 3, static_cast<std::uint32_t>(i));
    store = with_rollouts(store, task, i, {&batch}, 30);
  }
  EXPECT_EQ(store.layout, (MatrixXd{{2.0, 3.0}, {3.0, 3.0}}));
  EXPECT_EQ(store.size(), 24);
  const Batch third = random_rollouts(task, 3, 2);
  EXPECT_EQ(store.z.col(0).head(2), third.observation.col(0));
  EXPECT_EQ(starts(store).cols(), 6);
}

TEST(DynamicsEnsemble, FindsALinearSystem) {
  const Task task = pendulum_like(10);
  const Batch seen = random_rollouts(task, 20, 0), unseen = random_rollouts(task, 20, 1);
  const TransitionStore data = with_rollouts({}, task, 0, {&seen}, kAll);
  const TransitionStore others = with_rollouts({}, task, 1, {&unseen}, kAll);
  EXPECT_GT(median_error(mean_change(data), others), 0.2);
  EXPECT_TRUE(predict(mean_change(data), data.z.leftCols(1))
                  .isApprox(data.z.col(0).head(2) + (data.next - data.z.topRows(2)).rowwise().mean(), 1e-12));
  const DynamicsEnsemble model = trained(data);
  EXPECT_LT(median_error(model, others), 0.02);
  const MatrixXd J = predict_jacobian(model, VectorXd{{0.2, -0.1, 0.5}});
  EXPECT_LT((J - MatrixXd{{1.0, 0.1, 0.0}, {-0.1, 0.95, 0.1}}).cwiseAbs().maxCoeff(), 0.02) << J;
}

TEST(DynamicsEnsemble, HasTheJacobianOfItsPrediction) {
  const Task task = pendulum_like(10);
  const Batch batch = random_rollouts(task, 5, 0);
  const DynamicsEnsemble model = trained(with_rollouts({}, task, 0, {&batch}, kAll), 20);
  const VectorXd z{{0.3, -0.5, 0.7}};
  const MatrixXd J = predict_jacobian(model, z);
  constexpr double h = 1e-2;
  for (Index j = 0; j < 3; ++j) {
    VectorXd above = z, below = z;
    above[j] += h;
    below[j] -= h;
    EXPECT_TRUE(J.col(j).isApprox((predict(model, above) - predict(model, below)) / (2.0 * h), 1e-3)) << j;
  }
}

TEST(DynamicsEnsemble, TrainsTheSameForAnyNumberOfThreads) {
  const Task task = pendulum_like(10);
  const Batch batch = random_rollouts(task, 5, 0);
  const TransitionStore data = with_rollouts({}, task, 0, {&batch}, kAll);
  const auto with = [&](int threads) {
    return *fit(new_ensemble(scale_of(data), 3, 16, 1), data, short_fit(30), 4,
                kedge::Run{.seed = 2, .threads = threads});
  };
  const DynamicsEnsemble one = with(1);
  for (const int threads : {2, 8})
    for (std::size_t e = 0; e < 3; ++e) EXPECT_EQ(one.members[e].weights, with(threads).members[e].weights);
  EXPECT_NE(one.members[0].weights, one.members[1].weights);
}

TEST(DynamicsEnsemble, HasNoValueWhenStopped) {
  const Task task = pendulum_like(10);
  const Batch batch = random_rollouts(task, 5, 0);
  const TransitionStore data = with_rollouts({}, task, 0, {&batch}, kAll);
  std::stop_source stop;
  stop.request_stop();
  const auto model =
      fit(new_ensemble(scale_of(data), 2, 16, 1), data, short_fit(30), 0, kedge::Run{.stop = stop.get_token()});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.ending().stop, Stop::cancelled);
}

/// A model that has learned little, and data from three iterations.
struct Local {
  Task task = pendulum_like(10);
  TransitionStore data;
  DynamicsEnsemble model;
  Local() {
    for (int i = 0; i < 3; ++i) {
      const Batch batch = random_rollouts(task, 4, static_cast<std::uint32_t>(i));
      data = with_rollouts(data, task, i, {&batch}, kAll);
    }
    model = trained(data, 5);
  }
};

TEST(LocalResiduals, ChooseTheKernelWithTheLeastLeaveOneOutError) {
  const Local local;
  const LocalResiduals fitted = fit_local_residuals(local.model, local.data, {0, 1, 2}, 10, 2);
  // The error again, by leaving out one sample after another, at the steps 0 and 8.
  const auto error_of = [&](const ResidualKernel& kernel) {
    double sum = 0.0;
    Index count = 0;
    for (const int t : {0, 8}) {
      MatrixXd x = fitted.steps[static_cast<std::size_t>(t)].x;
      const Index n = x.cols();
      MatrixXd z = (local.model.scale.z_scale.asDiagonal() * x).colwise() + local.model.scale.z_mean;
      MatrixXd r(2, n);
      for (Index i = 0; i < n; ++i)
        r.col(i) = (true_step(z.col(i).head(2), z(2, i)) - predict(local.model, z.col(i)))
                       .cwiseQuotient(local.model.scale.change_scale);
      for (Index i = 0; i < n; ++i) {
        MatrixXd others(3, n - 1), r_others(2, n - 1);
        others << x.leftCols(i), x.rightCols(n - 1 - i);
        r_others << r.leftCols(i), r.rightCols(n - 1 - i);
        MatrixXd K = kernel_values(kernel, others, others);
        K.diagonal().array() += kernel.noise;
        const VectorXd predicted = r_others * K.ldlt().solve(kernel_values(kernel, others, x.col(i)));
        sum += (r.col(i) - predicted).squaredNorm();
        count += 2;
      }
    }
    return std::sqrt(sum / static_cast<double>(count));
  };
  EXPECT_NEAR(fitted.error, error_of(fitted.kernel), 1e-6 * fitted.error);
  for (const double length : {0.5, 1.0, 2.0, 4.0, 8.0, 16.0})
    for (const double noise : {1e-3, 1e-2, 1e-1}) EXPECT_GE(error_of({length, noise}), fitted.error * (1.0 - 1e-6));
}

TEST(LocalResiduals, UseTheNeighbouringStepsOfTheirIterations) {
  const Local local;
  const LocalResiduals fitted = fit_local_residuals(local.model, local.data, {0, 2}, 10, 1);
  EXPECT_EQ(fitted.steps[0].x.cols(), 2 * 2 * 4);
  EXPECT_EQ(fitted.steps[5].x.cols(), 2 * 3 * 4);
  EXPECT_EQ(fitted.steps[9].x.cols(), 2 * 2 * 4);
}

/// Simulates one particle with the model, written plainly.
std::vector<VectorXd> plain(const Local& local, const ImaginedDynamics& model, const Particles& particles, Index n,
                            const TvLinearGaussian& policy, std::optional<std::size_t> member, double spread) {
  const TransitionScale& scale = local.model.scale;
  std::vector<VectorXd> path = {particles.start.col(n)};
  const Index N = particles.start.cols();
  EnsembleWork work;
  for (int t = 0; t < local.task.horizon; ++t) {
    const VectorXd& s = path.back();
    const VectorXd a = policy[t].K * s + policy[t].k + spread * policy[t].C * particles.noise.col(t * N + n);
    VectorXd z(3);
    z << s, local.task.limited(0, a[0]);
    const VectorXd x = (z - scale.z_mean).cwiseQuotient(scale.z_scale);
    const LocalResidual& step = model.local.steps[static_cast<std::size_t>(t)];
    const MatrixXd k = kernel_values(model.local.kernel, step.x, x);
    VectorXd change = VectorXd::Zero(2);
    for (std::size_t e = 0; e < 3; ++e) {
      if (member && e != *member) continue;
      MatrixXd y(2, 1);
      scaled_changes(local.model, e, z, work, y);
      change += (y + step.coefficients[e] * k).col(0) / (member ? 1.0 : 3.0);
    }
    path.push_back(
        (s + scale.change_mean + scale.change_scale.cwiseProduct(change)).cwiseMax(model.low).cwiseMin(model.high));
  }
  return path;
}

TEST(Imagine, FollowsTheMeanOrTheMembers) {
  const Local local;
  ImaginedDynamics model{local.model, fit_local_residuals(local.model, local.data, {1, 2}, 10, 1), {}, {}};
  set_range(local.data, model);
  Particles particles{MatrixXd(2, 7), MatrixXd(1, 70)};
  Stream random(3, 0, 0, 0);
  random.normal(particles.start.reshaped());
  random.normal(particles.noise.reshaped());
  TvLinearGaussian policy = TvLinearGaussian::constant(10, 2, VectorXd::Constant(1, 0.5), VectorXd::Constant(1, 3.0));
  for (int t = 0; t < 10; ++t) policy[t].K = MatrixXd{{-0.5, 0.1 * t}};
  SystemClones one(*local.task.system, 1), four(*local.task.system, 4);
  for (const Predictor predictor : {Predictor::mean, Predictor::members}) {
    const Batch batch = imagine(local.task, policy, model, particles, predictor, 0.5, one);
    for (int n = 0; n < 7; ++n) {
      // Seven particles of three members: 2, 2 and 3.
      const std::size_t member = n < 2 ? 0 : n < 4 ? 1 : 2;
      const auto path = plain(local, model, particles, n, policy,
                              predictor == Predictor::mean ? std::nullopt : std::optional(member), 0.5);
      double cost = 0.0;
      for (int t = 0; t <= 10; ++t) {
        EXPECT_TRUE(batch.observation.col(batch.at(n, t)).isApprox(path[static_cast<std::size_t>(t)], 1e-4))
            << n << " " << t;
        cost += std::pow(batch.observation(0, batch.at(n, t)) - 1.0, 2);
        if (t < 10) cost += std::abs(std::clamp(batch.action(0, batch.step(n, t)), -2.0, 2.0));
      }
      EXPECT_NEAR(-rollout_return(batch, n), cost, 1e-9 * cost);
    }
    const Batch again = imagine(local.task, policy, model, particles, predictor, 0.5, four);
    EXPECT_EQ(batch.observation, again.observation);
    EXPECT_EQ(batch.cost, again.cost);
  }
}

TEST(Imagine, StaysNearTheData) {
  const Local local;
  ImaginedDynamics model{local.model, fit_local_residuals(local.model, local.data, {2}, 10, 1), {}, {}};
  set_range(local.data, model);
  const Particles particles{MatrixXd::Constant(2, 3, 1e6), MatrixXd::Zero(1, 30)};
  const auto policy = TvLinearGaussian::constant(10, 2, VectorXd::Zero(1), VectorXd::Ones(1));
  SystemClones one(*local.task.system, 1);
  const Batch batch = imagine(local.task, policy, model, particles, Predictor::mean, 1.0, one);
  const double low = std::min(local.data.z.row(0).minCoeff(), local.data.next.row(0).minCoeff());
  const double high = std::max(local.data.z.row(0).maxCoeff(), local.data.next.row(0).maxCoeff());
  for (int t = 1; t <= 10; ++t) EXPECT_LE(batch.observation(0, batch.at(1, t)), high + 0.25 * (high - low) + 1e-12);
}

}  // namespace
}  // namespace kedge
