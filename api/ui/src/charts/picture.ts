// A panel as a picture or as figures: PNG, SVG and CSV.

import type { Table } from "apache-arrow";
import { paint, resolved } from "../model";
import { arrow, Fault } from "../server";
import { numbers } from "./columns";
import { apart, type Plot } from "./plot";
import type { Axis } from "./settings";
import type { Span } from "./scale";

const HEAD = 30;
const ROW = 18;
const FONT = "system-ui, sans-serif";

interface Entry {
  name: string;
  color: number;
  dashed: boolean;
}

/** Save what a panel shows as `<metric>.<ending>`. */
export function save(content: Blob, metric: string, ending: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = `${metric.replace(/[^\w.-]+/g, "_") || "chart"}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The panel's canvas with its title and a legend. */
export async function png(plot: Plot, title: string): Promise<Blob> {
  const { plot: inner } = plot.drawing;
  if (!inner) throw new Error("There is nothing to draw yet.");
  const entries = legend(plot);
  const source = inner.ctx.canvas;
  const ratio = source.width / inner.width;
  const canvas = document.createElement("canvas");
  canvas.width = source.width;
  canvas.height = source.height + (HEAD + ROW * rows(entries)) * ratio;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("The browser gives no canvas.");
  pen.fillStyle = resolved("--card");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(source, 0, HEAD * ratio);
  pen.scale(ratio, ratio);
  pen.fillStyle = resolved("--text");
  pen.font = `600 13px ${FONT}`;
  pen.fillText(title, 12, 20);
  pen.font = `11px ${FONT}`;
  for (const { x, y, entry } of placed(entries, inner.width, inner.height + HEAD)) {
    pen.fillStyle = resolved(paint(entry.color));
    pen.fillRect(x, y - 5, 12, 2);
    pen.fillStyle = resolved("--soft");
    pen.fillText(cut(entry.name), x + 17, y);
  }
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) throw new Error("The picture is too large.");
  return blob;
}

/** The panel drawn in SVG, with its title and a legend. */
export function svg(plot: Plot, title: string): Blob {
  const { plot: inner, traces, ribbons, look, xs, ys, colors } = plot.drawing;
  if (!inner) throw new Error("There is nothing to draw yet.");
  const ratio = inner.ctx.canvas.width / inner.width;
  const [left, top, width, height] = [inner.bbox.left, inner.bbox.top, inner.bbox.width, inner.bbox.height].map((one) => one / ratio) as [number, number, number, number];
  const toX = axis(xs, left, width, look.logX);
  const toY = axis([ys[1], ys[0]], top, height, look.logY);
  const entries = legend(plot);
  const [whole, tall] = [inner.width, inner.height + HEAD + ROW * rows(entries)];
  const parts: string[] = [];
  const ticks = inner.axes as unknown as { _splits?: (number | null)[]; _values?: (string | null)[] }[];
  ticks[1]?._splits?.forEach((at, i) => {
    const text = ticks[1]?._values?.[i];
    if (at === null || !text) return;
    const y = toY(at).toFixed(1);
    parts.push(`<line x1="${left}" x2="${left + width}" y1="${y}" y2="${y}" stroke="${colors.grid}"/>`, label(left - 6, Number(y) + 4, text, colors.axis, "end"));
  });
  ticks[0]?._splits?.forEach((at, i) => {
    const text = ticks[0]?._values?.[i];
    if (at !== null && text) parts.push(label(toX(at), top + height + 16, text.split("\n")[0] ?? "", colors.axis, "middle"));
  });
  const color = (place: number) => colors.lines[place % 10] ?? colors.axis;
  const drawn: string[] = [];
  for (const { smooth: band, color: place } of ribbons) {
    const ends = [...band.x].map((_, i) => i).filter((i) => Number.isFinite(band.low[i]!) && Number.isFinite(band.high[i]!));
    const edge = (values: Float64Array, at: number[]) => at.map((i) => `${toX(band.x[i]!).toFixed(1)} ${toY(values[i]!).toFixed(1)}`).join("L");
    if (ends.length) drawn.push(`<path d="M${edge(band.high, ends)}L${edge(band.low, [...ends].reverse())}Z" fill="${color(place)}" opacity="0.16"/>`);
  }
  for (const { line, color: place, dashed, faint, smooth } of traces) {
    const look_ = `fill="none" stroke="${color(place)}" stroke-linejoin="round"${dashed ? ' stroke-dasharray="6 4"' : ""}`;
    const strength = faint ? 0.28 : 1;
    drawn.push(`<path d="${path(line.px, line.py, toX, toY)}" ${look_} stroke-width="1.2" opacity="${look.smooth ? strength * 0.24 : strength}"/>`);
    if (look.smooth) drawn.push(`<path d="${path(line.x, smooth, toX, toY)}" ${look_} stroke-width="1.7" opacity="${strength}"/>`);
    for (const x of apart(line.nan, toX, 9)) drawn.push(label(x, top + height - 2, "×", color(place), "middle"));
    for (const x of apart(line.over, toX, 9)) drawn.push(label(x, top + 10, "▲", color(place), "middle"));
    for (const x of apart(line.under, toX, 9)) drawn.push(label(x, top + height - 2, "▼", color(place), "middle"));
  }
  for (const { smooth: band, color: place } of ribbons) drawn.push(`<path d="${path(band.x, band.value, toX, toY)}" fill="none" stroke="${color(place)}" stroke-width="2"/>`);
  const names = placed(entries, whole, inner.height + HEAD).map(({ x, y, entry }) => `<rect x="${x}" y="${y - 5}" width="12" height="2" fill="${color(entry.color)}"/>${label(x + 17, y, cut(entry.name), colors.axis, "start")}`);
  const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${whole}" height="${tall}" viewBox="0 0 ${whole} ${tall}" font-family="${FONT}" font-size="11">
<rect width="100%" height="100%" fill="${resolved("--card")}"/>
<text x="12" y="20" font-size="13" font-weight="600" fill="${resolved("--text")}">${escaped(title)}</text>
<clipPath id="plot"><rect x="${left}" y="${top}" width="${width}" height="${height}"/></clipPath>
<g transform="translate(0 ${HEAD})">${parts.join("")}<g clip-path="url(#plot)">${drawn.join("")}</g></g>
${names.join("")}
</svg>
`;
  return new Blob([text], { type: "image/svg+xml" });
}

