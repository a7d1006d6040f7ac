// The rebuild of the views from the log: begun, watched, stopped; and what it found.

import { useEffect, useRef, useState } from "preact/hooks";
import { duration, number } from "../format";
import { useLoaded } from "../loaded";
import { del, Fault, get, post } from "../server";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { toastFault } from "../ui/toast";

interface Progress {
  state: "idle" | "running" | "stopped" | "failed" | "done";
  phase?: string;
  records?: number;
  records_total?: number;
  points?: number;
  points_s?: number;
  seconds?: number;
  error?: string;
  equal?: boolean;
  exchanged?: boolean;
  old?: string;
  compared?: { table: string; equal: boolean; live: { rows?: number }; rebuilt: { rows?: number } }[];
}

const REBUILD = "/api/headrace/v1/rebuild";
const WATCH_MS = 700;
const PHASES: Readonly<Record<string, string>> = { folding: "Folding the log", comparing: "Comparing", exchanging: "Exchanging", done: "Done" };

export function Rebuild({ stored }: { stored: string }) {
  const elsewhere = stored !== "this server";
  const { value, error, again } = useLoaded((signal) => (elsewhere ? Promise.resolve<Progress>({ state: "idle" }) : get<Progress>(REBUILD, {}, { signal })), [elsewhere]);
  const [asked, setAsked] = useState(false);
  const running = value?.state === "running";
  const latest = useRef(again);
  latest.current = again;
  useEffect(() => {
    if (!running) return;
    const timer = setTimeout(() => latest.current(), WATCH_MS);
    return () => clearTimeout(timer);
  }, [running, value]);
  const act = async (ask: () => Promise<unknown>) => {
    setAsked(false);
    try {
      await ask();
    } catch (fault) {
      toastFault(fault);
    }
    again();
  };
  return (
    <section class="system-section" aria-label="Rebuild">
      <h2>
        Rebuild
        <span class="quiet">Views are folds of the log: they can be made anew beside the live ones, compared, and exchanged without downtime.</span>
      </h2>
      <div class="card system-rebuild">
        {elsewhere ? (
          <p class="quiet">
            Workers write these views: <code>headrace rebuild --log … --views …</code> rebuilds them.
          </p>
        ) : error && !(error instanceof Fault && error.status === 501) ? (
          <p class="fault">{String(error)}</p>
        ) : (
          value && <Told value={value} />
        )}
        {!elsewhere && (
          <div class="system-buttons">
            {running ? (
              <Button onClick={() => act(() => del(REBUILD))}>Stop</Button>
            ) : (
              <Button icon="refresh" onClick={() => setAsked(true)}>
                {value?.state === "stopped" ? "Go on" : "Rebuild the views"}
              </Button>
            )}
            {!running && value?.old && <Button onClick={() => act(() => del(`${REBUILD}/old`))}>Drop the views from before</Button>}
          </div>
        )}
      </div>
      {asked && (
        <Dialog
          title="Rebuild the views"
          close={() => setAsked(false)}
          actions={
            <>
              <Button onClick={() => act(() => post(REBUILD, { exchange: false }))}>Only compare</Button>
              <Button kind="primary" onClick={() => act(() => post(REBUILD, {}))}>
                Rebuild and exchange
              </Button>
            </>
          }
        >
          <p>The log is folded anew into views beside the live ones. Nothing stops meanwhile, and the views from before are kept until they are dropped.</p>
        </Dialog>
      )}
    </section>
  );
}

function Told({ value }: { value: Progress }) {
  const { state, phase = "", records = 0, records_total: total = 0, points = 0, points_s: speed = 0, seconds = 0 } = value;
  if (state === "idle") return <p class="quiet">None has run since this server was started.</p>;
  const share = total ? Math.min(1, records / total) : 0;
  if (state === "running")
    return (
      <div class="system-progress">
        <p role="status">
          <strong>{PHASES[phase] ?? phase}</strong>{" "}
          <span class="quiet numbers">
            {records.toLocaleString("en-US")} of {total.toLocaleString("en-US")} records · {points.toLocaleString("en-US")} points, {number(speed)} /s · {duration(seconds * 1000)}
          </span>
        </p>
        <progress max={1} value={share} aria-label="Progress of the rebuild" />
      </div>
    );
  return (
    <div class="system-progress">
      <p role="status">
        <strong>{state === "done" ? (value.exchanged ? "The views were rebuilt and exchanged" : "The views were compared") : state === "stopped" ? "The rebuild was stopped" : "The rebuild failed"}</strong>
        {value.error && <span class="fault"> {value.error}</span>}
        {state === "done" && value.equal !== undefined && <span class={value.equal ? "quiet" : "fault"}> {value.equal ? "Every table is the same, row for row." : "Tables differ."}</span>}
      </p>
      {value.compared && (
        <table class="plain">
          <caption class="sr">What was compared</caption>
          <thead>
            <tr>
              <th scope="col">Table</th>
              <th scope="col" class="number">Rows, live</th>
              <th scope="col" class="number">Rows, rebuilt</th>
              <th scope="col">Same</th>
            </tr>
          </thead>
          <tbody>
            {value.compared.map(({ table, equal, live, rebuilt }) => (
              <tr key={table}>
                <th scope="row">{table}</th>
                <td class="number">{live.rows?.toLocaleString("en-US")}</td>
                <td class="number">{rebuilt.rows?.toLocaleString("en-US")}</td>
                <td>{equal ? "yes" : <span class="fault">no</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
