// The page of kedge view: runs as they are, and as they grow. It asks for changes, then for the rows that it does not have.
import './theme';
import './live.css';
import { make, short } from './dom';
import { Plot, type Line, type PlotOptions } from './plot';
import { align, count, shortNames, style, type Value } from './series';
import { setTheme, theme, themeButton } from './theme';

// ---- what the server says (kedge/pages/run_view.h)

type State = 'unread' | 'training' | 'interrupted' | 'finished' | 'failed' | 'damaged';
interface Warning {
  text: string;
  count: number;
  first: number;
  last: number;
}
interface Summary {
  directory: string;
  state: State;
  detail: string;
  iterations: number;
  generation: number;
  algorithm?: string;
  task?: string;
  overrides?: string[];
  seed?: string; // a whole number, perhaps too large for a number
  asked?: number;
  measures_success?: boolean;
  versions?: Record<string, string>;
  options?: Record<string, number | string | boolean>;
  warnings: Warning[];
  steps_of: number | null; // iteration; null: no numbers by time step
  steps_file: boolean; // steps.csv could be read
  notes: string[];
}
interface Table {
  columns: string[];
  rows: Value[][];
}
interface Rows {
  generation: number;
  from: number;
  total: number;
  metrics: Table;
  timings: Table;
}

/** A run and what has been read of it. */
interface Run {
  summary: Summary;
  name: string;
  metrics: Table;
  timings: Table;
  steps: Table;
  stepsKey: string; // which steps these are
  shown: boolean;
}

const empty = (): Table => ({ columns: [], rows: [] });
const runs: Run[] = [];
let chosen = 0;
let version: number | null = null;
let connected = true;
let replays = false; // the server makes replays

async function get<T>(path: string): Promise<T> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return (await response.json()) as T;
}

/** A column of a table: null where there is none. */
function column(table: Table, name: string): Value[] {
  const at = table.columns.indexOf(name);
  return table.rows.map((row) => (at < 0 ? null : row[at]!));
}
const has = (table: Table, name: string): boolean => table.columns.includes(name);

async function readRows(i: number): Promise<boolean> {
  const run = runs[i]!;
  let changed = false;
  for (;;) {
    const from = run.metrics.rows.length;
    if (from >= run.summary.iterations) return changed;
    const part = await get<Rows>(`/api/runs/${i}/rows?from=${from}`);
    if (part.generation !== run.summary.generation || part.from !== from) return changed; // replaced meanwhile
    for (const table of ['metrics', 'timings'] as const) {
      run[table].columns = part[table].columns;
      run[table].rows.push(...part[table].rows);
    }
    changed = true;
    if (part.metrics.rows.length === 0) return changed;
  }
}

async function readSteps(i: number): Promise<void> {
  const run = runs[i];
  if (!run) return;
  const key = `${run.summary.generation}:${run.summary.steps_of}`;
  if (key === run.stepsKey) return;
  run.steps = await get<Table>(`/api/runs/${i}/steps`);
  run.stepsKey = key;
}

async function readAll(): Promise<void> {
  const answer = await get<{ version: number; replays: boolean; runs: Summary[] }>(version === null ? '/api/runs' : `/api/runs?since=${version}`);
  const names = shortNames(answer.runs.map((s) => s.directory));
  answer.runs.forEach((summary, i) => {
    const run = runs[i];
    if (!run) {
      runs.push({ summary, name: names[i]!, metrics: empty(), timings: empty(), steps: empty(), stepsKey: '', shown: true });
    } else {
      if (run.summary.generation !== summary.generation) {
        run.metrics = empty();
        run.timings = empty();
      }
      run.summary = summary;
    }
  });
  for (let i = 0; i < runs.length; ++i) await readRows(i);
  // The first look is at a run that has something to show.
  if (version === null) chosen = Math.max(0, runs.findIndex((run) => run.summary.iterations > 0));
  await readSteps(chosen);
  version = answer.version;
  replays = answer.replays;
}

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function follow(): Promise<void> {
  for (;;) {
    try {
      await readAll();
      connected = true;
    } catch {
      connected = false;
    }
    show();
    await sleep(connected ? 300 : 2000);
  }
}

