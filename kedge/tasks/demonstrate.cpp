#include "kedge/tasks/demonstrate.h"

#include <cassert>

#include "kedge/rollout/rollout.h"
#include "kedge/system/demonstration.h"

namespace kedge {

namespace {

/// Plays recorded actions, whatever the state.
class Playback final : public Policy {
 public:
  Playback(const MatrixXd& action, Index ds) : action_(action), ds_(ds) {}
  [[nodiscard]] int horizon() const override { return static_cast<int>(action_.cols()); }
  [[nodiscard]] Index observation_dim() const override { return ds_; }
  [[nodiscard]] Index action_dim() const override { return action_.rows(); }
  void mean(int t, VectorIn, VectorOut a) const override { a = action_.col(t); }
  void sample(int t, VectorIn s, Stream&, VectorOut a) const override { mean(t, s, a); }
  [[nodiscard]] double log_prob(int, VectorIn, VectorIn) const override { return 0.0; }

 private:
  const MatrixXd& action_;
  Index ds_;
};

DemonstratedTerm describe(const CostTerm& term, int number, const Task& task, const Batch& batch) {
  DemonstratedTerm result;
  result.name = term.name;
  result.target = term.residual.target;
  const Index n = term.residual.target.size();
  VectorXd sum = VectorXd::Zero(n), squares = VectorXd::Zero(n), r(n), u = VectorXd::Zero(task.system->nu());
  int count = 0;
  const int end = batch.usable(0) ? batch.horizon + 1 : batch.diverged_at[0];
  for (int t = 0; t < end; ++t) {
    if (!term.active[static_cast<std::size_t>(t)]) continue;
    ++count;
    result.cost += batch.terms(number, batch.at(0, t));
    if (term.residual.source == Source::sensor) continue;
    const VectorXd a = t < batch.horizon ? VectorXd(batch.action.col(batch.step(0, t))) : VectorXd::Zero(task.da());
    for (Index i = 0; i < task.da(); ++i)
      u[task.control_index[static_cast<std::size_t>(i)]] = std::clamp(a[i], task.action_low[i], task.action_high[i]);
    residual(term.residual, batch.state.col(batch.at(0, t)), a, u, VectorXd(), r);
    r += term.residual.target;
    sum += r;
    squares += r.cwiseAbs2();
  }
  if (term.residual.source == Source::sensor || count == 0) return result;
  result.mean = sum / count;
  result.rms = (squares / count).cwiseSqrt();
  return result;
}

}  // namespace

DemonstrationReport demonstrate(const Task& task) {
  assert(task.demonstration);
  const Demonstration& shown = *task.demonstration;
  Task played = shortened(task, shown.steps());
  played.start.mean = shown.state.col(0);
  played.start.spread.setZero();
  DemonstrationReport report;
  report.batch = *rollout(played, Playback(shown.action, task.ds()), {.explore = false}, Run{});
  for (std::size_t i = 0; i < played.cost.size(); ++i)
    report.terms.push_back(describe(played.cost[i], static_cast<int>(i), played, report.batch));
  report.replay_error = replay_error(task, shown);
  return report;
}

}  // namespace kedge
