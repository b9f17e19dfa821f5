// Costs and success of a rollout, as in kedge/system/task.cpp.
import type { CostTerm, Residual, Success } from './payload';

/** What a residual may look at, at one step. */
export interface Moment {
  state: ArrayLike<number>;
  action: ArrayLike<number>;
  control: ArrayLike<number>;
  sensor: ArrayLike<number>;
}

/** An angle moved by whole turns into [-pi, pi]. */
function wrapped(angle: number): number {
  const turn = 2 * Math.PI;
  return angle - turn * Math.round(angle / turn);
}

export function residual(r: Residual, now: Moment): number[] {
  const q = r.index.map((i) => now[r.source][i]!);
  if (r.quaternion && q.reduce((sum, value, j) => sum + value * r.target[j]!, 0) < 0) q.forEach((value, j) => (q[j] = -value));
  const rows =
    r.matrix.length === 0
      ? q.map((value, j) => value - r.target[j]!)
      : r.matrix.map((row, i) => row.reduce((sum, m, j) => sum + m * q[j]!, -r.target[i]!));
  return r.angle ? rows.map(wrapped) : rows;
}

function normValue(term: CostTerm, r: number): number {
  switch (term.norm) {
    case 'quadratic':
    case 'distance':
      return r * r;
    case 'absolute':
      return Math.abs(r);
    case 'smooth':
      return Math.hypot(r, term.width) - term.width;
    case 'bounded':
      return (r * r * term.width * term.width) / (r * r + term.width * term.width);
  }
}

export function termValue(term: CostTerm, now: Moment): number {
  const sum = residual(term, now).reduce((total, r, j) => total + term.weight[j]! * normValue(term, r), 0);
  return term.norm === 'distance' ? Math.sqrt(sum + term.width * term.width) - term.width : sum;
}

/** Reads the success measure while a rollout runs. */
export class SuccessMeter {
  private sum = 0;
  private largest = 0;
  private count = 0;
  constructor(private readonly success: Success) {}
  add(t: number, now: Moment): void {
    if (this.success.active[t] !== '1') return;
    const rows = residual(this.success, now);
    for (const r of rows) {
      this.sum += Math.abs(r);
      if (this.success.statistic === 'max_abs') this.largest = Math.max(this.largest, Math.abs(r));
      this.count += 1;
    }
    if (this.success.statistic === 'max_distance') this.largest = Math.max(this.largest, Math.hypot(...rows));
  }
  value(): number {
    return this.success.statistic === 'mean_abs' ? this.sum / this.count : this.largest;
  }
}
