// Series of several runs on one x axis, and what gives them their colours.

export type Value = number | null;

/** Colour and dashes of the i-th of many: eight colours, then the same with dashes. */
export function style(i: number): { colour: string; dash?: number[] } {
  const dashes = [undefined, [7, 4], [2, 3]];
  return { colour: `--c${(i % 8) + 1}`, dash: dashes[Math.floor(i / 8) % dashes.length] };
}

/** All x of all series, rising, and each series with null where it has no value at an x. Each x must rise. */
export function align(series: { x: ArrayLike<Value>; y: ArrayLike<Value> }[]): { x: number[]; y: Value[][] } {
  const places = new Set<number>();
  for (const s of series) for (let i = 0; i < s.x.length; ++i) if (s.x[i] !== null) places.add(s.x[i]!);
  const x = [...places].sort((a, b) => a - b);
  const index = new Map(x.map((value, i) => [value, i]));
  const y = series.map((s) => {
    const values: Value[] = new Array<Value>(x.length).fill(null);
    for (let i = 0; i < s.x.length; ++i) if (s.x[i] !== null) values[index.get(s.x[i]!)!] = s.y[i] ?? null;
    return values;
  });
  return { x, y };
}

/** The part of each path that tells it from the others: "a/moto-s1", "a/moto-s2" → "moto-s1", "moto-s2". */
export function shortNames(paths: string[]): string[] {
  const parts = paths.map((path) => path.replace(/\/+$/, '').split('/'));
  for (let length = 1; length < 20; ++length) {
    const names = parts.map((p) => p.slice(-length).join('/'));
    if (new Set(names).size === new Set(paths).size) return names;
  }
  return paths;
}

/** "3 runs", "1 run" */
export const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
