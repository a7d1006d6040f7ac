// Names, tags and notes of runs, changed where they stand.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { post } from "../server";
import { toastFault } from "../ui/toast";
import type { Spec } from "./columns";

const API = "/api/2.0/mlflow/runs";

/** Set a tag of a run; an empty value takes it away. */
export async function setTag(id: string, key: string, value: string): Promise<void> {
  if (value) await post(`${API}/set-tag`, { run_id: id, key, value });
  else await post(`${API}/delete-tag`, { run_id: id, key });
}

/** Write what stands in a column of a run. */
async function write(id: string, { kind, key, name }: Spec, value: string): Promise<void> {
  if (name === "run_name") await post(`${API}/update`, { run_id: id, run_name: value });
  else if (kind === "tag") await setTag(id, key, value);
}

/** A cell while it is changed: Enter keeps the text, Escape what was there before. done: told whether it was kept. */
export function EditCell({ id, spec, value, done }: { id: string; spec: Spec; value: string; done: (saved: boolean) => void }) {
  const [text, setText] = useState(value);
  const [busy, setBusy] = useState(false);
  const box = useRef<HTMLInputElement & HTMLTextAreaElement>(null);
  const ended = useRef(false);
  const long = spec.key === "mlflow.note.content";
  useLayoutEffect(() => {
    box.current?.focus();
    box.current?.select();
  }, []);
  const keep = async () => {
    if (ended.current) return;
    ended.current = true;
    if (text === value || (spec.name === "run_name" && !text.trim())) return done(false);
    setBusy(true);
    try {
      await write(id, spec, text);
      done(true);
    } catch (error) {
      toastFault(error);
      done(false);
    }
  };
  const key = (event: KeyboardEvent) => {
    event.stopPropagation();
    if (event.key === "Escape") {
      ended.current = true;
      done(false);
    } else if (event.key === "Enter" && !(long && event.shiftKey)) {
      event.preventDefault();
      void keep();
    }
  };
  const common = {
    ref: box,
    "aria-label": `${spec.label} of the run`,
    value: text,
    disabled: busy,
    onInput: (event: { currentTarget: { value: string } }) => setText(event.currentTarget.value),
    onKeyDown: key,
    onBlur: () => void keep(),
  };
  return long ? <textarea class="runs-edit note" rows={5} title="Markdown. Enter saves, Shift and Enter begins a line" {...common} /> : <input class="runs-edit" type="text" {...common} />;
}
