// What is done with all the runs that are selected.

import { useState } from "preact/hooks";
import { counted } from "../format";
import type { RunTable } from "../model";
import { navigate } from "../router";
import { post } from "../server";
import { Button } from "../ui/button";
import { Dialog, Popover } from "../ui/dialog";
import { toast, toastFault } from "../ui/toast";
import { useLoaded } from "../loaded";
import { exact } from "./cells";
import { setTag } from "./edit";
import type { Stage } from "./view";

const RUNS = "/api/2.0/mlflow/runs";
const AT_ONCE = 6;
const MOVE_MAX = 1000;
export const COMPARE_MAX = 100;

/** Do something with each, some at a time. Throws the first fault, once all are done. */
async function each(ids: readonly string[], act: (id: string) => Promise<unknown>): Promise<void> {
  const left = [...ids];
  let fault: unknown;
  const work = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) await act(id).catch((error: unknown) => (fault ??= error));
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, ids.length) }, work));
  if (fault) throw fault;
}

interface BulkProps {
  table: RunTable;
  ids: readonly string[];
  /** Names of the columns to export, the name first. */
  columns: readonly string[];
  stage: Stage;
  changed: (ids: readonly string[]) => void;
  clear: () => void;
  /** Give them a color, or the one they would have. */
  paint: ((color: number | null) => void) | undefined;
}

const COLORS = ["Blue", "Orange", "Green", "Pink", "Purple", "Cyan", "Amber", "Red", "Olive", "Grey"];
const PAINT_MAX = 100;

export function Bulk({ table, ids, columns, stage, changed, clear, paint }: BulkProps) {
  const [form, setForm] = useState<"tag" | "move" | null>(null);
  const [busy, setBusy] = useState(false);
  const many = counted(ids.length, "run");
  const run = async (act: () => Promise<unknown>, said: string, undo?: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await act();
      toast(said, undo && (() => void run(undo, "Taken back")));
    } catch (error) {
      toastFault(error);
    } finally {
      setBusy(false);
      changed(ids);
    }
  };
  const bin = () => each(ids, (id) => post(`${RUNS}/delete`, { run_id: id }));
  const restore = () => each(ids, (id) => post(`${RUNS}/restore`, { run_id: id }));
  return (
    <div class="runs-bulk" role="toolbar" aria-label="Selected runs">
      <strong aria-live="polite">{ids.length.toLocaleString("en-US")} selected</strong>
      <Button
        icon="columns"
        disabled={ids.length < 2 || ids.length > COMPARE_MAX}
        title={ids.length > COMPARE_MAX ? `Up to ${COMPARE_MAX} runs` : ids.length < 2 ? "Select another run" : undefined}
        onClick={() => navigate(["compare"], { runs: ids.join(",") })}
      >
        Compare
      </Button>
      <Button icon="tag" disabled={busy} onClick={() => setForm("tag")}>
        Tag
      </Button>
      <Button icon="folder" disabled={busy || ids.length > MOVE_MAX} onClick={() => setForm("move")}>
        Move
      </Button>
      {paint && ids.length <= PAINT_MAX && (
        <Popover label="Color" icon="star" text="Color">
          {(close) => (
            <div class="runs-colors">
              {COLORS.map((name, color) => (
                <button key={name} type="button" class={`runs-mark c${color}`} aria-label={name} title={name} onClick={() => (paint(color), close())}>
                  <i />
                </button>
              ))}
              <button type="button" class="link" onClick={() => (paint(null), close())}>
                As it comes
              </button>
            </div>
          )}
        </Popover>
      )}
      <Button icon="download" onClick={() => download(table, ids, columns)}>
        Export CSV
      </Button>
      {stage !== "ACTIVE_ONLY" && (
        <Button icon="refresh" disabled={busy} onClick={() => void run(restore, `Restored ${many}`, bin)}>
          Restore
        </Button>
      )}
      {stage !== "DELETED_ONLY" && (
        <Button icon="trash" kind="danger" disabled={busy} onClick={() => void run(bin, `Deleted ${many}`, restore)}>
          Delete
        </Button>
      )}
      <Button kind="quiet" onClick={clear}>
        Clear
      </Button>
      {form === "tag" && <TagForm many={many} close={() => setForm(null)} set={(key, value) => void run(() => each(ids, (id) => setTag(id, key, value)), value ? `Tagged ${many}` : `Took the tag off ${many}`)} />}
      {form === "move" && (
        <MoveForm
          many={many}
          close={() => setForm(null)}
          move={(to, name) => {
            const from = new Map<string, string[]>();
            ids.forEach((id) => {
              const column = table.columns.get("experiment_id");
              const experiment = (column?.kind === "text" && column.values[table.ids.indexOf(id)]) || "";
              from.set(experiment, [...(from.get(experiment) ?? []), id]);
            });
            const back = () => Promise.all([...from].map(([experiment, part]) => post("/api/headrace/v1/runs/move", { run_ids: part, experiment_id: experiment })));
            void run(() => post("/api/headrace/v1/runs/move", { run_ids: ids, experiment_id: to }), `Moved ${many} to ${name}`, back);
          }}
        />
      )}
    </div>
  );
}

