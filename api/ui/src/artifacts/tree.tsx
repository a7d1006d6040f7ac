// The files and folders of a run as a tree: a folder is read when it is opened.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Changed, follow } from "../feed";
import { counted, size } from "../format";
import { says } from "../server";
import { Icon, type IconName } from "../ui/icon";
import { type Entry, list, nameOf, type Source } from "./files";
import { type Kind, kindOf, seriesOf, shotOf } from "./kinds";

const SHOWN_AT_ONCE = 300;
const AGAIN_MS = 3000;

interface Folder {
  entries?: Entry[];
  error?: unknown;
}

export interface Folders {
  folders: ReadonlyMap<string, Folder>;
  open: ReadonlySet<string>;
  toggle: (path: string, open?: boolean) => void;
  reload: () => void;
}

/** The folders above a path, the top ("") first. */
export function above(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return ["", ...parts.map((_, at) => parts.slice(0, at + 1).join("/"))];
}

/** What is in the folders that are open. first: the file that is looked at; its folders are open. Read anew as the run moves. */
export function useFolders(source: Source, first: string): Folders {
  const [folders, setFolders] = useState<ReadonlyMap<string, Folder>>(new Map());
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(above(first)));
  const gone = useRef<AbortController | null>(null);
  const read = (path: string) => {
    const signal = gone.current?.signal;
    const set = (folder: Folder) => !signal?.aborted && setFolders((before) => new Map(before).set(path, folder));
    list(source, path, signal).then((entries) => set({ entries }), (error: unknown) => set({ error }));
  };
  const opened = useRef(open);
  opened.current = open;
  const reload = () => opened.current.forEach(read);
  useEffect(() => {
    const controller = new AbortController();
    gone.current = controller;
    reload();
    let pending = 0;
    const changed = (changes: Changed) => {
      if (changes !== "all" && "runId" in source && !changes.runIds.includes(source.runId)) return;
      pending ||= window.setTimeout(() => {
        pending = 0;
        reload();
      }, AGAIN_MS);
    };
    const stop = "runId" in source ? follow({ runs: [source.runId] }, changed) : () => {};
    return () => {
      controller.abort();
      clearTimeout(pending);
      stop();
    };
  }, []);
  const toggle = (path: string, to = !open.has(path)) => {
    const next = new Set(open);
    if (to) next.add(path);
    else next.delete(path);
    setOpen(next);
    if (to && !folders.get(path)?.entries) read(path);
  };
  return { folders, open, toggle, reload };
}

/** One line of the tree. */
interface Line {
  key: string;
  path: string;
  label: string;
  note: string;
  depth: number;
  kind: "folder" | "more" | "note" | Kind;
  parent: string;
}

function lines({ folders, open }: Folders, limits: ReadonlyMap<string, number>): Line[] {
  const found: Line[] = [];
  const walk = (path: string, depth: number) => {
    const folder = folders.get(path);
    const base = { depth, parent: path, path };
    if (folder?.error) return void found.push({ ...base, key: `${path}/!`, label: says(folder.error), note: "", kind: "note" });
    if (!folder?.entries) return void found.push({ ...base, key: `${path}/?`, label: "Loading…", note: "", kind: "note" });
    const shots = path === "images" ? seriesOf(folder.entries.map((entry) => entry.path)) : new Map<string, never[]>();
    for (const [key, steps] of shots) {
      const last = steps[steps.length - 1];
      if (last) found.push({ ...base, key: `${path}/#${key}`, path: last.path, label: key, note: counted(steps.length, "step"), kind: "image" });
    }
    const rest = shots.size ? folder.entries.filter((entry) => !/[%+]step[%+]/.test(entry.path)) : folder.entries;
    const limit = limits.get(path) ?? SHOWN_AT_ONCE;
    for (const entry of rest.slice(0, limit)) {
      const folder = entry.size === null;
      const kind = folder ? "folder" : kindOf(entry.path);
      found.push({ ...base, key: entry.path, path: entry.path, label: nameOf(entry.path), note: entry.note ?? (folder ? "" : size(entry.size ?? 0)), kind });
      if (folder && open.has(entry.path)) walk(entry.path, depth + 1);
    }
    if (rest.length > limit) found.push({ ...base, key: `${path}/+`, label: `Show more of ${counted(rest.length, "file")}`, note: "", kind: "more" });
    if (!rest.length && !shots.size && path) found.push({ ...base, key: `${path}/0`, label: "Empty", note: "", kind: "note" });
  };
  walk("", 0);
  return found;
}

