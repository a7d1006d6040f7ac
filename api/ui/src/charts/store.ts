// What panels draw: asked of the server for those that are seen, together where they ask for the same, and again for
// those runs that have changed.

import type { Group } from "../model";
import { arrow, Fault, isAborted } from "../server";
import { bandsOf, type Band, seriesOf } from "./columns";
import { type Line, lineOf } from "./line";
import type { Span } from "./scale";
import type { Axis } from "./settings";

const SERIES = "/api/headrace/v1/series";
const REQUESTS_MAX = 3;
const KEYS_MAX = 8;
/** Below the 2,000 series and 500,000 buckets of one request. */
const SERIES_MAX = 1_000;
const BUCKETS_MAX = 400_000;

/** How a panel wants its series. buckets: of each. */
export interface Wish {
  buckets: number;
  range: Span | null;
}

/** What a panel has been given; each change makes a new one. */
export interface Given {
  lines: ReadonlyMap<string, Line>;
  /** By the group's name. */
  bands: ReadonlyMap<string, Band>;
  /** What the lines are of; they may still be of another range than is wished. */
  range: Span | null;
  ready: boolean;
  error: unknown;
}

const NOTHING: Given = { lines: new Map(), bands: new Map(), range: null, ready: false, error: undefined };

class Panel {
  readonly key: string;
  given: Given = NOTHING;
  wish: Wish = { buckets: 200, range: null };
  seen: ((given: Given) => void) | null = null;
  /** Runs and groups whose lines are to be asked for. */
  stale = new Set<string>();
  staleGroups = new Set<string>();
  busy = false;
  /** Counts up when what was asked for before is no longer wanted. */
  turn = 0;

  constructor(key: string) {
    this.key = key;
  }

  give(change: Partial<Given>): void {
    this.given = { ...this.given, ...change };
    this.seen?.(this.given);
  }
}

/** The series of one grid of charts. */
export class Store {
  private readonly panels = new Map<string, Panel>();
  private runs: readonly string[] = [];
  private groups: readonly Group[] = [];
  private axis: Axis = "step";
  private running = 0;
  private scheduled = false;
  private controller = new AbortController();

  /** What is drawn: these runs, and bands of these groups. */
  show(runs: readonly string[], groups: readonly Group[], axis: Axis): void {
    const anew = axis !== this.axis;
    const before = new Set(this.runs);
    const now = new Set(runs);
    const known = new Map(this.groups.map((group) => [group.name, group.runIds.join()]));
    this.runs = runs;
    this.groups = groups;
    this.axis = axis;
    if (anew) this.controller.abort();
    if (anew) this.controller = new AbortController();
    for (const panel of this.panels.values()) {
      if (anew) {
        this.restart(panel);
        continue;
      }
      for (const id of runs) if (!before.has(id)) panel.stale.add(id);
      for (const group of groups) if (known.get(group.name) !== group.runIds.join()) panel.staleGroups.add(group.name);
      const gone = [...panel.given.lines.keys()].some((id) => !now.has(id));
      const without = [...panel.given.bands.keys()].some((name) => !groups.some((group) => group.name === name));
      if (gone || without) {
        const lines = new Map([...panel.given.lines].filter(([id]) => now.has(id)));
        const bands = new Map([...panel.given.bands].filter(([name]) => groups.some((group) => group.name === name)));
        panel.give({ lines, bands });
      }
    }
    this.later();
  }

  /** A panel is seen, and hears of what it is to draw. Returns how to end that. */
  see(key: string, wish: Wish, seen: (given: Given) => void): () => void {
    const panel = this.panel(key);
    panel.seen = seen;
    this.wish(key, wish);
    seen(panel.given);
    this.later();
    return () => {
      if (panel.seen === seen) panel.seen = null;
    };
  }

  /** A panel wants its lines otherwise. */
  wish(key: string, wish: Wish): void {
    const panel = this.panel(key);
    if (JSON.stringify(panel.wish) === JSON.stringify(wish)) return;
    panel.wish = wish;
    this.restart(panel);
    this.later();
  }

  /** What a panel has. */
  given(key: string): Given {
    return this.panel(key).given;
  }

  /** These runs have changed, or any may have. */
  changed(ids: readonly string[] | "all"): void {
    const changed = ids === "all" ? this.runs : ids.filter((id) => this.runs.includes(id));
    const groups = this.groups.filter((group) => ids === "all" || group.runIds.some((id) => ids.includes(id)));
    if (!changed.length && !groups.length) return;
    for (const panel of this.panels.values()) {
      if (panel.given.error !== undefined) this.restart(panel);
      for (const id of changed) panel.stale.add(id);
      for (const group of groups) panel.staleGroups.add(group.name);
    }
    this.later();
  }

  /** Ask once more after an error. */
  again(key: string): void {
    this.restart(this.panel(key));
    this.later();
  }

