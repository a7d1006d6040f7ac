// Keyboard shortcuts: one listener for the page; views add theirs while they are shown.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export interface Shortcut {
  /** Keys as `event.key` names them, one after the other: `g m`. */
  keys: string;
  label: string;
  act: () => void;
}

interface Group {
  title: string;
  shortcuts: readonly Shortcut[];
}

const SEQUENCE_MS = 1200;

/** What there is now, for the list that `?` shows. */
export const groups = signal<readonly Group[]>([]);

let pressed = "";
let at = 0;

/** Shortcuts that hold while a component is shown; those that came last go first. `shortcuts` may be new each time. */
export function useShortcuts(title: string, shortcuts: readonly Shortcut[]): void {
  const names = shortcuts.map(({ keys, label }) => `${keys} ${label}`).join("\n");
  useEffect(() => {
    const group = { title, shortcuts };
    groups.value = [...groups.peek(), group];
    return () => {
      groups.value = groups.peek().filter((one) => one !== group);
    };
  }, [title, names]);
}

/** Whether what has the focus takes letters. */
function types(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "range", "button"].includes(target.type);
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.key.length > 1) return;
  if (types(event.target) || document.querySelector("dialog[open]")) return;
  pressed = event.timeStamp - at < SEQUENCE_MS && pressed ? `${pressed} ${event.key}` : event.key;
  at = event.timeStamp;
  const all = groups.peek().flatMap(({ shortcuts }) => shortcuts);
  const found = all.findLast(({ keys }) => keys === pressed) ?? all.findLast(({ keys }) => keys === event.key);
  if (found) {
    event.preventDefault();
    pressed = "";
    found.act();
  } else if (!all.some(({ keys }) => keys.startsWith(`${pressed} `))) {
    pressed = all.some(({ keys }) => keys.startsWith(`${event.key} `)) ? event.key : "";
  }
});
