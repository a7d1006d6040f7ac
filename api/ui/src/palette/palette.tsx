// Search over everything by keyboard (Ctrl-K), and the list of shortcuts (?).

import "./palette.css";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { href, navigate } from "../router";
import { get, isAborted, says } from "../server";
import { toggleTheme } from "../theme";
import { Icon, type IconName } from "../ui/icon";
import { toast } from "../ui/toast";
import { Help } from "./help";
import { useShortcuts } from "./shortcuts";

interface Hit {
  kind: "experiment" | "run" | "model" | "version" | "endpoint" | "view";
  id: string;
  name: string;
  detail: string;
  path: string;
}

interface Entry {
  id: string;
  name: string;
  detail: string;
  icon: IconName;
  group: string;
  /** Where it leads, or what it does. */
  to: string | (() => void);
}

const FIND = "/api/headrace/v1/find";
const PAUSE_MS = 60;
const KINDS: Readonly<Record<Hit["kind"], [string, IconName]>> = {
  experiment: ["Experiments", "chart"],
  run: ["Runs", "play"],
  model: ["Models", "box"],
  version: ["Model versions", "branch"],
  endpoint: ["Endpoints", "bolt"],
  view: ["Saved views", "star"],
};
const MAC = /Mac|iPhone|iPad/.test(navigator.userAgent);

export function Palette() {
  const [open, setOpen] = useState<"" | "find" | "help">("");
  const go = (...path: string[]) => () => navigate(path);
  useShortcuts("Everywhere", [
    { keys: "/", label: "Filter this view, or search", act: () => focusFilter() || setOpen("find") },
    { keys: "g h", label: "Go to experiments", act: go() },
    { keys: "g m", label: "Go to models", act: go("models") },
    { keys: "g e", label: "Go to endpoints", act: go("endpoints") },
    { keys: "g l", label: "Go to lineage", act: go("lineage") },
    { keys: "g s", label: "Go to the system", act: go("system") },
    { keys: "t", label: "Change colour theme", act: toggleTheme },
    { keys: "?", label: "Show keyboard shortcuts", act: () => setOpen("help") },
  ]);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || event.altKey || event.shiftKey || event.ctrlKey === event.metaKey) return;
      event.preventDefault();
      setOpen((before) => (before === "find" ? "" : "find"));
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);
  return (
    <>
      <button type="button" class="find-button" aria-haspopup="dialog" aria-keyshortcuts="Control+K Meta+K" onClick={() => setOpen("find")}>
        <Icon name="search" />
        <span>
          Search<span class="sr"> everything</span>
        </span>
        <kbd aria-hidden="true">{MAC ? "⌘K" : "Ctrl K"}</kbd>
      </button>
      {open === "find" && <Find close={() => setOpen("")} help={() => setOpen("help")} />}
      {open === "help" && <Help close={() => setOpen("")} />}
    </>
  );
}

/** Put the cursor into the filter of the view; whether it has one. */
function focusFilter(): boolean {
  const found = document.querySelector<HTMLElement>("main [data-filter], main input[type=search]");
  found?.focus();
  return found !== null;
}

function places(help: () => void): Entry[] {
  const place = (name: string, path: string[], icon: IconName): Entry => ({ id: `place-${name}`, name, detail: "", icon, group: "Go to", to: href(path) });
  const command = (name: string, icon: IconName, to: () => void): Entry => ({ id: `do-${name}`, name, detail: "", icon, group: "Do", to });
  return [
    place("Experiments", [], "chart"),
    place("Models", ["models"], "box"),
    place("Endpoints", ["endpoints"], "bolt"),
    place("Lineage", ["lineage"], "branch"),
    place("System", ["system"], "pulse"),
    command("Copy a link to this page", "link", () => {
      void navigator.clipboard?.writeText(location.href).then(() => toast("The link is copied"));
    }),
    command("Change colour theme", "moon", toggleTheme),
    command("Show keyboard shortcuts", "keyboard", help),
  ];
}

