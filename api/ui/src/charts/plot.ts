// One panel's canvas. uPlot gives axes, cursor and drag; lines and bands are drawn here, each on its own x.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { duration, moment } from "../format";
import { resolved } from "../model";
import type { Band } from "./columns";
import { type Line, nearest, pointNear, smoothed } from "./line";
import { clock, compact, padded, reach, type Span, spans, steps, tick } from "./scale";
import type { Axis } from "./settings";

/** A line and how it looks. faint: one of a group's, behind its band. */
export interface Trace {
  line: Line;
  name: string;
  color: number;
  dashed: boolean;
  faint: boolean;
}

/** A group's band and how it looks. */
export interface Ribbon {
  band: Band;
  name: string;
  color: number;
}

export interface Look {
  x: Axis;
  logX: boolean;
  logY: boolean;
  smooth: number;
  safe: boolean;
  zoom: Span | null;
}

/** What the crosshair finds of a run or group. place: in pixels of the plot, from its top; NaN where it is not drawn. */
export interface Reading {
  id: string;
  name: string;
  color: number;
  dashed: boolean;
  group: boolean;
  x: number;
  raw: number;
  value: number;
  place: number;
}

interface Events {
  zoom: (span: Span | null) => void;
  /** Where the pointer is on x, and which run is nearest; null where it has left. */
  point: (x: number | null, nearest: string, left: number, top: number) => void;
}

/** How near, in pixels, a line must be to the pointer. */
const NEAR = 24;

interface Colors {
  ground: string;
  axis: string;
  grid: string;
  lines: readonly string[];
}

interface Drawn extends Trace {
  smooth: Float64Array;
}

interface DrawnRibbon extends Ribbon {
  smooth: Band;
}

export class Plot {
  readonly box: HTMLElement;
  private readonly on: Events;
  private plot: uPlot | null = null;
  private made = "";
  private traces: readonly Drawn[] = [];
  private ribbons: readonly DrawnRibbon[] = [];
  private look: Look = { x: "step", logX: false, logY: false, smooth: 0, safe: false, zoom: null };
  private xs: Span = [0, 1];
  private ys: Span = [0, 1];
  private focused = "";
  private colors: Colors;
  /** Above the plot: what is brought out. */
  private readonly over = document.createElement("canvas");
  private quiet = false;
  /** Whether something lies beyond what the y axis spans. */
  clipped = false;

  constructor(box: HTMLElement, on: Events) {
    this.box = box;
    this.on = on;
    this.colors = colorsOf();
    this.over.className = "chart-over";
    box.append(this.over);
  }

  show(traces: readonly Trace[], ribbons: readonly Ribbon[], look: Look): void {
    const known = new Map(this.traces.map((trace) => [trace.line, trace.smooth]));
    const same = look.smooth === this.look.smooth;
    this.traces = traces.map((trace) => ({ ...trace, smooth: (same && known.get(trace.line)) || smoothed(trace.line.value, look.smooth) }));
    const part = (values: Float64Array) => smoothed(values, look.smooth);
    this.ribbons = ribbons.map(({ name, color, band }) => ({ name, color, band, smooth: { ...band, value: part(band.value), low: part(band.low), high: part(band.high) } }));
    this.look = look;
    this.scale();
    const made = `${look.x} ${look.logX} ${look.logY}`;
    if (!this.plot || made !== this.made) this.make();
    this.made = made;
    this.plot?.setData([this.xs as [number, number], this.ys as [number, number]]);
  }

  /** The theme has changed. */
  restyle(): void {
    this.colors = colorsOf();
    this.made = "";
    this.show(this.traces, this.ribbons, this.look);
  }

  /** Bring out one run's line. id: empty for none. */
  focus(id: string): void {
    if (id === this.focused) return;
    this.focused = id;
    this.bring();
  }

  /** Stand the crosshair at an x; null takes it away. */
  point(x: number | null): void {
    const plot = this.plot;
    if (!plot) return;
    const left = x === null || x < this.xs[0] || x > this.xs[1] ? -10 : plot.valToPos(x, "x");
    this.quiet = true;
    plot.setCursor({ left, top: -10 }, false);
    this.quiet = false;
  }

