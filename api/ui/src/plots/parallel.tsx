// Parallel coordinates: a line a run across axes; ranges on the axes choose runs, by pointer or keys.
// Drawn here and not by a chart library: a run that lacks a value keeps its line, and ranges are reached by keyboard.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { theme } from "../theme.ts";
import { resolved, type RunTable } from "../model.ts";
import { navigate } from "../router.ts";
import type { Axis } from "./axis.ts";
import { AxisBar, AxisHead } from "./axis_bar.tsx";
import type { Brushes } from "./brush.ts";
import type { Coloring } from "./coloring.ts";
import { crossings, drawColored, drawRows, frameOf, nearest } from "./lines.ts";
import { cleared, useSize } from "./size.ts";
import { setAxes } from "./state.ts";
import { Tip, type Pointed } from "./tip.tsx";

interface ParallelProps {
  table: RunTable;
  axes: readonly Axis[];
  brushes: Brushes;
  /** A byte a row; null for all. */
  chosen: Uint8Array | null;
  coloring: Coloring;
  nameOf: (row: number) => string;
}

export function Parallel({ table, axes, brushes, chosen, coloring, nameOf }: ParallelProps) {
  const [box, size] = useSize<HTMLDivElement>();
  const behind = useRef<HTMLCanvasElement>(null);
  const front = useRef<HTMLCanvasElement>(null);
  const above = useRef<HTMLCanvasElement>(null);
  const [pointed, setPointed] = useState<Pointed | null>(null);
  const { length } = table;
  const frame = useMemo(() => frameOf(axes.length, size.width, size.height), [axes.length, size.width, size.height]);
  const y = useMemo(() => crossings(axes, frame, length), [axes, frame, length]);
  const lit = pointed?.row ?? -1;
  const shade = theme.value;

  // All runs, pale: drawn anew only where they move, and not while a range is dragged.
  useLayoutEffect(() => {
    const context = behind.current && cleared(behind.current, frame);
    if (!context || !chosen) return;
    context.strokeStyle = resolved("--muted");
    context.globalAlpha = length > 2000 ? 0.05 : length > 200 ? 0.12 : 0.22;
    drawRows(context, frame, y, Array.from({ length }, (_, row) => row), length);
  }, [frame, y, length, shade, chosen === null]);

  useEffect(() => {
    const canvas = front.current;
    if (!canvas) return;
    const drawing = requestAnimationFrame(() => {
      const context = cleared(canvas, frame);
      if (!context) return;
      drawColored(context, frame, y, length, coloring, chosen);
    });
    return () => cancelAnimationFrame(drawing);
  }, [frame, y, length, shade, chosen, coloring]);

  useLayoutEffect(() => {
    const context = above.current && cleared(above.current, frame);
    if (!context || lit < 0) return;
    context.strokeStyle = resolved("--text");
    context.lineWidth = 2.5;
    drawRows(context, frame, y, [lit], length);
  }, [frame, y, length, shade, lit]);

  const point = (event: PointerEvent) => {
    const bounds = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const [px, py] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const row = event.buttons ? -1 : nearest(frame, y, length, chosen, px, py);
    setPointed(row < 0 ? null : { row, x: px, y: py });
  };
  const moveAxis = (from: number, to: number) => {
    if (to < 0 || to >= axes.length || from === to) return;
    const names = axes.map(({ name }) => name);
    names.splice(to, 0, ...names.splice(from, 1));
    setAxes(names);
  };
  const id = pointed ? table.ids[pointed.row] : undefined;
  return (
    <div class="parallel" role="group" aria-label="Parallel coordinates">
      <div class="parallel-inside" style={{ minWidth: `${frame.width}px` }}>
        <div class="parallel-heads">
          {axes.map((axis, at) => (
            <AxisHead key={axis.name} axis={axis} x={frame.x[at] ?? 0} at={at} axes={frame.x} move={(to) => moveAxis(at, to)} remove={() => setAxes(axes.filter((one) => one !== axis).map(({ name }) => name))} removable={axes.length > 1} />
          ))}
        </div>
        <div
          class={`parallel-plot ${lit >= 0 ? "pointing" : ""}`}
          ref={box}
          onPointerMove={point}
          onPointerLeave={() => setPointed(null)}
          onClick={() => id && navigate(["runs", id])}
        >
          <canvas ref={behind} aria-hidden style={{ width: `${frame.width}px`, height: `${frame.height}px` }} />
          <canvas ref={front} role="img" aria-label={`${length} runs over ${axes.map(({ label }) => label).join(", ")}`} style={{ width: `${frame.width}px`, height: `${frame.height}px` }} />
          <canvas ref={above} aria-hidden style={{ width: `${frame.width}px`, height: `${frame.height}px` }} />
          {size.height > 0 && axes.map((axis, at) => (
            <AxisBar key={axis.name} axis={axis} x={frame.x[at] ?? 0} frame={frame} range={brushes.get(axis.name)} />
          ))}
          {pointed && <Tip pointed={pointed} width={frame.width} title={nameOf(pointed.row)} axes={axes} />}
        </div>
      </div>
    </div>
  );
}
