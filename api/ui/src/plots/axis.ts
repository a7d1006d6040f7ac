// A column as an axis: where each run lies on it, what cannot be placed, and its ticks.

import { number } from "../format.ts";
import type { Column } from "../model.ts";
import { linearTicks, logTicks, timeTicks, type Tick } from "./ticks.ts";

export interface Axis {
  /** The column's name, such as `params.lr`. */
  name: string;
  label: string;
  kind: "number" | "time" | "text";
  log: boolean;
  /** Whether a logarithm makes sense: some number is above 0. */
  canLog: boolean;
  /** In the axis's units: numbers, ms since the epoch, or places in `categories`. */
  lo: number;
  hi: number;
  categories: readonly string[];
  /** A number for each run, in the axis's units; NaN where it has no place. */
  values: Float64Array;
  /** How many runs have no place: the value is missing, not finite, or not above 0 on a logarithmic axis. */
  unplaced: number;
}

const NUMBER = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;
/** Params that span so much, most of them near the least, have a logarithmic axis, unless someone says otherwise. */
const LOG_RATIO = 100;

/** What a column is called on a plot: `lr` for `params.lr`. */
export function labelOf(name: string): string {
  return name.replace(/^(?:metrics|params|tags)\./, "");
}

/** A column's values in numbers, and the categories they are places of; no categories where they are numbers. */
export function measured(column: Column): { kind: Axis["kind"]; values: Float64Array; categories: string[] } {
  if (column.kind !== "text") return { kind: column.kind, values: column.values, categories: [] };
  const texts = column.values;
  const values = new Float64Array(texts.length).fill(NaN);
  const numeric = texts.every((text) => text === null || NUMBER.test(text)) && texts.some((text) => text !== null);
  if (numeric) {
    texts.forEach((text, row) => text !== null && (values[row] = Number(text)));
    return { kind: "number", values, categories: [] };
  }
  const order = new Intl.Collator("en", { numeric: true });
  const categories = [...new Set(texts.filter((text) => text !== null))].sort(order.compare);
  const places = new Map(categories.map((text, place) => [text, place]));
  texts.forEach((text, row) => text !== null && (values[row] = places.get(text) ?? NaN));
  return { kind: "text", values, categories };
}

/** The axis of a column. log: true, false, or undefined to let the values decide. */
export function axisOf(column: Column, log: boolean | undefined): Axis {
  const { kind, values, categories } = measured(column);
  const finite = values.filter(Number.isFinite);
  const canLog = kind === "number" && finite.some((value) => value > 0);
  const [least, greatest] = extent(finite);
  const wide = column.name.startsWith("params.") && least > 0 && greatest / least >= LOG_RATIO && crowded(finite, least, greatest);
  const logarithmic = canLog && (log ?? wide);
  const placed = logarithmic ? finite.filter((value) => value > 0) : finite;
  let [lo, hi] = extent(placed);
  if (kind === "text") [lo, hi] = [-0.5, Math.max(0, categories.length - 1) + 0.5];
  else if (!placed.length) [lo, hi] = [0, 1];
  else if (lo === hi) [lo, hi] = logarithmic ? [lo / 2, hi * 2] : [lo - (Math.abs(lo) || 1) / 2, hi + (Math.abs(hi) || 1) / 2];
  const shown = values.map((value) => (Number.isFinite(value) && !(logarithmic && value <= 0) ? value : NaN));
  return {
    name: column.name, label: labelOf(column.name), kind, log: logarithmic, canLog, lo, hi, categories,
    values: shown, unplaced: values.length - placed.length,
  };
}

/** Whether half of the values lie in the lowest tenth: what was drawn evenly, as dropout is, stays linear. */
function crowded(values: Float64Array, least: number, greatest: number): boolean {
  const middle = values.toSorted()[values.length >> 1] ?? NaN;
  return (middle - least) / (greatest - least) < 0.1;
}

function extent(values: Float64Array): [number, number] {
  let [lo, hi] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < lo) lo = value;
    if (value > hi) hi = value;
  }
  return [lo, hi];
}

/** Where a value lies: 0 at lo, 1 at hi; NaN where it has no place. */
export function placeOf(axis: Pick<Axis, "lo" | "hi" | "log">, value: number): number {
  if (axis.log) return value > 0 ? Math.log(value / axis.lo) / Math.log(axis.hi / axis.lo) : NaN;
  return (value - axis.lo) / (axis.hi - axis.lo);
}

/** The value at a place from 0 to 1. */
export function valueAt(axis: Pick<Axis, "lo" | "hi" | "log">, place: number): number {
  return axis.log ? axis.lo * (axis.hi / axis.lo) ** place : axis.lo + place * (axis.hi - axis.lo);
}

/** About `count` ticks; categories thin out where they would overlap. */
export function ticksOf(axis: Axis, count: number): Tick[] {
  if (axis.kind === "text") {
    const every = Math.max(1, Math.ceil(axis.categories.length / Math.max(1, count)));
    return axis.categories.flatMap((label, value) => (value % every ? [] : [{ value, label }]));
  }
  if (axis.kind === "time") return timeTicks(axis.lo, axis.hi, Math.min(count, 6));
  return axis.log ? logTicks(axis.lo, axis.hi, count) : linearTicks(axis.lo, axis.hi, count);
}

/** A value in the axis's units as text. */
export function textOf(axis: Axis, value: number): string {
  if (Number.isNaN(value)) return "–";
  if (axis.kind === "text") return axis.categories[Math.round(value)] ?? "–";
  return axis.kind === "time" ? new Date(value).toLocaleString("en-GB") : number(value);
}

const made = new WeakMap<Column, Map<boolean | undefined, Axis>>();

/** The same axis for the same column, so that nothing is measured or drawn anew without need. */
export function axisFor(column: Column, log: boolean | undefined): Axis {
  const ofColumn = made.get(column) ?? new Map<boolean | undefined, Axis>();
  made.set(column, ofColumn);
  const found = ofColumn.get(log) ?? axisOf(column, log);
  ofColumn.set(log, found);
  return found;
}