  resize(): void {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (this.plot && width && (this.plot.width !== width || this.plot.height !== height)) this.plot.setSize({ width, height });
  }

  /** What each line has at an x, or at its end for null; what has nothing near it is left out. */
  read(at: number | null): Reading[] {
    const plot = this.plot;
    const room = (this.xs[1] - this.xs[0]) / 60;
    const smoothing = this.look.smooth > 0;
    const beyond = (first: number | undefined, last: number | undefined) => first === undefined || last === undefined || (at !== null && (at > last + room || at < first - room));
    const found: Reading[] = [];
    const put = (one: Omit<Reading, "place">) => {
      const drawn = plot && Number.isFinite(one.value) && !(this.look.logY && one.value <= 0);
      found.push({ ...one, place: drawn ? plot.valToPos(one.value, "y") : NaN });
    };
    for (const { name, color, band, smooth } of this.ribbons) {
      const end = band.x.length - 1;
      if (beyond(band.x[0], band.x[end])) continue;
      const i = at === null ? end : nearest(band.x, at);
      put({ id: `group ${name}`, name, color, dashed: false, group: true, x: band.x[i]!, raw: band.value[i]!, value: smooth.value[i]! });
    }
    for (const { line, name, color, dashed, smooth } of this.traces) {
      const end = line.x.length - 1;
      if (beyond(line.xFirst[0], line.x[end])) continue;
      const near = at === null ? { bucket: end, x: line.x[end]!, value: line.value[end]! } : pointNear(line, at);
      if (!near) continue;
      const value = smoothing ? smooth[near.bucket]! : near.value;
      put({ id: line.id, name, color, dashed, group: false, x: near.x, raw: near.value, value: Number.isNaN(value) ? near.value : value });
    }
    return found;
  }

  /** Where an x of the crosshair is, in words. */
  place(at: number): string {
    if (this.look.x === "time") return moment(at);
    if (this.look.x === "relative") return at < 0 ? `−${duration(-at)}` : duration(at);
    return `Step ${Math.round(at).toLocaleString("en-US")}`;
  }

  /** The x that lies a share of the width from another one, within what is shown. */
  step(from: number | null, share: number): number {
    const [low, high] = this.xs;
    if (from === null) return share < 0 ? high : low;
    if (this.look.logX) return Math.min(high, Math.max(low, from * (high / low) ** share));
    return Math.min(high, Math.max(low, from + (high - low) * share));
  }

  /** What is drawn, for other ways to draw it. */
  get drawing(): { traces: readonly Drawn[]; ribbons: readonly DrawnRibbon[]; look: Look; xs: Span; ys: Span; colors: Colors; plot: uPlot | null } {
    const { traces, ribbons, look, xs, ys, colors, plot } = this;
    return { traces, ribbons, look, xs, ys, colors, plot };
  }

  destroy(): void {
    this.plot?.destroy();
    this.plot = null;
    this.over.remove();
  }

  /** What the axes span. */
  private scale(): void {
    const { logX, logY, safe, zoom } = this.look;
    const lines = this.traces.map((trace) => trace.line);
    const bands = this.ribbons.map((ribbon) => ribbon.band);
    const ends = [...lines.flatMap(({ px, x }) => (x.length ? [px[0]!, x[x.length - 1]!] : [])), ...bands.flatMap(({ x }) => (x.length ? [x[0]!, x[x.length - 1]!] : []))];
    let [low, high] = zoom ?? [Math.min(...ends), Math.max(...ends)];
    if (logX && !(low > 0)) low = least(lines, bands);
    if (!(low <= high)) [low, high] = logX ? [1, 10] : [0, 1];
    this.xs = low < high ? [low, high] : logX ? [low / 2, high * 2] : [low - 1, high + 1];
    const within = zoom ? lines.map((line) => inside(line, this.xs)) : lines.map((line) => line.py);
    const values = [...within, ...bands.flatMap(({ low, high, value }) => [low, high, value])];
    const whole = reach(values, { log: logY });
    const kept = safe ? reach(values, { log: logY, safe }) : whole;
    this.clipped = Boolean(kept && whole && (kept[0] > whole[0] || kept[1] < whole[1]));
    this.ys = padded(kept, logY);
  }