// ---- what is shown

type Axis = 'rollouts' | 'iterations' | 'seconds';
let axis: Axis = 'rollouts';
let statistic = 'return_median';

const taskOf = (run: Run): string => run.summary.task ?? '';

/** Is it drawn? Returns of different tasks are not comparable: only runs of the chosen one's task are. */
const seen = (run: Run): boolean => run.shown && taskOf(run) === taskOf(runs[chosen] ?? run);

/** The runs as they are listed: those of a task together. */
function listed(): number[] {
  const tasks = [...new Set(runs.map(taskOf))];
  return tasks.flatMap((task) => runs.flatMap((run, i) => (taskOf(run) === task ? [i] : [])));
}

/** The neighbour of the chosen run in the list. */
function neighbour(by: number): number {
  const order = listed();
  return order[order.indexOf(chosen) + by] ?? chosen;
}

/** x of each row of metrics, by what the reader chose. */
function xOf(run: Run): Value[] {
  if (axis === 'iterations') return column(run.metrics, 'iteration');
  if (axis === 'rollouts') return column(run.metrics, 'rollouts_total');
  let total = 0;
  return run.metrics.rows.map((_, i) => {
    const row = run.timings.rows[i];
    if (!row) return null;
    for (const value of row.slice(1)) total += value ?? 0;
    return total;
  });
}
const xLabel = (): string => ({ rollouts: 'rollouts', iterations: 'iteration', seconds: 'wall time, s' })[axis];

/** Lines of one or more columns, for all runs that are shown; the chosen run is the thickest. */
function lines(columns: { name: string; dash?: number[]; label?: string }[], change = (y: Value): Value => y): Pick<PlotOptions, 'x' | 'lines'> {
  const drawn = runs.flatMap((run, i) =>
    !seen(run) ? [] : columns.filter((c) => has(run.metrics, c.name)).map((c) => ({ run, i, ...c })),
  );
  const { x, y } = align(drawn.map(({ run, name }) => ({ x: xOf(run), y: column(run.metrics, name).map(change) })));
  const many = runs.filter(seen).length > 6;
  return {
    x,
    lines: drawn.map(({ run, i, dash, label }, k): Line => ({
      label: label ?? run.name,
      y: y[k]!,
      colour: style(i).colour,
      dash: dash ?? style(i).dash,
      width: i === chosen && runs.length > 1 ? 2.5 : 1.5,
      faint: many && i !== chosen,
      span: true,
    })),
  };
}

const positive = (y: Value): Value => (y !== null && y > 0 ? y : null);

/** Values that all runs which are shown agree on. */
function common(name: string): number[] {
  const values = new Set(runs.filter(seen).map((run) => run.summary.options?.[name]));
  return [...values].filter((v): v is number => typeof v === 'number');
}

/** GPS bounds the sum of the KL over a trajectory, divided by its length: one step may take more. */
function boundsTheMean(run: Run): boolean {
  return run.summary.options?.kl === 'trajectory';
}

const page = document.getElementById('page')!;
const side = make('div', { class: 'side' });
const wide = make('div');
const connection = make('span', { class: 'small muted', role: 'status' }, 'reading …');
const list = make('ul', { class: 'runs', 'aria-label': 'Runs' });

function panel(title: string, ...controls: HTMLElement[]): HTMLElement {
  return make('section', { class: 'panel', 'aria-label': title }, make('div', { class: 'bar' }, make('h2', {}, title), ...controls));
}

function select<T extends string>(label: string, values: [T, string][], value: T, changed: (value: T) => void): HTMLLabelElement {
  const box = make('select', { 'aria-label': label }, ...values.map(([v, text]) => make('option', { value: v }, text)));
  box.value = value;
  box.onchange = () => changed(box.value as T);
  return make('label', { class: 'small' }, label, box);
}

