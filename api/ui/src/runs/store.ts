// Runs in columns of their own: made of Arrow's buffers, and changed by a few rows at a time.

import type { Table, Vector } from "apache-arrow";
import type { Column, RunTable } from "../model";

const decoder = new TextDecoder();

/** The table of an answer, with the column `duration` (ms; to `now` where a run goes on). */
export function fromArrow(table: Table, now: number): RunTable {
  const columns = new Map<string, Column>();
  for (const [at, { name, type }] of table.schema.fields.entries()) {
    const vector = table.getChildAt(at);
    if (!vector) continue;
    const of = String(type);
    if (of.startsWith("Float")) columns.set(name, numbers(name, "number", vector));
    else if (of.startsWith("Timestamp")) columns.set(name, numbers(name, "time", vector));
    else columns.set(name, { name, kind: "text", values: texts(vector) });
  }
  return withDuration({ length: table.numRows, ids: (columns.get("run_id")?.values ?? []) as readonly string[], columns }, now);
}

function withDuration(table: RunTable, now: number): RunTable {
  const start = table.columns.get("start_time");
  const end = table.columns.get("end_time");
  if (start?.kind !== "time" || end?.kind !== "time") return table;
  const values = Float64Array.from(start.values, (from, row) => {
    const to = end.values[row] ?? NaN;
    return (Number.isNaN(to) ? now : to) - from;
  });
  return { ...table, columns: new Map([...table.columns, ["duration", { name: "duration", kind: "number", values }]]) };
}

/** The numbers of a column; NaN where there is none, which `missing` tells from a NaN that was logged. */
function numbers(name: string, kind: "number" | "time", vector: Vector): Column {
  const values = new Float64Array(vector.length);
  let missing: Uint8Array | undefined;
  let at = 0;
  for (const chunk of vector.data) {
    const held = chunk.values as Float64Array | BigInt64Array;
    if (held instanceof BigInt64Array) for (let i = 0; i < chunk.length; i++) values[at + i] = Number(held[i]);
    else values.set(held.subarray(0, chunk.length), at);
    if (chunk.nullCount > 0) {
      missing ??= new Uint8Array(vector.length);
      for (let i = 0; i < chunk.length; i++) {
        const bit = chunk.offset + i;
        if (((chunk.nullBitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1) continue;
        missing[at + i] = 1;
        values[at + i] = NaN;
      }
    }
    at += chunk.length;
  }
  return { name, kind, values, missing };
}

/** The texts of a column: what is plain ASCII is decoded at once and cut into pieces, which takes a tenth of the time. */
function texts(vector: Vector): (string | null)[] {
  const found: (string | null)[] = new Array<string | null>(vector.length).fill(null);
  let at = 0;
  for (const chunk of vector.data) {
    const offsets = chunk.valueOffsets as Int32Array;
    const bytes = chunk.values as Uint8Array;
    const first = offsets[0] ?? 0;
    const part = bytes.subarray(first, offsets[chunk.length] ?? first);
    const whole = decoder.decode(part);
    const plain = whole.length === part.length;
    for (let i = 0; i < chunk.length; i++) {
      const bit = chunk.offset + i;
      if (chunk.nullCount > 0 && !(((chunk.nullBitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1)) continue;
      const from = (offsets[i] ?? 0) - first;
      const to = (offsets[i + 1] ?? 0) - first;
      found[at + i] = plain ? whole.slice(from, to) : decoder.decode(part.subarray(from, to));
    }
    at += chunk.length;
  }
  return found;
}

/** A table in which `rows` take the place of those with their ids or are added, and those of `gone` are taken away. */
export function patched(table: RunTable, rows: RunTable, gone: ReadonlySet<string>): RunTable {
  const replaced = new Set(rows.ids);
  const kept: number[] = [];
  for (let row = 0; row < table.length; row++) {
    const id = table.ids[row] as string;
    if (!replaced.has(id) && !gone.has(id)) kept.push(row);
  }
  const length = kept.length + rows.length;
  const columns = new Map<string, Column>();
  for (const name of new Set([...table.columns.keys(), ...rows.columns.keys()])) {
    const [old, added] = [table.columns.get(name), rows.columns.get(name)];
    const kind = (old ?? added)?.kind ?? "text";
    if (kind === "text") {
      const values = new Array<string | null>(length).fill(null);
      if (old?.kind === "text") kept.forEach((row, i) => (values[i] = old.values[row] ?? null));
      if (added?.kind === "text") for (let i = 0; i < rows.length; i++) values[kept.length + i] = added.values[i] ?? null;
      columns.set(name, { name, kind, values });
      continue;
    }
    const values = new Float64Array(length).fill(NaN);
    const missing = new Uint8Array(length);
    if (old && old.kind !== "text") kept.forEach((row, i) => ((values[i] = old.values[row] ?? NaN), (missing[i] = old.missing?.[row] ?? 0)));
    else missing.fill(1, 0, kept.length);
    if (added && added.kind !== "text") {
      values.set(added.values, kept.length);
      if (added.missing) missing.set(added.missing, kept.length);
    } else missing.fill(1, kept.length);
    columns.set(name, { name, kind, values, missing });
  }
  return { length, ids: columns.get("run_id")?.values as readonly string[], columns };
}

/** A text of a row; empty where it has none. */
export function textAt(table: RunTable, name: string, row: number): string {
  const column = table.columns.get(name);
  return column?.kind === "text" ? (column.values[row] ?? "") : "";
}

/** The name of a run, or its id where it has none. */
export function nameAt(table: RunTable, row: number): string {
  return textAt(table, "run_name", row) || (table.ids[row] ?? "");
}
