// Which metrics runs have, kept current as they log.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { RunRef } from "../model";
import { isAborted, post } from "../server";

interface Columns {
  columns: { name: string }[];
}

export interface Keys {
  found: ReadonlySet<string>;
  ready: boolean;
  error: unknown;
  /** These runs have changed, and may have more metrics now. */
  changed: (ids: readonly string[] | "all") => void;
}

/** So many runs are named in one filter. */
const RUNS_A_REQUEST = 200;

/** The metrics that any of the runs has. */
export function useKeys(runs: readonly RunRef[]): Keys {
  const [state, setState] = useState<Omit<Keys, "changed">>({ found: new Set(), ready: false, error: undefined });
  const current = useRef(runs);
  current.current = runs;
  const found = useRef(new Set<string>());
  const asked = useRef(new Set<string>());
  const waiting = useRef(new Set<string>());
  const busy = useRef(false);
  const alive = useRef(true);

  const pump = useCallback(async () => {
    if (busy.current) return;
    busy.current = true;
    try {
      while (waiting.current.size && alive.current) {
        const some = current.current.filter(({ id }) => waiting.current.has(id)).slice(0, RUNS_A_REQUEST);
        if (!some.length) {
          waiting.current.clear();
          break;
        }
        for (const { id } of some) waiting.current.delete(id);
        const keys = await keysOf(some);
        const fresh = keys.filter((key) => !found.current.has(key));
        for (const key of fresh) found.current.add(key);
        if (fresh.length && alive.current) setState({ found: new Set(found.current), ready: true, error: undefined });
      }
      if (alive.current) setState((before) => (before.ready && before.error === undefined ? before : { ...before, ready: true, error: undefined }));
    } catch (error) {
      if (!isAborted(error) && alive.current) setState((before) => ({ ...before, error }));
    } finally {
      busy.current = false;
    }
  }, []);

  const changed = useCallback((ids: readonly string[] | "all") => {
    const shown = new Set(current.current.map(({ id }) => id));
    for (const id of ids === "all" ? shown : ids) if (shown.has(id)) waiting.current.add(id);
    void pump();
  }, []);

  const ids = runs.map(({ id }) => id).join();
  useEffect(() => {
    for (const { id } of runs) if (!asked.current.has(id)) waiting.current.add(id);
    for (const { id } of runs) asked.current.add(id);
    void pump();
  }, [ids]);
  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
    };
  }, []);
  return { ...state, changed };
}

async function keysOf(runs: readonly RunRef[]): Promise<string[]> {
  const experiments = [...new Set(runs.map(({ experiment }) => experiment))];
  const filter = `attributes.run_id IN (${runs.map(({ id }) => `'${id.replaceAll("'", "")}'`).join(", ")})`;
  const { columns } = await post<Columns>("/api/headrace/v1/runs/columns", { experiment_ids: experiments, filter, run_view_type: "ALL", max_runs: runs.length });
  return columns.filter(({ name }) => name.startsWith("metrics.")).map(({ name }) => name.slice("metrics.".length));
}
