// Every change of a run, by whom and with which client, the newest first.

import { useEffect, useState } from "preact/hooks";
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
  const [entries, setEntries] = useState<readonly Entry[] | undefined>();
  const [next, setNext] = useState("");
  const [error, setError] = useState<unknown>();
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    readHistory(runId, "", { signal: controller.signal }).then(
      (found) => {
        setError(undefined);
        const fresh = new Set(found.entries.map(({ position }) => position));
        const held = entries ?? [];
        const joins = held.some(({ position }) => fresh.has(position));
        setEntries(joins ? [...found.entries, ...held.filter(({ position }) => !fresh.has(position))] : found.entries);
        if (!joins || held.length <= found.entries.length) setNext(found.next_page_token ?? "");
      },
      (fault: unknown) => !isAborted(fault) && setError(fault),
    );
    return () => controller.abort();
  }, [runId, asked]);
  useFollowed({ runs: [runId] }, EVERY_MS, () => setAsked(asked + 1));
  const more = async () => {
    try {
      const found = await readHistory(runId, next);
      const known = new Set(entries?.map(({ position }) => position));
      setEntries([...(entries ?? []), ...found.entries.filter(({ position }) => !known.has(position))]);
      setNext(found.next_page_token ?? "");
    } catch (fault) {
      toastFault(fault);
    }
  };
  if (!entries) return error === undefined ? <Loading label="Loading the history" /> : <Failed title="The history cannot be shown" error={error} again={() => setAsked(asked + 1)} />;
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
        <a href={href(route.value.path, { as_of: after(entry.position) })}>See the run as of then</a>
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

/** The position behind an event: the run with it. */
function after(position: string): string {
  const [topic, partition, offset] = position.split("/");
  return `${topic}/${partition}/${Number(offset) + 1}`;
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
