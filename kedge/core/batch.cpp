#include "kedge/core/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "kedge/core/text.h"

namespace kedge {

Batch empty_batch(int rollouts, int horizon, Index nx, Index ds, Index da, Index terms) {
  const Index states = Index{rollouts} * (horizon + 1), steps = Index{rollouts} * horizon;
  Batch batch;
  batch.rollouts = rollouts;
  batch.horizon = horizon;
  batch.state = MatrixXd::Zero(nx, states);
  batch.observation = MatrixXd::Zero(ds, states);
  batch.action = MatrixXd::Zero(da, steps);
  batch.terms = MatrixXd::Zero(terms, states);
  batch.cost = MatrixXd::Zero(horizon + 1, rollouts);
  batch.success = VectorXd::Constant(rollouts, std::numeric_limits<double>::quiet_NaN());
  batch.diverged_at.assign(static_cast<std::size_t>(rollouts), -1);
  batch.why_diverged.resize(static_cast<std::size_t>(rollouts));
  batch.ended_at.assign(static_cast<std::size_t>(rollouts), -1);
  return batch;
}

int usable_rollouts(const Batch& batch) {
  int count = 0;
  for (int n = 0; n < batch.rollouts; ++n) count += batch.usable(n);
  return count;
}

int diverged_rollouts(const Batch& batch) { return batch.rollouts - usable_rollouts(batch); }

int ended_rollouts(const Batch& batch) {
  return static_cast<int>(std::count_if(batch.ended_at.begin(), batch.ended_at.end(), [](int t) { return t >= 0; }));
}

std::string divergence_text(const Batch& batch) {
  struct Cause {
    std::string kind, text;
    int count = 0;
  };
  std::vector<Cause> causes;
  for (const std::string& why : batch.why_diverged) {
    if (why.empty()) continue;
    const std::string kind = without_numbers(why);
    auto found = std::find_if(causes.begin(), causes.end(), [&](const Cause& c) { return c.kind == kind; });
    if (found == causes.end()) found = causes.insert(found, {kind, why, 0});
    ++found->count;
  }
  if (causes.empty()) return {};
  std::stable_sort(causes.begin(), causes.end(), [](const Cause& a, const Cause& b) { return a.count > b.count; });
  if (causes.size() == 1) return causes.front().text;
  std::vector<std::string> texts;
  for (const Cause& cause : causes) texts.push_back(fmt::format("{} ({})", cause.text, cause.count));
  return list(texts);
}

double rollout_return(const Batch& batch, int n) { return -batch.cost.col(n).sum(); }

std::vector<double> returns(const Batch& batch) {
  std::vector<double> values;
  for (int n = 0; n < batch.rollouts; ++n)
    if (batch.usable(n)) values.push_back(rollout_return(batch, n));
  return values;
}

double return_mean(const Batch& batch) {
  const std::vector<double> values = returns(batch);
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::int64_t simulated_steps(const Batch& batch) {
  std::int64_t steps = 0;
  for (int n = 0; n < batch.rollouts; ++n) {
    const int diverged_at = batch.diverged_at[static_cast<std::size_t>(n)];
    steps += diverged_at < 0 ? batch.steps(n) : std::min(diverged_at + 1, batch.horizon);
  }
  return steps;
}

double success_rate(const Batch& batch, double below) {
  return static_cast<double>((batch.success.array() < below).count()) / static_cast<double>(batch.rollouts);
}

MatrixXd observations_at(const Batch& batch, int t) {
  MatrixXd s(batch.observation.rows(), usable_rollouts(batch));
  Index column = 0;
  for (int n = 0; n < batch.rollouts; ++n)
    if (batch.usable(n)) s.col(column++) = batch.observation.col(batch.at(n, t));
  return s;
}

}  // namespace kedge
