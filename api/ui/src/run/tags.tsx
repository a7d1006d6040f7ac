// A run's tags: those that people set, each changed where it stands; and on demand those of clients.

import { useState } from "preact/hooks";
import { NOTE_TAG } from "../model";
import { Button, IconButton } from "../ui/button";
import { done } from "./actions";
import { deleteTag, type Run, setTag } from "./data";
import { useFocus } from "./following";
import { Card } from "./overview";

const VALUE_CHARS_MAX = 8000;
const ofClients = (key: string) => key.startsWith("mlflow.") || key.startsWith("headrace.");

export function Tags({ run, editable, again }: { run: Run; editable: boolean; again: () => void }) {
  const [adding, setAdding] = useState(false);
  const [all, setAll] = useState(false);
  const id = run.info.run_id;
  const sorted = [...run.tags].filter(([key]) => key !== NOTE_TAG).sort(([a], [b]) => (a < b ? -1 : 1));
  const own = sorted.filter(([key]) => !ofClients(key));
  const others = sorted.filter(([key]) => ofClients(key));
  return (
    <Card title="Tags" count={own.length} tools={editable && !adding && <IconButton small icon="plus" label="Add a tag" onClick={() => setAdding(true)} />}>
      {adding && <NewTag taken={run.tags} set={(key, value) => done(setTag(id, key, value), "", again)} close={() => setAdding(false)} />}
      {own.length > 0 && (
        <ul class="run-tags" aria-label="Tags">
          {own.map(([key, value]) => (
            <Tag
              key={key}
              name={key}
              value={value}
              editable={editable}
              set={(next) => done(setTag(id, key, next), "", again)}
              remove={() => void done(deleteTag(id, key), `The tag ${key} is gone`, again, () => void done(setTag(id, key, value), "", again))}
            />
          ))}
        </ul>
      )}
      {own.length === 0 && !adding && (
        <p class="run-hint">
          {editable ? (
            <>
              <button type="button" class="link" onClick={() => setAdding(true)}>Add a tag</button> to find this run by it.
            </>
          ) : (
            "None."
          )}
        </p>
      )}
      {others.length > 0 && (
        <details class="run-details" open={all} onToggle={(event) => setAll(event.currentTarget.open)}>
          <summary>{others.length} set by clients</summary>
          {all && (
            <dl class="run-about">
              {others.map(([key, value]) => (
                <div key={key}>
                  <dt title={key}>{key}</dt>
                  <dd><code>{value}</code></dd>
                </div>
              ))}
            </dl>
          )}
        </details>
      )}
    </Card>
  );
}

interface TagProps {
  name: string;
  value: string;
  editable: boolean;
  set: (value: string) => Promise<boolean>;
  remove: () => void;
}

function Tag({ name, value, editable, set, remove }: TagProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const save = async () => {
    if (draft !== null && draft !== value && !(await set(draft))) return;
    setDraft(null);
  };
  return (
    <li>
      <span class="name" title={name}>{name}</span>
      {draft === null ? (
        editable ? (
          <button type="button" class="value" aria-label={`${name}: ${value}. Change it`} onClick={() => setDraft(value)}>
            {value || <span class="none">empty</span>}
          </button>
        ) : (
          <span class="value">{value}</span>
        )
      ) : (
        <Value name={name} value={draft} change={setDraft} save={save} cancel={() => setDraft(null)} />
      )}
      {editable && <IconButton small icon="close" label={`Remove the tag ${name}`} onClick={remove} />}
    </li>
  );
}

interface ValueProps {
  name: string;
  value: string;
  change: (value: string) => void;
  save: () => Promise<void>;
  cancel: () => void;
}

function Value({ name, value, change, save, cancel }: ValueProps) {
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter") void save();
    if (event.key === "Escape") cancel();
  };
  return (
    <input
      ref={useFocus<HTMLInputElement>()}
      class="input"
      aria-label={`Value of ${name}`}
      value={value}
      maxLength={VALUE_CHARS_MAX}
      onInput={(event) => change(event.currentTarget.value)}
      onKeyDown={key}
      onBlur={() => void save()}
    />
  );
}

interface NewTagProps {
  taken: ReadonlyMap<string, string>;
  set: (key: string, value: string) => Promise<boolean>;
  close: () => void;
}

function NewTag({ taken, set, close }: NewTagProps) {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const save = async (event: Event) => {
    event.preventDefault();
    if (name.trim() && (await set(name.trim(), value))) close();
  };
  return (
    <form class="run-new-tag" onSubmit={save} onKeyDown={(event) => event.key === "Escape" && close()}>
      <input class="input" aria-label="Name of the tag" placeholder="Name" maxLength={250} value={name} onInput={(event) => setName(event.currentTarget.value)} ref={useFocus<HTMLInputElement>()} />
      <input class="input" aria-label="Value of the tag" placeholder="Value" maxLength={VALUE_CHARS_MAX} value={value} onInput={(event) => setValue(event.currentTarget.value)} />
      <Button type="submit" kind="primary" disabled={!name.trim()}>{taken.has(name.trim()) ? "Replace" : "Add"}</Button>
      <IconButton icon="close" label="Add no tag" onClick={close} />
    </form>
  );
}
