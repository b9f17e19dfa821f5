// Line plots with bands, limits and a marked place, on uPlot; the same look on every page.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { make, short } from './dom';
import { colour, onTheme, theme } from './theme';

type Values = ArrayLike<number | null>;

export interface Line {
  label: string; // empty: not in the legend
  y: Values; // as long as x; null or NaN: a gap
  colour: string; // name of a colour in theme.css, "--c1"
  width?: number;
  dash?: number[];
  faint?: boolean; // one of many: thin, pale, not in the legend
  span?: boolean; // drawn across gaps: its values are at some x only
}

export interface Band {
  label: string;
  low: Values;
  high: Values;
  colour: string;
}

export interface PlotOptions {
  title: string;
  hint?: string; // what the title says when the reader points at it
  x: Values;
  lines: Line[];
  bands?: Band[];
  levels?: number[]; // horizontal lines: limits, bounds
  xLabel?: string;
  yLabel?: string;
  yScale?: 'linear' | 'log' | 'asinh'; // asinh: logarithmic on both sides of 0
  xScale?: 'linear' | 'log';
  terse?: boolean; // the legend has values only, where the reader points: another one names the lines
  xTicks?: (x: number) => string; // what the axis says at x
  xPlaces?: (min: number, max: number) => number[]; // where it says so
  yRange?: [number | null, number | null]; // fixed ends; null: by the data
  height?: number;
  sync?: string; // plots with the same name share their cursor
  onPick?: (x: number) => void; // the reader clicked or dragged to this place
}

/**
 * Ticks of a logarithmic axis: powers of ten, and 0 where it is inside; where these are few, multiples of them too. Those
 * that come too near to a more important one are left out.
 * @param place of a value on the axis, rising, in the unit of `apart`
 */
export function decades(min: number, max: number, place: (v: number) => number, apart: number): number[] {
  const ticks: number[] = [];
  const add = (v: number): void => {
    if (v >= min && v <= max && ticks.every((t) => Math.abs(place(t) - place(v)) >= apart)) ticks.push(v);
  };
  add(0);
  const largest = Math.max(Math.abs(min), Math.abs(max));
  const smallest = min > 0 ? min : max < 0 ? -max : largest / 1e9;
  const last = Math.floor(Math.log10(largest));
  const first = Math.floor(Math.log10(smallest));
  const each = Math.max(1, Math.ceil((last - first) / 60)); // an axis from 1e-300 is one, too
  for (const factors of [[1], [5], [2], [3, 7], [4, 6, 8]]) {
    if (factors[0] !== 1 && ticks.length > 3) break;
    for (let e = last; e >= first; e -= each) for (const f of factors) for (const sign of [1, -1]) add(sign * f * 10 ** e);
  }
  return ticks.sort((a, b) => a - b);
}

/** A number of a logarithmic axis: large powers of ten, and whole multiples of them, as such. */
export function powerText(value: number): string {
  if (value === 0) return '0';
  const exponent = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  const factor = Math.abs(value) / 10 ** exponent;
  if (Math.abs(exponent) < 4 || Math.abs(factor - Math.round(factor)) > 1e-9) return short(value);
  const digits = [...String(exponent)].map((c) => (c === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(c)]));
  return `${value < 0 ? '−' : ''}${Math.round(factor) === 1 ? '' : `${Math.round(factor)}·`}10${digits.join('')}`;
}

const gap = (value: number | null): number | null => (value === null || Number.isNaN(value) ? null : value);

export class Plot {
  readonly element: HTMLElement;
  private options: PlotOptions;
  private drawn = ''; // what is drawn, but for the values
  private chart: uPlot | null = null;
  private readonly legend: HTMLElement;
  private readonly box: HTMLElement;
  private values: HTMLElement[] = [];
  private markLine: HTMLElement | null = null;
  private marked: number | null = null;
  private readonly resize: ResizeObserver;

  constructor(parent: HTMLElement, options: PlotOptions) {
    this.options = options;
    this.legend = make('div', { class: 'legend' });
    this.box = make('div');
    this.element = make('div', { class: 'plot', role: 'figure', 'aria-label': options.title }, this.legend, this.box);
    parent.append(this.element);
    this.resize = new ResizeObserver(() => {
      const width = this.box.clientWidth;
      if (this.chart && width > 0 && width !== this.chart.width) this.chart.setSize({ width, height: this.chart.height });
      else if (!this.chart && width > 0) this.draw();
    });
    this.resize.observe(this.box);
    onTheme(() => this.draw());
    this.draw();
  }

