// The runs of the workspace: asked for once, and then only those that change.

import { useEffect, useRef, useState } from "preact/hooks";
import { follow, type Changed } from "../feed";
import type { RunTable } from "../model";
import { arrow, Fault, isAborted, post } from "../server";
import { BASE, known, type Known, type KnownColumns } from "./columns";
import { fromArrow, patched } from "./store";
import type { Stage } from "./view";

const TABLE = "/api/headrace/v1/runs/table";
const COLUMNS = "/api/headrace/v1/runs/columns";
export const RUNS_MAX = 100_000;
/** More that changed at once are asked for as a whole. */
const PATCH_MAX = 1000;
/** So many of the newest come first. */
const NEWEST = 200;
export const MANY = 2000;
const PATCH_EVERY_MS = 400;
const COLUMNS_EVERY_MS = 5000;
const COLUMNS_AT_FIRST = 300;
const COLUMNS_OF_RUNS = 10_000;

export interface Wanted {
  experiments: readonly string[];
  filter: string;
  stage: Stage;
  /** Columns to ask for beside those that are always there; null while they are not known. */
  columns: readonly string[] | null;
  /** Whether the newest runs come first and there are many: then those are asked for before the others. */
  newestFirst: boolean;
}

export interface Runs {
  table: RunTable | undefined;
  known: KnownColumns | undefined;
  /** What the server refused: of the filter, where that has a fault. */
  error: unknown;
  loading: boolean;
  /** The table has the newest runs alone; the others are on their way. */
  partial: boolean;
  /** Ask for these runs again, now; for all without ids. */
  refresh: (ids?: readonly string[]) => void;
  again: () => void;
}

/** Whether an error is about the filter that was asked with. */
export function ofFilter(error: unknown): error is Fault {
  return error instanceof Fault && error.status === 400 && error.body["position"] !== undefined;
}

export function useKnownColumns(experiments: readonly string[], stage: Stage): { known: KnownColumns | undefined; error: unknown; ask: (maxRuns?: number) => void } {
  const [state, setState] = useState<{ key: string; known?: KnownColumns; error?: unknown }>({ key: "" });
  const key = `${experiments.join(",")} ${stage}`;
  const now = useRef(key);
  now.current = key;
  const ask = (maxRuns = COLUMNS_OF_RUNS) => {
    post<{ runs: number; columns: Known[] }>(COLUMNS, { experiment_ids: experiments, run_view_type: stage, max_runs: maxRuns }).then(
      (answer) => now.current === key && setState({ key, known: known(answer) }),
      (error: unknown) => now.current === key && setState({ key, error }),
    );
  };
  // Those of a few runs, so that the table need not wait; whoever shows it asks for the others.
  useEffect(() => ask(COLUMNS_AT_FIRST), [key]);
  return { known: state.key.split(" ")[0] === key.split(" ")[0] ? state.known : undefined, error: state.error, ask };
}

