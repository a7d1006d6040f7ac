// Pieces of models and versions: stages, aliases, tags, texts that are edited where they stand.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { href } from "../router";
import { says } from "../server";
import { Button, IconButton } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Markdown } from "../ui/text";
import { toast, toastFault } from "../ui/toast";
import type { ModelVersion, Pair } from "./api";

/** The stage of a version, by a color that says how far it is. */
export function Stage({ stage }: { stage: string }) {
  const kind = { None: "none", Archived: "archived", Production: "production", Staging: "staging" }[stage] ?? "other";
  return <span class={`stage ${kind}`}>{stage === "None" ? "No stage" : stage}</span>;
}

export function VersionLink({ name, version, children }: { name: string; version: string; children?: ComponentChildren }) {
  return <a href={href(["models", name, "versions", version])}>{children ?? `Version ${version}`}</a>;
}

const STATUS: Readonly<Record<string, [string, string]>> = {
  READY: ["Ready", "good"],
  PENDING_REGISTRATION: ["Pending", "muted"],
  FAILED_REGISTRATION: ["Failed", "bad"],
};

export function VersionStatus({ version }: { version: ModelVersion }) {
  const [label, kind] = STATUS[version.status] ?? [version.status, "muted"];
  const why = version.status_message ?? version.headrace.digest_message;
  return (
    <span class={`dot ${kind}`} title={why ?? label}>
      {label}
    </span>
  );
}

/** Do what changes something, and say how that went. done: what to say. */
export async function act(change: () => Promise<unknown>, done: string, then?: () => void): Promise<boolean> {
  try {
    await change();
  } catch (error) {
    toastFault(error);
    return false;
  }
  toast(done);
  then?.();
  return true;
}

interface AskProps {
  title: string;
  close: () => void;
  /** What the button at the foot says. */
  action: string;
  danger?: boolean;
  disabled?: boolean;
  wide?: boolean;
  /** Throws where it is refused: the dialog stays and says why. */
  submit: () => Promise<unknown>;
  children?: ComponentChildren;
}

/** A dialog with a form: Enter sends it, and what is wrong is told in it. */
export function Ask({ title, close, action, danger, disabled, wide, submit, children }: AskProps) {
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async () => {
    if (busy || disabled) return;
    setBusy(true);
    setFault("");
    try {
      await submit();
      close();
    } catch (error) {
      setFault(says(error));
      setBusy(false);
    }
  };
  const actions = (
    <>
      <Button onClick={close}>Cancel</Button>
      <Button kind={danger ? "danger" : "primary"} disabled={busy || disabled} onClick={() => void send()}>
        {action}
      </Button>
    </>
  );
  const key = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLButtonElement) return;
    event.preventDefault();
    void send();
  };
  return (
    <Dialog title={title} close={close} actions={actions} wide={wide ?? false}>
      <div onKeyDown={key}>
        {children}
        {fault && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
      </div>
    </Dialog>
  );
}

/** A field of a form. */
export function Input({ label, value, set, placeholder, area }: { label: string; value: string; set: (value: string) => void; placeholder?: string; area?: boolean }) {
  return (
    <label class="field">
      <span>{label}</span>
      {area ? (
        <textarea class="input" rows={4} value={value} placeholder={placeholder} onInput={(event) => set(event.currentTarget.value)} />
      ) : (
        <input class="input" value={value} placeholder={placeholder} onInput={(event) => set(event.currentTarget.value)} />
      )}
    </label>
  );
}

interface TagsProps {
  tags: readonly Pair[];
  /** Undefined where nothing can be changed. */
  change?: { set: (key: string, value: string) => Promise<unknown>; take: (key: string) => Promise<unknown> } | undefined;
  then: () => void;
}

export function Tags({ tags, change, then }: TagsProps) {
  const [editing, setEditing] = useState<Pair | null>(null);
  const shown = tags.filter(({ key }) => key !== "mlflow.note.content");
  return (
    <div class="chips">
      {shown.map(({ key, value }) => (
        <span key={key} class="chip" title={`${key}: ${value}`}>
          <b>{key}</b>
          {value && <span class="clip chip-value">{value}</span>}
          {change && (
            <>
              <IconButton small icon="edit" label={`Edit tag ${key}`} onClick={() => setEditing({ key, value })} />
              <IconButton small icon="close" label={`Take tag ${key} away`} onClick={() => void act(() => change.take(key), `Tag ${key} taken away`, then)} />
            </>
          )}
        </span>
      ))}
      {!shown.length && !change && <span class="none">None</span>}
      {change && (
        <Button kind="quiet" icon="plus" onClick={() => setEditing({ key: "", value: "" })}>
          Add tag
        </Button>
      )}
      {editing && change && (
        <Ask
          title={tags.some(({ key }) => key === editing.key) ? "Edit tag" : "Add tag"}
          action="Save tag"
          disabled={!editing.key.trim()}
          close={() => setEditing(null)}
          submit={async () => {
            await change.set(editing.key.trim(), editing.value);
            then();
          }}
        >
          <Input label="Key" value={editing.key} set={(key) => setEditing({ ...editing, key })} />
          <Input label="Value" value={editing.value} set={(value) => setEditing({ ...editing, value })} />
        </Ask>
      )}
    </div>
  );
}

/** A description in Markdown, edited where it stands. save: undefined where it cannot be. */
export function Description({ text, save }: { text: string; save?: ((text: string) => Promise<unknown>) | undefined }) {
  const [draft, setDraft] = useState<string | null>(null);
  const [fault, setFault] = useState("");
  if (draft !== null && save) {
    const send = async () => {
      try {
        await save(draft);
        setDraft(null);
        setFault("");
      } catch (error) {
        setFault(says(error));
      }
    };
    return (
      <div class="description-edit">
        <textarea
          class="input"
          rows={8}
          aria-label="Description, in Markdown"
          value={draft}
          ref={(area) => void (document.activeElement !== area && area?.focus())}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void send();
            if (event.key === "Escape") setDraft(null);
          }}
        />
        {fault && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        <div class="row">
          <Button kind="primary" onClick={() => void send()}>
            Save
          </Button>
          <Button onClick={() => setDraft(null)}>Cancel</Button>
        </div>
      </div>
    );
  }
  return (
    <div class="description">
      {text ? <Markdown text={text} /> : <p class="none">No description.</p>}
      {save && (
        <Button kind="quiet" icon="edit" onClick={() => setDraft(text)}>
          {text ? "Edit description" : "Describe it"}
        </Button>
      )}
    </div>
  );
}

/** A list of facts; those without a value are left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
        .map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function Card({ title, children, actions, class: more }: { title: string; children: ComponentChildren; actions?: ComponentChildren; class?: string }) {
  return (
    <section class={`card part ${more ?? ""}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  );
}