  /** Shows other data; what is not named stays. */
  set(options: Partial<PlotOptions>): void {
    this.options = { ...this.options, ...options };
    this.draw();
  }

  /** Replaces the values of the last lines and marks a place, without drawing all anew: for what comes many times a second. */
  live(values: Values[], x: number): void {
    const { lines } = this.options;
    const first = lines.length - values.length;
    values.forEach((y, i) => (lines[first + i] = { ...lines[first + i]!, y }));
    if (this.chart) {
      const data = [...this.chart.data] as (number | null)[][];
      data.splice(data.length - values.length, values.length, ...values.map((y) => Array.from(y, gap)));
      this.chart.setData(data as uPlot.AlignedData);
    }
    this.mark(x);
  }

  /** Marks a place on the x axis and shows the values there. */
  mark(x: number | null): void {
    this.marked = x;
    if (!this.chart) return;
    this.placeMark(this.chart);
    if (this.chart.cursor.idx === null || this.chart.cursor.idx === undefined || !this.hovered()) this.showValues(this.nearest(x));
  }

  private placeMark(chart: uPlot): void {
    if (!this.markLine) return;
    const x = this.marked;
    const { min, max } = chart.scales.x!;
    const inside = x !== null && typeof min === 'number' && typeof max === 'number' && x >= min && x <= max;
    this.markLine.style.display = inside ? '' : 'none';
    if (inside) this.markLine.style.left = `${chart.valToPos(x, 'x')}px`;
  }

  /** The values of the lines at the marked place, by label: what the legend says. */
  readings(): Record<string, string> {
    return Object.fromEntries(this.named().map((line, i) => [line.label, this.values[i]?.textContent ?? '']));
  }

