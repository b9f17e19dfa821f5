#include "kedge/evaluation/step_samples.h"

#include <algorithm>
#include <cmath>

namespace kedge {

StepSamples step_samples(const std::vector<const Batch*>& batches) {
  Index N = 0, rollouts = 0;
  for (const Batch* batch : batches) {
    rollouts += usable_rollouts(*batch);
    for (int n = 0; n < batch->rollouts; ++n)
      if (batch->usable(n)) N += batch->steps(n);
  }
  const Index ds = batches.front()->observation.rows(), da = batches.front()->action.rows();
  StepSamples all{MatrixXd(ds, N),        {}, MatrixXd(da, N),    VectorXd(N), {},
                  MatrixXd(ds, rollouts), {}, VectorXd(rollouts), {}};
  all.step.reserve(static_cast<std::size_t>(N));
  Index next = 0;
  for (const Batch* batch : batches)
    for (int n = 0; n < batch->rollouts; ++n) {
      if (!batch->usable(n)) continue;
      const int T = batch->steps(n);
      all.s.middleCols(next, T) = batch->observation.middleCols(batch->at(n, 0), T);
      all.a.middleCols(next, T) = batch->action.middleCols(batch->step(n, 0), T);
      all.reward.segment(next, T) = -batch->cost.col(n).head(T);
      all.reward[next + T - 1] -= batch->cost(T, n);
      for (int t = 0; t < T; ++t) all.step.push_back(t);
      all.end.col(static_cast<Index>(all.segments.size())) = batch->observation.col(batch->at(n, T));
      all.end_cost[static_cast<Index>(all.segments.size())] = batch->cost(T, n);
      all.end_step.push_back(T);
      all.ended_early.push_back(batch->end(n) >= 0);
      all.segments.push_back({next, T, 0.0});
      next += T;
    }
  return all;
}

VectorXd values_after_early_ends(const Task& task, VectorIn steps_left, StepSamples& samples) {
  VectorXd value = VectorXd::Zero(samples.end_cost.size());
  for (Index i = 0; i < value.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (!samples.ended_early[at]) continue;
    const int missing = task.horizon - samples.end_step[at];
    const auto distance = [&](const Termination& end) {
      return std::abs(samples.end_cost[i] - (end.cost + end.missing_step * missing));
    };
    const Termination& end = *std::ranges::min_element(task.termination, {}, distance);
    const Segment& segment = samples.segments[at];
    samples.reward[segment.first + segment.count - 1] += end.missing_step * missing;
    value[i] = -end.missing_step * steps_left[samples.end_step[at]];
  }
  return value;
}

void leave_out_final_costs(StepSamples& samples) {
  for (std::size_t i = 0; i < samples.segments.size(); ++i)
    if (const Segment& segment = samples.segments[i]; !samples.ended_early[i])
      samples.reward[segment.first + segment.count - 1] += samples.end_cost[static_cast<Index>(i)];
}

MatrixXd with_time(MatrixIn s, const std::vector<int>& step, int horizon) {
  MatrixXd x(s.rows() + 1, s.cols());
  x.topRows(s.rows()) = s;
  for (Index n = 0; n < s.cols(); ++n)
    x(s.rows(), n) = static_cast<double>(step[static_cast<std::size_t>(n)]) / static_cast<double>(horizon);
  return x;
}

}  // namespace kedge
