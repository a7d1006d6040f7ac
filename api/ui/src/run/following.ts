// Small things that the parts of a run's page share: to hear of changes now and then, and to be typed into at once.

import { type RefObject } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { follow, type Wanted } from "../feed";
import type { Loaded } from "../loaded";
import { isAborted } from "../server";

/**
 * Call when any of these runs or experiments has changed. While they keep changing: every so often, never before what
 * was called last is done, and once more behind the last change. Undefined: never.
 */
export function useFollowed(wanted: Wanted | undefined, everyMs: number, changed: () => Promise<void>): void {
  const latest = useRef(changed);
  latest.current = changed;
  const key = JSON.stringify(wanted);
  useEffect(() => {
    if (!wanted) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let [due, busy, ended, called] = [false, false, false, 0];
    const plan = () => {
      if (!due || busy || ended || timer !== undefined) return;
      timer = setTimeout(call, Math.max(0, called + everyMs - Date.now()));
    };
    const call = async () => {
      timer = undefined;
      due = false;
      busy = true;
      called = Date.now();
      await latest.current();
      busy = false;
      plan();
    };
    const stop = follow(wanted, (changes) => {
      const ours = changes === "all" || changes.runIds.some((id) => wanted.runs?.includes(id)) || changes.experimentIds.some((id) => wanted.experiments?.includes(id));
      if (!ours) return;
      due = true;
      plan();
    });
    return () => {
      ended = true;
      clearTimeout(timer);
      stop();
    };
  }, [key]);
}

export interface Live<T> extends Loaded<T> {
  /** Ask again; done when the answer is here, or was not wanted any more. */
  again: () => Promise<void>;
}

/** As useLoaded, for what is asked again and again. */
export function useLive<T>(ask: (signal: AbortSignal) => Promise<T>, deps: readonly unknown[]): Live<T> {
  const [state, setState] = useState<{ value: T | undefined; error: unknown; loading: boolean }>({ value: undefined, error: undefined, loading: true });
  const running = useRef<AbortController | null>(null);
  const again = useCallback(async () => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    try {
      const value = await ask(controller.signal);
      if (!controller.signal.aborted) setState({ value, error: undefined, loading: false });
    } catch (error) {
      if (!controller.signal.aborted && !isAborted(error)) setState((before) => ({ ...before, error, loading: false }));
    }
  }, deps);
  useEffect(() => {
    void again();
    return () => running.current?.abort();
  }, [again]);
  return { ...state, again };
}

/** Has the focus when it comes. */
export function useFocus<T extends HTMLElement>(): RefObject<T | null> {
  const box = useRef<T>(null);
  useLayoutEffect(() => box.current?.focus(), []);
  return box;
}
