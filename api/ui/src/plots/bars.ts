// A metric of runs, or of groups of runs, as bars.

import type { Axis } from "./axis.ts";

export interface Bar {
  label: string;
  /** The mean of the finite values. */
  value: number;
  lo: number;
  hi: number;
  /** Rows of the table. */
  rows: readonly number[];
  /** Of these, how many have a finite value. */
  counted: number;
}

/** A bar a run, or one for each value of a column; those without a value last. */
export function barsOf(metric: Axis, by: Axis | null, nameOf: (row: number) => string, rising: boolean): Bar[] {
  const groups = new Map<number, number[]>();
  metric.values.forEach((_, row) => {
    const key = by ? (by.values[row] ?? NaN) : row;
    const rows = groups.get(key);
    if (rows) rows.push(row);
    else groups.set(key, [row]);
  });
  const bars = [...groups].map(([key, rows]): Bar => {
    const values = rows.map((row) => metric.values[row] ?? NaN).filter(Number.isFinite);
    const label = !by ? nameOf(key) : Number.isNaN(key) ? "none" : by.kind === "text" ? (by.categories[key] ?? "") : String(key);
    const value = values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : NaN;
    return { label, value, lo: Math.min(...bounded(values)), hi: -Math.min(...bounded(values.map((one) => -one))), rows, counted: values.length };
  });
  const sign = rising ? 1 : -1;
  return bars.sort((a, b) => Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value)) || sign * (a.value - b.value));
}

/** The least alone: too many arguments are more than a call takes. */
function bounded(values: readonly number[]): number[] {
  return values.length ? [values.reduce((least, one) => (one < least ? one : least))] : [NaN];
}
