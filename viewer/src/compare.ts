// The page of kedge compare --html: the numbers of kedge/study/compare.h, drawn. Nothing is computed here.
import './theme';
import './compare.css';
import { json } from './data';
import { make, short } from './dom';
import { decades, Plot, powerText, type Band, type Line } from './plot';
import { align, count, style, type Value } from './series';
import { setTheme, theme, themeButton } from './theme';

type Column = (number | null)[];
interface Estimate {
  value: number;
  low: number;
  high: number;
}
interface Run {
  directory: string;
  seed: string;
  state: string;
  iterations: number;
  final_return: number | null;
  final_success: number | null;
  rollouts: Column;
  median_returns: Column;
}
interface Group {
  label: string;
  algorithm: string;
  options: Record<string, number | string | boolean>;
  reference: number | null; // return of the trajectory that learning started from
  curve: Record<string, Column>;
  final: { runs: number; median: Estimate | null; iqm: Estimate | null; success: Estimate | null; solved: number };
  profile: { tau: Column; share: Column; low: Column; high: Column };
  runs: Run[];
}
interface Comparison {
  task: string;
  notes: string[];
  groups: Group[];
}

const comparison = json<Comparison>('comparison');
const { groups } = comparison;
const shown = groups.map(() => true);
const page = document.getElementById('page')!;

function panel(title: string, ...controls: HTMLElement[]): HTMLElement {
  return make('section', { class: 'panel', 'aria-label': title }, make('div', { class: 'bar' }, make('h2', {}, title), ...controls));
}
function select<T extends string>(label: string, values: [T, string][], changed: (value: T) => void): HTMLLabelElement {
  const box = make('select', { 'aria-label': label }, ...values.map(([v, text]) => make('option', { value: v }, text)));
  box.onchange = () => changed(box.value as T);
  return make('label', { class: 'small' }, label, box);
}
const sample = (i: number): HTMLElement =>
  make('span', { class: style(i).dash ? 'sample dashed' : 'sample', style: `border-color: var(${style(i).colour})` });
const named = (i: number): HTMLElement => make('span', { class: 'bar' }, sample(i), groups[i]!.label);
const interval = (e: Estimate | null): string => (e ? `${short(e.value)} [${short(e.low)}, ${short(e.high)}]` : '–');
const percent = (e: Estimate | null): string =>
  e ? `${(100 * e.value).toFixed(1)} % [${(100 * e.low).toFixed(1)}, ${(100 * e.high).toFixed(1)}]` : '–';

