// What a run's page asks of the server, and the shapes of the answers.

import { get, isAborted, type Options, post, type Wire } from "../server";

const MLFLOW = "/api/2.0/mlflow";
const OURS = "/api/headrace/v1";

export interface Pair {
  key: string;
  value: string;
}

export interface RunInfo {
  run_id: string;
  run_name?: string;
  experiment_id: string;
  user_id?: string;
  status: string;
  start_time: number;
  end_time?: number;
  artifact_uri?: string;
  lifecycle_stage: string;
}

export interface DatasetInput {
  tags?: Pair[];
  dataset: { name: string; digest: string; source_type?: string; source?: string; schema?: string; profile?: string };
}

interface RunAnswer {
  info: RunInfo;
  data: { params?: Pair[]; tags?: Pair[] };
  inputs?: { dataset_inputs?: DatasetInput[]; model_inputs?: { model_id: string }[] };
  outputs?: { model_outputs?: { model_id: string; step?: number }[] };
}

export interface Metric {
  key: string;
  last: Wire;
  last_step: number;
  last_timestamp_ms: number;
  min: Wire;
  max: Wire;
  points: number;
  nan: number;
}

/** A run and all that its overview tells. */
export interface Run {
  info: RunInfo;
  params: readonly Pair[];
  tags: ReadonlyMap<string, string>;
  metrics: readonly Metric[];
  datasets: readonly DatasetInput[];
  modelsRead: readonly string[];
  modelsMade: readonly string[];
}

const collator = new Intl.Collator(undefined, { numeric: true });

/** In the order of their keys as people count: layer 2 before layer 10. */
function natural<T extends { key: string }>(found: readonly T[]): T[] {
  return [...found].sort((a, b) => collator.compare(a.key, b.key));
}

/** A run now, or as of a position or time of the log. Throws Fault. */
export async function readRun(runId: string, asOf: string, options?: Options): Promise<Run> {
  const asked = { run_id: runId, as_of: asOf };
  const [{ run }, { metrics }] = await Promise.all([
    get<{ run: RunAnswer }>(`${MLFLOW}/runs/get`, asked, options),
    get<{ metrics: Metric[] }>(`${OURS}/metrics/summary`, asked, options),
  ]);
  return {
    info: run.info,
    params: natural(run.data.params ?? []),
    tags: new Map((run.data.tags ?? []).map(({ key, value }) => [key, value])),
    metrics: natural(metrics),
    datasets: run.inputs?.dataset_inputs ?? [],
    modelsRead: (run.inputs?.model_inputs ?? []).map(({ model_id }) => model_id),
    modelsMade: (run.outputs?.model_outputs ?? []).map(({ model_id }) => model_id),
  };
}

/** The name of an experiment; its id where it cannot be read. */
export async function experimentName(id: string, options?: Options): Promise<string> {
  try {
    return (await get<{ experiment: { name: string } }>(`${MLFLOW}/experiments/get`, { experiment_id: id }, options)).experiment.name;
  } catch (error) {
    if (isAborted(error)) throw error;
    return `Experiment ${id}`;
  }
}

/** A run as a link to it needs it. */
export interface Relative {
  run_id: string;
  run_name: string;
  experiment_id: string;
  status: string;
  lifecycle_stage: string;
  start_time_ms: number;
  end_time_ms: number | null;
  fork_step: number | null;
}

export interface Family {
  ancestors: Relative[];
  children: Relative[];
  forked_from: Relative | null;
  fork_step: number | null;
  forks: Relative[];
  more: boolean;
}

export function readFamily(runId: string, options?: Options): Promise<Family> {
  return get(`${OURS}/runs/${encodeURIComponent(runId)}/family`, {}, options);
}

export interface Piece {
  offset: number;
  time_ms: number;
  stream: string;
  text: string;
}

/** A page of what was printed: the end, or before or after an offset. */
export function readConsole(runId: string, where: { before?: number; after?: number; stream?: string }, options?: Options): Promise<{ pieces: Piece[]; more: boolean }> {
  return get(`${OURS}/runs/${encodeURIComponent(runId)}/console`, { ...where }, options);
}

export interface Change {
  field: string;
  from: unknown;
  to: unknown;
}

export interface Entry {
  position: string;
  logged_ms: number;
  time_ms: number;
  type: string;
  actor: string;
  source: string;
  outcome: string;
  reason: string;
  changes: Change[];
}

export function readHistory(runId: string, token: string, options?: Options): Promise<{ entries: Entry[]; next_page_token?: string }> {
  return get(`${OURS}/history`, { kind: "run", id: runId, order: "newest", page_token: token }, options);
}

export interface LoggedModel {
  model_id: string;
  name?: string;
  status?: string;
  model_type?: string;
  creation_timestamp_ms?: number;
}