  private make(): void {
    this.plot?.destroy();
    const { axis, grid } = this.colors;
    const { x, logX, logY } = this.look;
    const font = '11px Inter, "Inter Variable", system-ui, sans-serif';
    const common = { stroke: axis, font, ticks: { show: false }, border: { show: false } };
    const texts = (format: (value: number) => string) => (_: uPlot, at: (number | null)[]) => at.map((value) => (value === null ? "" : format(value)));
    const xAxis: uPlot.Axis = { ...common, grid: { show: false }, size: 24, gap: 4, space: 60 };
    if (x === "step") Object.assign(xAxis, { ...(logX ? {} : { incrs: steps() }), values: texts(compact) });
    if (x === "relative") Object.assign(xAxis, { ...(logX ? {} : { incrs: spans() }), values: texts(clock) });
    const yAxis: uPlot.Axis = {
      ...common,
      grid: { stroke: grid, width: 1 },
      gap: 6,
      space: 30,
      values: texts(tick),
      size: (_, found) => 14 + 6.3 * Math.max(3, ...(found ?? []).map((text) => text.length)),
    };
    const options: uPlot.Options = {
      width: Math.max(120, this.box.clientWidth),
      height: Math.max(80, this.box.clientHeight),
      ms: 1,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: x === "time", distr: logX ? 3 : 1, range: () => this.xs as [number, number] },
        y: { distr: logY ? 3 : 1, range: () => this.ys as [number, number] },
      },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [xAxis, yAxis],
      cursor: {
        points: { show: false },
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 5 },
        bind: { dblclick: () => () => (this.on.zoom(null), null) },
      },
      hooks: {
        draw: [(plot) => this.draw(plot)],
        setCursor: [(plot) => this.moved(plot)],
        setSelect: [(plot) => this.selected(plot)],
      },
    };
    this.plot = new uPlot(options, [this.xs as [number, number], this.ys as [number, number]], this.box);
  }

  private moved(plot: uPlot): void {
    if (this.quiet) return;
    const { left = -10, top = -10 } = plot.cursor;
    if (left < 0 || top < 0) return this.on.point(null, "", 0, 0);
    const at = plot.posToVal(left, "x");
    let [best, least] = ["", NEAR];
    for (const { id, place, x } of this.read(at)) {
      const distance = Math.abs(place - top);
      if (distance < least && Math.abs(plot.valToPos(x, "x") - left) < 60) [best, least] = [id, distance];
    }
    this.on.point(at, best, left + plot.over.offsetLeft, top + plot.over.offsetTop);
  }

  private selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 5) return;
    const ends = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    const [low, high] = this.look.x === "time" ? ends.map(Math.round) : ends.map((value) => Number(value.toPrecision(6)));
    if (low !== undefined && high !== undefined && low < high) this.on.zoom([low, high]);
  }

  private draw(plot: uPlot): void {
    const view = this.view(plot, plot.ctx);
    const { pen, ratio } = view;
    pen.save();
    clip(pen, plot);
    for (const ribbon of this.ribbons) this.area(view, ribbon);
    // Thin lines are drawn ten times as fast: where there are many, each is a pixel wide.
    const many = this.traces.reduce((sum, { line }) => sum + line.px.length, 0) > MANY;
    pen.lineJoin = many ? "bevel" : "round";
    for (const trace of this.traces) if (trace.faint) this.trace(view, trace, many ? 1 : ratio, 0.28);
    for (const trace of this.traces) if (!trace.faint) this.trace(view, trace, many ? 1 : trace.line.bucketed ? 1.1 * ratio : 1.5 * ratio, 1);
    for (const ribbon of this.ribbons) this.middle(view, ribbon, 2 * ratio);
    pen.restore();
    this.bring();
  }

  /** Draw what is brought out, alone, over all that steps back. */
  private bring(): void {
    const plot = this.plot;
    if (!plot) return;
    const { canvas } = plot.ctx;
    if (this.over.width !== canvas.width || this.over.height !== canvas.height) [this.over.width, this.over.height] = [canvas.width, canvas.height];
    this.over.style.width = `${plot.width}px`;
    this.over.style.height = `${plot.height}px`;
    const pen = this.over.getContext("2d");
    if (!pen) return;
    pen.clearRect(0, 0, this.over.width, this.over.height);
    const trace = this.traces.find(({ line }) => line.id === this.focused);
    const ribbon = this.ribbons.find(({ name }) => `group ${name}` === this.focused);
    if ((!trace && !ribbon) || this.traces.length + this.ribbons.length < 2) return;
    const { left, top, width, height } = plot.bbox;
    const view = this.view(plot, pen);
    pen.save();
    clip(pen, plot);
    pen.fillStyle = this.colors.ground;
    pen.globalAlpha = 0.65;
    pen.fillRect(left, top, width, height);
    pen.globalAlpha = 1;
    pen.lineJoin = "bevel";
    if (ribbon) this.area(view, ribbon);
    if (ribbon) this.middle(view, ribbon, 2 * view.ratio);
    if (trace) this.trace(view, trace, 1.6 * view.ratio, 1);
    pen.restore();
  }

  private view(plot: uPlot, pen: Pen): View {
    const { left, top, width, height } = plot.bbox;
    const toX = placer(this.xs, left, width, this.look.logX);
    const toY = placer([this.ys[1], this.ys[0]], top, height, this.look.logY);
    return { pen, toX, toY, top, height, ratio: plot.ctx.canvas.width / plot.width };
  }

  private trace({ pen, toX, toY, top, height, ratio }: View, { line, color, dashed, smooth }: Drawn, width: number, strength: number): void {
    const smoothing = this.look.smooth > 0;
    pen.strokeStyle = pen.fillStyle = this.colors.lines[color % 10] ?? this.colors.axis;
    const dash = dashed ? [6 * ratio, 4 * ratio] : [];
    // What goes up and down within a bucket has no room for dashes.
    pen.setLineDash(line.bucketed ? [] : dash);
    pen.globalAlpha = strength * (smoothing ? 0.24 : 1);
    pen.lineWidth = smoothing ? Math.min(width, ratio) : width;
    stroke(pen, line.px, line.py, toX, toY, ratio);
    pen.globalAlpha = strength;
    if (smoothing) {
      pen.setLineDash(dash);
      pen.lineWidth = Math.max(width, 1.7 * ratio);
      stroke(pen, line.x, smooth, toX, toY, ratio);
    }
    pen.setLineDash([]);
    mark(pen, line, toX, top, height, ratio);
    pen.globalAlpha = 1;
  }

  private area({ pen, toX, toY }: View, { smooth, color }: DrawnRibbon): void {
    pen.fillStyle = this.colors.lines[color % 10] ?? this.colors.axis;
    pen.globalAlpha = 0.16;
    fill(pen, smooth, toX, toY);
    pen.globalAlpha = 1;
  }

  private middle({ pen, toX, toY, ratio }: View, { smooth, color }: DrawnRibbon, width: number): void {
    pen.strokeStyle = this.colors.lines[color % 10] ?? this.colors.axis;
    pen.lineWidth = width;
    stroke(pen, smooth.x, smooth.value, toX, toY, ratio);
  }
}

