// What a view asks of the server, and how that stands.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { isAborted } from "./server";

export interface Loaded<T> {
  /** The last answer; kept while the next one is on its way. */
  value: T | undefined;
  error: unknown;
  loading: boolean;
  /** Ask again. */
  again: () => void;
}

/** Ask when the view comes and whenever `deps` change; an answer that is no longer wanted is dropped. */
export function useLoaded<T>(ask: (signal: AbortSignal) => Promise<T>, deps: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<{ value: T | undefined; error: unknown; loading: boolean }>({ value: undefined, error: undefined, loading: true });
  const running = useRef<AbortController | null>(null);
  const again = useCallback(() => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    setState((before) => ({ ...before, loading: true }));
    ask(controller.signal).then(
      (value) => {
        if (!controller.signal.aborted) setState({ value, error: undefined, loading: false });
      },
      (error: unknown) => {
        if (!controller.signal.aborted && !isAborted(error)) setState((before) => ({ ...before, error, loading: false }));
      },
    );
  }, deps);
  useEffect(() => {
    again();
    return () => running.current?.abort();
  }, [again]);
  return { ...state, again };
}
