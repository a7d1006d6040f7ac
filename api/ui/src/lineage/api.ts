// The lineage graph as the server tells it.

import { get, type Options } from "../server";

export type Kind = "dataset" | "code" | "run" | "logged_model" | "model_version" | "endpoint";

export interface LineageNode {
  key: string;
  kind: Kind;
  id: string;
  name: string;
  experiment_id?: string;
  status?: string;
  stage?: string;
  aliases?: string[];
  source?: string;
  time_ms?: number;
  missing?: string;
}

export interface LineageEdge {
  from: string;
  to: string;
  label: string;
}

export interface Graph {
  start: string[];
  nodes: LineageNode[];
  edges: LineageEdge[];
  truncated: boolean;
}

export function getLineage(kind: string, id: string, asOf: string, options?: Options): Promise<Graph> {
  return get<Graph>("/api/headrace/v1/lineage", { kind, id, as_of: asOf }, options);
}
