// What a cell of the table shows.

import type { ComponentChild } from "preact";
import { duration, moment, number } from "../format";
import type { RunTable } from "../model";
import { StatusBadge } from "../ui/text";
import { REASON_COLUMN, type Spec } from "./columns";
import { type Node, parsed, summary } from "./order";
import { textAt } from "./store";

const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const thisYear = new Intl.DateTimeFormat(undefined, { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false });
const earlier = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "2-digit" });

/** A time as short as tells it apart. */
export function shortTime(ms: number, now = Date.now()): string {
  const date = new Date(ms);
  const at = new Date(now);
  if (date.toDateString() === at.toDateString()) return today.format(date);
  return (date.getFullYear() === at.getFullYear() ? thisYear : earlier).format(date);
}

/** A number of a column, as it is read. */
export function figure(name: string, value: number): string {
  if (name === "duration") return duration(value);
  if (name === "start_time" || name === "end_time") return shortTime(value);
  return number(value);
}

const LOOKED_AT = 200;

/** Whether the figures of a column stand to the right: numbers do, and params that are numbers as far as one looks. */
export function isNumeric(table: RunTable, name: string): boolean {
  const column = table.columns.get(name);
  if (column?.kind !== "text") return column?.kind === "number";
  if (!name.startsWith("params.")) return false;
  const first = column.values.slice(0, LOOKED_AT).filter((text) => text !== null);
  return first.length > 0 && first.every((text) => !Number.isNaN(parsed(text)));
}

/** The value of a cell as plain text, exact: for files and titles. */
export function exact(table: RunTable, name: string, row: number): string {
  const column = table.columns.get(name);
  if (!column) return "";
  if (column.kind === "text") return column.values[row] ?? "";
  const value = column.values[row] as number;
  if (column.missing?.[row] || (column.kind === "time" && Number.isNaN(value))) return "";
  return column.kind === "time" ? new Date(value).toISOString() : String(value);
}

/** What stands in a cell: plain text wherever that will do, since a table that scrolls makes hundreds a second. */
export interface Content {
  shown: ComponentChild;
  title?: string | undefined;
  /** A class for what is none, or no number. */
  mark?: string | undefined;
}

const NONE: Content = { shown: "–", mark: "none" };

export function content(table: RunTable, spec: Spec, row: number, names: ReadonlyMap<string, string>): Content {
  const column = table.columns.get(spec.name);
  if (!column) return NONE;
  if (spec.name === "status") return { shown: <StatusBadge status={textAt(table, "status", row)} reason={textAt(table, REASON_COLUMN, row) || undefined} /> };
  if (column.kind === "text") {
    const text = column.values[row];
    if (!text) return NONE;
    const shown = spec.name === "experiment_id" ? (names.get(text) ?? text) : text.length > 300 ? text.slice(0, 300) : text;
    return { shown, title: text.length > 2000 ? text.slice(0, 2000) : text };
  }
  const value = column.values[row] as number;
  if (column.missing?.[row] || (column.kind === "time" && Number.isNaN(value))) return NONE;
  const title = column.kind === "time" ? moment(value) : String(value);
  return { shown: figure(spec.name, value), title, mark: Number.isFinite(value) ? undefined : "runs-nan" };
}

export function groupContent(table: RunTable, spec: Spec, node: Node, names: ReadonlyMap<string, string>): Content {
  const { text, value, title } = summary(table, node, spec.name, spec.aggregate);
  if (value !== undefined) return { shown: figure(spec.name, value), title };
  if (text && spec.name === "status" && !text.includes(" ")) return { shown: <StatusBadge status={text} /> };
  return { shown: spec.name === "experiment_id" ? (names.get(text ?? "") ?? text) : text, title };
}
