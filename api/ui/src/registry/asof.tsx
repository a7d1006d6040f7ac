// The past by a slider: each step is a change, and what is shown is what was then.

import type { Entry } from "./api";
import { moment } from "../format";
import { setQuery } from "../router";
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { told } from "./history";

/** The moment just behind an entry, as `as_of` takes it. */
export function behind(entry: Entry): string {
  const [topic = "", partition = "", offset = ""] = entry.position.split("/");
  return `${topic}/${partition}/${Number(offset) + 1}`;
}

/** The entry whose state a moment shows; -1 for before the first. */
export function indexAt(entries: readonly Entry[], asOf: string): number {
  const exact = /^[a-z_]+\/\d+\/(\d+)$/.exec(asOf);
  const end = exact ? Number(exact[1]) : 0;
  const ms = exact ? 0 : /^\d+$/.test(asOf) ? Number(asOf) : Date.parse(asOf);
  const isIn = (entry: Entry) => (exact ? Number(entry.position.split("/")[2]) < end : entry.logged_ms <= ms);
  return entries.findLastIndex(isIn);
}

/** The name that a model had behind an entry; the first change of it that came later tells. */
export function nameAt(entries: readonly Entry[], index: number, now: string): string {
  for (const entry of entries.slice(index + 1)) {
    const renamed = entry.changes.find(({ field, from }) => field === "name" && typeof from === "string");
    if (renamed) return String(renamed.from);
  }
  return now;
}

interface AsOfProps {
  entries: readonly Entry[];
  asOf: string;
  /** What is shown, such as `this model`. */
  what: string;
}

export function AsOf({ entries: all, asOf, what }: AsOfProps) {
  // What was refused stands in the history, and changed nothing.
  const entries = all.filter(({ outcome }) => outcome === "applied");
  const last = entries.length - 1;
  if (last < 0) return null;
  const index = asOf ? indexAt(entries, asOf) : last;
  const entry = entries[index];
  const go = (to: number) => {
    const chosen = entries[to];
    setQuery({ as_of: to >= last || !chosen ? null : behind(chosen) });
  };
  const said = entry ? `${moment(entry.logged_ms)}: ${told(entry).title}` : "Before it began";
  return (
    <section class={`as-of ${asOf ? "past" : ""}`} aria-label="As of">
      <Icon name="clock" />
      <label class="as-of-slider">
        <span class="sr">As of: {what} after each change</span>
        <input
          type="range"
          min={0}
          max={last}
          step={1}
          value={Math.max(0, index)}
          disabled={last === 0}
          aria-valuetext={asOf ? said : "Now"}
          onInput={(event) => go(Number(event.currentTarget.value))}
        />
      </label>
      <span class="as-of-said clip" title={said}>
        {asOf ? said : `Now, after ${entries.length.toLocaleString("en-US")} change${entries.length === 1 ? "" : "s"}`}
      </span>
      <label class="as-of-time">
        <span class="sr">Show {what} as of a time</span>
        <input
          class="input"
          type="datetime-local"
          step="1"
          value={asOf && entry ? local(asOf, entry) : ""}
          onChange={(event) => {
            const ms = new Date(event.currentTarget.value).getTime();
            setQuery({ as_of: Number.isNaN(ms) ? null : new Date(ms).toISOString() });
          }}
        />
      </label>
      {asOf && <Button onClick={() => setQuery({ as_of: null })}>Back to now</Button>}
    </section>
  );
}

function local(asOf: string, entry: Entry): string {
  const parsed = asOf.includes("/") ? entry.logged_ms : /^\d+$/.test(asOf) ? Number(asOf) : Date.parse(asOf);
  const date = new Date(parsed);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
