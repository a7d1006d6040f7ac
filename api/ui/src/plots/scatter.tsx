// Runs as points over two columns, alone or on the contours of a third; a rectangle that is dragged chooses runs.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { counted } from "../format.ts";
import { theme } from "../theme.ts";
import type { RunTable } from "../model.ts";
import { navigate, route } from "../router.ts";
import { placeOf, ticksOf, type Axis } from "./axis.ts";
import { placesOf, rangeBetween, type Brushes } from "./brush.ts";
import type { Coloring } from "./coloring.ts";
import { surface } from "./contour.ts";
import { drawPoints, drawRing, drawSurface, nearestPoint, padded, planeOf, positions } from "./field.ts";
import { cleared, useSize } from "./size.ts";
import { readState, setBrushes } from "./state.ts";
import { Tip, type Pointed } from "./tip.tsx";

interface ScatterProps {
  table: RunTable;
  x: Axis;
  y: Axis;
  /** Heights of the contours. */
  z?: Axis | undefined;
  /** More columns whose values the tip tells. */
  told: readonly Axis[];
  brushes: Brushes;
  chosen: Uint8Array | null;
  coloring: Coloring;
  nameOf: (row: number) => string;
}

const CLICK_PX = 4;
/** Less is too narrow for the name of an axis in its middle and a note beside it. */
const NARROW = 480;