// Learning curves.
const returns: [string, string][] = [
  ['return_median', 'median'],
  ['return_mean', 'mean'],
  ['return_max', 'best'],
  ['return_min', 'worst'],
];
const statisticBox = select('of the rollouts', returns, statistic, (value) => {
  statistic = value;
  show();
});
const axisBox = select<Axis>('over', [['rollouts', 'rollouts'], ['iterations', 'iterations'], ['seconds', 'wall time']], axis, (value) => {
  axis = value;
  show();
});
const curvesPanel = panel('Learning curves', statisticBox, axisBox);
const curveBox = make('div', { class: 'wide' });
const curveGrid = make('div', { class: 'plots' });
curvesPanel.append(curveBox, curveGrid);
const blank = (title: string, more: Partial<PlotOptions> = {}): PlotOptions => ({ title, x: [], lines: [], sync: 'curves', height: 150, terse: true, ...more });
const curve = new Plot(curveBox, blank('Return', { height: 300, terse: false }));
const success = new Plot(curveGrid, blank('Success rate', { yRange: [-0.02, 1.02] }));
const improvement = new Plot(curveGrid, blank('Change of the return: predicted, realised (dashed)', { yScale: 'asinh' }));

// Trust region.
const trustPanel = panel('Trust region');
const trustGrid = make('div', { class: 'plots' });
trustPanel.append(trustGrid);
const klTitle = 'KL, nats: largest step, mean (dashed); level: bound';
const klPlot = new Plot(trustGrid, blank(klTitle, { yScale: 'log' }));
const entropyPlot = new Plot(trustGrid, blank('Entropy of the policy, nats'));
const essPlot = new Plot(trustGrid, blank('Effective samples: median, least (dashed)', { yScale: 'log' }));
const r2Plot = new Plot(trustGrid, blank('R² of the model: median, least (dashed)'));
const etaPlot = new Plot(trustGrid, blank('Multiplier η of the KL bound, median', { yScale: 'log' }));
const omegaPlot = new Plot(trustGrid, blank('Multiplier ω of the entropy bound, median', { yScale: 'log' }));

// The last update by time step.
const stepsTitle = make('span', { class: 'small muted' });
const stepsPanel = panel('Last update, by time step', stepsTitle);
const replayLink = make('a', { target: '_blank', rel: 'noopener', class: 'push' }, 'watch the newest policy');
const stepsGrid = make('div', { class: 'plots' });
const stepsMissing = make('p', { class: 'small muted' });
stepsPanel.append(stepsMissing, stepsGrid);
const step = (title: string, more: Partial<PlotOptions> = {}): Plot => new Plot(stepsGrid, blank(title, { sync: 'steps', height: 120, terse: false, xLabel: 'time step', ...more }));
const stepKl = step('KL, nats; level: bound');
const stepEntropy = step('Entropy, nats; its bound (dashed)');
const stepEta = step('Multiplier η', { yScale: 'log' });
const stepOmega = step('Multiplier ω', { yScale: 'log' });
const stepEss = step('Effective samples');
const stepR2 = step('R²');

// Times.
const timesTitle = make('span', { class: 'small muted' });
const timesPanel = panel('Time of an iteration, by phase', timesTitle);
const times = new Plot(timesPanel, blank('Seconds, stacked', { sync: undefined, terse: false, height: 180, xLabel: 'iteration', xTicks: (x) => (Number.isInteger(x) ? String(x) : '') }));

// Any number.
let free = '';
const freePanel = panel('Any number');
const freeBox = make('select', { 'aria-label': 'Column of metrics.csv' });
freeBox.onchange = () => {
  free = freeBox.value;
  show();
};
freePanel.querySelector('.bar')!.append(freeBox);
const freePlot = new Plot(freePanel, blank('', { height: 180 }));

// Words.
const warningsPanel = panel('Warnings');
const warningsBox = make('div');
warningsPanel.append(warningsBox);
const numbersPanel = make('section', { class: 'panel late' });
const factsPanel = make('section', { class: 'panel late' });
const runsPanel = panel('Runs');
runsPanel.querySelector('.bar')!.append(replayLink);
runsPanel.append(list);
side.append(runsPanel, warningsPanel, numbersPanel, factsPanel);
wide.append(curvesPanel, trustPanel, stepsPanel, timesPanel, freePanel);

