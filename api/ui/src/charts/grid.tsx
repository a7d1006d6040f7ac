// Charts of runs: a panel for each metric, in sections by the beginning of their names.

import "./charts.css";
import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { follow, standing } from "../feed";
import { counted } from "../format";
import type { Group, RunRef } from "../model";
import { route } from "../router";
import { Icon } from "../ui/icon";
import { Empty, Failed, Loading } from "../ui/states";
import { Segments } from "../ui/tabs";
import { focused } from "./crosshair";
import { useKeys } from "./keys";
import { FullPanel, Panel } from "./panel";
import { isSystem, type Section, sectionsOf } from "./sections";
import { changeSettings, readSettings, type Settings, toggledIn } from "./settings";
import { Store } from "./store";

export interface ChartGridProps {
  runs: readonly RunRef[];
  /** Of the runs; the feed is followed by them. */
  experiments: readonly string[];
  groups?: readonly Group[];
  /** Which metrics have a panel; all without it. */
  keys?: ((key: string) => boolean) | undefined;
}

/** So many runs are drawn at most. */
const RUNS_MAX = 500;
/** So many runs are named above the charts at most. */
const NAMED_MAX = 12;
/** So many panels a section shows before it is asked for more. */
const PANELS_MAX = 60;
const NONE: readonly Group[] = [];

export function ChartGrid({ runs: all, experiments, groups = NONE, keys: wanted }: ChartGridProps) {
  const settings = readSettings(route.value.query);
  const runs = useMemo(() => all.slice(0, RUNS_MAX), [all]);
  const store = useMemo(() => new Store(), []);
  useEffect(() => () => store.close(), [store]);
  const ids = runs.map(({ id }) => id).join();
  const grouped = JSON.stringify(groups);
  useMemo(() => store.show(runs.map(({ id }) => id), groups, settings.x), [store, ids, grouped, settings.x]);
  const keys = useKeys(runs);
  const { changed } = keys;
  useEffect(
    () =>
      follow({ experiments: [...experiments] }, (changes) => {
        store.changed(changes === "all" ? "all" : changes.runIds);
        changed(changes === "all" ? "all" : changes.runIds);
      }),
    [store, changed, experiments.join()],
  );
  useSignalEffect(() => {
    if (standing.value.state === "live") store.reached();
  });
  const shown = useMemo(() => [...keys.found].filter((key) => !wanted || wanted(key)), [keys.found, wanted]);
  const sections = useMemo(() => sectionsOf(shown, settings.moves), [shown, JSON.stringify(settings.moves)]);

  if (!runs.length) return <Empty title="No run is shown" icon="chart"><p>Choose runs in the table with the eye beside their names.</p></Empty>;
  if (keys.error !== undefined && !keys.found.size) return <Failed title="The metrics cannot be told" error={keys.error} again={() => changed("all")} />;
  if (!keys.ready) return <Loading />;
  if (!shown.length)
    return (
      <Empty title="No metrics yet" icon="chart">
        <p>
          What <code>log_metric</code> logs is drawn here as it comes.
        </p>
      </Empty>
    );
  const find = settings.find.toLowerCase();
  const matching = find ? sections.map(({ name, keys }) => ({ name, keys: keys.filter((key) => key.toLowerCase().includes(find)) })).filter(({ keys }) => keys.length) : sections;
  const rest = { store, runs, groups, settings };
  return (
    <div class="charts">
      <Toolbar settings={settings} />
      <Legend runs={runs} groups={groups} />
      {all.length > runs.length && <p class="charts-note">The first {counted(RUNS_MAX, "run")} of {all.length.toLocaleString("en-US")} are drawn.</p>}
      {matching.map((section) => (
        <SectionBox key={section.name} section={section} only={sections.length === 1} {...rest} />
      ))}
      {!matching.length && (
        <Empty title="No metric has this in its name" icon="search">
          <button type="button" class="link" onClick={() => changeSettings({ find: "" })}>
            Show all metrics
          </button>
        </Empty>
      )}
      {settings.full && shown.includes(settings.full) && <FullPanel key={settings.full} name={settings.full} {...rest} />}
    </div>
  );
}

