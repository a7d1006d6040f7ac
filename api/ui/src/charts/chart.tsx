// The drawing of one metric: lines, crosshair, what it finds, and zoom. As large as its box.

import { useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { counted, number } from "../format";
import type { Group, RunRef } from "../model";
import { says } from "../server";
import { theme } from "../theme";
import { Button } from "../ui/button";
import { crosshair, focused } from "./crosshair";
import { type Look, Plot, type Reading, type Ribbon, type Trace } from "./plot";
import { ALL, changeSettings, type Settings, settingsNow } from "./settings";
import type { Span } from "./scale";
import type { Given, Store } from "./store";

export interface ChartProps {
  name: string;
  store: Store;
  runs: readonly RunRef[];
  groups: readonly Group[];
  settings: Settings;
  /** Where the plot is put, for who saves it as a picture. */
  plot?: { current: Plot | null };
  /** Told what the crosshair finds, highest first, and where it stands in words. */
  read?: (readings: readonly Reading[], place: string) => void;
}

/** How many runs the box at the crosshair names. */
const NAMED = 12;

export function Chart({ name, store, runs, groups, settings, plot: out, read }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const [given, setGiven] = useState<Given>(() => store.given(name));
  const [tip, setTip] = useState<Tip | null>(null);
  const [readout, setReadout] = useState("");
  const [clipped, setClipped] = useState(false);
  const zoom = settings.zoom[name] ?? settings.zoom[ALL] ?? null;
  const look: Look = { x: settings.x, logX: settings.logX, logY: settings.logY !== settings.flipped.has(name), smooth: settings.smooth, safe: settings.safe, zoom };
  const pointer = useRef({ left: 0, top: 0 });

  useLayoutEffect(() => {
    if (!box.current) return;
    const made = new Plot(box.current, {
      zoom: (span) => zoomTo(name, span),
      point: (x, nearest, left, top) => {
        pointer.current = { left, top };
        focused.value = nearest;
        if (x !== null) crosshair.value = { x, key: name, byKey: false };
        else if (crosshair.peek()?.key === name) crosshair.value = null;
      },
    });
    plot.current = made;
    if (out) out.current = made;
    const observer = new ResizeObserver(() => {
      made.resize();
      store.wish(name, wishOf(box.current!, lastZoom.current));
    });
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
      if (out) out.current = null;
      if (crosshair.peek()?.key === name) crosshair.value = null;
    };
  }, [name, store]);

  const lastZoom = useRef(zoom);
  lastZoom.current = zoom;
  useEffect(() => (box.current ? store.see(name, wishOf(box.current, lastZoom.current), setGiven) : undefined), [name, store]);
  useEffect(() => {
    if (box.current) store.wish(name, wishOf(box.current, zoom));
  }, [zoom?.[0], zoom?.[1]]);

  const [traces, ribbons] = useMemo(() => drawn(given, runs, groups), [given, runs, groups]);
  useLayoutEffect(() => {
    plot.current?.show(traces, ribbons, look);
    setClipped(plot.current?.clipped ?? false);
    report();
  }, [traces, ribbons, JSON.stringify(look)]);
  const color = theme.value;
  useEffect(() => plot.current?.restyle(), [color]);
  useSignalEffect(() => plot.current?.focus(focused.value));
  useSignalEffect(() => {
    const at = crosshair.value;
    void focused.value;
    if (at?.key !== name || at.byKey) plot.current?.point(at?.x ?? null);
    report();
  });

  /** Tell what the crosshair finds. */
  function report(): void {
    const now = plot.current;
    const at = crosshair.peek();
    if (!now) return;
    if (read) {
      const found = now.read(at?.x ?? null);
      read(ranked(found), at ? now.place(at.x) : "Latest");
    }
    if (!at) {
      setTip(null);
      setReadout("");
      return;
    }
    const found = ranked(now.read(at.x));
    if (read && !at.byKey) return;
    if (at.key !== name) {
      const one = found.find(({ id }) => id === focused.peek()) ?? (found.length === 1 ? found[0] : undefined);
      setTip(null);
      setReadout(one ? number(one.value) : "");
      return;
    }
    setReadout("");
    const { left, top } = at.byKey ? { left: now.drawing.plot?.valToPos(at.x, "x") ?? 0, top: 20 } : pointer.current;
    setTip({ place: now.place(at.x), readings: found, left, top, right: left < now.box.clientWidth / 2, below: hasRoom(now.box, top, found.length), byKey: at.byKey });
  }

  const key = (event: KeyboardEvent) => {
    const now = plot.current;
    if (!now) return;
    const share = event.shiftKey ? 0.1 : 0.01;
    const way = { ArrowLeft: -share, ArrowRight: share }[event.key];
    if (way !== undefined) {
      const at = crosshair.peek();
      crosshair.value = { x: now.step(at?.x ?? null, way), key: name, byKey: true };
    } else if (event.key === "Escape" && crosshair.peek()) crosshair.value = null;
    else if (event.key === "Escape" && zoom) zoomTo(name, null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const count = traces.length;
  return (
    <div class="chart">
      <div
        class="chart-box"
        ref={box}
        tabIndex={0}
        role="group"
        aria-roledescription="chart"
        aria-label={`${name}: ${counted(count, "run")}${zoom ? ", zoomed" : ""}. Arrow keys move the crosshair.`}
        data-ready={given.ready}
        onKeyDown={key}
        onBlur={() => crosshair.peek()?.byKey && (crosshair.value = null)}
      />
      {given.error !== undefined && (
        <div class="chart-note failed" role="alert">
          <span>{says(given.error)}</span>
          <Button onClick={() => store.again(name)}>Try again</Button>
        </div>
      )}
      {given.ready && given.error === undefined && !count && !ribbons.length && <div class="chart-note">{zoom ? "No points here" : "None of the shown runs has it"}</div>}
      {!given.ready && <div class="chart-note">Loading…</div>}
      <Notes traces={traces} look={look} clipped={clipped} readout={readout} />
      {tip && !read && tip.readings.length > 0 && <Tooltip {...tip} smooth={settings.smooth > 0} />}
      {tip?.byKey && (
        <span class="sr" aria-live="polite">
          {tip.place}: {tip.readings.slice(0, 3).map(({ name, value }) => `${name} ${number(value)}`).join(", ")}
        </span>
      )}
    </div>
  );
}

/** Zoom a panel to a part of x; null back to all of it. */
export function zoomTo(name: string, span: readonly [number, number] | null): void {
  const { zoom } = settingsNow();
  const next = Object.assign(Object.create(null), zoom) as Record<string, Span>;
  if (span) next[name] = span;
  else if (next[name]) delete next[name];
  else delete next[ALL];
  changeSettings({ zoom: next });
}

/** Few figures of what is drawn: what was left out, and a value where the crosshair of another panel stands. */
function Notes({ traces, look, clipped, readout }: { traces: readonly Trace[]; look: Look; clipped: boolean; readout: string }) {
  const nan = traces.filter(({ line }) => line.nan.length).length;
  const infinite = traces.filter(({ line }) => line.over.length || line.under.length).length;
  const parts = [];
  if (nan) parts.push(`× NaN in ${counted(nan, "run")}`);
  if (infinite) parts.push(`▲ infinite in ${counted(infinite, "run")}`);
  if (look.logY && traces.some(({ line }) => line.py.some((value) => value <= 0))) parts.push("values ≤ 0 are not on a log axis");
  if (clipped) parts.push("outliers are outside");
  if (!parts.length && !readout) return null;
  return (
    <div class="chart-notes">
      <span class="clip">{parts.join(" · ")}</span>
      {readout && <b>{readout}</b>}
    </div>
  );
}

interface Tip {
  place: string;
  readings: readonly Reading[];
  left: number;
  top: number;
  /** Whether it stands right of the crosshair, and below the pointer. */
  right: boolean;
  below: boolean;
  byKey: boolean;
}

/** Whether a box with so many lines fits below a place of a chart, or else has less room above it. */
function hasRoom(box: HTMLElement, top: number, lines: number): boolean {
  const around = box.closest(".charts")?.parentElement?.getBoundingClientRect();
  const at = box.getBoundingClientRect().top + top;
  const below = Math.min(innerHeight, around?.bottom ?? Infinity) - at;
  const above = at - Math.max(0, around?.top ?? 0);
  return below > 60 + 19 * Math.min(NAMED, lines) || below > above;
}

function Tooltip({ place, readings, left, top, right, below, smooth }: Tip & { smooth: boolean }) {
  const at = Math.max(0, readings.findIndex(({ id }) => id === focused.value));
  const start = Math.max(0, Math.min(at - NAMED / 2, readings.length - NAMED));
  const some = readings.slice(start, start + NAMED);
  const style = { ...(below ? { top: `${top + 14}px` } : { bottom: `calc(100% - ${top - 14}px)` }), ...(right ? { left: `${left + 14}px` } : { right: `calc(100% - ${left - 14}px)` }) };
  return (
    <div class="chart-tip" style={style} aria-hidden="true">
      <div class="chart-tip-head">{place}</div>
      <ol>
        {some.map((one) => (
          <li key={one.id} class={one.group || one.id === focused.value ? "focused" : ""}>
            <i class={`swatch c${one.color}${one.dashed ? " dashed" : ""}`} />
            <span class="clip">{one.name}</span>
            {smooth && <span class="raw">{number(one.raw)}</span>}
            <b>{number(one.value)}</b>
          </li>
        ))}
      </ol>
      {readings.length > some.length && <div class="chart-tip-foot">{counted(readings.length - some.length, "more run")}</div>}
    </div>
  );
}

/** Groups first, then the highest; NaN last. */
function ranked(readings: readonly Reading[]): Reading[] {
  const rank = (value: number) => (Number.isNaN(value) ? -Number.MAX_VALUE : value);
  return [...readings].sort((a, b) => Number(b.group) - Number(a.group) || Number(rank(b.value) > rank(a.value)) - Number(rank(b.value) < rank(a.value)) || (a.name < b.name ? -1 : 1));
}

/** So fine that a bucket is two pixels wide: each is drawn by up to four points. */
function wishOf(box: HTMLElement, range: readonly [number, number] | null): { buckets: number; range: readonly [number, number] | null } {
  return { buckets: Math.min(1000, Math.max(100, Math.ceil(box.clientWidth / 200) * 100)), range };
}

function drawn(given: Given, runs: readonly RunRef[], groups: readonly Group[]): [Trace[], Ribbon[]] {
  const group = new Map(groups.flatMap((one) => one.runIds.map((id) => [id, one] as const)));
  const traces = runs.flatMap(({ id, name, color, dashed }): Trace[] => {
    const line = given.lines.get(id);
    if (!line) return [];
    const of = group.get(id);
    return [{ line, name, color: of?.color ?? color, dashed: of ? false : dashed, faint: of !== undefined }];
  });
  const ribbons = groups.flatMap(({ name, color }): Ribbon[] => {
    const band = given.bands.get(name);
    return band?.x.length ? [{ band, name, color }] : [];
  });
  return [traces, ribbons];
}
