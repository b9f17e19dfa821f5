// What a policy does, as in kedge/policy: one function for each kind that kedge writes (policy_json in replay.cpp).
import type { Numbers, PolicyData, Ref } from './payload';

/** The action for observation `s` at step `t`; `noise`: a standard normal number for each entry of the action, or null for the mean. */
export type Act = (t: number, s: ArrayLike<number>, noise: (() => number) | null) => Float64Array;

/** mean K s + k, covariance C C'. */
function linearGaussian(policy: PolicyData, numbers: Numbers): Act {
  const { ds, da } = policy;
  const K = numbers.doubles(policy.K as Ref);
  const k = numbers.doubles(policy.k as Ref);
  const C = numbers.doubles(policy.C as Ref);
  return (t, s, noise) => {
    const a = new Float64Array(da);
    for (let i = 0; i < da; ++i) {
      let sum = 0;
      for (let j = 0; j < ds; ++j) sum += K[(t * da + i) * ds + j]! * s[j]!;
      a[i] = sum + k[t * da + i]!;
    }
    if (noise) {
      const z = Array.from({ length: da }, noise);
      for (let i = 0; i < da; ++i) for (let j = 0; j <= i; ++j) a[i] = a[i]! + C[(t * da + i) * da + j]! * z[j]!;
    }
    return a;
  };
}

/** kedge/policy/mlp_gaussian.h: the same at every step but for its last input, t / clock, where it has a clock. */
function network(policy: PolicyData, numbers: Numbers): Act {
  const { ds, da } = policy;
  const clock = policy.clock as number;
  const clip = (policy.inputClip as number) || Infinity;
  const list = (name: string) => policy[name] as number[];
  const sizes = [ds + (clock > 0 ? 1 : 0), ...list('hidden'), da];
  const theta = numbers.doubles(policy.theta as Ref);
  const bend = policy.activation === 'tanh' ? Math.tanh : (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  return (t, s, noise) => {
    let at = 0;
    const seen = (i: number) => (i < ds ? s[i]! : t / clock);
    let x = Float64Array.from(list('inputMean'), (mean, i) => Math.min(Math.max((seen(i) - mean) / list('inputScale')[i]!, -clip), clip));
    for (let l = 1; l < sizes.length; ++l) {
      const next = new Float64Array(sizes[l]!);
      const last = l === sizes.length - 1;
      x.forEach((value, j) => next.forEach((_, i) => (next[i] = next[i]! + theta[at + j * next.length + i]! * value)));
      at += x.length * next.length;
      if (!last || policy.outputBias) {
        next.forEach((_, i) => (next[i] = next[i]! + theta[at + i]!));
        at += next.length;
      }
      x = last ? next.map((value, i) => value * list('outputScale')[i]!) : next.map(bend);
    }
    return noise ? x.map((mean, i) => mean + Math.exp(theta[at + i]!) * noise()) : x;
  };
}

/** kedge/policy/dmp.h: linear within limits, which the page applies to every action. */
const dmp = linearGaussian;

const kinds: Record<string, (policy: PolicyData, numbers: Numbers) => Act> = { tv_linear_gaussian: linearGaussian, mlp_gaussian: network, dmp };

/** Null if the page does not know this kind. */
export function act(policy: PolicyData, numbers: Numbers): Act | null {
  return kinds[policy.kind]?.(policy, numbers) ?? null;
}
