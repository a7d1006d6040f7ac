// The columns that plots are made of: which there are, and their values for the runs of the table.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useLoaded, type Loaded } from "../loaded.ts";
import type { Column, RunTable } from "../model.ts";
import { arrow, isAborted, post } from "../server.ts";

/** A column that runs of the table could have. numeric: each value is a number, as far as examples tell. */
export interface Known {
  name: string;
  runs: number;
  differs: boolean;
  numeric: boolean;
}

interface ColumnsAnswer {
  columns: { name: string; runs: number; differs: boolean; examples: string[] }[];
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** The metrics, params and tags that runs of these experiments have; undefined while they are on their way. */
export function useKnown(experiments: readonly string[]): Loaded<readonly Known[]> {
  return useLoaded(
    async (signal) => {
      const body = { experiment_ids: experiments };
      const { columns } = await post<ColumnsAnswer>("/api/headrace/v1/runs/columns", body, { signal });
      return columns
        .filter(({ name }) => !name.startsWith("tags.mlflow."))
        .map(({ name, runs, differs, examples }) => ({ name, runs, differs, numeric: name.startsWith("metrics.") || numeric(examples) }));
    },
    [experiments.join(",")],
  );
}

function numeric(examples: readonly string[]): boolean {
  return examples.length > 0 && examples.every((text) => NUMBER.test(text.trim()));
}

/** Columns by name for the rows of the table: its own, and those it lacks, asked of the server. */
export function useColumns(
  table: RunTable, experiments: readonly string[], names: readonly string[],
): { columns: ReadonlyMap<string, Column>; fault: unknown } {
  const [fetched, setFetched] = useState<ReadonlyMap<string, Fetched>>(new Map());
  const [fault, setFault] = useState<unknown>(null);
  const lacking = names.filter((name) => !table.columns.has(name)).join("\n");
  const asked = experiments.join(",");
  const seen = useRef<RunTable>(table);
  useEffect(() => {
    const stale = seen.current !== table;
    seen.current = table;
    const wanted = lacking.split("\n").filter((name) => name && (stale || !fetched.has(name)));
    if (!wanted.length) return;
    const stop = new AbortController();
    const body = { experiment_ids: asked.split(",").filter(Boolean), columns: wanted };
    arrow("/api/headrace/v1/runs/table", body, stop).then(
      (found) => {
        const ids = found.getChild("run_id");
        const rows = new Map<string, number>();
        for (let row = 0; row < found.numRows; row++) rows.set(String(ids?.get(row)), row);
        const add = wanted.map((name): [string, Fetched] => {
          const vector = found.getChild(name);
          return [name, { rows, get: (row) => vector?.get(row) as string | number | null, numeric: name.startsWith("metrics.") || name.endsWith("_time") }];
        });
        setFault(null);
        setFetched((before) => new Map([...before, ...add]));
      },
      (error: unknown) => isAborted(error) || setFault(error),
    );
    return () => stop.abort();
    // `fetched` is read for what it lacks; a change of it must not begin another round.
  }, [table, lacking, asked]);
  const columns = useMemo(() => {
    const all = new Map(table.columns);
    for (const name of names) {
      const from = fetched.get(name);
      if (from && !all.has(name)) all.set(name, columnOf(name, from, table.ids));
    }
    return all;
  }, [table, fetched, names.join("\n")]);
  return { columns, fault };
}

interface Fetched {
  rows: ReadonlyMap<string, number>;
  get: (row: number) => string | number | null;
  numeric: boolean;
}

function columnOf(name: string, { rows, get, numeric }: Fetched, ids: readonly string[]): Column {
  const values = ids.map((id) => {
    const row = rows.get(id);
    return row === undefined ? null : get(row);
  });
  if (!numeric) return { name, kind: "text", values: values.map((value) => (value === null ? null : String(value))) };
  return { name, kind: name.endsWith("_time") ? "time" : "number", values: Float64Array.from(values, (value) => (value === null ? NaN : Number(value))) };
}
