// What changes on the server, as it happens: one stream for all who follow runs and experiments, which is let go while
// the tab is hidden, so that a browser's few connections a host are for what is looked at. Nothing polls.

import { signal } from "@preact/signals";
import { withParams } from "./server";

const EVENTS = "/api/headrace/v1/events";
const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 30_000;
const BEGIN_MS = 2000;

/** Which changes: of runs of these experiments, of these runs; of all where neither is given. */
export interface Wanted {
  experiments?: readonly string[];
  runs?: readonly string[];
}

/** What has changed since it was told last: these, or more than can be named. */
export type Changed = "all" | { runIds: readonly string[]; experimentIds: readonly string[] };

/** How the connection stands. behind: so many events the views are behind the log. fault: why they do not move. */
export interface Standing {
  state: "connecting" | "live" | "lost";
  behind: number;
  fault: string | null;
}

export const standing = signal<Standing>({ state: "connecting", behind: 0, fault: null });

interface Follower {
  wanted: Wanted;
  changed: (changes: Changed) => void;
}

/** A stream of events that is opened again where it breaks, and goes on behind what it told last. */
class Stream {
  private source: EventSource | null = null;
  private retry = RETRY_FIRST_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private cursor = "";
  private readonly params: Readonly<Record<string, string>>;
  private readonly names: readonly string[];
  private readonly told: (name: string, data: string) => void;
  private readonly state: (state: Standing["state"]) => void;
  /** The server no longer has what followed the cursor, or there was none: anything may have changed. */
  private readonly missed: () => void;

  constructor(
    params: Readonly<Record<string, string>>,
    names: readonly string[],
    on: { told: (name: string, data: string) => void; state?: (state: Standing["state"]) => void; missed: () => void },
    cursor = "",
  ) {
    this.params = params;
    this.names = names;
    this.told = on.told;
    this.state = on.state ?? (() => {});
    this.missed = on.missed;
    this.cursor = cursor;
  }

  /** Where the stream is; what follows this has not been told. */
  get position(): string {
    return this.cursor;
  }

  /** anew: changes may have been missed before now. */
  open(anew: boolean): void {
    this.close();
    const missing = anew && !this.cursor;
    const source = new EventSource(withParams(EVENTS, { ...this.params, after: this.cursor || "now" }));
    this.source = source;
    const heard = (event: MessageEvent<string>) => {
      if (event.lastEventId) this.cursor = event.lastEventId;
    };
    source.addEventListener("open", () => {
      this.retry = RETRY_FIRST_MS;
      this.state("live");
      if (missing) this.missed();
    });
    for (const name of this.names) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        heard(event);
        this.told(name, event.data);
      });
    }
    source.addEventListener("ended", () => this.later());
    source.addEventListener("error", () => {
      this.state("lost");
      if (source.readyState === EventSource.CLOSED) this.later();
    });
  }

  /** The server refused: ask for what comes from now on, a little later each time. */
  private later(): void {
    this.close();
    this.cursor = "";
    this.timer = setTimeout(() => this.open(true), this.retry);
    this.retry = Math.min(2 * this.retry, RETRY_MAX_MS);
  }

  close(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}

const followers = new Set<Follower>();
let shared: { stream: Stream; key: string } | null = null;
let scheduled = false;

/** What the shared stream asks for: all that any follower wants; how the views stand is told in any case. */
function union(): Record<string, string> {
  if (!followers.size) return { run_ids: "-" };
  const wanted = [...followers].map((follower) => follower.wanted);
  const experiments = new Set(wanted.flatMap((one) => one.experiments ?? []));
  const runs = new Set(wanted.flatMap((one) => one.runs ?? []));
  // The server's filter is of both at once, so a mixture is asked for whole.
  if (wanted.some((one) => !one.experiments && !one.runs) || (experiments.size && runs.size)) return {};
  const names = { experiment_ids: [...experiments].sort().join(","), run_ids: [...runs].sort().join(",") };
  return (names.experiment_ids + names.run_ids).length > 4000 ? {} : names;
}

function connect(): void {
  scheduled = false;
  const params = { digest: "true", ...union() };
  const key = JSON.stringify(params);
  if (shared?.key === key) return;
  const cursor = shared?.stream.position ?? "";
  shared?.stream.close();
  standing.value = { ...standing.peek(), state: "connecting" };
  const on = {
    told: heard,
    state: (state: Standing["state"]) => {
      if (standing.peek().state !== state) standing.value = { ...standing.peek(), state };
    },
    missed: () => tell("all"),
  };
  const replaces = shared !== null;
  shared = { stream: new Stream(params, ["changed", "views"], on, cursor), key };
  if (!document.hidden) shared.stream.open(replaces);
}

/** Done when the stream has begun, or after a moment: what is asked for then misses nothing. */
export function begun(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, BEGIN_MS);
    let stop = () => {};
    function done() {
      clearTimeout(timer);
      queueMicrotask(() => stop());
      resolve();
    }
    queueMicrotask(() => {
      stop = standing.subscribe(({ state }) => {
        if (state === "live") done();
      });
    });
  });
}

function heard(name: string, data: string): void {
  const told = JSON.parse(data) as { all?: boolean; run_ids?: string[]; experiment_ids?: string[]; behind?: number; fault?: string | null };
  if (name === "changed") tell(told.all ? "all" : { runIds: told.run_ids ?? [], experimentIds: told.experiment_ids ?? [] });
  else if (name === "views") standing.value = { ...standing.peek(), behind: told.behind ?? 0, fault: told.fault ?? null };
}

function tell(changes: Changed): void {
  for (const follower of [...followers]) follower.changed(changes);
}

/**
 * Hear of changed runs and experiments from now on. Changes of what others follow may be told as well: compare ids.
 * Follow first, then wait for begun(), then ask: so nothing falls between.
 */
export function follow(wanted: Wanted, changed: (changes: Changed) => void): () => void {
  const follower = { wanted, changed };
  followers.add(follower);
  schedule();
  return () => {
    followers.delete(follower);
    schedule();
  };
}

function schedule(): void {
  if (!scheduled) queueMicrotask(connect);
  scheduled = true;
}

schedule();

const typed = new Set<Stream>();

/** Hear that events of these types, such as `headrace.endpoint.*`, have come; once for many, and once at the beginning. */
export function followTypes(types: readonly string[], changed: () => void): () => void {
  let pending: ReturnType<typeof setTimeout> | undefined;
  const told = () => {
    pending ??= setTimeout(() => {
      pending = undefined;
      changed();
    }, 50);
  };
  const stream = new Stream({ types: types.join(",") }, ["message"], { told, missed: told });
  typed.add(stream);
  if (!document.hidden) stream.open(true);
  return () => {
    clearTimeout(pending);
    typed.delete(stream);
    stream.close();
  };
}

document.addEventListener("visibilitychange", () => {
  for (const stream of [...(shared ? [shared.stream] : []), ...typed]) {
    if (document.hidden) stream.close();
    else stream.open(true);
  }
});
