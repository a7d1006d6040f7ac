// What is done with a run: renamed, forked, compared, put in the bin and taken out of it.

import { useState } from "preact/hooks";
import { navigate } from "../router";
import { Button } from "../ui/button";
import { Dialog, Menu } from "../ui/dialog";
import { toast, toastFault } from "../ui/toast";
import { binned, type Family, fork, rename, type Run } from "./data";

const COMPARED_MAX = 100;

/** Do something that may be refused; then `after`. */
export async function done(what: Promise<unknown>, said: string, after?: () => void, undo?: () => void): Promise<boolean> {
  try {
    await what;
  } catch (error) {
    toastFault(error);
    return false;
  }
  if (said) toast(said, undo);
  after?.();
  return true;
}

export function restored(runId: string, after?: () => void): Promise<boolean> {
  return done(binned(runId, false), "The run is out of the bin", after);
}

export function Actions({ run, family }: { run: Run; family: Family | undefined }) {
  const [asked, setAsked] = useState<"" | "rename" | "fork">("");
  const { info } = run;
  const deleted = info.lifecycle_stage === "deleted";
  const children = family?.children ?? [];
  const close = () => setAsked("");
  return (
    <>
      <Menu
        label="Actions on this run"
        text="Actions"
        icon="more"
        items={[
          { label: "Rename…", icon: "edit", act: () => setAsked("rename"), disabled: deleted },
          { label: "Fork at a step…", icon: "plus", act: () => setAsked("fork"), disabled: deleted },
          {
            label: "Compare with its children",
            icon: "columns",
            disabled: !children.length,
            act: () => navigate(["compare"], { runs: [info.run_id, ...children.map((one) => one.run_id)].slice(0, COMPARED_MAX).join(",") }),
          },
          { label: "Its lineage", icon: "branch", act: () => navigate(["lineage"], { kind: "run", id: info.run_id }) },
          { label: "Copy its id", icon: "copy", act: () => void done(navigator.clipboard.writeText(info.run_id), "The id is copied") },
          deleted
            ? { label: "Restore", icon: "refresh", act: () => void restored(info.run_id) }
            : {
                label: "Delete",
                icon: "trash",
                danger: true,
                act: () => void done(binned(info.run_id, true), "The run is in the bin", undefined, () => void restored(info.run_id)),
              },
        ]}
      />
      {asked === "rename" && <Rename run={run} close={close} />}
      {asked === "fork" && <Fork run={run} close={close} />}
    </>
  );
}

function Rename({ run, close }: { run: Run; close: () => void }) {
  const [name, setName] = useState(run.info.run_name ?? "");
  const save = async (event: Event) => {
    event.preventDefault();
    if (await done(rename(run.info.run_id, name.trim()), "The run has another name")) close();
  };
  return (
    <Dialog title="Rename the run" close={close} actions={<Button kind="primary" onClick={save} disabled={!name.trim()}>Rename</Button>}>
      <form onSubmit={save}>
        <label class="field">
          <span>Name</span>
          <input class="input" value={name} maxLength={250} onInput={(event) => setName(event.currentTarget.value)} autofocus />
        </label>
      </form>
    </Dialog>
  );
}

function Fork({ run, close }: { run: Run; close: () => void }) {
  const last = Math.max(0, ...run.metrics.map((metric) => metric.last_step));
  const [step, setStep] = useState(String(last));
  const [name, setName] = useState(`${run.info.run_name ?? run.info.run_id}-fork`);
  const valid = /^-?\d+$/.test(step.trim()) && name.trim() !== "";
  const save = async (event: Event) => {
    event.preventDefault();
    if (!valid) return;
    await done(
      fork(run.info.run_id, Number(step), name.trim()).then((made) => navigate(["experiments", made.experiment_id, "runs", made.run_id])),
      "The fork is made; resume it by its id to train on",
      close,
    );
  };
  return (
    <Dialog title="Fork the run" close={close} actions={<Button kind="primary" onClick={save} disabled={!valid}>Fork</Button>}>
      <form onSubmit={save}>
        <p class="run-hint">A new run with the same params and tags, and with the points up to a step; the run itself stays as it is.</p>
        <label class="field">
          <span>Last step that is kept</span>
          <input class="input" inputMode="numeric" value={step} onInput={(event) => setStep(event.currentTarget.value)} autofocus />
        </label>
        <label class="field">
          <span>Name</span>
          <input class="input" value={name} maxLength={250} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <input type="submit" hidden />
      </form>
    </Dialog>
  );
}