  /** The plot as a picture of lines, for papers: what is drawn now, with its axes, in the colours of the page. */
  svg(): string {
    const u = this.chart;
    if (!u) return '';
    const { width, height } = u;
    const left = 60;
    const [top, right, bottom] = [24, 12, 40];
    const [w, h] = [width - left - right, height - top - bottom];
    const place = (value: number, scale: 'x' | 'y'): number => {
      const share = u.valToPos(value, scale) / (scale === 'x' ? u.over.clientWidth : u.over.clientHeight);
      return scale === 'x' ? left + share * w : top + share * h;
    };
    const escape = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
    const text = (x: number, y: number, anchor: string, words: string): string => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escape(words)}</text>`;
    const axis = (i: 0 | 1): string => {
      const { _splits = [], _values = [] } = u.axes[i] as { _splits?: number[]; _values?: (string | null)[] };
      return _splits
        .map((value, k) => {
          const at = place(value, i === 0 ? 'x' : 'y');
          if (!(i === 0 ? at >= left - 1 && at <= left + w + 1 : at >= top - 1 && at <= top + h + 1)) return '';
          const line = i === 0 ? `M${at.toFixed(1)} ${top}V${top + h}` : `M${left} ${at.toFixed(1)}H${left + w}`;
          const label = _values[k] ?? '';
          return `<path d="${line}" stroke="#ddd"/>${i === 0 ? text(at, top + h + 16, 'middle', String(label)) : text(left - 6, at + 4, 'end', String(label))}`;
        })
        .join('');
    };
    const { x, lines, bands = [], title, xLabel = '' } = this.options;
    const points = (y: Values): string[] =>
      Array.from(x as ArrayLike<number>).flatMap((value, k) => {
        const v = gap(y[k] ?? null);
        return v === null ? [] : [`${place(value, 'x').toFixed(1)},${place(v, 'y').toFixed(1)}`];
      });
    const areas = bands.map((band) => `<polygon points="${[...points(band.high), ...points(band.low).reverse()].join(' ')}" fill="${colour(band.colour)}" fill-opacity="0.2"/>`);
    const drawn = lines.map(
      (line) =>
        `<polyline points="${points(line.y).join(' ')}" fill="none" stroke="${colour(line.colour)}" stroke-width="${line.width ?? (line.faint ? 0.8 : 2)}"${line.faint ? ' stroke-opacity="0.4"' : ''}${line.dash ? ` stroke-dasharray="${line.dash.join(' ')}"` : ''}/>`,
    );
    const names = this.named().map((line, k) => `<path d="M${left + 10} ${top + 14 + 16 * k}h22" stroke="${colour(line.colour)}" stroke-width="2"${line.dash ? ` stroke-dasharray="${line.dash.join(' ')}"` : ''}/>${text(left + 38, top + 18 + 16 * k, 'start', line.label)}`);
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">` +
      `<rect width="100%" height="100%" fill="white"/><clipPath id="inside"><rect x="${left}" y="${top}" width="${w}" height="${h}"/></clipPath>` +
      `${axis(0)}${axis(1)}<g clip-path="url(#inside)">${areas.join('')}${drawn.join('')}</g>` +
      `<rect x="${left}" y="${top}" width="${w}" height="${h}" fill="none" stroke="#888"/>${names.join('')}` +
      `${text(left, 14, 'start', title)}${text(left + w / 2, height - 6, 'middle', xLabel)}</svg>`
    );
  }

  destroy(): void {
    this.resize.disconnect();
    this.chart?.destroy();
    this.chart = null;
    this.element.remove();
  }

  private hovered(): boolean {
    return (this.chart?.cursor.left ?? -1) >= 0;
  }

  private named(): Line[] {
    return this.options.lines.filter((line) => !line.faint && line.label);
  }

  private nearest(x: number | null): number | null {
    if (x === null) return null;
    let best: number | null = null;
    for (let i = 0; i < this.options.x.length; ++i)
      if (best === null || Math.abs(this.options.x[i]! - x) < Math.abs(this.options.x[best]! - x)) best = i;
    return best;
  }

  private showValues(index: number | null): void {
    this.named().forEach((line, i) => {
      const cell = this.values[i];
      if (!cell) return;
      cell.textContent = index === null ? '' : short(gap(line.y[index] ?? null));
      cell.parentElement!.hidden = this.options.terse === true && index === null;
    });
  }

  private data(): uPlot.AlignedData {
    const { x, lines, bands = [] } = this.options;
    return [
      Array.from(x as ArrayLike<number>),
      ...bands.flatMap((band) => [Array.from(band.high, gap), Array.from(band.low, gap)]),
      ...lines.map((line) => Array.from(line.y, gap)),
    ] as uPlot.AlignedData;
  }

  private drawLegend(): void {
    const { title, hint, bands = [], terse = false } = this.options;
    this.values = this.named().map(() => make('b'));
    const dashes = 'repeating-linear-gradient(90deg, transparent 0 3px, var(--surface) 3px 5px), ';
    const key = (name: string, label: string, kind: string, value?: HTMLElement, dashed = false) =>
      make(
        'span',
        { class: 'key', title: label, hidden: terse },
        make('span', { class: `swatch ${kind}`, style: `background: ${dashed ? dashes : ''}linear-gradient(var(${name}), var(${name}))` }),
        !terse && label,
        value,
      );
    this.legend.replaceChildren(
      make('span', { class: 'title', title: hint ?? title }, title),
      ...this.named().map((line, i) => key(line.colour, line.label, '', this.values[i], line.dash !== undefined)),
      ...bands.filter((band) => band.label).map((band) => key(band.colour, band.label, 'band')),
    );
  }

  private draw(): void {
    const width = this.box.clientWidth;
    // Other values only: what the reader points at stays.
    const { x: _x, lines: now, bands: areasNow = [], ...rest } = this.options;
    const form = JSON.stringify([rest, width, _x.length <= 1, theme(), now.map(({ y: _y, ...l }) => l), areasNow.map((b) => [b.label, b.colour])]);
    if (this.chart && form === this.drawn) {
      this.chart.setData(this.data());
      this.mark(this.marked);
      return;
    }
    this.drawn = form;
    this.drawLegend();
    this.chart?.destroy();
    this.chart = null;
    if (width === 0) return; // not on the page yet: drawn when it gets a size
    const { x, lines, bands = [], levels = [], xTicks, xPlaces } = this.options;
    const muted = colour('--muted');
    const grid = { stroke: colour('--line'), width: 1 };
    const series: uPlot.Series[] = [{}];
    const areas: uPlot.Band[] = [];
    for (const band of bands) {
      const hidden = { stroke: 'transparent', width: 0, spanGaps: true, points: { show: false } };
      series.push({ ...hidden, label: `${band.label} high` }, { ...hidden, label: `${band.label} low` });
      areas.push({ series: [series.length - 2, series.length - 1], fill: `color-mix(in srgb, ${colour(band.colour)} 22%, transparent)` });
    }
    for (const line of lines) {
      series.push({
        label: line.label,
        stroke: line.faint ? `color-mix(in srgb, ${colour(line.colour)} 40%, transparent)` : colour(line.colour),
        width: line.width ?? (line.faint ? 1 : 2),
        dash: line.dash,
        spanGaps: line.span,
        points: { show: x.length <= 1 },
      });
    }
    const distribution = { linear: 1, log: 3, asinh: 4 } as const;
    const [low = null, high = null] = this.options.yRange ?? [];
    const axis = (label?: string): uPlot.Axis => ({
      stroke: muted,
      grid,
      ticks: { ...grid, size: 4 },
      font: '11px system-ui, sans-serif',
      labelFont: '11px system-ui, sans-serif',
      label,
      labelSize: label ? 16 : 0,
    });
    const yScale = this.options.yScale ?? 'linear';
    const height = this.options.height ?? 130;
    const splits = (_: uPlot, __: number, min: number, max: number): number[] => {
      const place = yScale === 'log' ? Math.log10 : Math.asinh;
      return decades(min, max, place, (place(max) - place(min)) * (16 / Math.max(40, height - 40)));
    };
    this.chart = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        padding: [6, 16, 0, 0],
        cursor: {
          y: false,
          drag: { x: false, y: false },
          points: { size: 6 },
          ...(this.options.sync ? { sync: { key: this.options.sync, scales: ['x', null] as [string, null] } } : {}),
        },
        scales: {
          x: { time: false, distr: distribution[this.options.xScale ?? 'linear'] },
          y: {
            distr: distribution[yScale],
            ...(yScale === 'linear'
              ? {
                  range: (_: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax => {
                    const ends = [min ?? 0, max ?? 1, ...levels.filter(Number.isFinite)];
                    const a = Math.min(...ends);
                    const b = Math.max(...ends);
                    const pad = b > a ? 0.06 * (b - a) : 0.5;
                    return [low ?? a - pad, high ?? b + pad];
                  },
                }
              : {
                  range: (_: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax => {
                    if (min === null || max === null) return yScale === 'log' ? [0.1, 10] : [-1, 1];
                    const ends = levels.filter((v) => Number.isFinite(v) && (yScale === 'asinh' || v > 0));
                    const a = Math.min(min, ...ends);
                    const b = Math.max(max, ...ends);
                    return [low ?? (a > 0 ? a / 1.3 : a * 1.3), high ?? (b > 0 ? b * 1.3 : b / 1.3)];
                  },
                }),
          },
        },
        axes: [
          {
            ...axis(this.options.xLabel),
            size: 26,
            ...(xPlaces ? { splits: (_: uPlot, __: number, min: number, max: number) => xPlaces(min, max), filter: (_: uPlot, ticks: number[]) => ticks } : {}),
            ...(xTicks ? { values: (_: uPlot, ticks: number[]) => ticks.map(xTicks) } : {}),
          },
          {
            ...axis(this.options.yLabel),
            size: 52,
            space: Math.min(30, height / 6),
            ...(yScale === 'linear' ? {} : { splits, filter: (_: uPlot, ticks: number[]) => ticks }),
            values: (_, ticks) => ticks.map((v) => (v === null ? '' : yScale === 'linear' ? short(v) : powerText(v))),
          },
        ],
        series,
        bands: areas,
        hooks: {
          // The scale is known when the chart is drawn, not when it is made.
          draw: [(u) => this.drawLevels(u, levels, muted), (u) => this.placeMark(u)],
          setCursor: [(u) => this.showValues(this.hovered() ? (u.cursor.idx ?? null) : this.nearest(this.marked))],
        },
      },
      this.data(),
      this.box,
    );
    this.markLine = make('div', { class: 'mark' });
    this.chart.over.append(this.markLine);
    this.listen(this.chart);
    this.mark(this.marked);
  }

  private drawLevels(u: uPlot, levels: number[], stroke: string): void {
    const context = u.ctx;
    context.save();
    context.strokeStyle = stroke;
    context.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    for (const level of levels) {
      const y = Math.round(u.valToPos(level, 'y', true));
      if (!Number.isFinite(y)) continue;
      context.beginPath();
      context.moveTo(u.bbox.left, y);
      context.lineTo(u.bbox.left + u.bbox.width, y);
      context.stroke();
    }
    context.restore();
  }

  private listen(u: uPlot): void {
    const pick = (event: PointerEvent) => {
      const left = event.clientX - u.over.getBoundingClientRect().left;
      this.options.onPick?.(u.posToVal(Math.min(Math.max(left, 0), u.over.clientWidth), 'x'));
    };
    if (!this.options.onPick) return;
    u.over.style.cursor = 'ew-resize';
    u.over.style.touchAction = 'pan-y';
    u.over.addEventListener('pointerdown', (event) => {
      u.over.setPointerCapture(event.pointerId);
      pick(event);
    });
    u.over.addEventListener('pointermove', (event) => {
      if (event.buttons) pick(event);
    });
  }
}