function choose(i: number): void {
  if (i < 0 || i >= runs.length) return;
  chosen = i;
  show();
  void readSteps(i).then(show, () => undefined);
}

function last(run: Run, name: string): Value {
  const values = column(run.metrics, name);
  return values.length ? values[values.length - 1]! : null;
}

/** Elements that a reader may be using are made once a run, then changed. */
interface Row {
  item: HTMLLIElement;
  name: HTMLButtonElement;
  state: HTMLSpanElement;
  line: HTMLDivElement;
  progress: HTMLProgressElement;
  detail: HTMLDivElement;
  box: HTMLInputElement;
}
const rowElements: Row[] = [];

function makeRow(i: number): Row {
  const { colour, dash } = style(i);
  const box = make('input', { type: 'checkbox', checked: true });
  box.onchange = () => {
    runs[i]!.shown = box.checked;
    show();
  };
  const name = make('button', { class: 'name', onclick: () => choose(i) });
  const state = make('span', {});
  const line = make('div', { class: 'line' });
  const progress = make('progress', { max: 1 });
  const detail = make('div', { class: 'line problem' });
  const sample = make('span', { class: dash ? 'sample dashed' : 'sample', style: `border-color: var(${colour})` });
  const item = make('li', { class: 'run' }, box, make('span', { class: 'bar' }, sample, name), state, progress, line, detail);
  return { item, name, state, line, progress, detail, box };
}

/** "about 4 min left", by the last ten iterations; "" if the run is not training, or it cannot be known. */
function timeLeft(run: Run): string {
  const { state, asked, iterations } = run.summary;
  const recent = run.timings.rows.slice(-10);
  if (state !== 'training' || asked === undefined || recent.length === 0) return '';
  const seconds = recent.flatMap((row) => row.slice(1)).reduce<number>((sum, value) => sum + (value ?? 0), 0) / recent.length;
  const left = seconds * Math.max(0, asked - iterations);
  return left < 90 ? `about ${Math.ceil(left)} s left` : left < 5400 ? `about ${Math.round(left / 60)} min left` : `about ${short(left / 3600)} h left`;
}

let listedAs = '';

/** Puts the rows in order under the names of their tasks; nothing moves while the order is the same. */
function arrangeRuns(): void {
  const order = listed();
  const tasks = new Set(runs.map(taskOf));
  const now = JSON.stringify([order, [...tasks]]);
  if (now === listedAs) return;
  listedAs = now;
  const heading = (i: number): HTMLElement => make('li', { class: 'task small muted' }, taskOf(runs[i]!) || 'unknown task');
  list.replaceChildren(...order.flatMap((i, k) => [...(tasks.size > 1 && (k === 0 || taskOf(runs[order[k - 1]!]!) !== taskOf(runs[i]!)) ? [heading(i)] : []), rowElements[i]!.item]));
}

function showRuns(): void {
  runs.forEach((run, i) => {
    const row = (rowElements[i] ??= makeRow(i));
    const s = run.summary;
    row.item.dataset.chosen = String(i === chosen);
    row.name.textContent = run.name;
    row.name.title = s.directory;
    row.name.setAttribute('aria-pressed', String(i === chosen));
    row.box.checked = run.shown;
    row.box.setAttribute('aria-label', `Show ${run.name}`);
    row.state.className = `state ${s.state}`;
    row.state.textContent = s.state;
    row.progress.hidden = s.asked === undefined;
    row.progress.value = s.asked ? Math.min(1, s.iterations / s.asked) : 0;
    row.progress.setAttribute('aria-label', 'iterations done');
    const of = s.asked === undefined ? '' : ` of ${s.asked}`;
    const rate = s.measures_success ? last(run, 'success_rate') : null;
    row.line.replaceChildren(
      make('span', {}, `${s.iterations}${of} iterations`),
      make('span', {}, `return ${short(last(run, 'return_median'))}`),
      make('span', {}, rate === null ? '' : `success ${Math.round(100 * rate)} %`),
      make('span', {}, timeLeft(run)),
    );
    row.detail.textContent = [s.detail, ...s.notes].filter(Boolean).join('; ');
    row.detail.hidden = row.detail.textContent === '';
  });
  arrangeRuns();
}

