// Series and bands out of the columns of an Arrow table.

import type { Table, Vector } from "apache-arrow";
import type { Buckets } from "./line";

/** The mean of a group of runs and how far they spread; x rises. NaN where no run has a number. */
export interface Band {
  x: Float64Array;
  value: Float64Array;
  low: Float64Array;
  high: Float64Array;
  runs: Float64Array;
}

/** By key, and then by run. */
export type Found = Map<string, Map<string, Buckets>>;

/** The answer of `/api/headrace/v1/series`, whose rows come series by series. */
export function seriesOf(table: Table): Found {
  const runs = names(table, "run_id");
  const keys = names(table, "key");
  const columns = {
    x: numbers(table, "x"),
    xLast: numbers(table, "x_last"),
    first: numbers(table, "first"),
    last: numbers(table, "last"),
    min: numbers(table, "min"),
    max: numbers(table, "max"),
    count: numbers(table, "count"),
    nan: numbers(table, "nan"),
  };
  const found: Found = new Map();
  for (const [start, end] of parts(runs, keys)) {
    const cut = (column: Float64Array) => column.subarray(start, end);
    const { min, max } = columns;
    for (let i = start; i < end; i++) if (columns.nan[i] === columns.count[i]) min[i] = max[i] = NaN;
    const buckets: Buckets = {
      x: cut(columns.x),
      xLast: cut(columns.xLast),
      first: cut(columns.first),
      last: cut(columns.last),
      min: cut(min),
      max: cut(max),
      count: cut(columns.count),
      nan: cut(columns.nan),
    };
    put(found, keys[start]!, runs[start]!, buckets);
  }
  return found;
}

/** The answer for one group of runs: a band by key. */
export function bandsOf(table: Table): Map<string, Band> {
  const keys = names(table, "key");
  const [x, value, low, high, runs] = ["x_last", "value", "low", "high", "runs"].map((name) => numbers(table, name)) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  const found = new Map<string, Band>();
  for (const [start, end] of parts(keys, keys)) {
    for (let i = start; i < end; i++) if (!runs[i]) value[i] = low[i] = high[i] = NaN;
    const cut = (column: Float64Array) => column.subarray(start, end);
    found.set(keys[start]!, { x: cut(x), value: cut(value), low: cut(low), high: cut(high), runs: cut(runs) });
  }
  return found;
}

function put(found: Found, key: string, run: string, buckets: Buckets): void {
  const of = found.get(key);
  if (of) of.set(run, buckets);
  else found.set(key, new Map([[run, buckets]]));
}

/** Where rows with the same names begin and end. */
function* parts(a: readonly string[], b: readonly string[]): Generator<[number, number]> {
  let start = 0;
  for (let i = 1; i <= a.length; i++) {
    if (i < a.length && a[i] === a[start] && b[i] === b[start]) continue;
    if (i > start) yield [start, i];
    start = i;
  }
}

/** A column of numbers as float64, its own memory; 64-bit integers lose what float64 cannot hold. */
export function numbers(table: Table, name: string): Float64Array {
  const column = table.getChild(name);
  const found = new Float64Array(table.numRows);
  let at = 0;
  for (const chunk of column?.data ?? []) {
    const values = chunk.values as Float64Array | Int32Array | BigInt64Array;
    if (values instanceof BigInt64Array || (values as unknown) instanceof BigUint64Array) {
      const halves = new Uint32Array(values.buffer, values.byteOffset, chunk.length * 2);
      const signed = new Int32Array(values.buffer, values.byteOffset, chunk.length * 2);
      for (let i = 0; i < chunk.length; i++) found[at + i] = halves[2 * i]! + signed[2 * i + 1]! * 4294967296;
    } else found.set(values.subarray(0, chunk.length) as Float64Array, at);
    at += chunk.length;
  }
  return found;
}

/** A column of names, each of which is one text however many rows have it. */
function names(table: Table, name: string): string[] {
  const column = table.getChild(name) as Vector | null;
  const found: string[] = new Array<string>(table.numRows);
  let at = 0;
  for (const chunk of column?.data ?? []) {
    const distinct = [...((chunk.dictionary ?? []) as Iterable<string>)];
    const codes = chunk.values as Int32Array;
    for (let i = 0; i < chunk.length; i++) found[at++] = distinct[codes[i]!] ?? "";
  }
  return found;
}
