// Which color each run has on a plot: its own, or one of a ramp by a column.

import { paint, resolved, type RunRef } from "../model.ts";
import { placeOf, textOf, type Axis } from "./axis.ts";

export interface Coloring {
  /** A color as a canvas takes it, by row. */
  of: (row: number) => string;
  /** A place in the order in which runs are drawn, by row: the color's number. */
  rank: (row: number) => number;
  legend: { kind: "ramp"; label: string; from: string; to: string } | { kind: "categories"; label: string; items: { name: string; color: number }[] } | null;
}

const STOPS = 9;
const SHADES = 32;
const CATEGORIES_MAX = 10;

/** The ramp of the theme in SHADES colors. */
function ramp(): string[] {
  const stops = Array.from({ length: STOPS }, (_, at) => channels(resolved(`--ramp-${at}`)));
  return Array.from({ length: SHADES }, (_, shade) => {
    const place = (shade / (SHADES - 1)) * (STOPS - 1);
    const at = Math.min(STOPS - 2, Math.floor(place));
    const [from, to] = [stops[at] ?? [0, 0, 0], stops[at + 1] ?? [0, 0, 0]];
    return `rgb(${from.map((value, channel) => Math.round(value + (place - at) * ((to[channel] ?? 0) - value))).join(" ")})`;
  });
}

function channels(color: string): number[] {
  return (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
}

/** Colors by a column; of categories as many as the palette has, then the last. */
export function byAxis(axis: Axis): Coloring {
  if (axis.kind === "text" && axis.categories.length <= CATEGORIES_MAX) {
    const colors = axis.categories.map((_, at) => resolved(paint(at)));
    const none = resolved("--muted");
    return {
      of: (row) => colors[axis.values[row] ?? -1] ?? none,
      rank: (row) => axis.values[row] ?? -1,
      legend: { kind: "categories", label: axis.label, items: axis.categories.map((name, color) => ({ name, color })) },
    };
  }
  const shades = ramp();
  const none = resolved("--muted");
  const shade = (row: number) => {
    const place = placeOf(axis, axis.values[row] ?? NaN);
    return Number.isNaN(place) ? -1 : Math.max(0, Math.min(SHADES - 1, Math.floor(place * SHADES)));
  };
  const [from, to] = axis.kind === "text" ? [0, axis.categories.length - 1] : [axis.lo, axis.hi];
  return {
    of: (row) => shades[shade(row)] ?? none,
    rank: shade,
    legend: { kind: "ramp", label: axis.label, from: textOf(axis, from), to: textOf(axis, to) },
  };
}

/** The color that charts and the table give each run. */
export function byRun(ids: readonly string[], runs: readonly RunRef[]): Coloring {
  const palette = Array.from({ length: 10 }, (_, at) => resolved(paint(at)));
  const places = new Map(runs.map(({ id, color }) => [id, color]));
  const none = resolved("--muted");
  const rank = (row: number) => places.get(ids[row] ?? "") ?? -1;
  return { of: (row) => palette[rank(row)] ?? none, rank, legend: null };
}

/** The shades of a ramp for heights from 0 to 1, as channels. */
export function rampChannels(): number[][] {
  return ramp().map(channels);
}