/** A canvas, and where values lie on it. */
interface View {
  pen: Pen;
  toX: Place;
  toY: Place;
  top: number;
  height: number;
  ratio: number;
}

/** So many points of lines are drawn a pixel wide. */
const MANY = 8_000;

function clip(pen: Pen, { bbox: { left, top, width, height } }: uPlot): void {
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
}

/** Places of values between two ends of an axis, in canvas pixels; NaN where a log axis has none. */
function placer([from, to]: Span, start: number, length: number, log: boolean): (value: number) => number {
  if (!log) return (value) => start + ((value - from) / (to - from)) * length;
  const [a, b] = [Math.log10(from), Math.log10(to)];
  return (value) => (value > 0 ? start + ((Math.log10(value) - a) / (b - a)) * length : NaN);
}

type Pen = CanvasRenderingContext2D;
type Place = (value: number) => number;

/** A line; NaN lifts the pen, and a point alone is a dot. */
function stroke(pen: Pen, xs: Float64Array, ys: Float64Array, toX: Place, toY: Place, ratio: number): void {
  let [down, alone, x, y] = [false, false, 0, 0];
  const dot = () => {
    pen.moveTo(x + 2 * ratio, y);
    pen.arc(x, y, 1.5 * ratio, 0, 2 * Math.PI);
  };
  pen.beginPath();
  for (let i = 0; i < xs.length; i++) {
    const [nextX, nextY] = [toX(xs[i]!), toY(ys[i]!)];
    if (Number.isNaN(nextY) || Number.isNaN(nextX)) {
      if (alone) dot();
      down = alone = false;
      continue;
    }
    [x, y] = [nextX, nextY];
    if (down) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    alone = !down;
    down = true;
  }
  if (alone) dot();
  pen.stroke();
}

