// What columns a table of runs can have: how they are named, labelled and chosen where nobody has chosen.

/** A column that runs have, as the server tells it. */
export interface Known {
  name: string;
  runs: number;
  differs: boolean;
  examples: readonly string[];
}

/** The columns of experiments' runs. */
export interface KnownColumns {
  runs: number;
  columns: readonly Known[];
  byName: ReadonlyMap<string, Known>;
}

export type Kind = "attribute" | "metric" | "param" | "tag";

/** A column by its name, taken apart. aggregate: of a metric, such as `min` or `at_best(acc)`; empty for the last value. */
export interface Spec {
  name: string;
  kind: Kind;
  key: string;
  aggregate: string;
  label: string;
}

export const NOTE_COLUMN = "tags.mlflow.note.content";
export const REASON_COLUMN = "tags.headrace.status_reason";
export const ATTRIBUTES: Readonly<Record<string, string>> = {
  run_name: "Name",
  status: "Status",
  start_time: "Started",
  end_time: "Ended",
  duration: "Duration",
  user_id: "User",
  experiment_id: "Experiment",
  run_id: "Run id",
  lifecycle_stage: "Stage",
};
/** Aggregates that a metric's summary tells. */
export const AGGREGATES: Readonly<Record<string, string>> = { "": "last", min: "min", max: "max", first: "first", points: "points", last_step: "last step" };
/** Columns that are always asked for. */
export const BASE = ["run_id", "experiment_id", "run_name", "status", "user_id", "start_time", "end_time", "lifecycle_stage", REASON_COLUMN];

const SUFFIX = /^(.+)\.(min|max|first|last|points|nan|last_step|at\(.*\)|at_best\(.*\))$/s;
const KINDS: Readonly<Record<string, Kind>> = { metrics: "metric", params: "param", tags: "tag" };
const PLAIN = /^[^\s"'`()<>=!,;]+$/;

/** A column taken apart. known: keys that really end like an aggregate are looked for in it. */
export function specOf(name: string, known?: ReadonlyMap<string, unknown>): Spec {
  const attribute = ATTRIBUTES[name];
  if (attribute !== undefined) return { name, kind: "attribute", key: name, aggregate: "", label: attribute };
  const at = name.indexOf(".");
  const kind = KINDS[name.slice(0, at)] ?? "attribute";
  let key = name.slice(at + 1);
  let aggregate = "";
  const found = kind === "metric" && !known?.has(name) ? SUFFIX.exec(key) : null;
  if (found) [, key = key, aggregate = ""] = found;
  key = found && /^(["`]).*\1$/.test(key) ? key.slice(1, -1) : key;
  const label = name === NOTE_COLUMN ? "Note" : key;
  return { name, kind, key, aggregate: aggregate === "last" ? "" : aggregate, label };
}

/** A key as filters and columns write it after a dot. */
export function quoted(key: string): string {
  return PLAIN.test(key) ? key : `"${key.replaceAll('"', '""')}"`;
}

/** The name of a metric's column. */
export function metricColumn(key: string, aggregate: string): string {
  if (!aggregate) return `metrics.${key}`;
  return aggregate.includes("(") ? `metrics.${quoted(key)}.${aggregate}` : `metrics.${key}.${aggregate}`;
}

/** The metric at the step where another one was best. */
export function atBest(other: string): string {
  return `at_best(${quoted(other)})`;
}

/** How a column is read out. */
export function described({ kind, key, aggregate, label }: Spec): string {
  if (kind === "attribute") return label;
  const of = AGGREGATES[aggregate] ?? aggregate;
  return kind === "metric" ? `${key} (metric, ${of} value)` : `${key} (${kind})`;
}

export function known(answer: { runs: number; columns: Known[] }): KnownColumns {
  return { runs: answer.runs, columns: answer.columns, byName: new Map(answer.columns.map((one) => [one.name, one])) };
}

const PARAMS_MAX = 5;
const METRICS_MAX = 5;

/** The columns shown where nobody has chosen: those that tell runs apart; `before`, which were shown, stay. */
export function defaults({ columns }: KnownColumns, before: readonly string[], several: boolean): string[] {
  const found = ["status"];
  if (several) found.unshift("experiment_id");
  const most = Math.max(0, ...columns.filter(({ name }) => name.startsWith("metrics.")).map(({ runs }) => runs));
  const score = ({ name, runs }: Known) => (10 * runs) / (most || 1) + rank(name);
  const metrics = columns.filter(({ name }) => name.startsWith("metrics.") && !name.startsWith("metrics.system/"));
  metrics.sort((a, b) => score(b) - score(a));
  const params = columns.filter(({ name, differs }) => name.startsWith("params.") && differs).sort((a, b) => b.runs - a.runs);
  for (const [list, limit] of [[metrics, METRICS_MAX], [params, PARAMS_MAX]] as const) {
    const kept = list.filter(({ name }) => before.includes(name));
    const added = list.filter(({ name }) => !before.includes(name)).slice(0, Math.max(0, limit - kept.length));
    found.push(...[...kept, ...added].map(({ name }) => name));
  }
  found.push("start_time", "duration", "user_id");
  return [...before.filter((name) => found.includes(name)), ...found.filter((name) => !before.includes(name))];
}

/** A loss or a score comes before the rest. */
function rank(name: string): number {
  return (/[./_-]val|val[/_-]/i.test(name) ? 2 : 0) + (/loss/i.test(name) ? 3 : /acc|score|auc|f1|rmse|mae/i.test(name) ? 2 : 0);
}
