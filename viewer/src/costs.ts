// Costs and success of a rollout, as in kedge/system/task.cpp.
import type { CostTerm, Residual, Success } from './payload';

/** What a residual may look at, at one step. */
export interface Moment {
  state: ArrayLike<number>;
  action: ArrayLike<number>;
  control: ArrayLike<number>;
  sensor: ArrayLike<number>;
}

export function residual(r: Residual, now: Moment): number[] {
  const q = r.index.map((i) => now[r.source][i]!);
  if (r.matrix.length === 0) return q.map((value, j) => value - r.target[j]!);
  return r.matrix.map((row, i) => row.reduce((sum, m, j) => sum + m * q[j]!, -r.target[i]!));
}

export function termValue(term: CostTerm, now: Moment): number {
  return residual(term, now).reduce((sum, r, j) => {
    const value = term.norm === 'quadratic' ? r * r : term.norm === 'absolute' ? Math.abs(r) : Math.hypot(r, term.width) - term.width;
    return sum + term.weight[j]! * value;
  }, 0);
}

/** Reads the success measure while a rollout runs. */
export class SuccessMeter {
  private sum = 0;
  private largest = 0;
  private count = 0;
  constructor(private readonly success: Success) {}
  add(t: number, now: Moment): void {
    if (this.success.active[t] !== '1') return;
    for (const r of residual(this.success, now)) {
      this.sum += Math.abs(r);
      this.largest = Math.max(this.largest, Math.abs(r));
      this.count += 1;
    }
  }
  value(): number {
    return this.success.statistic === 'max_abs' ? this.largest : this.sum / this.count;
  }
}
