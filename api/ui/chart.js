// @ts-check
// One metric of many runs. uPlot gives axes, crosshair and drag; the lines are drawn here, each on its own x.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { el, setText } from "./dom.js";
import { duration, moment, number } from "./format.js";
import { nearest } from "./line.js";

/** @typedef {import("./line.js").Line} Line */
/** @typedef {{line: Line, name: string, color: number, dashed: boolean}} Trace */
/** @typedef {{metric: string, x: "step" | "relative" | "time", log: boolean, smooth: number, zoom: [number, number] | null}} Options */

const HEIGHT_MIN = 180;

export class Chart {
  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} legend
   * @param {{zoom: (range: [number, number] | null) => void, hover: (runId: string) => void, pick: (runId: string) => void}} on
   */
  constructor(box, legend, on) {
    this.box = box;
    this.legend = legend;
    this.on = on;
    /** @type {Trace[]} */
    this.traces = [];
    /** @type {Options} */
    this.options = { metric: "", x: "step", log: false, smooth: 0, zoom: null };
    /** @type {any} */
    this.plot = null;
    /** @type {string} */
    this.made = "";
    /** @type {[number, number]} */
    this.xs = [0, 1];
    /** @type {[number, number]} */
    this.ys = [0, 1];
    this.focused = "";
    /** @type {number | null} */
    this.cursorX = null;
    this.colors = this.#colors();
    /** @type {Map<string, {row: HTMLElement, name: HTMLElement, raw: HTMLElement, main: HTMLElement, swatch: HTMLElement}>} */
    this.rows = new Map();
    this.head = el("div", { class: "legend-head" });
    this.list = el("ol");
    legend.replaceChildren(this.head, this.list);
    new ResizeObserver(() => this.#resize()).observe(box);
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  /** The theme has changed. */
  restyle() {
    this.colors = this.#colors();
    this.made = "";
    this.draw();
  }

  /** @param {Trace[]} traces @param {Options} options */
  show(traces, options) {
    this.traces = traces;
    this.options = options;
    this.draw();
  }

  /** Emphasize one run's line. @param {string} runId empty for none */
  focus(runId) {
    if (runId === this.focused) return;
    this.focused = runId;
    for (const [id, { row }] of this.rows) row.classList.toggle("focused", id === runId);
    this.plot?.redraw(false);
  }

  draw() {
    this.#scale();
    const made = `${this.options.x} ${this.options.log}`;
    if (!this.plot || made !== this.made) this.#make();
    this.made = made;
    this.plot.setData([this.xs, this.ys]);
    this.#legend();
    const drawn = this.traces.filter((trace) => trace.line.points).length;
    this.box.setAttribute("aria-label", `Chart of ${this.options.metric || "no metric"}: ${drawn} ${drawn === 1 ? "run" : "runs"}`);
  }

  /** What the axes span. */
  #scale() {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { line } of this.traces) {
      if (!line.x.length) continue;
      x0 = Math.min(x0, line.px[0]);
      x1 = Math.max(x1, line.x[line.x.length - 1]);
      y0 = Math.min(y0, this.options.log ? line.lowPositive : line.low);
      y1 = Math.max(y1, line.high);
    }
    if (!(x0 <= x1)) [x0, x1] = [0, 1];
    if (x0 === x1) [x0, x1] = [x0 - 1, x1 + 1];
    this.xs = this.options.zoom ?? [x0, x1];
    if (!(y0 <= y1)) [y0, y1] = this.options.log ? [0.1, 1] : [0, 1];
    if (this.options.log) {
      if (y0 === y1) [y0, y1] = [y0 / 2, y1 * 2];
      const pad = Math.pow(y1 / y0, 0.04);
      this.ys = [y0 / pad, y1 * pad];
    } else {
      const pad = y0 === y1 ? Math.abs(y0) * 0.1 || 1 : (y1 - y0) * 0.06;
      this.ys = [y0 - pad, y1 + pad];
    }
  }

  #make() {
    this.plot?.destroy();
    const { axis, grid } = this.colors;
    const font = '11px Inter, "Inter Variable", system-ui, sans-serif';
    const common = { stroke: axis, font, ticks: { show: false }, border: { show: false } };
    const x = this.options.x;
    // uPlot's own module has no types.
    this.plot = new /** @type {any} */ (uPlot)(
      {
        ...this.#size(),
        ms: 1,
        padding: [12, 16, 0, 0],
        legend: { show: false },
        scales: {
          x: { time: x === "time", range: () => this.xs },
          y: { distr: this.options.log ? 3 : 1, range: () => this.ys },
        },
        series: [{}, { paths: () => null, points: { show: false } }],
        axes: [
          {
            ...common,
            grid: { show: false },
            size: 28,
            gap: 6,
            space: 70,
            ...(x === "step" ? { incrs: steps(), values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((value) => compact(value)) } : {}),
            ...(x === "relative" ? { incrs: spans(), values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((value) => clock(value)) } : {}),
          },
          {
            ...common,
            grid: { stroke: grid, width: 1 },
            gap: 8,
            space: 34,
            values: (/** @type {any} */ _, /** @type {(number | null)[]} */ at) => at.map((value) => (value === null ? "" : number(tidy(value)))),
            size: (/** @type {any} */ _, /** @type {string[] | null} */ texts) => 18 + 6.4 * Math.max(3, ...(texts ?? []).map((text) => text.length)),
          },
        ],
        cursor: {
          points: { show: false },
          y: false,
          drag: { x: true, y: false, setScale: false, dist: 6 },
          bind: { dblclick: () => () => this.on.zoom(null) },
        },
        hooks: {
          draw: [() => this.#lines()],
          setCursor: [() => this.#cursor()],
          setSelect: [() => this.#selected()],
        },
      },
      [this.xs, this.ys],
      this.box,
    );
  }

  #size() {
    return { width: Math.max(200, this.box.clientWidth), height: Math.max(HEIGHT_MIN, this.box.clientHeight) };
  }

  #resize() {
    if (this.plot && this.box.clientWidth) this.plot.setSize(this.#size());
  }

  #lines() {
    const plot = this.plot;
    const { left, top, width, height } = plot.bbox;
    /** @type {CanvasRenderingContext2D} */
    const pen = plot.ctx;
    const ratio = devicePixelRatio || 1;
    const smooth = this.options.smooth > 0;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, height);
    pen.clip();
    pen.lineJoin = "round";
    const order = [...this.traces].sort((a, b) => Number(a.line.id === this.focused) - Number(b.line.id === this.focused));
    for (const trace of order) {
      const { line } = trace;
      const away = this.focused && this.focused !== line.id;
      pen.strokeStyle = pen.fillStyle = this.colors.lines[trace.color];
      pen.setLineDash(trace.dashed ? [6 * ratio, 4 * ratio] : []);
      pen.globalAlpha = (smooth ? 0.22 : 1) * (away ? 0.45 : 1);
      pen.lineWidth = (smooth ? 1 : line.bucketed ? 1.2 : 1.6) * ratio;
      this.#path(line.px, line.py);
      if (smooth) {
        pen.globalAlpha = away ? 0.45 : 1;
        pen.lineWidth = 1.8 * ratio;
        this.#path(line.x, line.smoothed);
      }
      pen.setLineDash([]);
      pen.globalAlpha = away ? 0.45 : 1;
      this.#marks(line, ratio);
    }
    pen.restore();
  }

  /** @param {Float64Array} xs @param {Float64Array} ys */
  #path(xs, ys) {
    const plot = this.plot;
    /** @type {CanvasRenderingContext2D} */
    const pen = plot.ctx;
    const log = this.options.log;
    const ratio = devicePixelRatio || 1;
    let down = false;
    let alone = false;
    let [x, y] = [0, 0];
    const dot = () => {
      pen.moveTo(x + 2 * ratio, y);
      pen.arc(x, y, 1.5 * ratio, 0, 2 * Math.PI);
    };
    pen.beginPath();
    for (let i = 0; i < xs.length; i++) {
      if (Number.isNaN(ys[i]) || (log && ys[i] <= 0)) {
        if (alone) dot();
        down = alone = false;
        continue;
      }
      x = plot.valToPos(xs[i], "x", true);
      y = plot.valToPos(ys[i], "y", true);
      if (down) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      alone = !down;
      down = true;
    }
    if (alone) dot();
    pen.stroke();
  }

  /** NaN as a cross at the foot, infinities as arrows at the edge. @param {Line} line @param {number} ratio */
  #marks(line, ratio) {
    const plot = this.plot;
    const { top, height } = plot.bbox;
    const pen = plot.ctx;
    const r = 3 * ratio;
    pen.lineWidth = 1.4 * ratio;
    for (const x of this.#apart(line.nan, 9 * ratio)) {
      const y = top + height - 6 * ratio;
      pen.beginPath();
      pen.moveTo(x - r, y - r);
      pen.lineTo(x + r, y + r);
      pen.moveTo(x + r, y - r);
      pen.lineTo(x - r, y + r);
      pen.stroke();
    }
    for (const [places, edge, way] of /** @type {[number[], number, number][]} */ ([[line.over, top + 2 * ratio, 1], [line.under, top + height - 2 * ratio, -1]])) {
      for (const x of this.#apart(places, 9 * ratio)) {
        pen.beginPath();
        pen.moveTo(x, edge);
        pen.lineTo(x - r, edge + way * 1.8 * r);
        pen.lineTo(x + r, edge + way * 1.8 * r);
        pen.fill();
      }
    }
  }

  /** Places on the canvas, without those that would lie on each other. @param {number[]} places rising @param {number} distance */
  #apart(places, distance) {
    /** @type {number[]} */
    const found = [];
    for (const place of places) {
      const x = this.plot.valToPos(place, "x", true);
      if (!found.length || x - found[found.length - 1] >= distance) found.push(x);
    }
    return found;
  }

  #cursor() {
    const plot = this.plot;
    if (!plot) return;
    const { left, top } = plot.cursor;
    this.cursorX = left >= 0 ? plot.posToVal(left, "x") : null;
    let best = "";
    if (this.cursorX !== null && top >= 0) {
      let least = 24;
      for (const { line } of this.traces) {
        const i = nearest(line.x, this.cursorX);
        if (i < 0) continue;
        const y = plot.valToPos(line.smoothed[i], "y");
        if (Math.abs(y - top) < least && Math.abs(plot.valToPos(line.x[i], "x") - left) < 40) {
          least = Math.abs(y - top);
          best = line.id;
        }
      }
    }
    if (best !== this.focused) this.on.hover(best);
    this.#legend();
  }

  #selected() {
    const { left, width } = this.plot.select;
    if (width < 6) return;
    const range = [this.plot.posToVal(left, "x"), this.plot.posToVal(left + width, "x")];
    this.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    const whole = this.options.x !== "time" ? range.map((value) => Number(value.toPrecision(6))) : range.map(Math.round);
    if (whole[0] < whole[1]) this.on.zoom([whole[0], whole[1]]);
  }

  /** Values at the crosshair, or the latest, highest first. */
  #legend() {
    const at = this.cursorX;
    const smooth = this.options.smooth > 0;
    const entries = this.traces
      .filter(({ line }) => line.x.length)
      .map((trace) => {
        const { line } = trace;
        const beyond = at !== null && (at > line.x[line.x.length - 1] + this.#reach() || at < line.px[0] - this.#reach());
        const i = at === null ? line.x.length - 1 : beyond ? -1 : nearest(line.x, at);
        return { trace, raw: i < 0 ? null : line.value[i], main: i < 0 ? null : line.smoothed[i] };
      })
      .sort((a, b) => rank(b.main) - rank(a.main));
    setText(this.head, at === null ? "Latest" : this.#place(at));
    const kept = new Set(entries.map(({ trace }) => trace.line.id));
    for (const [id, { row }] of this.rows) {
      if (kept.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    entries.forEach(({ trace, raw, main }, place) => {
      const shown = this.#row(trace);
      shown.swatch.className = `swatch c${trace.color}${trace.dashed ? " dashed" : ""}`;
      shown.row.classList.toggle("past", main === null);
      setText(shown.name, trace.name);
      shown.row.title = trace.name;
      setText(shown.raw, smooth && raw !== null ? number(raw) : "");
      setText(shown.main, main === null ? "–" : number(smooth && Number.isNaN(main) && raw !== null ? raw : main));
      if (this.list.children[place] !== shown.row) this.list.insertBefore(shown.row, this.list.children[place] ?? null);
    });
  }

  /** @param {Trace} trace */
  #row(trace) {
    const id = trace.line.id;
    let found = this.rows.get(id);
    if (!found) {
      const [swatch, name, raw, main] = [el("i"), el("span", { class: "name" }), el("span", { class: "raw" }), el("b")];
      const row = el("li", { onmouseenter: () => this.on.hover(id), onmouseleave: () => this.on.hover(""), onclick: () => this.on.pick(id) }, swatch, name, raw, main);
      found = { row, name, raw, main, swatch };
      this.rows.set(id, found);
    }
    return found;
  }

  /** How far beyond a line's end the crosshair still finds it. */
  #reach() {
    return (this.xs[1] - this.xs[0]) / 60;
  }

  /** @param {number} at */
  #place(at) {
    if (this.options.x === "time") return moment(at);
    if (this.options.x === "relative") return at < 0 ? `−${duration(-at)}` : duration(at);
    return `Step ${Math.round(at).toLocaleString("en-US")}`;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const plot = this.plot;
    const width = plot.over.clientWidth;
    const left = plot.cursor.left >= 0 ? plot.cursor.left : width;
    const stride = event.shiftKey ? width / 10 : Math.max(1, width / 100);
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      plot.setCursor({ left: Math.min(width, Math.max(0, left + (event.key === "ArrowLeft" ? -stride : stride))), top: -10 });
      this.cursorX = plot.posToVal(plot.cursor.left, "x");
      this.#legend();
    } else if (event.key === "Escape") this.on.zoom(null);
    else return;
    event.preventDefault();
  }

  /** Colours of the theme, as the canvas needs them. */
  #colors() {
    const probe = el("span", { hidden: true });
    document.body.append(probe);
    /** @param {string} name */
    const color = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const found = { axis: color("--muted"), grid: color("--grid"), lines: Array.from({ length: 10 }, (_, i) => color(`--c${i}`)) };
    probe.remove();
    return found;
  }
}