const AXES = [
  { value: "step", label: "Step" },
  { value: "time", label: "Time" },
  { value: "relative", label: "Relative" },
] as const;

function Toolbar({ settings }: { settings: Settings }) {
  return (
    <div class="charts-bar" role="toolbar" aria-label="Charts">
      <Segments label="Horizontal axis" choices={AXES} chosen={settings.x} choose={(x) => changeSettings({ x, zoom: {}, ...(x === "time" ? { logX: false } : {}) })} />
      <label class="smoothing">
        <span>Smoothing</span>
        <input type="range" min="0" max="0.99" step="0.01" value={settings.smooth} onInput={(event) => changeSettings({ smooth: Number(event.currentTarget.value) })} />
        <output>{settings.smooth ? settings.smooth.toFixed(2) : "0"}</output>
      </label>
      <label class="check-box">
        <input type="checkbox" checked={settings.logY} onChange={() => changeSettings({ logY: !settings.logY })} />
        Log y
      </label>
      <label class="check-box" hidden={settings.x === "time"}>
        <input type="checkbox" checked={settings.logX} onChange={() => changeSettings({ logX: !settings.logX })} />
        Log x
      </label>
      <label class="check-box">
        <input type="checkbox" checked={settings.safe} onChange={() => changeSettings({ safe: !settings.safe })} />
        Ignore outliers
      </label>
      <input class="input" type="search" aria-label="Find a metric" placeholder="Find a metric" value={settings.find} onInput={(event) => changeSettings({ find: event.currentTarget.value })} />
    </div>
  );
}

/** Which color is which, where the names are few. */
function Legend({ runs, groups }: { runs: readonly RunRef[]; groups: readonly Group[] }) {
  const entries = groups.length ? groups.map(({ name, color }) => ({ id: `group ${name}`, name, color, dashed: false })) : runs;
  if (entries.length < 2 || entries.length > NAMED_MAX) return null;
  return (
    <ul class="charts-legend" aria-label={groups.length ? "Groups" : "Runs"}>
      {entries.map(({ id, name, color, dashed }) => (
        <li key={id} class={focused.value === id ? "focused" : ""} onMouseEnter={() => (focused.value = id)} onMouseLeave={() => (focused.value = "")}>
          <i class={`swatch c${color}${dashed ? " dashed" : ""}`} />
          <span class="clip" title={name}>
            {name}
          </span>
        </li>
      ))}
    </ul>
  );
}

interface SectionProps {
  section: Section;
  only: boolean;
  store: Store;
  runs: readonly RunRef[];
  groups: readonly Group[];
  settings: Settings;
}

function SectionBox({ section: { name, keys }, only, settings, ...rest }: SectionProps) {
  const closed = !only && isSystem(name) !== settings.toggled.has(name);
  const [most, setMost] = useState(PANELS_MAX);
  const id = useRef(`section-${name.replace(/\W/g, "-")}`).current;
  const title = name || "Metrics";
  return (
    <section class="charts-section" aria-label={title}>
      {!only && (
        <h2>
          <button type="button" aria-expanded={!closed} aria-controls={id} onClick={() => changeSettings({ toggled: toggledIn(settings.toggled, name) })}>
            <Icon name={closed ? "right" : "down"} />
            <span>{title}</span>
            <span class="count">{keys.length.toLocaleString("en-US")}</span>
          </button>
        </h2>
      )}
      <div class="chart-panels" id={id} hidden={closed}>
        {!closed && keys.slice(0, most).map((key, i) => <Panel key={key} name={key} before={keys[i - 1]} after={keys[i + 1]} settings={settings} {...rest} />)}
      </div>
      {!closed && keys.length > most && (
        <button type="button" class="button" onClick={() => setMost(most + PANELS_MAX)}>
          Show {Math.min(PANELS_MAX, keys.length - most)} more of {keys.length.toLocaleString("en-US")}
        </button>
      )}
    </section>
  );
}
