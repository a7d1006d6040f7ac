// What the plots show: all of it lives in the query of the address.

import { signal } from "@preact/signals";
import { route, setQuery, type Changes } from "../router.ts";
import { readBrushes, readNames, written, writtenNames, type Brushes, type Range } from "./brush.ts";

export const KINDS = ["parallel", "scatter", "contour", "importance", "bars"] as const;
export type Kind = (typeof KINDS)[number];

/** Names of columns; empty where none is chosen yet. */
export interface PlotState {
  kind: Kind;
  axes: readonly string[];
  x: string;
  y: string;
  z: string;
  color: string;
  metric: string;
  by: string;
  /** Columns whose axes someone has made logarithmic (true) or linear (false). */
  log: ReadonlyMap<string, boolean>;
  brushes: Brushes;
  /** Whether bars are sorted from the least. */
  rising: boolean;
}

export function readState(query: URLSearchParams): PlotState {
  const text = (name: string) => query.get(`plot.${name}`) ?? "";
  const kind = KINDS.find((one) => one === query.get("plot")) ?? "parallel";
  const log = new Map(readNames(text("log")).map((name) => (name.startsWith("!") ? [name.slice(1), false] : [name, true])));
  return {
    kind, log, axes: readNames(text("axes")), x: text("x"), y: text("y"), z: text("z"), color: text("color"),
    metric: text("metric"), by: text("by"), brushes: readBrushes(text("brush")), rising: text("sort") === "rising",
  };
}

/** Set one of the names that the query holds under `plot.…`. */
export function set(changes: Changes): void {
  setQuery(Object.fromEntries(Object.entries(changes).map(([name, value]) => [name === "kind" ? "plot" : `plot.${name}`, value])));
}

export function setAxes(axes: readonly string[]): void {
  set({ axes: writtenNames(axes) });
}

/** Ranges while one of them is dragged: browsers refuse an address that changes with every move of the pointer. */
export const dragged = signal<Brushes | null>(null);

/** The brushes of now, and not of the last drawing: two ends of a range can move between two drawings. */
function changed(name: string, range: Range | null): Brushes {
  const brushes = new Map(readState(route.peek().query).brushes);
  if (range) brushes.set(name, range);
  else brushes.delete(name);
  return brushes;
}

export function setBrush(name: string, range: Range | null): void {
  set({ brush: written(changed(name, range)) });
}

export function dragBrush(name: string, range: Range | null): void {
  dragged.value = changed(name, range);
}

/** Let what was dragged hold. */
export function dropBrush(): void {
  const brushes = dragged.peek();
  dragged.value = null;
  if (brushes) setBrushes(brushes);
}

export function setBrushes(brushes: Brushes): void {
  set({ brush: written(brushes) });
}

export function setLog(name: string, on: boolean): void {
  const log = new Map(readState(route.peek().query).log).set(name, on);
  set({ log: writtenNames([...log].map(([one, value]) => (value ? one : `!${one}`))) });
}
