// Which color a run has: by its id, so that it stays the same; another one where a run above has that already.

import type { RunRef, RunTable } from "../model";
import { nameAt, textAt } from "./store";

const COLORS = 10;

/** A number of a text that is always the same. */
export function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

/** Colors for names in order. chosen: colors that somebody gave them. */
export function colored(names: readonly string[], chosen: ReadonlyMap<string, number>): Map<string, { color: number; dashed: boolean }> {
  const found = new Map<string, { color: number; dashed: boolean }>();
  const taken = new Set<number>();
  for (const name of names) {
    const given = chosen.get(name);
    if (given !== undefined) taken.add(given % COLORS);
  }
  for (const name of names) {
    const given = chosen.get(name);
    if (given !== undefined) {
      found.set(name, { color: given % COLORS, dashed: false });
      continue;
    }
    const dashed = found.size >= COLORS;
    let color = hash(name) % COLORS;
    for (let tries = 0; taken.size < COLORS && taken.has(color) && tries < COLORS; tries++) color = (color + 1) % COLORS;
    taken.add(color);
    found.set(name, { color, dashed });
  }
  return found;
}

/** Runs as charts take them. */
export function refs(table: RunTable, rows: readonly number[], chosen: ReadonlyMap<string, number>): RunRef[] {
  const colors = colored(rows.map((row) => table.ids[row] as string), chosen);
  return rows.map((row) => {
    const id = table.ids[row] as string;
    return { id, name: nameAt(table, row), experiment: textAt(table, "experiment_id", row), ...(colors.get(id) as { color: number; dashed: boolean }) };
  });
}