function showWarnings(): void {
  const warned = runs.filter((run) => seen(run) && run.summary.warnings.length > 0);
  warningsBox.replaceChildren(
    ...warned.flatMap((run) => [
      runs.length > 1 ? make('div', { class: 'small muted' }, run.name) : null,
      make(
        'ul',
        { class: 'warnings small' },
        ...run.summary.warnings.map((w) =>
          make(
            'li',
            {},
            w.text,
            make('span', { class: 'muted' }, w.count === 1 ? ` (iteration ${w.first})` : ` (${w.count} times, iterations ${w.first} to ${w.last})`),
          ),
        ),
      ),
    ]).filter((e): e is HTMLDivElement | HTMLUListElement => e !== null),
  );
  if (warned.length === 0) warningsBox.replaceChildren(make('div', { class: 'small muted' }, 'none'));
}

function pairs(entries: [string, string, number?][]): HTMLTableElement {
  return make(
    'table',
    { class: 'pairs' },
    ...entries.map(([name, text, value]) => make('tr', {}, make('td', {}, name), make('td', { 'data-name': name, 'data-value': value }, text))),
  );
}

/** A part that the reader opened stays open. */
function fold(parent: HTMLElement, title: string, body: HTMLElement): void {
  const before = parent.querySelector('details');
  parent.replaceChildren(make('details', { open: before ? before.open : false }, make('summary', {}, title), body));
}

function showFacts(): void {
  const run = runs[chosen];
  if (!run) return;
  const row = run.metrics.rows[run.metrics.rows.length - 1];
  replayLink.hidden = !replays || run.summary.iterations === 0;
  replayLink.href = `/runs/${chosen}/replay`;
  const title = row ? `All numbers of iteration ${row[0]}` : 'All numbers';
  fold(numbersPanel, title, pairs(row ? run.metrics.columns.map((name, i) => [name, short(row[i]), row[i] ?? undefined]) : []));
  const s = run.summary;
  fold(
    factsPanel,
    'Settings',
    pairs([
      ['directory', s.directory],
      ['task', s.task ?? '–'],
      ...(s.overrides ?? []).map((o): [string, string] => ['task, changed', o]),
      ['algorithm', s.algorithm ?? '–'],
      ['seed', s.seed ?? '–'],
      ...Object.entries(s.options ?? {}).map(([k, v]): [string, string] => [k, String(v)]),
      ...Object.entries(s.versions ?? {}).map(([k, v]): [string, string] => [k, v]),
    ]),
  );
}

function showCurves(): void {
  const label = returns.find(([name]) => name === statistic)![1];
  curve.set({ ...lines([{ name: statistic }]), title: `Return, ${label} of the rollouts${new Set(runs.map(taskOf)).size > 1 ? `: ${taskOf(runs[chosen]!)}` : ''}`, yScale: 'asinh', xLabel: xLabel() });
  const measured = runs.some((run) => seen(run) && run.summary.measures_success);
  success.element.hidden = !measured;
  if (measured) success.set({ ...lines([{ name: 'success_rate' }]), xLabel: xLabel() });
  const dashed = [5, 4];
  const put = (plot: Plot, columns: string[], levels: number[] = [], change?: (y: Value) => Value): void => {
    const found = runs.some((run) => seen(run) && columns.some((name) => has(run.metrics, name)));
    plot.element.hidden = !found;
    if (!found) return;
    const described = columns.map((name, i) => ({ name, label: i ? '' : undefined, dash: i ? dashed : undefined }));
    plot.set({ ...lines(described, change), levels, xLabel: xLabel() });
  };
  put(improvement, ['improvement_predicted', 'improvement_realised']);
  const sums = runs.some((run) => seen(run) && boundsTheMean(run));
  put(klPlot, sums ? ['kl_mean', 'kl_max'] : ['kl_max', 'kl_mean'], common('epsilon'), positive);
  klPlot.set({ title: sums ? 'KL, nats: mean over the steps, largest step (dashed); level: bound of the mean (MOTO: of every step)' : klTitle });
  put(entropyPlot, ['entropy_mean']);
  put(essPlot, ['ess_median', 'ess_min'], [], positive);
  put(r2Plot, ['q_r2_median', 'q_r2_min']);
  put(etaPlot, ['eta_median'], [], positive);
  put(omegaPlot, ['omega_median'], [], positive);
}