/** On a phone each row is a card, in which the heads stand before the cells: `data-head`. */
function table(head: (string | [string])[], rows: (string | Node | [string | Node, string])[][]): HTMLElement {
  const names = head.map((h) => (Array.isArray(h) ? h[0] : h));
  return make(
    'div',
    { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Table' },
    make(
      'table',
      {},
      make('thead', {}, make('tr', {}, ...head.map((h) => (Array.isArray(h) ? make('th', { class: 'number' }, h[0]) : make('th', {}, h))))),
      make(
        'tbody',
        {},
        ...rows.map((row) =>
          make(
            'tr',
            {},
            ...row.map((c, i) => {
              const cell = Array.isArray(c) ? make('td', { class: c[1] }, c[0]) : make('td', {}, c);
              cell.dataset['head'] = names[i] ?? '';
              return cell;
            }),
          ),
        ),
      ),
    ),
  );
}
const n = (text: string): [string, string] => [text, 'number'];

// ---- curves

type Statistic = 'median' | 'iqm' | 'mean';
type Spread = 'interval' | 'quartiles' | 'none';
type Axis = 'rollouts' | 'iteration' | 'seconds';
let statistic: Statistic = 'median';
let spread: Spread = 'interval';
let axis: Axis = 'rollouts';
let single = false;

const statisticBox = select<Statistic>('over seeds', [['median', 'median'], ['iqm', 'interquartile mean'], ['mean', 'mean']], (v) => {
  statistic = v;
  show();
});
const spreadBox = select<Spread>('band', [['interval', '95 % interval'], ['quartiles', 'quartiles'], ['none', 'none']], (v) => {
  spread = v;
  show();
});
const timed = groups.every((g) => g.curve.seconds!.every((v) => v !== null));
const axes: [Axis, string][] = [['rollouts', 'rollouts'], ['iteration', 'iterations']];
if (timed) axes.push(['seconds', 'wall time, s']);
const axisBox = select<Axis>('over', axes, (v) => {
  axis = v;
  show();
});
const singleBox = make('input', { type: 'checkbox' });
singleBox.onchange = () => {
  single = singleBox.checked;
  show();
};
const groupBoxes = groups.map((group, i) => {
  const box = make('input', { type: 'checkbox', checked: true });
  box.onchange = () => {
    shown[i] = box.checked;
    show();
  };
  return make('label', { class: 'small' }, box, sample(i), `${group.label} (${count(group.runs.length, 'seed')})`);
});

/** Gives the reader a file. */
function download(name: string, type: string, text: string): void {
  const link = make('a', { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** All curves, one row for each group and iteration: what is drawn, and the statistics that are not. */
function curvesCsv(): string {
  const columns = [...new Set(groups.flatMap((g) => Object.keys(g.curve)))];
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  const rows = groups.flatMap((g) => g.curve.iteration!.map((_, k) => [quoted(g.label), ...columns.map((c) => String(g.curve[c]?.[k] ?? ''))].join(',')));
  return [`group,${columns.join(',')}`, ...rows, ''].join('\n');
}

const csvButton = make('button', { class: 'small', title: 'All curves as a table', onclick: () => download(`${comparison.task}-curves.csv`, 'text/csv', curvesCsv()) }, 'CSV');
const svgButton = make('button', { class: 'small', title: 'The plot as a picture', onclick: () => download(`${comparison.task}-curves.svg`, 'image/svg+xml', curves.svg()) }, 'SVG');
const curvesPanel = panel('Learning curves', statisticBox, spreadBox, axisBox, make('label', { class: 'small' }, singleBox, 'single runs'), make('span', { class: 'bar push' }, csvButton, svgButton));
curvesPanel.append(make('div', { class: 'groups' }, ...groupBoxes));
const referenceNote = make('p', { class: 'small muted' });
const curves = new Plot(curvesPanel, { title: '', x: [], lines: [], height: 380, yScale: 'asinh', terse: true });
curvesPanel.append(
  referenceNote,
  make('p', { class: 'small muted' }, 'Mean return of an iteration’s rollouts, for the iterations that every run of a group has completed. The axis is logarithmic on both sides of zero.'),
);

function show(): void {
  interface Drawn {
    x: Column;
    y: Column;
    put: (y: Value[]) => void;
  }
  const drawn: Drawn[] = [];
  const lines: Line[] = [];
  const bands: Band[] = [];
  groups.forEach((group, i) => {
    if (!shown[i]) return;
    const { colour, dash } = style(i);
    const x = group.curve[axis]!;
    if (single && axis !== 'seconds')
      for (const run of group.runs) {
        const line: Line = { label: '', y: [], colour, faint: true, span: true };
        lines.push(line);
        drawn.push({ x: axis === 'rollouts' ? run.rollouts : run.rollouts.map((_, k) => k), y: run.median_returns, put: (y) => (line.y = y) });
      }
    const line: Line = { label: group.label, y: [], colour, dash, span: true };
    lines.push(line);
    drawn.push({ x, y: group.curve[statistic]!, put: (y) => (line.y = y) });
    if (spread === 'none' || group.runs.length < 2) return;
    const [low, high] = spread === 'interval' ? [`${statistic}_low`, `${statistic}_high`] : ['quartile_low', 'quartile_high'];
    const band: Band = { label: '', low: [], high: [], colour };
    bands.push(band);
    drawn.push({ x, y: group.curve[low!]!, put: (y) => (band.low = y) });
    drawn.push({ x, y: group.curve[high!]!, put: (y) => (band.high = y) });
  });
  const { x, y } = align(drawn);
  drawn.forEach((d, k) => d.put(y[k]!));
  const what = { median: 'median', iqm: 'interquartile mean', mean: 'mean' }[statistic];
  const references = groups.filter((group, i) => shown[i] && group.reference !== null).map((group) => group.reference!);
  referenceNote.hidden = references.length === 0;
  referenceNote.textContent = `Dashed level: the trajectory that learning started from, return ${[...new Set(references.map(short))].join(', ')}.`;
  curves.set({ title: `Return, ${what} over seeds`, x, lines, bands, levels: references, xLabel: axes.find(([a]) => a === axis)![1] });
  profile.element.hidden = false;
  showProfile();
}

// ---- final policies

const finalPanel = panel('Final policies, without exploration noise');
const judged = groups.some((g) => g.final.runs > 0);
finalPanel.append(
  judged
    ? table(
        ['', ['runs'], ['return, IQM [95 %]'], ['return, median [95 %]'], ['success [95 %]'], ['solved in every rollout']],
        groups.map((g, i) => [
          named(i),
          n(String(g.final.runs)),
          n(interval(g.final.iqm)),
          n(interval(g.final.median)),
          n(percent(g.final.success)),
          n(g.final.success ? `${g.final.solved} of ${g.final.runs}` : '–'),
        ]),
      )
    : make('p', { class: 'small muted' }, 'No run is finished.'),
  make('p', { class: 'small muted' }, 'Median return of 20 rollouts a run; statistics and bootstrap intervals are over the seeds of a group [Agarwal et al. 2021].'),
);

const profilePanel = panel('Performance profile');
const profile = new Plot(profilePanel, { title: 'Share of seeds whose final policy returns at least …', x: [], lines: [], height: 260, yRange: [-0.02, 1.02], xLabel: 'return' });
const allNegative = groups.every((g) => g.profile.tau.every((t) => t === null || t < 0));
// Where all seeds end alike there is one threshold, and nothing to draw.
profilePanel.hidden = new Set(groups.flatMap((g) => g.profile.tau)).size < 2;
if (allNegative)
  profilePanel.append(make('p', { class: 'small muted' }, 'The axis is logarithmic: the largest losses are at the left, the best return, 0, is beyond the right end.'));

/** The share is constant from a threshold to the next: a staircase. Negative returns are placed by −log10(−return). */
function showProfile(): void {
  const tau = groups[0]!.profile.tau as number[];
  const place = (t: number): number => (allNegative ? -Math.log10(-t) : t);
  const x: number[] = [];
  tau.forEach((t, k) => {
    // Two places a threshold: x must rise.
    const before = k ? place(tau[k - 1]!) : null;
    if (before !== null && place(t) > before) x.push(before + 1e-9 * (place(t) - before));
    if (before === null || place(t) > before) x.push(place(t));
  });
  const at = (column: Column): Value[] => {
    const y: Value[] = [];
    tau.forEach((t, k) => {
      const rises = k === 0 || place(t) > place(tau[k - 1]!);
      if (k > 0 && rises) y.push(column[k]!);
      if (rises) y.push(column[k]!);
    });
    return y;
  };
  const visible = groups.map((g, i) => ({ g, i })).filter(({ i }) => shown[i]);
  profile.set({
    x,
    lines: visible.map(({ g, i }): Line => ({ label: g.label, y: at(g.profile.share), ...style(i) })),
    bands: visible.filter(({ g }) => g.runs.length > 1).map(({ g, i }): Band => ({ label: '', low: at(g.profile.low), high: at(g.profile.high), colour: style(i).colour })),
    xTicks: allNegative ? (v) => powerText(-(10 ** -v)) : undefined,
    xPlaces: allNegative ? (min, max) => decades(-(10 ** -min), -(10 ** -max), place, (max - min) / 12).map(place) : undefined,
  });
}

// ---- settings, iterations, runs

const names = [...new Set(groups.flatMap((g) => Object.keys(g.options)))].filter((name) => name !== 'iterations');
const value = (g: Group, name: string): string => (name in g.options ? String(g.options[name]) : '–');
const differing = names.filter((name) => new Set(groups.map((g) => value(g, name))).size > 1);
const same = names.filter((name) => !differing.includes(name));
const settingsPanel = panel(groups.length > 1 ? 'Settings that differ' : 'Settings');
if (groups.length > 1)
  settingsPanel.append(
    table(
      ['', ...groups.map((g) => g.label)],
      [['algorithm', ...groups.map((g) => g.algorithm)], ...differing.map((name) => [name, ...groups.map((g) => value(g, name))])],
    ),
  );
settingsPanel.append(
  make(
    'details',
    { open: groups.length === 1 },
    make('summary', {}, groups.length > 1 ? 'Settings that are the same' : 'All'),
    table(['', ''], same.map((name) => [name, value(groups[0]!, name)])),
  ),
);

/** First, last and four between, as the program prints them. */
function somePoints(length: number): number[] {
  if (length === 0) return [];
  const last = length - 1;
  return [...new Set(Array.from({ length: 6 }, (_, k) => Math.round((last * k) / 5)))];
}
const pointsPanel = make('section', { class: 'panel' });
pointsPanel.append(
  make(
    'details',
    {},
    make('summary', {}, 'Curves in numbers'),
    ...groups.flatMap((g, i) => [
      named(i),
      table(
        [['iteration'], ['rollouts'], ['median [95 %]'], ['IQM [95 %]'], ['mean [95 %]']],
        somePoints(g.curve.iteration!.length).map((k) => {
          const e = (name: string): Estimate => ({
            value: g.curve[name]![k] ?? NaN,
            low: g.curve[`${name}_low`]![k] ?? NaN,
            high: g.curve[`${name}_high`]![k] ?? NaN,
          });
          return [n(String(g.curve.iteration![k]! + 1)), n(String(g.curve.rollouts![k])), n(interval(e('median'))), n(interval(e('iqm'))), n(interval(e('mean')))];
        }),
      ),
    ]),
  ),
);

const runsPanel = make('section', { class: 'panel' });
runsPanel.append(
  make(
    'details',
    {},
    make('summary', {}, 'Runs'),
    table(
      ['', ['seed'], 'state', ['iterations'], ['final return'], ['success'], 'directory'],
      groups.flatMap((g, i) =>
        g.runs.map((run) => [
          named(i),
          n(run.seed),
          run.state,
          n(String(run.iterations)),
          n(run.final_return === null ? '–' : short(run.final_return)),
          n(run.final_success === null ? '–' : `${Math.round(100 * run.final_success)} %`),
          [run.directory, 'wrap'] as [string, string],
        ]),
      ),
    ),
  ),
);

const total = groups.reduce((sum, g) => sum + g.runs.length, 0);
document.title = `${comparison.task}: comparison`;
page.append(
  make(
    'div',
    { class: 'bar top' },
    make('h1', {}, comparison.task),
    make('span', { class: 'small muted' }, `${count(total, 'run')} in ${count(groups.length, 'group')}`),
    make('span', { class: 'push' }, themeButton()),
  ),
  make(
    'div',
    { class: 'compare' },
    comparison.notes.length
      ? make('section', { class: 'panel' }, make('h2', {}, 'Notes'), make('ul', { class: 'notes small' }, ...comparison.notes.map((note) => make('li', {}, note))))
      : null,
    curvesPanel,
    finalPanel,
    make('div', { class: 'pair' }, profilePanel, settingsPanel),
    pointsPanel,
    runsPanel,
  ),
);
show();

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT)$/.test((event.target as HTMLElement).tagName)) return;
  if (event.key === 'd') setTheme(theme() === 'dark' ? 'light' : 'dark');
});
