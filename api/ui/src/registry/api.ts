// The registry as the server tells it, and what can be asked of it.

import { useEffect } from "preact/hooks";
import { follow, followTypes } from "../feed";
import { del, get, patch, post, type Options } from "../server";

const V2 = "/api/2.0/mlflow";
const V1 = "/api/headrace/v1";

export interface Pair {
  key: string;
  value: string;
}

export interface DatasetUsed {
  name: string;
  digest: string;
  source_type?: string;
  source?: string;
  context?: string;
}

export interface ModelVersion {
  name: string;
  version: string;
  creation_timestamp: number;
  last_updated_timestamp: number;
  user_id?: string;
  current_stage: string;
  description?: string;
  source?: string;
  run_id?: string;
  run_link?: string;
  model_id?: string;
  status: string;
  status_message?: string;
  tags?: Pair[];
  aliases?: string[];
  headrace: {
    stage_comment?: string;
    storage_location?: string;
    digest?: string;
    digest_message?: string;
    files?: number;
    file_bytes?: number;
    datasets?: DatasetUsed[];
    code?: Record<string, string>;
    run?: string;
  };
}

export interface RegisteredModel {
  name: string;
  creation_timestamp: number;
  last_updated_timestamp: number;
  user_id?: string;
  description?: string;
  latest_versions?: ModelVersion[];
  tags?: Pair[];
  aliases?: { alias: string; version: string }[];
}

export interface Comment {
  id: string;
  version?: string;
  comment: string;
  user_id?: string;
  creation_timestamp: number;
  last_updated_timestamp: number;
}

export interface TransitionRequest {
  id: string;
  version: string;
  to_stage: string;
  comment?: string;
  user_id?: string;
  creation_timestamp: number;
  state: string;
  decided_by?: string;
  decision_comment?: string;
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
  comment: string;
}

export interface History {
  id: string;
  entries: Entry[];
  next_page_token?: string | null;
  others?: { id: string }[];
}

export interface Signature {
  model: string;
  inputs: Field[] | null;
  outputs: Field[] | null;
  params: (Field & { default: unknown; shape?: number[] | null })[] | null;
  flavors: string[];
  example: string;
  /** Why nothing is known of any of it. */
  unknown: string;
}

/** A column, tensor or param as MLmodel has it. */
export interface Field {
  type: string;
  name?: string;
  required?: boolean;
  "tensor-spec"?: { dtype: string; shape: number[] };
}

export interface Page<T> {
  items: T[];
  next: string | undefined;
}

export async function searchModels(filter: string, token: string, asOf: string, options?: Options): Promise<Page<RegisteredModel>> {
  const asked = { filter, page_token: token, max_results: 100, as_of: asOf };
  const told = await get<{ registered_models?: RegisteredModel[]; next_page_token?: string }>(`${V2}/registered-models/search`, asked, options);
  return { items: told.registered_models ?? [], next: told.next_page_token };
}

export async function searchVersions(name: string, token: string, asOf: string, options?: Options): Promise<Page<ModelVersion>> {
  const asked = { filter: `name = ${quoted(name)}`, order_by: ["version_number DESC"], page_token: token, max_results: 200, as_of: asOf };
  const told = await get<{ model_versions?: ModelVersion[]; next_page_token?: string }>(`${V2}/model-versions/search`, asked, options);
  return { items: told.model_versions ?? [], next: told.next_page_token };
}

export async function getModel(name: string, asOf: string, options?: Options): Promise<RegisteredModel> {
  return (await get<{ registered_model: RegisteredModel }>(`${V2}/registered-models/get`, { name, as_of: asOf }, options)).registered_model;
}

export async function getVersion(name: string, version: string, asOf: string, options?: Options): Promise<ModelVersion> {
  return (await get<{ model_version: ModelVersion }>(`${V2}/model-versions/get`, { name, version, as_of: asOf }, options)).model_version;
}

export async function getStages(options?: Options): Promise<string[]> {
  return (await get<{ stages: string[] }>(`${V1}/registry/stages`, {}, options)).stages;
}

const HISTORY_PAGES_MAX = 5;