function showSteps(): void {
  const run = runs[chosen];
  if (!run) return;
  const there = run.steps.rows.length > 0;
  stepsTitle.textContent = there ? `${run.name}, iteration ${run.summary.steps_of}` : run.name;
  stepsMissing.hidden = there;
  stepsMissing.textContent = !run.summary.iterations
    ? 'No iteration is completed yet.'
    : run.summary.steps_file
      ? `${run.summary.algorithm} reports no numbers by time step: it has no trust region at each step. Its own numbers are at “Any number”.`
      : 'This run has no steps.csv: it was made by an older kedge, or the file is lost.';
  stepsGrid.hidden = !there;
  if (!there) return;
  const x = column(run.steps, 'step') as number[];
  const line = (name: string, label: string, more: Partial<Line> = {}): Line => ({ label, y: column(run.steps, name), colour: style(chosen).colour, width: 1.75, ...more });
  const log = (name: string, label: string): Line => line(name, label, { y: column(run.steps, name).map(positive) });
  const plots: [Plot, string, Partial<PlotOptions>][] = [
    [
      stepKl,
      'kl',
      {
        title: boundsTheMean(run) ? 'KL, nats; level: bound of the mean' : 'KL, nats; level: bound',
        lines: [line('kl', 'KL')],
        levels: [run.summary.options?.epsilon].filter((v): v is number => typeof v === 'number'),
      },
    ],
    [stepEntropy, 'entropy', { lines: [line('entropy', 'entropy'), line('beta', 'bound', { dash: [5, 4] })] }],
    [stepEta, 'eta', { lines: [log('eta', 'η')] }],
    [stepOmega, 'omega', { lines: [log('omega', 'ω')] }],
    [stepEss, 'ess', { lines: [line('ess', 'samples')] }],
    [stepR2, 'r2', { lines: [line('r2', 'R²')] }],
  ];
  for (const [plot, name, options] of plots) {
    plot.element.hidden = !has(run.steps, name);
    if (!plot.element.hidden) plot.set({ x, ...options });
  }
}

/** Stacked times of the chosen run: means over blocks of iterations where there are many. */
function showTimes(): void {
  const run = runs[chosen];
  if (!run) return;
  const { columns, rows } = run.timings;
  const phases = columns.slice(1);
  const block = Math.max(1, Math.ceil(rows.length / 150));
  const x: number[] = [];
  const stack: number[][] = phases.map(() => []);
  let total = 0;
  for (const row of rows) for (const value of row.slice(1)) total += value ?? 0;
  for (let i = 0; i + block <= rows.length; i += block) {
    x.push(rows[i + block - 1]![0]!);
    let height = 0;
    phases.forEach((_, p) => {
      for (let j = i; j < i + block; ++j) height += (rows[j]![p + 1] ?? 0) / block;
      stack[p]!.push(height);
    });
  }
  times.element.hidden = x.length === 0;
  if (x.length === 0) {
    timesTitle.textContent = `${run.name}: none that can be read`;
    return;
  }
  timesTitle.textContent = `${run.name}: ${short(total)} s in all${block > 1 ? `, means of ${block} iterations` : ''}`;
  const below = (p: number): number[] => (p === 0 ? x.map(() => 0) : stack[p - 1]!);
  times.set({
    x,
    lines: phases.map((_, p): Line => ({ label: '', y: stack[p]!, colour: style(p).colour, width: 1, faint: true })),
    bands: phases.map((name, p) => ({ label: name.replaceAll('_', ' '), low: below(p), high: stack[p]!, colour: style(p).colour })),
    yRange: [0, null],
  });
}