export function Scatter({ table, x: xGiven, y: yGiven, z, told, brushes, chosen, coloring, nameOf }: ScatterProps) {
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [pointed, setPointed] = useState<Pointed | null>(null);
  const [drag, setDrag] = useState<{ x: number; y: number; toX: number; toY: number } | null>(null);
  const { length } = table;
  const [x, y] = useMemo(() => [padded(xGiven), padded(yGiven)], [xGiven, yGiven]);
  const plane = useMemo(() => planeOf(size), [size]);
  const at = useMemo(() => positions(x, y, plane, length), [x, y, plane, length]);
  const heights = useMemo(() => {
    if (!z) return null;
    const places = (axis: Axis) => Float64Array.from(axis.values, (value) => placeOf(axis, value));
    return surface(places(x), places(y), z.values);
  }, [x, y, z]);
  const lit = pointed?.row ?? -1;
  const shade = theme.value;
  useLayoutEffect(() => {
    const context = canvas.current && size.width > 0 ? cleared(canvas.current, size) : null;
    if (!context) return;
    if (heights) drawSurface(context, heights, plane);
    drawPoints(context, at, coloring, chosen, heights !== null || length < 500);
    if (lit >= 0) drawRing(context, at, lit);
  }, [at, size, plane, heights, chosen, coloring, lit, shade]);

  const [wide, high] = [plane.right - plane.left, plane.bottom - plane.top];
  const spot = (event: PointerEvent) => {
    const bounds = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top] as const;
  };
  const down = (event: PointerEvent) => {
    if (event.button) return;
    const [px, py] = spot(event);
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    setDrag({ x: px, y: py, toX: px, toY: py });
  };
  const move = (event: PointerEvent) => {
    const [px, py] = spot(event);
    if (drag) {
      setDrag({ ...drag, toX: px, toY: py });
      setPointed(null);
      return;
    }
    const row = nearestPoint(at, px, py);
    setPointed(row < 0 ? null : { row, x: px, y: py });
  };
  const up = (event: PointerEvent) => {
    if (!drag) return;
    const [px, py] = spot(event);
    setDrag(null);
    const next = new Map(readState(route.peek().query).brushes);
    if (Math.hypot(px - drag.x, py - drag.y) < CLICK_PX) {
      const id = table.ids[nearestPoint(at, px, py)];
      if (id) return navigate(["runs", id]);
      next.delete(x.name);
      next.delete(y.name);
    } else {
      const across = rangeBetween(x, (drag.x - plane.left) / wide, (px - plane.left) / wide);
      const along = rangeBetween(y, (plane.bottom - drag.y) / high, (plane.bottom - py) / high);
      for (const [name, range] of [[x.name, across], [y.name, along]] as const) {
        if (range) next.set(name, range);
        else next.delete(name);
      }
    }
    setBrushes(next);
  };
  const boxed = useMemo(() => chosenBox(x, y, brushes), [x, y, brushes]);
  const lacking = lackingOf(x, y, length);
  return (
    <div
      class={`scatter ${lit >= 0 ? "pointing" : ""}`} ref={box}
      onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={() => setDrag(null)} onPointerLeave={() => setPointed(null)}
    >
      {size.height > 0 && <svg width={size.width} height={size.height} aria-hidden>
        {ticksOf(y, Math.max(2, Math.floor(high / 44))).map(({ value, label }) => (
          <g key={value} transform={`translate(${plane.left} ${plane.bottom - placeOf(y, value) * high})`}>
            <line class="plot-grid" x2={wide} />
            <text x={-8} dy="0.32em" text-anchor="end">{label.length > 10 ? `${label.slice(0, 9)}…` : label}</text>
          </g>
        ))}
        {ticksOf(x, Math.max(2, Math.floor(wide / 90))).map(({ value, label }) => (
          <g key={value} transform={`translate(${plane.left + placeOf(x, value) * wide} ${plane.bottom})`}>
            <line class="plot-grid" y2={-high} />
            <text y={16} text-anchor="middle">{label.length > 16 ? `${label.slice(0, 15)}…` : label}</text>
          </g>
        ))}
        <line class="axis-line" x1={plane.left} x2={plane.right} y1={plane.bottom} y2={plane.bottom} />
        <text class="plot-title" x={size.width < NARROW ? plane.left : plane.left + wide / 2} y={size.height - 8} text-anchor={size.width < NARROW ? "start" : "middle"}>{x.label}{x.log ? " (log)" : ""}</text>
        <text class="plot-title" transform={`translate(14 ${plane.top + high / 2}) rotate(-90)`} text-anchor="middle">{y.label}{y.log ? " (log)" : ""}</text>
      </svg>}
      <canvas ref={canvas} role="img" aria-label={`${length - lacking} runs: ${y.label} over ${x.label}${z ? `, contours of ${z.label}` : ""}`} style={{ width: `${size.width}px`, height: `${size.height}px` }} />
      {boxed && !drag && <div class="plot-box" style={{ left: `${plane.left + boxed.left * wide}px`, width: `${(boxed.right - boxed.left) * wide}px`, top: `${plane.bottom - boxed.top * high}px`, height: `${(boxed.top - boxed.bottom) * high}px` }} />}
      {drag && <div class="plot-box" style={{ left: `${Math.min(drag.x, drag.toX)}px`, width: `${Math.abs(drag.x - drag.toX)}px`, top: `${Math.min(drag.y, drag.toY)}px`, height: `${Math.abs(drag.y - drag.toY)}px` }} />}
      {pointed && <Tip pointed={pointed} width={size.width} title={nameOf(pointed.row)} axes={[...new Set([x, y, ...(z ? [z] : []), ...told])]} />}
      {lacking > 0 && <p class="plot-note" title="A value is missing, not finite, or not above 0 on a logarithmic axis">{counted(lacking, "run")} without a place</p>}
    </div>
  );
}

/** The rectangle of the ranges on both axes, in places from 0 to 1; the whole of an axis without a range. */
function chosenBox(x: Axis, y: Axis, brushes: Brushes): { left: number; right: number; bottom: number; top: number } | null {
  const [across, along] = [placesOf(x, brushes.get(x.name)), placesOf(y, brushes.get(y.name))];
  if (!across && !along) return null;
  const [left, right] = bounded(across);
  const [bottom, top] = bounded(along);
  return { left, right, bottom, top };
}

function bounded(places: [number, number] | null): [number, number] {
  return places ? [Math.max(0, places[0]), Math.min(1, places[1])] : [0, 1];
}

function lackingOf(x: Axis, y: Axis, length: number): number {
  let count = 0;
  for (let row = 0; row < length; row++) if (Number.isNaN(x.values[row] ?? NaN) || Number.isNaN(y.values[row] ?? NaN)) count += 1;
  return count;
}
