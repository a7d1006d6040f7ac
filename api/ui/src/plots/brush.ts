// Ranges on axes that choose runs; they live in the address, so that a link chooses the same.

import { valueAt, placeOf, type Axis } from "./axis.ts";

/** From lo to hi, both included: numbers, or the names of categories. */
export interface Range {
  lo: string;
  hi: string;
}

/** Ranges by column. */
export type Brushes = ReadonlyMap<string, Range>;

/** Brushes as the query holds them: `params.lr:0.001:0.1,params.optimizer:adam:sgd`. */
export function written(brushes: Brushes): string {
  return [...brushes].map(([name, { lo, hi }]) => `${encodeURIComponent(name)}:${encodeURIComponent(lo)}:${encodeURIComponent(hi)}`).join(",");
}

/** The inverse; what cannot be read is left out. */
export function readBrushes(text: string): Map<string, Range> {
  const found = new Map<string, Range>();
  for (const part of text.split(",")) {
    const match = /^([^:]+):([^:]+):([^:]+)$/.exec(part);
    if (!match) continue;
    const [name, lo, hi] = match.slice(1).map(decoded);
    if (name && lo && hi) found.set(name, { lo, hi });
  }
  return found;
}

/** A list of names as the query holds it. */
export function writtenNames(names: readonly string[]): string {
  return names.map(encodeURIComponent).join(",");
}

export function readNames(text: string): string[] {
  return text.split(",").filter(Boolean).map(decoded);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A range in the axis's units; null where it is none of this axis, such as that of a category that is no more. */
export function unitsOf(axis: Axis, range: Range | undefined): [number, number] | null {
  if (!range) return null;
  const ends = [range.lo, range.hi].map((end) => (axis.kind === "text" ? axis.categories.indexOf(end) : Number(end)));
  const [lo, hi] = ends as [number, number];
  if (axis.kind === "text" && (lo < 0 || hi < 0)) return null;
  return Number.isNaN(lo) || Number.isNaN(hi) ? null : [Math.min(lo, hi), Math.max(lo, hi)];
}

/** The range between two places of an axis, from 0 to 1. Null where it holds the whole axis, or no category. */
export function rangeBetween(axis: Axis, from: number, to: number): Range | null {
  const [low, high] = [Math.max(0, Math.min(from, to)), Math.min(1, Math.max(from, to))];
  if (low <= 0 && high >= 1) return null;
  if (axis.kind === "text") {
    const [first, last] = [Math.ceil(valueAt(axis, low) - 0.25), Math.floor(valueAt(axis, high) + 0.25)];
    if (first > last) return null;
    return { lo: axis.categories[Math.max(0, first)] ?? "", hi: axis.categories[Math.min(axis.categories.length - 1, last)] ?? "" };
  }
  const digits = axis.kind === "time" ? 13 : 5;
  // At an end of the axis the range ends with the value there, which rounding could leave out.
  const end = (place: number) => (place <= 0 ? axis.lo : place >= 1 ? axis.hi : Number(valueAt(axis, place).toPrecision(digits)));
  return { lo: String(end(low)), hi: String(end(high)) };
}

/** Where a range begins and ends on an axis, from 0 to 1; a category takes the whole of its part. */
export function placesOf(axis: Axis, range: Range | undefined): [number, number] | null {
  const units = unitsOf(axis, range);
  if (!units) return null;
  const around = axis.kind === "text" ? 0.4 : 0;
  return [placeOf(axis, units[0] - around), placeOf(axis, units[1] + around)];
}

/** Which runs lie in all ranges, a byte each; null where there are no ranges. Runs without a place lie in none. */
export function chosenRows(axes: readonly Axis[], brushes: Brushes, length: number): Uint8Array | null {
  let chosen: Uint8Array | null = null;
  for (const axis of axes) {
    const units = unitsOf(axis, brushes.get(axis.name));
    if (!units) continue;
    chosen ??= new Uint8Array(length).fill(1);
    const { values } = axis;
    for (let row = 0; row < length; row++) {
      const value = values[row] ?? NaN;
      if (!(value >= units[0] && value <= units[1])) chosen[row] = 0;
    }
  }
  return chosen;
}
