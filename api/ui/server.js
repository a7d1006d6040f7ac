// @ts-check
// What the page asks of the server: the public API and nothing else.

/** A number as JSON has it: NaN and infinities are strings. @typedef {number | string | null} Wire */
/** @typedef {{key: string, value: Wire, step: number, timestamp: number}} Metric */
/** @typedef {{key: string, value: string}} Pair */
/**
 * @typedef {object} RestRun
 * @property {{run_id: string, run_name?: string, experiment_id: string, status: string, start_time?: number, end_time?: number, user_id?: string, artifact_uri?: string, lifecycle_stage?: string}} info
 * @property {{metrics?: Metric[], params?: Pair[], tags?: Pair[]}} data
 * @property {{dataset_inputs?: {dataset: {name: string, digest: string, source_type?: string, source?: string}, tags?: Pair[]}[]}} [inputs]
 */
/** @typedef {{experiment_id: string, name: string, last_update_time?: number}} Experiment */
/** @typedef {{run_id: string, points: number, bucketed: boolean, x: number[], x_last: number[], first: Wire[], last: Wire[], min: Wire[], max: Wire[], count: number[], nan: number[]}} Series */
/** @typedef {{key: string, last: Wire, last_step: number, min: Wire, max: Wire, points: number, nan: number}} Summary */
/** @typedef {{path: string, is_dir: boolean, file_size?: number}} Artifact */

export const RUNS_PAGE = 200;
const SERIES_RUNS_MAX = 100;

/** What the server said is wrong. */
export class Fault extends Error {
  /** @param {number} status 0 when the server could not be reached  @param {string} code  @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * @param {string} path
 * @param {object} [body] posted as JSON; without one it is a GET
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
async function ask(path, body, signal) {
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(path, {
      method: body ? "POST" : "GET",
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : null,
      signal: signal ?? null,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Fault(0, "UNREACHABLE", "The server cannot be reached.");
  }
  const text = await answer.text();
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // Told below.
  }
  if (answer.ok && content) return content;
  throw new Fault(answer.status, content?.error_code ?? "ERROR", content?.message ?? `The server answered ${answer.status}.`);
}

/** @returns {Promise<Experiment[]>} */
export async function experiments() {
  const answer = await ask("/api/2.0/mlflow/experiments/search", { max_results: 1000 });
  return answer.experiments ?? [];
}

/**
 * @param {{experiment: string, filter: string, orderBy?: string[], pageToken?: string}} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<{runs: RestRun[], next: string}>}
 */
export async function searchRuns(query, signal) {
  const answer = await ask(
    "/api/2.0/mlflow/runs/search",
    {
      experiment_ids: [query.experiment],
      filter: query.filter,
      max_results: RUNS_PAGE,
      order_by: query.orderBy ?? [],
      ...(query.pageToken ? { page_token: query.pageToken } : {}),
    },
    signal,
  );
  return { runs: answer.runs ?? [], next: answer.next_page_token ?? "" };
}

/** @param {string} runId @returns {Promise<RestRun>} */
export async function run(runId) {
  return (await ask(`/api/2.0/mlflow/runs/get?run_id=${encodeURIComponent(runId)}`)).run;
}

/**
 * @param {{run_ids: string[], key: string, x: string, buckets: number, range: [number, number] | null}} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<Series[]>}
 */
export async function series(query, signal) {
  const parts = [];
  for (let i = 0; i < query.run_ids.length; i += SERIES_RUNS_MAX) {
    parts.push(ask("/api/headrace/v1/series", { ...query, run_ids: query.run_ids.slice(i, i + SERIES_RUNS_MAX) }, signal));
  }
  return (await Promise.all(parts)).flatMap((answer) => answer.series);
}

/** @param {string} runId @returns {Promise<Summary[]>} */
export async function summary(runId) {
  return (await ask(`/api/headrace/v1/metrics/summary?run_id=${encodeURIComponent(runId)}`)).metrics;
}

/** @param {string} runId @param {string} path @returns {Promise<Artifact[]>} */
export async function artifacts(runId, path) {
  const query = new URLSearchParams({ run_id: runId, ...(path ? { path } : {}) });
  return (await ask(`/api/2.0/mlflow/artifacts/list?${query}`)).files ?? [];
}

/** What has changed since it was told last: everything, or these. @typedef {"all" | {runIds: string[], experimentIds: string[]}} Changes */
/**
 * What to do with what the feed tells. begun: the feed has begun; what is logged from now on is told.
 * @typedef {{begun: () => void, changed: (changes: Changes) => void, state: (state: "connecting" | "live" | "lost") => void, views: (views: {behind: number, fault: string | null}) => void}} Follower
 */

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 30_000;

/**
 * Hear of changed runs and experiments, and of how far the views are behind the log, from now on. A connection that is
 * lost goes on where it was: the browser sends the last cursor. Where the server refuses that, it begins anew.
 * @param {string} experiment
 * @param {Follower} follower
 * @returns {() => void} ends it
 */
export function follow(experiment, follower) {
  /** @type {EventSource} */
  let source;
  let timer = 0;
  let retry = RETRY_FIRST_MS;
  let begun = false;
  const refused = () => {
    source.close();
    timer = setTimeout(connect, retry);
    retry = Math.min(2 * retry, RETRY_MAX_MS);
  };
  const connect = () => {
    source = new EventSource(`/api/headrace/v1/events?digest=true&after=now&experiment_ids=${encodeURIComponent(experiment)}`);
    let anew = begun;
    source.addEventListener("open", () => {
      retry = RETRY_FIRST_MS;
      follower.state("live");
      if (!begun) follower.begun();
      begun = true;
      // A new cursor: what came between the old one and this one has not been told. Else nothing was missed.
      follower.changed(anew ? "all" : { runIds: [], experimentIds: [] });
      anew = false;
    });
    source.addEventListener("changed", (event) => {
      const told = JSON.parse(event.data);
      follower.changed(told.all ? "all" : { runIds: told.run_ids, experimentIds: told.experiment_ids });
    });
    source.addEventListener("views", (event) => follower.views(JSON.parse(event.data)));
    source.addEventListener("ended", refused);
    source.addEventListener("error", () => {
      follower.state("lost");
      if (source.readyState === EventSource.CLOSED) refused();
    });
  };
  follower.state("connecting");
  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

/** @param {Wire | undefined} value @returns {number} */
export function decode(value) {
  return value === null || value === undefined ? NaN : Number(value);
}