/** Every change of an object, oldest first; of very long histories the first five thousand. */
export async function getHistory(kind: string, id: string, options?: Options): Promise<Entry[]> {
  const entries: Entry[] = [];
  let token: string | null | undefined = "";
  for (let page = 0; page < HISTORY_PAGES_MAX && token !== null && token !== undefined; page++) {
    const told: History = await get<History>(`${V1}/history`, { kind, id, max_results: 1000, page_token: token }, options);
    entries.push(...told.entries);
    token = told.next_page_token ?? null;
  }
  return entries;
}

export async function getComments(name: string, version?: string, options?: Options): Promise<Comment[]> {
  return (await get<{ comments?: Comment[] }>(`${V2}/comments/list`, { name, version }, options)).comments ?? [];
}

export async function getRequests(name: string, version: string, options?: Options): Promise<TransitionRequest[]> {
  const told = await get<{ requests?: TransitionRequest[] }>(`${V2}/transition-requests/list`, { name, version, state: "all" }, options);
  return told.requests ?? [];
}

export function getSignature(uri: string, asOf: string, options?: Options): Promise<Signature> {
  return get<Signature>(`${V1}/signature`, { uri, as_of: asOf }, options);
}

export const changes = {
  createModel: (name: string, description: string) => post(`${V2}/registered-models/create`, { name, description }),
  describeModel: (name: string, description: string) => patch(`${V2}/registered-models/update`, { name, description }),
  renameModel: (name: string, newName: string) => post(`${V2}/registered-models/rename`, { name, new_name: newName }),
  deleteModel: (name: string) => del(`${V2}/registered-models/delete`, { name }),
  tagModel: (name: string, key: string, value: string) => post(`${V2}/registered-models/set-tag`, { name, key, value }),
  untagModel: (name: string, key: string) => del(`${V2}/registered-models/delete-tag`, { name, key }),
  setAlias: (name: string, alias: string, version: string) => post(`${V2}/registered-models/alias`, { name, alias, version }),
  deleteAlias: (name: string, alias: string) => del(`${V2}/registered-models/alias`, { name, alias }),
  describeVersion: (name: string, version: string, description: string) => patch(`${V2}/model-versions/update`, { name, version, description }),
  deleteVersion: (name: string, version: string) => del(`${V2}/model-versions/delete`, { name, version }),
  tagVersion: (name: string, version: string, key: string, value: string) => post(`${V2}/model-versions/set-tag`, { name, version, key, value }),
  untagVersion: (name: string, version: string, key: string) => del(`${V2}/model-versions/delete-tag`, { name, version, key }),
  transition: (name: string, version: string, stage: string, archive: boolean, comment: string) =>
    post(`${V2}/model-versions/transition-stage`, { name, version, stage, archive_existing_versions: archive, comment }),
  request: (name: string, version: string, stage: string, comment: string) => post(`${V2}/transition-requests/create`, { name, version, stage, comment }),
  decide: (how: "approve" | "reject", name: string, version: string, request: TransitionRequest, comment: string) =>
    post(`${V2}/transition-requests/${how}`, { name, version, stage: request.to_stage, id: request.id, comment }),
  comment: (name: string, version: string | undefined, comment: string) => post(`${V2}/comments/create`, { name, version, comment }),
  deleteComment: (id: string) => del(`${V2}/comments/delete`, { id }),
};

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A filter for models whose names hold a text, whatever its case. */
export function named(text: string): string {
  return text ? `name ILIKE ${quoted(`%${text.replace(/[%_]/g, "_")}%`)}` : "";
}

const TYPES = ["headrace.registered-model.*", "headrace.model-version.*", "headrace.registry.*", "headrace.endpoint.*"];
const listeners = new Set<() => void>();
let stop: (() => void) | undefined;

/** Ask again whenever the registry or an endpoint changes: one stream for all who follow. */
export function useFollowed(again: () => void): void {
  useEffect(() => {
    listeners.add(again);
    stop ??= followTypes(TYPES, () => {
      for (const listener of [...listeners]) listener();
    });
    return () => {
      listeners.delete(again);
      if (listeners.size) return;
      stop?.();
      stop = undefined;
    };
  }, [again]);
  // The page's sign of life tells how the shared stream stands.
  useEffect(() => follow({ runs: [] }, () => {}), []);
}