function Find({ close, help }: { close: () => void; help: () => void }) {
  const [text, setText] = useState("");
  const [hits, setHits] = useState<readonly Hit[]>([]);
  const [asked, setAsked] = useState<string | null>(null);
  const [error, setError] = useState<unknown>();
  const [at, setAt] = useState(0);
  const moved = useRef(false);
  const box = useRef<HTMLDialogElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const words = text.trim().toLowerCase();

  useLayoutEffect(() => {
    const dialog = box.current;
    dialog?.showModal();
    // Closing gives the focus back to what had it.
    return () => dialog?.close();
  }, []);
  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(
      () => {
        const params = words ? { q: text.trim().slice(0, 200), limit: 6 } : { kinds: "experiment,view", limit: 5 };
        get<{ hits: Hit[] }>(FIND, params, { signal: controller.signal }).then(
          (answer) => {
            setHits(answer.hits);
            setError(undefined);
            setAsked(words);
            if (!moved.current) setAt(0);
          },
          (fault: unknown) => {
            if (!isAborted(fault)) setError(fault);
          },
        );
      },
      asked === null ? 0 : PAUSE_MS,
    );
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [words]);

  const own = places(help).filter(({ name }) => words.split(/\s+/).every((word) => name.toLowerCase().includes(word)));
  const found = hits.map((hit): Entry => {
    const [group, icon] = KINDS[hit.kind];
    return { id: `${hit.kind}-${hit.id}`, name: hit.name, detail: hit.detail, icon, group, to: `#${hit.path}` };
  });
  const entries = words ? [...found, ...own] : [...own.filter(({ group }) => group === "Go to"), ...found, ...own.filter(({ group }) => group === "Do")];
  const chosen = Math.min(at, entries.length - 1);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen, entries.length]);

  const take = (entry: Entry | undefined, aside = false) => {
    if (!entry) return;
    if (typeof entry.to === "string") {
      if (aside) return void open(entry.to, "_blank");
      close();
      location.hash = entry.to;
      requestAnimationFrame(() => document.getElementById("main")?.focus());
    } else {
      close();
      entry.to();
    }
  };
  const key = (event: KeyboardEvent) => {
    const next = { ArrowDown: chosen + 1, ArrowUp: chosen - 1 + entries.length }[event.key];
    if (next !== undefined && entries.length) {
      event.preventDefault();
      moved.current = true;
      setAt(next % entries.length);
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      // What is typed faster than it is found must not open what was found before.
      if (asked === words || !found.length) take(entries[chosen], event.ctrlKey || event.metaKey);
    }
  };
  const groups = [...new Set(entries.map(({ group }) => group))];
  const option = (entry: Entry) => {
    const place = entries.indexOf(entry);
    const mark = { id: `${id}-${place}`, role: "option" as const, "aria-selected": place === chosen, class: "find-option", onMouseMove: () => place !== chosen && setAt(place) };
    return (
      <div key={entry.id} {...mark} onClick={(event) => take(entry, event.ctrlKey || event.metaKey)}>
        <Icon name={entry.icon} />
        <span class="find-name">{entry.name}</span>
        <span class="find-detail">{entry.detail}</span>
      </div>
    );
  };
  return (
    <dialog
      ref={box}
      class="dialog find"
      aria-label="Search everything"
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onMouseDown={(event) => event.target === box.current && close()}
    >
      <div class="find-box">
        <label class="find-field">
          <Icon name="search" />
          <input
            autofocus
            type="text"
            role="combobox"
            aria-label="Search"
            aria-expanded="true"
            aria-controls={`${id}-list`}
            aria-activedescendant={entries.length ? `${id}-${chosen}` : undefined}
            aria-autocomplete="list"
            autocomplete="off"
            spellcheck={false}
            placeholder="Experiments, runs, models, endpoints, views…"
            value={text}
            onInput={(event) => {
              moved.current = false;
              setAt(0);
              setText(event.currentTarget.value);
            }}
            onKeyDown={key}
          />
          <kbd>Esc</kbd>
        </label>
        <div ref={list} id={`${id}-list`} class="find-list" role="listbox" aria-label="Results" tabIndex={-1}>
          {groups.map((group) => (
            <div key={group} role="group" aria-label={group}>
              <div class="find-group" aria-hidden="true">
                {group}
              </div>
              {entries.filter((entry) => entry.group === group).map(option)}
            </div>
          ))}
        </div>
        {error !== undefined && (
          <p class="find-none fault" role="alert">
            {says(error)}
          </p>
        )}
        {error === undefined && words && asked === words && !entries.length && (
          <p class="find-none" role="status">
            Nothing has “{text.trim()}” in its name. Runs are found by the first four characters of their id as well.
          </p>
        )}
      </div>
    </dialog>
  );
}
