// All experiments, and how many runs each has: one search and one question to the views.

import { NOTE_TAG } from "../model";
import { post } from "../server";

export interface Experiment {
  id: string;
  name: string;
  note: string;
  createdMs: number;
  tags: readonly { key: string; value: string }[];
}

export interface Count {
  runs: number;
  running: number;
  failed: number;
  /** When its newest run began, in milliseconds since the epoch. */
  lastMs: number;
}

interface Told {
  experiment_id: string;
  name: string;
  creation_time?: number | string;
  tags?: { key: string; value: string }[];
}

const PAGE = 1000;
const PAGES_MAX = 10;
const COUNTS = `SELECT experiment_id, count(), countIf(status = 'RUNNING'), countIf(status = 'FAILED'),
  toUnixTimestamp64Milli(max(start_time)) FROM runs WHERE lifecycle = 'active' GROUP BY experiment_id`;

/** Experiments that are there, or those in the bin. */
export async function experiments(binned: boolean, signal: AbortSignal): Promise<Experiment[]> {
  const found: Told[] = [];
  let token = "";
  for (let page = 0; page < PAGES_MAX; page++) {
    const body = { max_results: PAGE, view_type: binned ? "DELETED_ONLY" : "ACTIVE_ONLY", ...(token && { page_token: token }) };
    const answer = await post<{ experiments?: Told[]; next_page_token?: string }>("/api/2.0/mlflow/experiments/search", body, { signal });
    found.push(...(answer.experiments ?? []));
    token = answer.next_page_token ?? "";
    if (!token) break;
  }
  return found.map(({ experiment_id, name, creation_time, tags = [] }) => ({
    id: experiment_id,
    name,
    note: tags.find(({ key }) => key === NOTE_TAG)?.value ?? "",
    createdMs: Number(creation_time ?? 0),
    tags: tags.filter(({ key }) => !key.startsWith("mlflow.")),
  }));
}

/** Runs by experiment, those in the bin left out. */
export async function counts(signal: AbortSignal): Promise<Map<string, Count>> {
  const answer = await post<{ rows: [string, number, number, number, number][] }>("/api/headrace/v1/sql", { query: COUNTS }, { signal });
  return new Map(answer.rows.map(([id, runs, running, failed, lastMs]) => [id, { runs: Number(runs), running: Number(running), failed: Number(failed), lastMs: Number(lastMs) }]));
}
