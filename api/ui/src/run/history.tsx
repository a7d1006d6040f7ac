// Every change of a run, by whom and with which client, the newest first.

import { useCallback, useEffect, useState } from "preact/hooks";
import { moment, size } from "../format";
import { href, route } from "../router";
import { isAborted } from "../server";
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { Failed, Loading } from "../ui/states";
import { Ago } from "../ui/text";
import { toastFault } from "../ui/toast";
import { type Change, type Entry, readHistory, type Run } from "./data";
import { useFollowed } from "./following";

const CHANGES_SHOWN = 6;
const EVERY_MS = 2000;
const SAID: Readonly<Record<string, string>> = {
  created: "Began",
  resumed: "Was resumed",
  heartbeat: "Came back",
  ended: "Ended",
  updated: "Was updated",
  "attributes-logged": "Params or tags were logged",
  "tags-deleted": "Tags were taken away",
  "inputs-logged": "Inputs were logged",
  "outputs-logged": "Models were logged",
  "artifact-logged": "An artifact was stored",
  moved: "Was moved",
  deleted: "Was put in the bin",
  restored: "Was taken out of the bin",
};

export function History({ run }: { run: Run }) {
  const runId = run.info.run_id;
  const [held, setHeld] = useState<{ entries: readonly Entry[]; next: string } | undefined>();
  const [error, setError] = useState<unknown>();
  const read = useCallback(async (signal?: AbortSignal) => {
    try {
      const found = await readHistory(runId, "", { signal });
      const fresh = new Set(found.entries.map(({ position }) => position));
      setError(undefined);
      setHeld((before) => {
        const joins = before?.entries.some(({ position }) => fresh.has(position));
        const known = joins ? (before?.entries.filter(({ position }) => !fresh.has(position)) ?? []) : [];
        // The token of the page before counts from the newest: what came since is told twice, and left out there.
        return { entries: [...found.entries, ...known], next: joins && known.length ? (before?.next ?? "") : (found.next_page_token ?? "") };
      });
    } catch (fault) {
      if (!isAborted(fault)) setError(fault);
    }
  }, [runId]);
  useEffect(() => {
    const controller = new AbortController();
    void read(controller.signal);
    return () => controller.abort();
  }, [read]);
  useFollowed({ runs: [runId] }, EVERY_MS, () => read());
  const more = async () => {
    try {
      const found = await readHistory(runId, held?.next ?? "");
      const known = new Set(held?.entries.map(({ position }) => position));
      const entries = [...(held?.entries ?? []), ...found.entries.filter(({ position }) => !known.has(position))];
      setHeld({ entries, next: found.next_page_token ?? "" });
    } catch (fault) {
      toastFault(fault);
    }
  };
  if (!held) return error === undefined ? <Loading label="Loading the history" /> : <Failed title="The history cannot be shown" error={error} again={() => void read()} />;
  const { entries, next } = held;
  return (
    <section class="card run-history" aria-label="History">
      <ol aria-label="Changes, the newest first">
        {entries.map((entry) => (
          <One key={entry.position} entry={entry} />
        ))}
      </ol>
      {next && (
        <p class="run-rest">
          <Button onClick={() => void more()}>Show earlier changes</Button>
        </p>
      )}
    </section>
  );
}

function One({ entry }: { entry: Entry }) {
  const [whole, setWhole] = useState(false);
  const refused = entry.outcome !== "applied";
  const changes = whole ? entry.changes : entry.changes.slice(0, CHANGES_SHOWN);
  const rest = entry.changes.length - changes.length;
  return (
    <li class={refused ? "refused" : ""}>
      <div class="line">
        <strong>{said(entry)}</strong>
        {refused && <span class="chip run-refused">{entry.outcome}</span>}
        <span class="grow" />
        <Ago ms={entry.time_ms} />
      </div>
      {entry.reason && <p class={refused ? "fault" : "quiet"}>{entry.reason}</p>}
      {changes.length > 0 && (
        <ul class="changes">
          {changes.map((change) => (
            <OneChange key={change.field} change={change} />
          ))}
        </ul>
      )}
      {rest > 0 && <button type="button" class="link" onClick={() => setWhole(true)}>{rest} more</button>}
      <p class="quiet by">
        {entry.actor ? <>by <b>{entry.actor}</b></> : "by nobody named"} with {entry.source || "an unnamed client"} · {moment(entry.logged_ms)} ·{" "}
        <a href={href(route.value.path, { as_of: entry.logged_ms })}>See the run as of then</a>
      </p>
    </li>
  );
}

function said({ type, changes }: Entry): string {
  const [first] = changes;
  const kind = type.replace("headrace.run.", "");
  if (kind === "attributes-logged" && first) {
    const kinds = new Set(changes.map(({ field }) => field.split(".")[0]));
    if (kinds.size === 1) return kinds.has("params") ? "Params were logged" : "Tags were set";
  }
  return SAID[kind] ?? type;
}

function OneChange({ change: { field, from, to } }: { change: Change }) {
  const file = to !== null && typeof to === "object" && "sha256" in to ? (to as { size: number; sha256: string }) : undefined;
  return (
    <li>
      <span class="field-name">{field}</span>
      {file ? (
        <span title={file.sha256}>{size(file.size)}</span>
      ) : (
        <>
          {from !== null && <><del>{told(field, from)}</del><Icon name="right" label="to" /></>}
          {to === null ? <span class="none">taken away</span> : <ins>{told(field, to)}</ins>}
        </>
      )}
    </li>
  );
}

function told(field: string, value: unknown): string {
  if (field.endsWith("_time_ms") && typeof value === "number") return moment(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