/** The rows of a request, kept up to date. askColumns: called where new columns may have come. */
export function useRuns(wanted: Wanted, askColumns: () => void): Omit<Runs, "known"> {
  const [state, setState] = useState<Told>(NOTHING);
  const names = wanted.columns && [...new Set([...BASE, ...wanted.columns])].filter((name) => name !== "duration");
  const of = JSON.stringify([wanted.experiments, wanted.filter, wanted.stage]);
  const experimentsKey = JSON.stringify([wanted.experiments]).slice(0, -1);
  const source = useRef<Source | null>(null);
  source.current ??= new Source(setState);
  const columns = names ? listKey(names) : "";
  useEffect(() => {
    if (names) source.current?.want({ ...wanted, columns: names }, of);
  }, [of, columns]);
  const asking = useRef(askColumns);
  asking.current = askColumns;
  useEffect(() => {
    let timer = 0;
    const stop = follow({ experiments: wanted.experiments }, (changes) => {
      source.current?.changed(changes);
      timer ||= window.setTimeout(() => {
        timer = 0;
        asking.current();
      }, COLUMNS_EVERY_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [wanted.experiments.join(",")]);
  useEffect(() => () => source.current?.close(), []);
  const first = state.table !== undefined && state.of.startsWith(experimentsKey) ? experimentsKey : "";
  useEffect(() => {
    if (first) asking.current();
  }, [first]);
  const mine = state.of.startsWith(experimentsKey);
  return {
    table: mine || !state.of ? state.table : undefined,
    error: state.error,
    loading: state.loading,
    partial: state.partial,
    refresh: (ids) => source.current?.changed(ids ? { runIds: ids, experimentIds: [] } : "all"),
    again: () => source.current?.load(),
  };
}

function listKey(names: readonly string[]): string {
  return [...names].sort().join("\n");
}

// It is on its way while the server is asked which columns there are.
import("apache-arrow").catch(() => {});

type Asked = Omit<Wanted, "columns"> & { columns: readonly string[] };
type Told = { table: RunTable | undefined; error: unknown; loading: boolean; partial: boolean; of: string };

const NOTHING: Told = { table: undefined, error: undefined, loading: true, partial: false, of: "" };

/** Holds the table that was asked for last, and brings what has changed since. */
class Source {
  private asked: Asked | null = null;
  private of = "";
  private held: Told = NOTHING;
  private columns: readonly string[] = [];
  private running: AbortController | null = null;
  private pending = new Set<string>();
  private all = false;
  private timer = 0;
  private readonly tell: (told: Told) => void;

  constructor(tell: (told: Told) => void) {
    this.tell = tell;
  }

  want(asked: Asked, of: string): void {
    const same = of === this.of && this.held.of === of && !this.running;
    this.asked = asked;
    this.of = of;
    // Columns that were asked for stay at hand, so that showing one again costs nothing.
    if (same && asked.columns.every((name) => covers(this.columns, name))) return;
    this.load(asked.newestFirst && of !== this.held.of);
  }

  /** newest: show the first of them as soon as they are there. */
  load(newest = false): void {
    const { asked, of } = this;
    if (!asked) return;
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    this.pending.clear();
    this.all = false;
    this.told({ loading: true });
    const whole = () => this.ask(asked, asked.filter, running.signal);
    const first = (table: RunTable) => {
      if (running.signal.aborted || table.length < NEWEST) return table;
      this.told({ table, error: undefined, partial: true, of });
      return whole();
    };
    (newest ? this.ask(asked, asked.filter, running.signal, NEWEST).then(first) : whole()).then(
      (table) => {
        if (running.signal.aborted) return;
        this.running = null;
        this.columns = asked.columns;
        this.told({ table, error: undefined, loading: false, partial: false, of });
        this.later();
      },
      (error: unknown) => {
        if (running.signal.aborted || isAborted(error)) return;
        this.running = null;
        this.told({ error, loading: false });
      },
    );
  }

  changed(changes: Changed): void {
    if (changes === "all") this.all = true;
    else for (const id of changes.runIds) this.pending.add(id);
    this.later();
  }

  private later(): void {
    if (this.running || !(this.all || this.pending.size)) return;
    this.timer ||= window.setTimeout(() => {
      this.timer = 0;
      if (this.running || !this.asked || !this.held.table || this.held.of !== this.of) return;
      if (this.all || this.pending.size > PATCH_MAX) this.load();
      else void this.patch(this.asked, this.held.table);
    }, PATCH_EVERY_MS);
  }

  private async patch(asked: Asked, before: RunTable): Promise<void> {
    const ids = [...this.pending];
    if (!ids.length) return;
    this.pending.clear();
    const running = new AbortController();
    this.running = running;
    const these = `run_id IN (${ids.map((id) => `'${id.replaceAll("'", "''")}'`).join(", ")})`;
    try {
      const rows = await this.ask(asked, asked.filter.trim() ? `(${asked.filter}) AND ${these}` : these, running.signal);
      if (running.signal.aborted) return;
      this.told({ table: patched(before, rows, new Set(ids)) });
    } catch (error) {
      if (isAborted(error)) return;
      // What could not be read now is read with what changes next.
      for (const id of ids) this.pending.add(id);
      return;
    } finally {
      if (this.running === running) this.running = null;
    }
    this.later();
  }

  private async ask({ experiments, stage, columns }: Asked, filter: string, signal: AbortSignal, limit = RUNS_MAX): Promise<RunTable> {
    const body = { experiment_ids: experiments, filter, run_view_type: stage, columns, max_results: limit };
    return fromArrow(await arrow(TABLE, body, { signal }), Date.now());
  }

  private told(change: Partial<Told>): void {
    this.held = { ...this.held, ...change };
    this.tell(this.held);
  }

  close(): void {
    this.running?.abort();
    clearTimeout(this.timer);
  }
}

/** Whether a column, or all of a kind, is among those that were asked for. */
function covers(columns: readonly string[], name: string): boolean {
  return columns.includes(name) || (/^(metrics|params|tags)\.[^*]*$/.test(name) && !/\.(min|max|first|last|points|last_step|at(_best)?\(.*\))$/.test(name) && columns.includes(`${name.split(".")[0]}.*`));
}
