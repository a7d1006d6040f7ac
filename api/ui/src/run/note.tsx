// A run's note in Markdown, and how it is written.

import { useRef, useState } from "preact/hooks";
import { NOTE_TAG } from "../model";
import { Button, IconButton } from "../ui/button";
import { Segments } from "../ui/tabs";
import { Markdown } from "../ui/text";
import { done } from "./actions";
import { deleteTag, type Run, setTag } from "./data";
import { useFocus } from "./following";
import { Card } from "./overview";

const CHARS_MAX = 8000;

export function Note({ run, editable, again }: { run: Run; editable: boolean; again: () => void }) {
  const note = run.tags.get(NOTE_TAG) ?? "";
  const [writing, setWriting] = useState(false);
  const begin = () => setWriting(true);
  if (!note && !editable) return null;
  return (
    <Card title="Note" tools={editable && !writing && note !== "" && <IconButton small icon="edit" label="Edit the note" onClick={begin} />}>
      {writing ? (
        <Editor run={run} note={note} close={() => setWriting(false)} again={again} />
      ) : note ? (
        <div class="run-note"><Markdown text={note} /></div>
      ) : (
        <p class="run-hint">
          <button type="button" class="link" onClick={begin}>Write a note</button>: what was tried, and what came of it.
        </p>
      )}
    </Card>
  );
}

function Editor({ run, note, close, again }: { run: Run; note: string; close: () => void; again: () => void }) {
  const begun = useRef(note).current;
  const [text, setText] = useState(note);
  const [side, setSide] = useState<"write" | "preview">("write");
  const [busy, setBusy] = useState(false);
  const box = useFocus<HTMLTextAreaElement>();
  const save = async () => {
    setBusy(true);
    const id = run.info.run_id;
    const written = text.trim() ? setTag(id, NOTE_TAG, text) : note ? deleteTag(id, NOTE_TAG) : Promise.resolve();
    if (await done(written, "The note is saved", again)) close();
    else setBusy(false);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void save();
    if (event.key === "Escape" && text === begun) close();
  };
  return (
    <div class="run-editor" onKeyDown={key}>
      <Segments
        label="Write or look at it"
        choices={[
          { value: "write", label: "Write" },
          { value: "preview", label: "Preview" },
        ]}
        chosen={side}
        choose={setSide}
      />
      {side === "write" ? (
        <textarea
          class="input"
          aria-label="Note in Markdown"
          rows={Math.min(24, Math.max(7, text.split("\n").length + 1))}
          maxLength={CHARS_MAX}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          ref={box}
        />
      ) : (
        <div class="run-note"><Markdown text={text} /></div>
      )}
      {note !== begun && <p class="run-warning" role="alert">Somebody has changed this note meanwhile; saving replaces what they wrote.</p>}
      <footer>
        <span class="quiet">Markdown; Ctrl+Enter saves</span>
        <span class="grow" />
        <Button onClick={close}>Cancel</Button>
        <Button kind="primary" onClick={save} disabled={busy}>Save</Button>
      </footer>
    </div>
  );
}
