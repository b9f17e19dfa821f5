#include "kedge/evaluation/epoch.h"

namespace kedge {

Transitions transitions(const Batch& batch) {
  Transitions d;
  d.per_step = usable_rollouts(batch);
  const Index n = d.per_step * batch.horizon, ds = batch.observation.rows(), da = batch.action.rows();
  d.x.resize(ds + da, n);
  d.next.resize(ds, n);
  d.terms.resize(batch.terms.rows(), n);
  d.next_terms.resize(batch.terms.rows(), n);
  d.cost_to_go.resize(n);
  Index column = 0;
  for (int rollout = 0; rollout < batch.rollouts; ++rollout) {
    if (!batch.usable(rollout)) continue;
    double to_go = batch.cost(batch.horizon, rollout);
    for (int t = batch.horizon - 1; t >= 0; --t) {
      const Index sample = t * d.per_step + column, at = batch.at(rollout, t);
      to_go += batch.cost(t, rollout);
      d.x.col(sample).head(ds) = batch.observation.col(at);
      d.x.col(sample).tail(da) = batch.action.col(batch.step(rollout, t));
      d.next.col(sample) = batch.observation.col(at + 1);
      d.terms.col(sample) = batch.terms.col(at);
      d.next_terms.col(sample) = batch.terms.col(at + 1);
      d.cost_to_go[sample] = to_go;
    }
    ++column;
  }
  return d;
}

}  // namespace kedge