/** The logged models of a run's experiment that the run made, and those with these ids. */
export async function readModels(run: Run, options?: Options): Promise<LoggedModel[]> {
  const ids = [...run.modelsMade, ...run.modelsRead].filter((id) => /^[\w-]+$/.test(id)).slice(0, 200);
  const made = `source_run_id = '${run.info.run_id}'`;
  const filter = ids.length ? `${made} OR model_id IN (${ids.map((id) => `'${id}'`).join(", ")})` : made;
  const asked = { experiment_ids: [run.info.experiment_id], filter, max_results: 50 };
  const found = await post<{ models?: { info: LoggedModel }[] }>(`${MLFLOW}/logged-models/search`, asked, options);
  return (found.models ?? []).map(({ info }) => info);
}

/** A model of MLflow 2: a folder of the run's artifacts. */
export interface OldModel {
  path: string;
  flavors: readonly string[];
}

/** What MLflow 2 noted of the models of a run in a tag. */
export function oldModels(tags: ReadonlyMap<string, string>): OldModel[] {
  try {
    const told = JSON.parse(tags.get("mlflow.log-model.history") ?? "[]") as { artifact_path?: unknown; flavors?: unknown }[];
    const found = told.map((one) => ({ path: String(one.artifact_path), flavors: Object.keys(one.flavors ?? {}).filter((name) => name !== "python_function") }));
    return [...new Map(found.map((one) => [one.path, one])).values()];
  } catch {
    return [];
  }
}

export interface Version {
  name: string;
  version: string;
  current_stage?: string;
  aliases?: string[];
  model_id?: string;
  status?: string;
  creation_timestamp?: number;
}

/** The registered versions that were made from a run. */
export async function readVersions(runId: string, options?: Options): Promise<Version[]> {
  const filter = `run_id = '${runId}'`;
  const found = await get<{ model_versions?: Version[] }>(`${MLFLOW}/model-versions/search`, { filter, max_results: 200 }, options);
  return found.model_versions ?? [];
}

const REQUIREMENTS = "environment/requirements.txt";

/** Where the list of packages that the SDK stores is, and what it says; null where there is none. */
export async function readPackages(runId: string, options?: Options): Promise<string | null> {
  const { files } = await get<{ files?: { path: string }[] }>(`${MLFLOW}/artifacts/list`, { run_id: runId, path: "environment" }, options);
  if (!files?.some(({ path }) => path === REQUIREMENTS)) return null;
  const answer = await fetch(requirementsUrl(runId), { signal: options?.signal ?? null });
  return answer.ok ? answer.text() : null;
}

export function requirementsUrl(runId: string): string {
  return `${OURS}/runs/${encodeURIComponent(runId)}/artifacts/${REQUIREMENTS}`;
}

export function setTag(runId: string, key: string, value: string): Promise<unknown> {
  return post(`${MLFLOW}/runs/set-tag`, { run_id: runId, key, value });
}

export function deleteTag(runId: string, key: string): Promise<unknown> {
  return post(`${MLFLOW}/runs/delete-tag`, { run_id: runId, key });
}

export function rename(runId: string, name: string): Promise<unknown> {
  return post(`${MLFLOW}/runs/update`, { run_id: runId, run_name: name });
}

export function binned(runId: string, inBin: boolean): Promise<unknown> {
  return post(`${MLFLOW}/runs/${inBin ? "delete" : "restore"}`, { run_id: runId });
}

/** A new run that goes on from another one behind a step; its id and experiment. */
export async function fork(runId: string, step: number, name: string): Promise<RunInfo> {
  return (await post<{ run: { info: RunInfo } }>(`${OURS}/runs/fork`, { run_id: runId, step, name })).run.info;
}

/** Names of registered models that have this text in them, at most 50; the one that is named so is among them. */
export async function registeredNames(text: string, options?: Options): Promise<string[]> {
  const clean = text.replaceAll("'", "");
  const ask = async (filter: string) =>
    (await get<{ registered_models?: { name: string }[] }>(`${MLFLOW}/registered-models/search`, { filter, max_results: 50 }, options)).registered_models ?? [];
  const found = await Promise.all([ask(clean ? `name ILIKE '%${clean}%'` : ""), ...(clean ? [ask(`name = '${clean}'`)] : [])]);
  return [...new Set(found.flat().map(({ name }) => name))].sort();
}

/** Make a version from a logged model. fresh: the registered model is not there yet. */
export async function register(runId: string, modelId: string, name: string, fresh: boolean): Promise<Version> {
  if (fresh) await post(`${MLFLOW}/registered-models/create`, { name });
  const asked = { name, source: `models:/${modelId}`, run_id: runId, model_id: modelId };
  return (await post<{ model_version: Version }>(`${MLFLOW}/model-versions/create`, asked)).model_version;
}
