// Endpoints as the server tells them, and what they were asked lately.

import { del, get, patch, post, type Options } from "../server";

const PATH = "/api/headrace/v1/endpoints";

export interface Served {
  label: string;
  model: string;
  version: string;
  model_id: string;
  run_id: string;
  state: string;
  reason: string;
  since_ms: number;
  load_s: number;
  environment: string;
  workers: { pid: number; rss_bytes: number; in_flight: number }[];
  in_flight: number;
  requests: number;
  errors: number;
  restarts: number;
  mean_ms: number | null;
  p50_ms: number | null;
  p99_ms: number | null;
  shadow: number;
  shadow_failed: number;
  shadow_dropped: number;
}

export interface Route {
  model: string;
  weight: number;
  names: string;
  state: string;
  reason: string;
  serving: Served | null;
  loading: Served | null;
  previous: Served | null;
}

export interface Endpoint {
  name: string;
  state: string;
  routes: Route[];
  shadow: Route | null;
  options: Record<string, string | number>;
  creation_time_ms: number;
  last_update_time_ms: number;
  serving_before: string[];
}

export interface Slot {
  start_ms: number;
  version: string;
  requests: number;
  failed: number;
  refused: number;
  mean_ms: number;
  p50_ms: number;
  p99_ms: number;
}

export interface Told {
  slot_s: number;
  now_ms: number;
  slots: Slot[];
}

export interface Prediction {
  position: string;
  time_ms: number;
  prediction: { model?: string; version?: string; status?: number; latency_ms?: number; request?: string; response?: string; request_id?: string; shadow?: boolean };
}

const at = (name: string) => `${PATH}/${encodeURIComponent(name)}`;

export async function getEndpoints(options?: Options): Promise<Endpoint[]> {
  return (await get<{ endpoints: Endpoint[] }>(PATH, {}, options)).endpoints;
}

/** waitS: until nothing loads any more, so long at most. */
export function getEndpoint(name: string, asOf: string, options?: Options, waitS = 0): Promise<Endpoint> {
  return get<Endpoint>(at(name), { as_of: asOf, wait_s: waitS || undefined }, options);
}

export async function getPredictions(name: string, options?: Options): Promise<Prediction[]> {
  return (await get<{ predictions: Prediction[] }>(`${at(name)}/logs`, { max_results: 50 }, options)).predictions;
}

export const trafficOf = (name: string) => `${at(name)}/traffic`;

export interface Wanted {
  routes: { model: string; weight: number }[];
  shadow: string;
  options: Record<string, string | number>;
}

export const changes = {
  create: (name: string, wanted: Wanted) => post(PATH, { name, ...wanted }),
  update: (name: string, wanted: Wanted) => patch(at(name), wanted),
  delete: (name: string) => del(at(name)),
};

/** The `models:/` URI of exactly the version that serves. */
export function uriOf(served: Served): string {
  return served.model ? `models:/${served.model}/${served.version}` : `models:/${served.model_id}`;
}
