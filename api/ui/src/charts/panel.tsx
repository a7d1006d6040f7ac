// One metric's panel: its name, what can be done with it, and the chart once it is seen.

import { useEffect, useRef, useState } from "preact/hooks";
import { number } from "../format";
import type { Group, RunRef } from "../model";
import { href } from "../router";
import { IconButton } from "../ui/button";
import { Menu, type MenuItem } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { toastFault } from "../ui/toast";
import { Chart, zoomTo } from "./chart";
import { focused } from "./crosshair";
import { csv, png, save, svg } from "./picture";
import type { Plot, Reading } from "./plot";
import { moved, prefix } from "./sections";
import { ALL, changeSettings, type Settings, settingsNow, toggledIn } from "./settings";
import type { Store } from "./store";

interface PanelProps {
  name: string;
  store: Store;
  runs: readonly RunRef[];
  groups: readonly Group[];
  settings: Settings;
  /** The panels beside it in its section. */
  before?: string | undefined;
  after?: string | undefined;
}

/** The panel that is dragged now. */
let dragged = "";

export function Panel(props: PanelProps) {
  const { name, settings, before, after } = props;
  const box = useRef<HTMLElement>(null);
  const plot = useRef<Plot | null>(null);
  const seen = useSeen(box);
  const [side, setSide] = useState<"" | "before" | "after">("");
  const place = (to: string, behind: boolean) => changeSettings({ moves: moved(settingsNow().moves, { key: name, to, after: behind }) });
  const over = (event: DragEvent) => {
    if (!dragged || dragged === name) return;
    event.preventDefault();
    const { left, width } = box.current!.getBoundingClientRect();
    setSide(event.clientX < left + width / 2 ? "before" : "after");
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setSide("");
    if (!dragged || dragged === name) return;
    changeSettings({ moves: moved(settingsNow().moves, { key: dragged, to: name, after: side === "after" }) });
  };
  const items: MenuItem[] = [
    ...(before === undefined ? [] : [{ label: "Move back", icon: "back" as const, act: () => place(before, false) }]),
    ...(after === undefined ? [] : [{ label: "Move on", icon: "right" as const, act: () => place(after, true) }]),
  ];
  return (
    <section ref={box} class={`chart-panel ${side ? `drop-${side}` : ""}`} aria-label={name} onDragOver={over} onDragLeave={() => setSide("")} onDrop={drop}>
      <header
        draggable
        onDragStart={(event) => {
          dragged = name;
          event.dataTransfer?.setData("text/plain", name);
        }}
        onDragEnd={() => (dragged = "")}
      >
        <span class="grip" aria-hidden="true">
          <Icon name="grip" />
        </span>
        <Title {...props} />
        <IconButton small icon="expand" label={`Show ${name} in full screen`} onClick={() => changeSettings({ full: name })} />
        <Actions {...props} plot={plot} more={items} />
      </header>
      {seen && settings.full !== name ? <Chart {...props} plot={plot} /> : <div class="chart" />}
    </section>
  );
}

/** The name without its section's, and how to leave the zoom. */
function Title({ name, settings }: PanelProps) {
  const start = prefix(name);
  return (
    <>
      <h3 class="clip" title={name}>
        {start ? name.slice(start.length + 1) : name}
      </h3>
      {(settings.zoom[name] ?? settings.zoom[ALL]) && (
        <button type="button" class="chart-zoomed" onClick={() => zoomTo(name, null)}>
          Reset zoom
        </button>
      )}
    </>
  );
}

function Actions({ name, runs, settings, plot, more }: PanelProps & { plot: { current: Plot | null }; more: readonly MenuItem[] }) {
  const zoom = settings.zoom[name] ?? settings.zoom[ALL] ?? null;
  const saved = (ending: string, make: (plot: Plot) => Blob | Promise<Blob>) => async () => {
    try {
      if (plot.current) save(await make(plot.current), name, ending);
    } catch (error) {
      toastFault(error);
    }
  };
  const items: MenuItem[] = [
    { label: "Log y axis", checked: settings.logY !== settings.flipped.has(name), act: () => changeSettings({ flipped: toggledIn(settings.flipped, name) }) },
    ...(zoom
      ? [
          { label: "Zoom all panels alike", icon: "search" as const, act: () => changeSettings({ zoom: { [ALL]: zoom } }) },
          { label: "Reset zoom", icon: "expand" as const, act: () => zoomTo(name, null) },
        ]
      : []),
    ...more,
    { label: "Download PNG", icon: "download", act: saved("png", (plot) => png(plot, name)) },
    { label: "Download SVG", icon: "download", act: saved("svg", (plot) => svg(plot, name)) },
    { label: "Download CSV", icon: "download", act: saved("csv", () => csv(name, runs, settings.x, zoom)) },
  ];
  return <Menu small label={`More for ${name}`} items={items} />;
}

/** A panel that fills the window, with a legend that tells what the crosshair finds. */
export function FullPanel(props: PanelProps) {
  const { name, runs, settings } = props;
  const box = useRef<HTMLDialogElement>(null);
  const plot = useRef<Plot | null>(null);
  const [found, setFound] = useState<{ readings: readonly Reading[]; place: string }>({ readings: [], place: "Latest" });
  useEffect(() => {
    const before = document.activeElement;
    if (!box.current?.open) box.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const close = () => changeSettings({ full: "" });
  const of = new Map(runs.map((run) => [run.id, run]));
  return (
    <dialog
      ref={box}
      class="chart-full"
      aria-label={name}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
    >
      <section class="chart-panel">
        <header>
          <Title {...props} />
          <Actions {...props} plot={plot} more={[]} />
          <IconButton icon="close" label="Leave full screen" onClick={close} />
        </header>
        <div class="chart-full-body">
          <Chart {...props} plot={plot} read={(readings, place) => setFound({ readings, place })} />
          <div class="chart-legend" role="region" aria-label="Values" tabIndex={0}>
            <div class="chart-tip-head">{found.place}</div>
            <ol>
              {found.readings.map((one) => {
                const run = of.get(one.id);
                return (
                  <li key={one.id} class={one.id === focused.value ? "focused" : ""} onMouseEnter={() => (focused.value = one.id)} onMouseLeave={() => (focused.value = "")}>
                    <i class={`swatch c${one.color}${one.dashed ? " dashed" : ""}`} />
                    {run ? (
                      <a class="clip" href={href(["experiments", run.experiment, "runs", run.id])} title={one.name}>
                        {one.name}
                      </a>
                    ) : (
                      <span class="clip">{one.name}</span>
                    )}
                    {settings.smooth > 0 && <span class="raw">{number(one.raw)}</span>}
                    <b>{number(one.value)}</b>
                  </li>
                );
              })}
            </ol>
          </div>
        </div>
      </section>
    </dialog>
  );
}

const watched = new Map<Element, (seen: boolean) => void>();
let observer: IntersectionObserver | undefined;

/** Whether an element is in the window, or nearly. */
function useSeen(box: { current: HTMLElement | null }): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    observer ??= new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) watched.get(target)?.(isIntersecting);
      },
      { rootMargin: "150px" },
    );
    watched.set(element, setSeen);
    observer.observe(element);
    return () => {
      observer?.unobserve(element);
      watched.delete(element);
    };
  }, []);
  return seen;
}
