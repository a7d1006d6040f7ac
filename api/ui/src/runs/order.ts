// Sorting and grouping of runs on typed arrays: 100,000 rows in a fraction of a second.

import type { Column, RunTable } from "../model";
import { moment, number } from "../format.ts";

export interface Sort {
  column: string;
  descending: boolean;
}

const collator = new Intl.Collator("en", { numeric: true });

/** Numbers to sort by, and a class each: 0 has one, 1 is NaN, 2 has none. NaN comes after the numbers, then what is missing. */
interface Keys {
  keys: Float64Array;
  classes: Uint8Array;
}

const known = new WeakMap<Column, Keys>();

/** A text as the number it is; NaN where it is none. */
export function parsed(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
}

function keysOf(column: Column): Keys {
  const held = known.get(column);
  if (held) return held;
  const length = column.values.length;
  const classes = new Uint8Array(length);
  let keys: Float64Array;
  if (column.kind === "text") {
    const values = column.values;
    const different = [...new Set(values)].filter((text): text is string => text !== null);
    const plain = different.map(parsed);
    const ranks = new Map<string, number>();
    if (plain.every((value) => !Number.isNaN(value))) different.forEach((text, i) => ranks.set(text, plain[i] as number));
    else different.sort(collator.compare).forEach((text, i) => ranks.set(text, i));
    keys = new Float64Array(length);
    for (let row = 0; row < length; row++) {
      const text = values[row];
      if (text === null || text === undefined) classes[row] = 2;
      else keys[row] = ranks.get(text) as number;
    }
  } else {
    keys = column.values;
    for (let row = 0; row < length; row++) if (Number.isNaN(keys[row])) classes[row] = column.kind === "time" || column.missing?.[row] ? 2 : 1;
  }
  const found = { keys, classes };
  known.set(column, found);
  return found;
}

/** The rows in order: by each of `sorts`, then the newest start, then as they came. */
export function ordered(table: RunTable, sorts: readonly Sort[]): Int32Array {
  const rows = Int32Array.from({ length: table.length }, (_, row) => row);
  const all = [...sorts, { column: "start_time", descending: true }];
  const terms = all.flatMap(({ column, descending }) => {
    const found = table.columns.get(column);
    return found ? [{ ...keysOf(found), sign: descending ? -1 : 1 }] : [];
  });
  rows.sort((a, b) => {
    for (let i = 0; i < terms.length; i++) {
      const { keys, classes, sign } = terms[i] as (typeof terms)[number];
      const apart = (classes[a] as number) - (classes[b] as number);
      if (apart) return apart;
      const [x, y] = [keys[a] as number, keys[b] as number];
      if (x < y) return -sign;
      if (x > y) return sign;
    }
    return 0;
  });
  return rows;
}

/** Runs that have the same under the columns of the levels above and of this one. */
export interface Node {
  /** Names the group within its table: the values of all levels. */
  path: string;
  level: number;
  column: string;
  label: string;
  rows: Int32Array;
  children: readonly Node[];
}

/** Groups in the order in which their first row comes. */
export function grouped(table: RunTable, rows: Int32Array, by: readonly string[], level = 0, above = ""): Node[] {
  const name = by[level];
  const column = name === undefined ? undefined : table.columns.get(name);
  if (name === undefined) return [];
  const parts = new Map<string, number[]>();
  for (const row of rows) {
    const value = column ? groupValue(column, row) : "";
    const part = parts.get(value);
    if (part) part.push(row);
    else parts.set(value, [row]);
  }
  return [...parts].map(([value, list]) => {
    const path = above + (above ? "/" : "") + encodeURIComponent(value || "~").replaceAll("'", "%27");
    const of = Int32Array.from(list);
    return { path, level, column: name, label: value || "–", rows: of, children: grouped(table, of, by, level + 1, path) };
  });
}

function groupValue(column: Column, row: number): string {
  if (column.kind === "text") return column.values[row] ?? "";
  const value = column.values[row] as number;
  if (column.kind === "time") return Number.isNaN(value) ? "" : new Date(value).toISOString().slice(0, 10);
  return column.missing?.[row] ? "" : number(value);
}

/** The innermost groups, from top to bottom. */
export function leaves(nodes: readonly Node[]): Node[] {
  return nodes.flatMap((node) => (node.children.length ? leaves(node.children) : [node]));
}

/** What the table shows from top to bottom: a row's number, or -1 - i for the group i of `groups`. */
export interface Items {
  items: Int32Array;
  groups: readonly Node[];
}

/** The lines of a table: groups, and below those that are open what they hold. */
export function lines(nodes: readonly Node[], open: ReadonlySet<string>): Items {
  const groups: Node[] = [];
  const items: number[] = [];
  const visit = (node: Node) => {
    groups.push(node);
    items.push(-groups.length);
    if (!open.has(node.path)) return;
    if (node.children.length) node.children.forEach(visit);
    else for (const row of node.rows) items.push(row);
  };
  nodes.forEach(visit);
  return { items: Int32Array.from(items), groups };
}

/** What a group shows under a column: a text or a number, and what more there is to say. */
export function summary(table: RunTable, node: Node, name: string, aggregate: string): { text?: string; value?: number; title: string } {
  const column = table.columns.get(name);
  if (!column) return { title: "" };
  if (column.kind === "text") {
    const values = new Set<string>();
    for (const row of node.rows) if (column.values[row] !== null) values.add(column.values[row] as string);
    const [first] = values;
    if (values.size <= 1) return { text: first ?? "", title: first ?? "" };
    return { text: `${values.size} values`, title: [...values].slice(0, 20).join(", ") };
  }
  let [count, sum, squares, least, most] = [0, 0, 0, Infinity, -Infinity];
  for (const row of node.rows) {
    const value = column.values[row] as number;
    if (!Number.isFinite(value)) continue;
    count++;
    sum += value;
    squares += value * value;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (!count) return { title: "" };
  const mean = sum / count;
  const shown = aggregate === "min" ? least : aggregate === "max" ? most : mean;
  if (column.kind === "time") return { value: least, title: `from ${moment(least)} to ${moment(most)}` };
  const spread = Math.sqrt(Math.max(0, squares / count - mean * mean));
  return { value: shown, title: `mean ${number(mean)} ± ${number(spread)}, ${number(least)} to ${number(most)}, of ${count}` };
}
