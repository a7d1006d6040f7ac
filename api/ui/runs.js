// @ts-check
// Runs as the table and the chart use them, and which columns tell them apart.

import { decode } from "./server.js";

/** @typedef {import("./server.js").RestRun} RestRun */
/**
 * @typedef {object} Run
 * @property {string} id
 * @property {string} name
 * @property {string} status
 * @property {string} reason why it has that status; empty where nobody said
 * @property {number} start ms since the epoch
 * @property {number} end ms since the epoch; 0 while it goes on
 * @property {string} user
 * @property {Map<string, number>} metrics latest values
 * @property {Map<string, string>} params
 */
/** @typedef {{id: string, label: string, kind: "text" | "number", title?: string, width?: string}} Column */

export const REASON_TAG = "headrace.status_reason";
const PARAM_COLUMNS_MAX = 4;
const METRIC_COLUMNS_MAX = 3;

/** @param {RestRun} rest @returns {Run} */
export function fromRest(rest) {
  const tags = new Map((rest.data.tags ?? []).map((tag) => [tag.key, tag.value]));
  return {
    id: rest.info.run_id,
    name: rest.info.run_name || tags.get("mlflow.runName") || rest.info.run_id,
    status: rest.info.status,
    reason: tags.get(REASON_TAG) ?? "",
    start: Number(rest.info.start_time ?? 0),
    end: Number(rest.info.end_time ?? 0),
    user: rest.info.user_id || tags.get("mlflow.user") || "",
    metrics: new Map((rest.data.metrics ?? []).map((metric) => [metric.key, decode(metric.value)])),
    params: new Map((rest.data.params ?? []).map((param) => [param.key, param.value])),
  };
}

/** @param {Iterable<Run>} runs @returns {Map<string, number>} how many runs have each metric, in key order */
export function metricKeys(runs) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const run of runs) for (const key of run.metrics.keys()) found.set(key, (found.get(key) ?? 0) + 1);
  return new Map([...found].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true })));
}

/** The metric to begin with: in most runs, a loss or score before the rest, the machine's own last. @param {Map<string, number>} keys */
export function firstMetric(keys) {
  /** @param {string} key */
  const rank = (key) =>
    (key.startsWith("system/") ? -100 : 0) + (/(^|[/_.-])val/i.test(key) ? 2 : 0) + (/loss/i.test(key) ? 3 : /acc|score|auc|f1|rmse|mae/i.test(key) ? 2 : 0);
  const most = Math.max(0, ...keys.values());
  return [...keys].map(([key, count]) => ({ key, score: rank(key) + (10 * count) / most })).sort((a, b) => b.score - a.score)[0]?.key ?? "";
}

/**
 * The columns of the table: fixed ones, the chosen metric, then params and metrics that differ between the runs.
 * @param {Run[]} runs @param {string} metric @returns {Column[]}
 */
export function columns(runs, metric) {
  /** @type {Column[]} */
  const found = [
    { id: "name", label: "Name", kind: "text" },
    { id: "status", label: "Status", kind: "text" },
    { id: "start", label: "Started", kind: "text" },
    { id: "duration", label: "Duration", kind: "number" },
  ];
  if (metric) found.push({ id: `metric:${metric}`, label: metric, kind: "number", title: `Latest value of ${metric}` });
  for (const key of differing(runs, (run) => run.params, PARAM_COLUMNS_MAX)) {
    found.push({ id: `param:${key}`, label: key, kind: runs.every((run) => !run.params.has(key) || isNumber(run.params.get(key))) ? "number" : "text", title: `Param ${key}` });
  }
  const metrics = differing(runs, (run) => run.metrics, METRIC_COLUMNS_MAX + 1, (key) => !key.startsWith("system/"));
  for (const key of metrics.filter((key) => key !== metric).slice(0, METRIC_COLUMNS_MAX)) {
    found.push({ id: `metric:${key}`, label: key, kind: "number", title: `Latest value of ${key}` });
  }
  found.push({ id: "user", label: "User", kind: "text" });
  return found;
}

/**
 * @template V
 * @param {Run[]} runs @param {(run: Run) => Map<string, V>} values @param {number} limit @param {(key: string) => boolean} [keep]
 */
function differing(runs, values, limit, keep = () => true) {
  /** @type {Map<string, {runs: number, seen: Set<V>}>} */
  const found = new Map();
  for (const run of runs) {
    for (const [key, value] of values(run)) {
      if (!keep(key)) continue;
      const entry = found.get(key) ?? { runs: 0, seen: new Set() };
      entry.runs++;
      if (entry.seen.size < 50) entry.seen.add(value);
      found.set(key, entry);
    }
  }
  return [...found]
    .filter(([, entry]) => runs.length === 1 || entry.seen.size > 1 || entry.runs < runs.length)
    .sort(([a, x], [b, y]) => y.runs - x.runs || a.localeCompare(b))
    .slice(0, limit)
    .map(([key]) => key);
}

/** @param {string | undefined} text */
function isNumber(text) {
  return text !== undefined && text.trim() !== "" && Number.isFinite(Number(text));
}

/** @param {Run} run @param {string} column @param {number} now @returns {number | string | undefined} */
export function valueOf(run, column, now) {
  if (column.startsWith("metric:")) return run.metrics.get(column.slice(7));
  if (column.startsWith("param:")) {
    const text = run.params.get(column.slice(6));
    return isNumber(text) ? Number(text) : text;
  }
  if (column === "duration") return run.start ? (run.end || now) - run.start : undefined;
  if (column === "start") return run.start;
  return column === "status" ? run.status : column === "user" ? run.user : run.name;
}

/**
 * Sorted runs: missing values and NaN last either way; the newest first among equals.
 * @param {Run[]} runs @param {string} sort @param {number} now
 */
export function sorted(runs, sort, now) {
  const down = sort.startsWith("-");
  const column = down ? sort.slice(1) : sort;
  const keyed = runs.map((run) => ({ run, value: valueOf(run, column, now) }));
  keyed.sort((a, b) => {
    const order = compare(a.value, b.value, down);
    return order || b.run.start - a.run.start || (a.run.id < b.run.id ? -1 : 1);
  });
  return keyed.map(({ run }) => run);
}

/** @param {number | string | undefined} a @param {number | string | undefined} b @param {boolean} down */
function compare(a, b, down) {
  const noA = a === undefined || a === "" || Number.isNaN(a);
  const noB = b === undefined || b === "" || Number.isNaN(b);
  if (noA || noB) return Number(noA) - Number(noB);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return down ? -order : order;
}

/** The server's order_by for a column, where it has one. @param {string} sort @returns {string[]} */
export function orderBy(sort) {
  const down = sort.startsWith("-");
  const column = down ? sort.slice(1) : sort;
  const direction = down ? "DESC" : "ASC";
  if (column.startsWith("metric:") || column.startsWith("param:")) {
    const key = column.slice(column.indexOf(":") + 1);
    const quote = key.includes("`") ? '"' : "`";
    return [`${column.startsWith("metric:") ? "metrics" : "params"}.${quote}${key}${quote} ${direction}`];
  }
  const attribute = { name: "run_name", status: "status", user: "user_id", start: "start_time" }[column];
  return attribute ? [`attributes.${attribute} ${direction}`] : ["attributes.start_time DESC"];
}
