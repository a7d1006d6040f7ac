// Small things that the parts of a run's page share: to hear of changes now and then, and to be typed into at once.

import { type RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { follow, type Wanted } from "../feed";

/** Call when any of these runs or experiments has changed; while they keep changing, every so often. Undefined: never. */
export function useFollowed(wanted: Wanted | undefined, everyMs: number, changed: () => void): void {
  const latest = useRef(changed);
  latest.current = changed;
  const key = JSON.stringify(wanted);
  useEffect(() => {
    if (!wanted) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let told = 0;
    const stop = follow(wanted, (changes) => {
      const ours = changes === "all" || changes.runIds.some((id) => wanted.runs?.includes(id)) || changes.experimentIds.some((id) => wanted.experiments?.includes(id));
      if (!ours) return;
      timer ??= setTimeout(
        () => {
          timer = undefined;
          told = Date.now();
          latest.current();
        },
        Math.max(0, told + everyMs - Date.now()),
      );
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [key]);
}

/** Has the focus when it comes. */
export function useFocus<T extends HTMLElement>(): RefObject<T | null> {
  const box = useRef<T>(null);
  useLayoutEffect(() => box.current?.focus(), []);
  return box;
}