const ICONS: Partial<Record<Line["kind"], IconName>> = { folder: "folder", table: "table", parquet: "table", image: "eye", audio: "play", video: "play", more: "more" };

/** The tree; arrows move, right and left open and close, Enter chooses. */
export function Tree({ tree, chosen, choose }: { tree: Folders; chosen: string; choose: (path: string) => void }) {
  const [limits, setLimits] = useState<ReadonlyMap<string, number>>(new Map());
  const [at, setAt] = useState("");
  const box = useRef<HTMLUListElement>(null);
  const shown = useMemo(() => lines(tree, limits), [tree.folders, tree.open, limits]);
  const shot = shotOf(chosen);
  const isChosen = (line: Line) => line.kind !== "folder" && line.kind !== "more" && line.kind !== "note" && (line.path === chosen || (shot !== undefined && line.key === `images/#${shot.key}`));
  const moving = shown.filter(({ kind }) => kind !== "note");
  const focus = moving.find(({ key }) => key === at) ?? moving.find(isChosen) ?? moving[0];

  const act = (line: Line) => {
    setAt(line.key);
    if (line.kind === "folder") tree.toggle(line.path);
    else if (line.kind === "more") setLimits(new Map(limits).set(line.parent, (limits.get(line.parent) ?? SHOWN_AT_ONCE) + 2 * SHOWN_AT_ONCE));
    else if (line.kind !== "note") choose(line.path);
  };
  const go = (line: Line | undefined) => {
    if (!line) return;
    setAt(line.key);
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>("[tabindex='0']")?.focus());
  };
  const key = (event: KeyboardEvent) => {
    if (!focus) return;
    const index = moving.indexOf(focus);
    const isOpen = focus.kind === "folder" && tree.open.has(focus.path);
    if (event.key === "ArrowDown") go(moving[index + 1]);
    else if (event.key === "ArrowUp") go(moving[index - 1]);
    else if (event.key === "Home") go(moving[0]);
    else if (event.key === "End") go(moving[moving.length - 1]);
    else if (event.key === "Enter" || event.key === " ") act(focus);
    else if (event.key === "ArrowRight" && focus.kind === "folder") isOpen ? go(moving[index + 1]?.parent === focus.path ? moving[index + 1] : undefined) : tree.toggle(focus.path, true);
    else if (event.key === "ArrowLeft") isOpen ? tree.toggle(focus.path, false) : go(moving.find(({ path, kind }) => kind === "folder" && path === focus.parent));
    else return;
    event.preventDefault();
  };
  return (
    <ul ref={box} class="file-tree" role="tree" aria-label="Artifacts" onKeyDown={key}>
      {shown.map((line) => (
        <li
          key={line.key}
          role={line.kind === "note" ? "none" : "treeitem"}
          class={line.kind}
          aria-level={line.kind === "note" ? undefined : line.depth + 1}
          aria-expanded={line.kind === "folder" ? tree.open.has(line.path) : undefined}
          aria-selected={line.kind === "note" || line.kind === "more" ? undefined : isChosen(line)}
          tabIndex={line.kind === "note" ? undefined : line === focus ? 0 : -1}
          style={{ paddingLeft: `${8 + line.depth * 16}px` }}
          onClick={() => act(line)}
          title={line.label}
        >
          <span class="turn">{line.kind === "folder" && <Icon name={tree.open.has(line.path) ? "down" : "right"} />}</span>
          {line.kind !== "note" && <Icon name={ICONS[line.kind] ?? "file"} />}
          <span class="clip grow">{line.label}</span>
          <span class="quiet">{line.note}</span>
        </li>
      ))}
    </ul>
  );
}