function TagForm({ many, close, set }: { many: string; close: () => void; set: (key: string, value: string) => void }) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const keep = (event: Event) => {
    event.preventDefault();
    if (!key.trim()) return;
    close();
    set(key.trim(), value);
  };
  return (
    <Dialog
      title={`Tag ${many}`}
      close={close}
      actions={
        <>
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" disabled={!key.trim()} onClick={keep}>
            {value ? "Set tag" : "Take tag away"}
          </Button>
        </>
      }
    >
      <form onSubmit={keep}>
        <label class="field">
          <span>Tag</span>
          <input class="input" value={key} onInput={(event) => setKey(event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>Value; empty takes the tag away</span>
          <input class="input" value={value} onInput={(event) => setValue(event.currentTarget.value)} />
        </label>
        <button type="submit" hidden />
      </form>
    </Dialog>
  );
}

export interface Experiment {
  experiment_id: string;
  name: string;
  lifecycle_stage?: string;
}

/** The experiments whose names have a text. */
export async function searchExperiments(search: string, signal?: AbortSignal): Promise<Experiment[]> {
  const filter = search ? `name ILIKE '%${search.replaceAll("'", "''")}%'` : "";
  const body = { filter, max_results: 50, order_by: ["last_update_time DESC"] };
  const answer = await post<{ experiments?: Experiment[] }>("/api/2.0/mlflow/experiments/search", body, { signal });
  return answer.experiments ?? [];
}

function MoveForm({ many, close, move }: { many: string; close: () => void; move: (to: string, name: string) => void }) {
  const [search, setSearch] = useState("");
  const { value = [] } = useLoaded((signal) => searchExperiments(search, signal), [search]);
  return (
    <Dialog title={`Move ${many} to another experiment`} close={close}>
      <input class="input" type="search" aria-label="Search experiments" placeholder="Search experiments" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
      <ul class="runs-experiments">
        {value.map(({ experiment_id: id, name }) => (
          <li key={id}>
            <button
              type="button"
              onClick={() => {
                close();
                move(id, name);
              }}
            >
              <span class="clip">{name}</span>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

/** A text as CSV has it. */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Runs as CSV, in the order of the ids. */
export function csv(table: RunTable, ids: readonly string[], columns: readonly string[]): string {
  const rows = new Map(table.ids.map((id, row) => [id, row]));
  const names = ["run_id", ...columns.filter((name) => name !== "run_id")];
  const lines = [names.map(cell).join(",")];
  for (const id of ids) {
    const row = rows.get(id);
    if (row !== undefined) lines.push(names.map((name) => cell(exact(table, name, row))).join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

export function download(table: RunTable, ids: readonly string[], columns: readonly string[]): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(table, ids, columns)], { type: "text/csv" }));
  link.download = "runs.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}