/** What lies between a band's ends. */
function fill(pen: Pen, { x, low, high }: Band, toX: Place, toY: Place): void {
  pen.beginPath();
  let start = 0;
  for (let i = 0; i <= x.length; i++) {
    if (i < x.length && Number.isFinite(low[i]!) && Number.isFinite(high[i]!)) continue;
    for (let j = start; j < i; j++) pen[j === start ? "moveTo" : "lineTo"](toX(x[j]!), toY(high[j]!));
    for (let j = i - 1; j >= start; j--) pen.lineTo(toX(x[j]!), toY(low[j]!));
    if (i > start) pen.closePath();
    start = i + 1;
  }
  pen.fill();
}

/** NaN as a cross at the foot, infinities as arrows at the edges. */
function mark(pen: Pen, line: Line, toX: Place, top: number, height: number, ratio: number): void {
  const r = 3 * ratio;
  pen.lineWidth = 1.4 * ratio;
  for (const x of apart(line.nan, toX, 9 * ratio)) {
    const y = top + height - 6 * ratio;
    pen.beginPath();
    pen.moveTo(x - r, y - r);
    pen.lineTo(x + r, y + r);
    pen.moveTo(x + r, y - r);
    pen.lineTo(x - r, y + r);
    pen.stroke();
  }
  const edges: [readonly number[], number, number][] = [
    [line.over, top + 2 * ratio, 1],
    [line.under, top + height - 2 * ratio, -1],
  ];
  for (const [places, edge, way] of edges) {
    for (const x of apart(places, toX, 9 * ratio)) {
      pen.beginPath();
      pen.moveTo(x, edge);
      pen.lineTo(x - r, edge + way * 1.8 * r);
      pen.lineTo(x + r, edge + way * 1.8 * r);
      pen.fill();
    }
  }
}

/** Places on the canvas, without those that would lie on each other. places: rising. */
export function apart(places: readonly number[], toX: Place, distance: number): number[] {
  const found: number[] = [];
  for (const place of places) {
    const x = toX(place);
    if (!Number.isNaN(x) && (!found.length || x - found[found.length - 1]! >= distance)) found.push(x);
  }
  return found;
}

/** The least x above 0. */
function least(lines: readonly Line[], bands: readonly Band[]): number {
  let found = Infinity;
  for (const { px } of lines) for (const x of px) if (x > 0 && x < found) found = x;
  for (const { x } of bands) for (const one of x) if (one > 0 && one < found) found = one;
  return found;
}

/** The values of a line between two x. */
function inside({ px, py }: Line, [low, high]: Span): Float64Array {
  let start = 0;
  let end = px.length;
  while (start < end && px[start]! < low) start++;
  while (end > start && px[end - 1]! > high) end--;
  return py.subarray(start, end);
}

/** Colors of the theme, as the canvas needs them. */
function colorsOf(): Colors {
  return { ground: resolved("--card"), axis: resolved("--muted"), grid: resolved("--grid"), lines: Array.from({ length: 10 }, (_, i) => resolved(`--c${i}`)) };
}
