// Short messages at the edge of the page: that something was done, or could not be.

import { signal } from "@preact/signals";
import { says } from "../server";
import { IconButton } from "./button";

interface Toast {
  id: number;
  text: string;
  failed: boolean;
  undo?: (() => void) | undefined;
}

const SHOWN_MS = 5000;
const SHOWN_MAX = 4;
const toasts = signal<readonly Toast[]>([]);
let last = 0;

function take(id: number): void {
  toasts.value = toasts.peek().filter((one) => one.id !== id);
}

function show(text: string, failed: boolean, undo?: () => void): void {
  const id = ++last;
  toasts.value = [...toasts.peek(), { id, text, failed, undo }].slice(-SHOWN_MAX);
  if (!failed) setTimeout(() => take(id), SHOWN_MS);
}

/** Say that something was done; undo: takes it back. */
export function toast(text: string, undo?: () => void): void {
  show(text, false, undo);
}

/** Say that something could not be done; stays until it is closed. */
export function toastFault(error: unknown): void {
  show(says(error), true);
}

export function Toasts() {
  return (
    <div class="toasts" role="region" aria-label="Messages" aria-live="polite">
      {toasts.value.map(({ id, text, failed, undo }) => (
        <div key={id} class={`toast ${failed ? "failed" : ""}`} role={failed ? "alert" : "status"}>
          <span>{text}</span>
          {undo && (
            <button
              type="button"
              class="link"
              onClick={() => {
                take(id);
                undo();
              }}
            >
              Undo
            </button>
          )}
          <IconButton small icon="close" label="Close message" onClick={() => take(id)} />
        </div>
      ))}
    </div>
  );
}
