#include "small_tasks.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace kedge::test {

namespace {

class Integrator final : public System {
 public:
  Integrator(MatrixXd A, MatrixXd B, double edge)
      : A_(std::move(A)), B_(std::move(B)), edge_(edge), x_(VectorXd::Zero(2)) {}
  [[nodiscard]] Index nx() const override { return 2; }
  [[nodiscard]] Index nu() const override { return 1; }
  [[nodiscard]] Index nsensor() const override { return 0; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<Integrator>(*this); }
  void reset(VectorIn x) override { x_ = x; }
  [[nodiscard]] bool step(VectorIn u) override {
    x_ = (A_ * x_ + B_ * u).eval();
    return std::abs(x_[0]) <= edge_;
  }
  void settle() override {}
  void state(VectorOut x) const override { x = x_; }
  void sensors(VectorOut) const override {}
  [[nodiscard]] std::vector<Drive> drives() const override { return {{0, 0, 1}}; }
  [[nodiscard]] bool inverse_dynamics(VectorIn, VectorIn acceleration, VectorOut u, MatrixOut inertia) override {
    u = acceleration;  // of a unit mass
    inertia.setIdentity();
    return true;
  }

 private:
  MatrixXd A_, B_;
  double edge_;
  VectorXd x_;
};

}  // namespace

DoubleIntegrator::DoubleIntegrator() : A(2, 2), B(2, 1), Q(2, 2), R(1, 1), Qf(2, 2) {
  A << 1, 0.1, 0, 1;
  B << 0.005, 0.1;
  Q << 1, 0, 0, 0.1;
  R << 0.01;
  Qf << 50, 0, 0, 5;
  start = {StartDistribution::Kind::gaussian, VectorXd(2), VectorXd(2)};
  start.mean << 1, -0.5;
  start.spread << 0.2, 0.2;
}

Task DoubleIntegrator::task(double edge, double limit) const {
  Task task;
  task.name = "double_integrator";
  task.system = std::make_shared<Integrator>(A, B, edge);
  task.horizon = T;
  task.control_step = 0.1;
  task.observation = {0, 1};
  task.observation_names = {"x", "v"};
  task.control_index = {0};
  task.action_names = {"force"};
  task.action_low = VectorXd::Constant(1, -limit);
  task.action_high = VectorXd::Constant(1, limit);
  task.start = start;
  std::vector<char> decisions(static_cast<std::size_t>(T) + 1, 1), end(static_cast<std::size_t>(T) + 1, 0);
  decisions.back() = 0;
  end.back() = 1;
  const VectorXd zero = VectorXd::Zero(2);
  task.cost.push_back({"state", {Source::state, {0, 1}, {}, zero, false}, Q.diagonal(), Norm::quadratic, 0, decisions});
  task.cost.push_back(
      {"force", {Source::action, {0}, {}, zero.head(1), true}, R.diagonal(), Norm::quadratic, 0, decisions});
  task.cost.push_back({"arrival", {Source::state, {0, 1}, {}, zero, false}, Qf.diagonal(), Norm::quadratic, 0, end});
  task.success.push_back(
      {{Source::state, {0}, {}, zero.head(1), false}, Success::Statistic::max_abs, 0.1, end, "|x| at the end < 0.1"});
  return task;
}

double DoubleIntegrator::expected_cost(const TvLinearGaussian& policy) const {
  VectorXd mean = start.mean;
  MatrixXd cov = start.spread.array().square().matrix().asDiagonal();
  double cost = 0.0;
  for (int t = 0; t < T; ++t) {
    const MatrixXd& K = policy[t].K;
    const VectorXd a = K * mean + policy[t].k;
    cost += mean.dot(Q * mean) + (Q * cov).trace() + a.dot(R * a) + (R * K * cov * K.transpose()).trace();
    const MatrixXd closed = A + B * K;
    mean = (A * mean + B * a).eval();
    cov = (closed * cov * closed.transpose()).eval();
  }
  return cost + mean.dot(Qf * mean) + (Qf * cov).trace();
}

double DoubleIntegrator::least_cost() const {
  MatrixXd P = Qf;
  for (int t = 0; t < T; ++t) {
    const MatrixXd K = -(R + B.transpose() * P * B).inverse() * B.transpose() * P * A;
    const MatrixXd closed = A + B * K;
    P = (Q + K.transpose() * R * K + closed.transpose() * P * closed).eval();
  }
  const MatrixXd cov = start.spread.array().square().matrix().asDiagonal();
  return start.mean.dot(P * start.mean) + (P * cov).trace();
}

Task with_steady_costs(Task task) {
  std::erase_if(task.cost, [](const CostTerm& term) {
    return std::find(term.active.begin(), term.active.end() - 1, 0) != term.active.end() - 1;
  });
  for (CostTerm& term : task.cost) term.active.back() = term.residual.needs_action ? 0 : 1;
  return task;
}

MotoOptions small_options() {
  MotoOptions options;
  options.iterations = 30;
  options.rollouts = 20;
  options.epsilon = 0.2;
  options.beta0 = 0.1;
  options.initial_std = 3.0;
  options.window = 3;
  return options;
}

namespace {
template <class State, class Algorithm, class AlgorithmOptions>
Recording<State> recorded(const Algorithm& algorithm, const Task& task, State state, const AlgorithmOptions& options,
                          Run run) {
  Recording<State> r;
  run.record_updates = true;
  r.result = algorithm(task, std::move(state), options, run,
                       [&](const Iteration& iteration, const State& now, const UpdateRecord* updates) {
                         r.iterations.push_back(iteration);
                         r.policies.push_back(now.policy);
                         if (updates) r.records.push_back(*updates);
                       });
  return r;
}
}  // namespace

Recording<MotoState> record(const Task& task, MotoState state, const MotoOptions& options, Run run) {
  return recorded(moto, task, std::move(state), options, std::move(run));
}
Recording<GpsState> record(const Task& task, GpsState state, const GpsOptions& options, Run run) {
  return recorded(gps, task, std::move(state), options, std::move(run));
}

double metric(const Iteration& iteration, const std::string& name) {
  for (const Metric& m : iteration.metrics)
    if (m.first == name) return m.second;
  return std::numeric_limits<double>::quiet_NaN();
}

bool same_bits(const TvLinearGaussian& a, const TvLinearGaussian& b) {
  bool same = a.horizon() == b.horizon();
  for (int t = 0; same && t < a.horizon(); ++t)
    same = same_bits(a[t].K, b[t].K) && same_bits(a[t].k, b[t].k) && same_bits(a[t].Sigma, b[t].Sigma) &&
           same_bits(a[t].C, b[t].C);
  return same;
}

bool same_bits(const Fields& a, const Fields& b) {
  const auto same = [](double x, double y) {
    return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y);
  };
  const auto equal = [&](const Field& x, const Field& y) {
    if (x.name != y.name || x.value.index() != y.value.index()) return false;
    if (const auto* whole = std::get_if<std::int64_t>(&x.value)) return *whole == std::get<std::int64_t>(y.value);
    if (const auto* number = std::get_if<double>(&x.value)) return same(*number, std::get<double>(y.value));
    const auto &m = std::get<MatrixXd>(x.value), &n = std::get<MatrixXd>(y.value);
    return m.rows() == n.rows() && m.cols() == n.cols() && std::equal(m.data(), m.data() + m.size(), n.data(), same);
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

bool same(const Iteration& a, const Iteration& b) {
  return a.number == b.number && a.metrics == b.metrics && a.warnings == b.warnings;
}

}  // namespace kedge::test
