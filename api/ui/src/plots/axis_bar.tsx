// One of parallel axes: its head with what can be done to it, its ticks, and the range that is chosen on it.

import { useRef } from "preact/hooks";
import { IconButton } from "../ui/button";
import { placeOf, textOf, ticksOf, valueAt, type Axis } from "./axis.ts";
import { placesOf, rangeBetween, type Range } from "./brush.ts";
import type { Frame } from "./lines.ts";
import { dragBrush, dropBrush, setBrush, setLog } from "./state.ts";

interface HeadProps {
  axis: Axis;
  x: number;
  at: number;
  /** Where all axes are. */
  axes: readonly number[];
  move: (to: number) => void;
  remove: () => void;
  removable: boolean;
}

/** The name is dragged, or moved by the arrow keys, to where the axis shall stand. */
export function AxisHead({ axis, x, at, axes, move, remove, removable }: HeadProps) {
  const key = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    move(at + step);
  };
  const dragged = useRef<number | null>(null);
  const down = (event: PointerEvent) => {
    dragged.current = event.clientX;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
  };
  const up = (event: PointerEvent) => {
    if (dragged.current === null) return;
    const target = x + event.clientX - dragged.current;
    dragged.current = null;
    const distances = axes.map((one) => Math.abs(one - target));
    move(distances.indexOf(Math.min(...distances)));
  };
  return (
    <div class="axis-head" role="group" aria-label={`Axis ${axis.label}`} style={{ left: `${x}px` }}>
      <button type="button" class="axis-name clip" title={`${axis.name} – drag, or use the arrow keys, to move the axis`} onKeyDown={key} onPointerDown={down} onPointerUp={up} onPointerCancel={() => (dragged.current = null)}>
        {axis.label}
      </button>
      <span class="axis-tools">
        {axis.canLog && (
          <button type="button" class="axis-log" aria-pressed={axis.log} aria-label={`log axis ${axis.label}`} title="Logarithmic axis" onClick={() => setLog(axis.name, !axis.log)}>
            log
          </button>
        )}
        {removable && <IconButton small icon="close" label={`Remove axis ${axis.label}`} onClick={remove} />}
      </span>
    </div>
  );
}

const STEPS = 50;
const CLICK_PX = 4;
const GRAB_PX = 7;

export function AxisBar({ axis, x, frame, range }: { axis: Axis; x: number; frame: Frame; range: Range | undefined }) {
  const { top, bottom } = frame;
  const height = bottom - top;
  const yOf = (place: number) => bottom - place * height;
  const places = placesOf(axis, range);
  const [lo, hi] = places ?? [0, 1];
  const drag = useRef<{ from: number; fixed: number | null; shift: [number, number] | null; moved: boolean } | null>(null);

  const placeAt = (event: PointerEvent) => {
    const bounds = (event.currentTarget as SVGElement).getBoundingClientRect();
    return Math.max(0, Math.min(1, 1 - (event.clientY - bounds.top) / bounds.height));
  };
  const down = (event: PointerEvent) => {
    event.preventDefault();
    (event.currentTarget as SVGElement).setPointerCapture(event.pointerId);
    const from = placeAt(event);
    const grab = GRAB_PX / height;
    // An end of the range is moved, or all of it; elsewhere a new one begins.
    const fixed = places && Math.abs(from - lo) < grab ? hi : places && Math.abs(from - hi) < grab ? lo : null;
    const inside = places && fixed === null && from > lo && from < hi;
    drag.current = { from, fixed, shift: inside ? [lo, hi] : null, moved: false };
  };
  const move = (event: PointerEvent) => {
    const now = drag.current;
    if (!now) return;
    const place = placeAt(event);
    if (!now.moved && Math.abs(place - now.from) * height < CLICK_PX) return;
    now.moved = true;
    if (now.shift) {
      const by = Math.max(-now.shift[0], Math.min(1 - now.shift[1], place - now.from));
      dragBrush(axis.name, rangeBetween(axis, now.shift[0] + by, now.shift[1] + by));
    } else dragBrush(axis.name, rangeBetween(axis, now.fixed ?? now.from, place));
  };
  const up = (event: PointerEvent) => {
    event.stopPropagation();
    if (drag.current?.moved) dropBrush();
    else if (drag.current) setBrush(axis.name, null);
    drag.current = null;
  };
  return (
    <>
      <svg class="axis" width={frame.width} height={frame.height} aria-hidden>
        <line class="axis-line" x1={x} x2={x} y1={top} y2={bottom} />
        {ticksOf(axis, Math.max(2, Math.floor(height / 42))).map(({ value, label }) => (
          <g key={value} transform={`translate(${x} ${yOf(placeOf(axis, value))})`}>
            <line class="axis-line" x1={-4} x2={0} />
            <text x={-7} dy="0.32em" text-anchor="end">{label.length > 14 ? `${label.slice(0, 13)}…` : label}</text>
          </g>
        ))}
        {axis.unplaced > 0 && (
          <g transform={`translate(${x} ${frame.missing})`}>
            <circle class="axis-line" r={3} />
            <text x={-7} dy="0.32em" text-anchor="end">none</text>
          </g>
        )}
        {places && <rect class="axis-range" x={x - 7} width={14} y={yOf(Math.min(1, hi))} height={Math.max(2, (Math.min(1, hi) - Math.max(0, lo)) * height)} rx={3} />}
        <rect class="axis-catch" data-axis={axis.name} x={x - 14} width={28} y={top} height={height} onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={up} onClick={(event) => event.stopPropagation()} />
      </svg>
      <Thumb axis={axis} end="lo" place={Math.max(0, lo)} other={hi} left={x} top={yOf(Math.max(0, lo))} set={places !== null} />
      <Thumb axis={axis} end="hi" place={Math.min(1, hi)} other={lo} left={x} top={yOf(Math.min(1, hi))} set={places !== null} />
    </>
  );
}

interface ThumbProps {
  axis: Axis;
  end: "lo" | "hi";
  place: number;
  other: number;
  left: number;
  top: number;
  set: boolean;
}

/** An end of the range for the keyboard: arrows move it, Escape takes the range away. */
function Thumb({ axis, end, place, other, left, top, set }: ThumbProps) {
  const step = axis.kind === "text" ? 1 / axis.categories.length : 1 / STEPS;
  const key = (event: KeyboardEvent) => {
    const by = { ArrowUp: step, ArrowRight: step, ArrowDown: -step, ArrowLeft: -step, PageUp: 5 * step, PageDown: -5 * step }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? 1 : by === undefined ? null : place + by;
    if (event.key === "Escape" && set) {
      event.stopPropagation();
      setBrush(axis.name, null);
    }
    if (to === null) return;
    event.preventDefault();
    const bounded = end === "lo" ? Math.max(0, Math.min(other, to)) : Math.min(1, Math.max(other, to));
    setBrush(axis.name, end === "lo" ? rangeBetween(axis, bounded, other) : rangeBetween(axis, other, bounded));
  };
  return (
    <span
      class={`axis-thumb ${end} ${set ? "set" : ""}`}
      role="slider"
      tabIndex={0}
      aria-label={`${axis.label} ${end === "lo" ? "from" : "to"}`}
      aria-orientation="vertical"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(place * 100)}
      aria-valuetext={textOf(axis, axis.kind === "text" ? Math.max(0, Math.min(axis.categories.length - 1, Math.round(valueAt(axis, place)))) : valueAt(axis, place))}
      style={{ left: `${left}px`, top: `${top}px` }}
      onKeyDown={key}
    />
  );
}