/** @param {number | null} value */
function rank(value) {
  return value === null ? -Infinity : Number.isNaN(value) ? -Number.MAX_VALUE : value;
}

/** A tick without the noise of binary fractions. @param {number} value */
function tidy(value) {
  return Number(value.toPrecision(6));
}

/** @param {number} step */
function compact(step) {
  const size = Math.abs(step);
  if (size >= 1e9) return `${tidy(step / 1e9)}G`;
  if (size >= 1e6) return `${tidy(step / 1e6)}M`;
  if (size >= 1e4) return `${tidy(step / 1e3)}k`;
  return String(tidy(step));
}

/** @param {number} ms */
function clock(ms) {
  const sign = ms < 0 ? "−" : "";
  const s = Math.abs(ms) / 1000;
  if (s < 60) return `${sign}${tidy(s)}s`;
  if (s < 3600) return `${sign}${Math.floor(s / 60)}m${s % 60 ? ` ${Math.round(s % 60)}s` : ""}`;
  if (s < 86400) return `${sign}${Math.floor(s / 3600)}h${s % 3600 ? ` ${Math.round((s % 3600) / 60)}m` : ""}`;
  return `${sign}${Math.floor(s / 86400)}d${s % 86400 ? ` ${Math.round((s % 86400) / 3600)}h` : ""}`;
}

/** Distances between ticks of a step axis: whole steps. */
function steps() {
  const found = [];
  for (let power = 1; power < 1e18; power *= 10) found.push(power, 2 * power, 5 * power);
  return found;
}

/** Distances between ticks of a time span, ms. */
function spans() {
  const s = 1000;
  const [m, h, d] = [60 * s, 3600 * s, 86400 * s];
  const found = [1, 2, 5, 10, 20, 50, 100, 200, 500, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 3 * h, 6 * h, 12 * h, d];
  for (let days = 2; days < 1e6; days *= 2) found.push(days * d);
  return found;
}
