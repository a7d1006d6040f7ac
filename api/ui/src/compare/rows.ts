// The rows of a comparison as the table shows them.

import { duration, moment, number } from "../format";
import { decode, type Wire } from "../server";

export interface ComparedRun {
  run_id: string;
  run_name: string;
  experiment_id: string;
}

export interface Row {
  section: string;
  key: string;
  /** Of a metric: last, min or max; else empty. */
  aggregate: string;
  differs: boolean;
  values: Wire[];
  spread: { runs: number; min: number; max: number; mean: number; std: number } | null;
}

export interface Comparison {
  runs: ComparedRun[];
  missing: string[];
  rows: Row[];
  equal: number;
}

export const SECTIONS: Readonly<Record<string, string>> = {
  metrics: "Metrics",
  params: "Params",
  attributes: "Attributes",
  datasets: "Data sets",
  code: "Code",
  environment: "Environment",
  packages: "Packages",
  tags: "Tags",
};

export type Aggregate = "last" | "min" | "max";

const OWN_ORDER = new Set(["attributes", "code", "environment"]);
const byName = new Intl.Collator("en", { numeric: true }).compare;

/** A line of the table: the heading of a section, or a fact. */
export type Line = { heading: string; count: number; section: string; folded: boolean } | { row: Row };

/** The lines that are shown. find: in names; aggregate: of metrics; folded: sections of which only the heading is shown. */
export function linesOf(rows: readonly Row[], { find, aggregate, folded }: { find: string; aggregate: Aggregate; folded: ReadonlySet<string> }): Line[] {
  const word = find.trim().toLowerCase();
  const lines: Line[] = [];
  for (const [section, heading] of Object.entries(SECTIONS)) {
    const found = rows.filter((row) => row.section === section && (!row.aggregate || row.aggregate === aggregate) && (!word || row.key.toLowerCase().includes(word)));
    if (!found.length) continue;
    // Attributes, code and environment have an order of their own; all else goes by name, 2 before 10.
    if (!OWN_ORDER.has(section)) found.sort((a, b) => byName(a.key, b.key));
    lines.push({ heading, count: found.length, section, folded: folded.has(section) });
    if (!folded.has(section)) lines.push(...found.map((row) => ({ row })));
  }
  return lines;
}

/** A name as people read it. */
export function named(row: Row): string {
  if (row.section !== "attributes") return row.key;
  const words = row.key.replace(/_(ms|id)$/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A value as text; null where the run has none. */
export function told(row: Row, value: Wire): string | null {
  if (value === null) return null;
  if (row.section === "metrics") return number(decode(value));
  if (row.section === "attributes" && row.key === "duration_ms") return duration(Number(value));
  if (row.section === "attributes" && row.key.endsWith("_time_ms")) return moment(Number(value));
  return String(value);
}

/** Where a metric's value lies between the least and the greatest of all runs, from 0 to 1; undefined where that says nothing. */
export function place({ spread }: Row, value: Wire): number | undefined {
  const found = decode(value);
  if (!spread || !(spread.max > spread.min) || !Number.isFinite(found)) return undefined;
  return (found - spread.min) / (spread.max - spread.min);
}

/** How a metric's value differs from the base's, with its sign; empty where either is no number, or they are the same. */
export function difference(row: Row, value: Wire, base: Wire): string {
  if (row.section !== "metrics" || value === null || base === null) return "";
  const found = decode(value) - decode(base);
  return Number.isFinite(found) && found !== 0 ? (found > 0 ? "+" : "") + number(found) : "";
}

/** The whole comparison as CSV: a line a fact, a column a run. */
export function csvOf({ runs }: Comparison, rows: readonly Row[]): string {
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => [row.section, row.key, row.aggregate, ...row.values.map((value) => (value === null ? "" : String(value)))]);
  return [["section", "key", "aggregate", ...runs.map(({ run_name, run_id }) => `${run_name} (${run_id})`)], ...lines].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
}