function showFree(): void {
  const names = [...new Set(runs.filter(seen).flatMap((run) => run.metrics.columns))].filter((name) => name !== 'iteration');
  if (!names.includes(free)) free = names.includes('state_kl_mean') ? 'state_kl_mean' : (names[0] ?? '');
  if (freeBox.options.length !== names.length || [...freeBox.options].some((o, i) => o.value !== names[i]))
    freeBox.replaceChildren(...names.map((name) => make('option', { value: name }, name)));
  freeBox.value = free;
  const drawn = lines([{ name: free }]);
  freePlot.set({ ...drawn, title: free, xLabel: xLabel() });
}

function show(): void {
  const training = runs.filter((run) => run.summary.state === 'training').length;
  body.hidden = runs.length === 0;
  connection.className = connected ? 'small muted' : 'small lost';
  connection.textContent = connected
    ? `${count(runs.length, 'run')}${training ? `, ${training} training` : ''}`
    : 'kedge view has ended or cannot be reached: what was read is shown';
  connection.dataset.iterations = String(runs.reduce((sum, run) => sum + run.metrics.rows.length, 0));
  const best = runs.length === 1 ? runs[0]! : null;
  document.title = best ? `${best.name}: ${best.summary.iterations} iterations` : 'kedge view';
  showRuns();
  showWarnings();
  showFacts();
  showCurves();
  showSteps();
  showTimes();
  showFree();
}

// ---- keyboard

const help = make(
  'dialog',
  { 'aria-label': 'Keys' },
  make('h2', {}, 'Keys'),
  make(
    'table',
    {},
    ...[
      ['↑ ↓ or k j', 'choose a run'],
      ['space', 'show or hide it'],
      ['a', 'show all'],
      ['o', 'show only the chosen run'],
      ['x', 'rollouts, iterations or wall time'],
      ['r', 'median, mean, best or worst return'],
      ['d', 'light or dark'],
      ['?', 'this'],
    ].map(([key, what]) => make('tr', {}, make('td', {}, make('kbd', {}, key)), make('td', {}, what))),
  ),
  make('form', { method: 'dialog' }, make('button', {}, 'Close')),
);

function cycle(label: HTMLLabelElement): void {
  const box = label.querySelector('select')!;
  box.selectedIndex = (box.selectedIndex + 1) % box.options.length;
  box.dispatchEvent(new Event('change'));
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target as HTMLElement;
  if (/^(SELECT|DIALOG)$/.test(at.tagName) || (event.key === ' ' && /^(INPUT|BUTTON|SUMMARY)$/.test(at.tagName))) return;
  const run = runs[chosen];
  const actions: Record<string, () => void> = {
    ArrowUp: () => choose(neighbour(-1)),
    k: () => choose(neighbour(-1)),
    ArrowDown: () => choose(neighbour(1)),
    j: () => choose(neighbour(1)),
    ' ': () => run && ((run.shown = !run.shown), show()),
    a: () => (runs.forEach((r) => (r.shown = true)), show()),
    o: () => (runs.forEach((r, i) => (r.shown = i === chosen)), show()),
    x: () => cycle(axisBox),
    r: () => cycle(statisticBox),
    d: () => setTheme(theme() === 'dark' ? 'light' : 'dark'),
    '?': () => (help.open ? help.close() : help.showModal()),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

const body = make('div', { class: 'live', hidden: true }, side, wide);
const helpButton = make('button', { title: 'Keys (?)', 'aria-label': 'Keys', onclick: () => help.showModal() }, '?');
page.append(
  make('div', { class: 'bar top' }, make('h1', {}, 'kedge view'), connection, make('span', { class: 'bar push' }, themeButton(), helpButton)),
  body,
  help,
);
void follow();

// For the console, and for tests: what has been read.
(globalThis as unknown as { kedge: unknown }).kedge = { runs };