/** Every point of a panel, or its buckets where the points are too many: a row each. */
export async function csv(key: string, runs: readonly { id: string; name: string }[], x: Axis, range: Span | null): Promise<Blob> {
  const body = { run_ids: runs.map(({ id }) => id), key, x, format: "arrow", ...(range ? { range } : {}) };
  const names = new Map(runs.map(({ id, name }) => [id, name]));
  let table: Table;
  let columns = x === "step" ? ["step", "value"] : ["x", "step", "value"];
  try {
    table = await arrow("/api/headrace/v1/series", { ...body, raw: true });
  } catch (error) {
    if (!(error instanceof Fault) || error.status !== 400) throw error;
    table = await arrow("/api/headrace/v1/series", { ...body, buckets: 1000 });
    columns = ["x", "x_last", "first", "last", "min", "max", "count", "nan"];
  }
  const ids = table.getChild("run_id");
  const values = columns.map((name) => numbers(table, name));
  const lines = [["run_id", "run_name", ...columns.map((name) => (name === "x" ? x : name))].join(",")];
  for (let i = 0; i < table.numRows; i++) {
    const id = String(ids?.get(i));
    lines.push([cell(id), cell(names.get(id) ?? ""), ...values.map((column) => String(column[i]))].join(","));
  }
  return new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" });
}

/** A text in a CSV file, which no program takes for a formula. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function legend(plot: Plot): Entry[] {
  const { traces, ribbons } = plot.drawing;
  const groups = ribbons.map(({ name, color }) => ({ name, color, dashed: false }));
  return [...groups, ...traces.filter(({ faint }) => !faint)].slice(0, 24);
}

const COLUMN = 190;
const per = (width: number) => Math.max(1, Math.floor((width - 12) / COLUMN));
const rows = (entries: readonly Entry[]) => Math.ceil(entries.length / 2) + (entries.length ? 1 : 0);

function placed(entries: readonly Entry[], width: number, top: number): { x: number; y: number; entry: Entry }[] {
  const across = Math.max(2, per(width));
  const column = (width - 24) / across;
  return entries.map((entry, i) => ({ x: 12 + (i % across) * column, y: top + 16 + Math.floor(i / across) * ROW, entry }));
}

function cut(name: string): string {
  return name.length > 26 ? `${name.slice(0, 25)}…` : name;
}

function axis([from, to]: Span, start: number, length: number, log: boolean): (value: number) => number {
  const scale = log ? Math.log10 : (value: number) => value;
  const [a, b] = [scale(from), scale(to)];
  return (value) => (log && !(value > 0) ? NaN : start + ((scale(value) - a) / (b - a)) * length);
}

function path(xs: Float64Array, ys: Float64Array, toX: (x: number) => number, toY: (y: number) => number): string {
  let text = "";
  let down = false;
  for (let i = 0; i < xs.length; i++) {
    const [x, y] = [toX(xs[i]!), toY(ys[i]!)];
    const there = !Number.isNaN(x) && !Number.isNaN(y);
    if (there) text += `${down ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    down = there;
  }
  return text;
}

function label(x: number, y: number, text: string, color: string, anchor: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="${color}" text-anchor="${anchor}">${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
