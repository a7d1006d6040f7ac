// The files of several runs as one tree: what any of them has, and in how many.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Entry, list } from "../artifacts/files";
import { above, type Folders } from "../artifacts/tree";

const AT_ONCE = 6;

/** Of each run, by its id, what is in a folder; none where that could not be told. */
export type Contents = ReadonlyMap<string, readonly Entry[]>;

export interface Union {
  tree: Folders;
  /** What the runs have in a folder, once that was read. */
  contents: ReadonlyMap<string, Contents>;
}

/** What any run has, folders first, each with how many have it where not all do. */
export function merged(contents: Contents): Entry[] {
  const found = new Map<string, { entry: Entry; count: number }>();
  for (const entries of contents.values()) {
    for (const entry of entries) {
      const before = found.get(entry.path);
      if (before) before.count++;
      else found.set(entry.path, { entry, count: 1 });
    }
  }
  const order = new Intl.Collator("en", { numeric: true }).compare;
  return [...found.values()]
    .map(({ entry, count }) => ({ ...entry, note: count < contents.size ? `${count} of ${contents.size}` : "" }))
    .sort((a, b) => Number(a.size !== null) - Number(b.size !== null) || order(a.path, b.path));
}

/** The contents of a folder, of all runs; a few are asked for at once. */
async function read(runIds: readonly string[], path: string, signal: AbortSignal): Promise<Contents> {
  const found = new Map<string, Entry[]>(runIds.map((id) => [id, []]));
  const waiting = [...runIds];
  let failed: unknown;
  let some = false;
  const work = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      try {
        found.set(id, await list({ runId: id }, path, signal));
        some = true;
      } catch (error) {
        failed = error;
        if (signal.aborted) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (!some && failed) throw failed;
  return found;
}

/** The files of these runs. first: the file that is looked at. */
export function useUnion(runIds: readonly string[], first: string): Union {
  const [contents, setContents] = useState<ReadonlyMap<string, Contents>>(new Map());
  const [errors, setErrors] = useState<ReadonlyMap<string, unknown>>(new Map());
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(above(first)));
  const gone = useRef(new AbortController());
  const ask = (path: string) => {
    const { signal } = gone.current;
    read(runIds, path, signal).then(
      (found) => !signal.aborted && setContents((before) => new Map(before).set(path, found)),
      (error: unknown) => !signal.aborted && setErrors((before) => new Map(before).set(path, error)),
    );
  };
  const reload = () => open.forEach(ask);
  useEffect(() => {
    gone.current = new AbortController();
    setContents(new Map());
    setErrors(new Map());
    reload();
    return () => gone.current.abort();
  }, [runIds.join()]);
  const toggle = (path: string, to = !open.has(path)) => {
    const next = new Set(open);
    if (to) next.add(path);
    else next.delete(path);
    setOpen(next);
    if (to && !contents.has(path)) ask(path);
  };
  const folders = new Map<string, { entries?: Entry[]; error?: unknown }>([
    ...[...errors].map(([path, error]) => [path, { error }] as const),
    ...[...contents].map(([path, found]) => [path, { entries: merged(found) }] as const),
  ]);
  return { tree: { folders, open, toggle, reload }, contents };
}
