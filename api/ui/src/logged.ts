// That anything was logged, for views of everything.

import { useEffect, useRef } from "preact/hooks";
import { follow } from "./feed";

const REST_MS = 1000;

/** Ask anew when anything was logged, once a second at most. */
export function useLogged(again: () => void): void {
  const latest = useRef(again);
  latest.current = again;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = follow({}, () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current();
      }, REST_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
}
