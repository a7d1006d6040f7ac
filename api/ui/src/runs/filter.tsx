// The filter: completed while it is typed, asked for once it can be understood, its faults shown where they are.

import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Fault } from "../server";
import { IconButton } from "../ui/button";
import { Icon } from "../ui/icon";
import type { KnownColumns } from "./columns";
import { type Completion, completions } from "./complete";

interface FilterProps {
  /** The filter that is asked with. */
  value: string;
  known: KnownColumns | undefined;
  /** What the server refused of it. */
  fault: Fault | undefined;
  apply: (filter: string) => void;
}

export function FilterBox({ value, known, fault, apply }: FilterProps) {
  const [text, setText] = useState(value);
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const [caret, setCaret] = useState(0);
  const box = useRef<HTMLInputElement>(null);
  const mirror = useRef<HTMLDivElement>(null);
  const put = useRef<number | null>(null);
  const id = useId();
  // The address changed: another view, or Back.
  const told = useRef(value);
  useEffect(() => {
    if (value !== told.current) setText(value);
    told.current = value;
  }, [value]);
  useLayoutEffect(() => {
    if (put.current === null || !box.current) return;
    box.current.setSelectionRange(put.current, put.current);
    setCaret(put.current);
    put.current = null;
  });
  const found = open ? completions(text, caret, known) : [];
  const send = (filter: string) => {
    setOpen(false);
    told.current = filter.trim();
    apply(filter.trim());
  };
  const take = ({ text: added, from, to }: Completion) => {
    const next = text.slice(0, from) + added + text.slice(to);
    setText(next);
    put.current = from + added.length;
    setChosen(-1);
    box.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    const one = found[chosen];
    const first = found[0];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!open) setOpen(true);
      else if (found.length) setChosen((chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1) + found.length) % found.length);
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (one) take(one);
      else send(text);
    } else if (event.key === "Tab" && !event.shiftKey && open && first && text) {
      event.preventDefault();
      take(one ?? first);
    } else if (event.key === "Escape" && open) {
      event.stopPropagation();
      setOpen(false);
    }
  };
  const refused = fault && text.trim() === value.trim() ? fault : undefined;
  const position = Math.max(0, (refused?.position ?? 1) - 1 + (text.length - text.trimStart().length));
  const wrong = refused ? (/^\S+/.exec(text.slice(position))?.[0] ?? "") : "";
  const expected = refused?.body["expected"];
  return (
    <div class="runs-filter" role="search" onFocusOut={(event) => !event.currentTarget.contains(event.relatedTarget as Node) && setOpen(false)}>
      <div class={`runs-filter-box ${refused ? "wrong" : ""}`}>
        <Icon name="filter" />
        <div class="runs-filter-text">
          <div ref={mirror} class="runs-mirror" aria-hidden="true">
            {text.slice(0, position)}
            {refused && <mark>{wrong || " "}</mark>}
          </div>
          <input
            ref={box}
            type="text"
            role="combobox"
            aria-label="Filter runs"
            aria-expanded={found.length > 0}
            aria-controls={`${id}-list`}
            aria-autocomplete="list"
            aria-activedescendant={chosen >= 0 ? `${id}-${chosen}` : undefined}
            aria-invalid={refused ? true : undefined}
            aria-describedby={refused ? `${id}-fault` : undefined}
            autocomplete="off"
            spellcheck={false}
            placeholder="Filter: metrics.loss < 0.2 AND params.model = 'mlp'"
            value={text}
            onInput={(event) => {
              setText(event.currentTarget.value);
              setCaret(event.currentTarget.selectionStart ?? 0);
              setOpen(true);
              setChosen(-1);
            }}
            onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
            onClick={() => setOpen(true)}
            onScroll={(event) => mirror.current && (mirror.current.scrollLeft = event.currentTarget.scrollLeft)}
            onKeyDown={key}
          />
        </div>
        {text && (
          <IconButton
            small
            icon="close"
            label="Clear the filter"
            onClick={() => {
              setText("");
              send("");
              box.current?.focus();
            }}
          />
        )}
      </div>
      {found.length > 0 && (
        <ul class="runs-complete" role="listbox" id={`${id}-list`} aria-label="Completions">
          {found.map((one, at) => (
            <li key={one.text} id={`${id}-${at}`} role="option" aria-selected={at === chosen} onMouseDown={(event) => event.preventDefault()} onClick={() => take(one)}>
              <span class="clip">{one.text}</span>
              <span class="none">{one.hint}</span>
            </li>
          ))}
        </ul>
      )}
      {refused && (
        <p class="runs-fault" id={`${id}-fault`} role="alert">
          {wrong ? <code>{wrong}</code> : "The end"}
          {typeof expected === "string" ? `: expected ${expected}` : `: ${refused.message}`}
        </p>
      )}
    </div>
  );
}