  /** The server can be reached again: ask for what failed because it could not. */
  reached(): void {
    for (const panel of this.panels.values()) {
      if (!(panel.given.error instanceof Fault) || panel.given.error.status !== 0) continue;
      this.restart(panel);
      panel.seen?.(panel.given);
    }
    this.later();
  }

  close(): void {
    this.controller.abort();
    this.panels.clear();
  }

  private panel(key: string): Panel {
    let panel = this.panels.get(key);
    if (!panel) {
      panel = new Panel(key);
      this.panels.set(key, panel);
      this.restart(panel);
    }
    return panel;
  }

  private restart(panel: Panel): void {
    panel.turn++;
    panel.busy = false;
    panel.stale = new Set(this.runs);
    panel.staleGroups = new Set(this.groups.map((group) => group.name));
    panel.given = { ...panel.given, error: undefined };
  }

  private later(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    while (this.running < REQUESTS_MAX) {
      const waiting = [...this.panels.values()].filter((panel) => panel.seen && !panel.busy && !panel.given.error && (panel.stale.size || panel.staleGroups.size));
      const [first] = waiting;
      if (!first) return;
      if (!first.stale.size) {
        this.askBand(first, waiting);
        continue;
      }
      const runs = [...first.stale].filter((id) => this.runs.includes(id)).slice(0, SERIES_MAX);
      if (!runs.length) {
        first.stale.clear();
        continue;
      }
      const alike = waiting.filter((panel) => sameWish(panel, first) && panel.stale.size === first.stale.size && runs.every((id) => panel.stale.has(id)));
      const most = Math.max(1, Math.min(KEYS_MAX, Math.floor(SERIES_MAX / runs.length), Math.floor(BUCKETS_MAX / runs.length / first.wish.buckets)));
      void this.askLines(alike.slice(0, most), runs);
    }
  }

  private async askLines(panels: readonly Panel[], runs: readonly string[]): Promise<void> {
    for (const panel of panels) for (const id of runs) panel.stale.delete(id);
    await this.ask(panels, { run_ids: runs }, (panel, table) => {
      const found = seriesOf(table);
      for (const one of panel) {
        const lines = new Map(one.given.lines);
        const range = one.wish.range;
        // What is of another range goes at once, so that no two are on one chart.
        if (one.given.range !== range) for (const id of [...lines.keys()]) if (one.stale.has(id)) lines.delete(id);
        const of = found.get(one.key);
        for (const id of runs) {
          const buckets = of?.get(id);
          if (buckets) lines.set(id, lineOf(id, buckets));
          else lines.delete(id);
        }
        one.give({ lines, range, ready: true });
      }
    });
  }

  private askBand(first: Panel, waiting: readonly Panel[]): void {
    const [name] = first.staleGroups;
    const group = this.groups.find((one) => one.name === name);
    if (!group?.runIds.length || name === undefined) {
      if (name !== undefined) first.staleGroups.delete(name);
      return;
    }
    const most = Math.max(1, Math.min(KEYS_MAX, Math.floor(SERIES_MAX / group.runIds.length)));
    const panels = waiting.filter((panel) => sameWish(panel, first) && !panel.stale.size && panel.staleGroups.has(name)).slice(0, most);
    for (const panel of panels) panel.staleGroups.delete(name);
    void this.ask(panels, { run_ids: group.runIds.slice(0, SERIES_MAX), group_by: [] }, (asked, table) => {
      const found = bandsOf(table);
      for (const one of asked) {
        const bands = new Map(one.given.bands);
        const band = found.get(one.key);
        if (band) bands.set(name, band);
        else bands.delete(name);
        one.give({ bands, ready: true });
      }
    });
  }

  private async ask(panels: readonly Panel[], body: object, answered: (panels: Panel[], table: Awaited<ReturnType<typeof arrow>>) => void): Promise<void> {
    const [first] = panels;
    if (!first) return;
    this.running++;
    const turns = panels.map((panel) => panel.turn);
    for (const panel of panels) panel.busy = true;
    const current = () => panels.filter((panel, i) => panel.turn === turns[i]);
    const { buckets, range } = first.wish;
    const keys = panels.map((panel) => panel.key);
    try {
      const table = await arrow(SERIES, { ...body, keys, x: this.axis, buckets, format: "arrow", ...(range ? { range } : {}) }, { signal: this.controller.signal });
      answered(current(), table);
    } catch (error) {
      if (!isAborted(error)) for (const panel of current()) panel.give({ error, ready: true });
    } finally {
      this.running--;
      for (const panel of current()) panel.busy = false;
      this.later();
    }
  }
}

function sameWish(a: Panel, b: Panel): boolean {
  return a.wish.buckets === b.wish.buckets && JSON.stringify(a.wish.range) === JSON.stringify(b.wish.range);
}
