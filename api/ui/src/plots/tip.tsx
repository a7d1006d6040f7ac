// What the pointer is on: a run and its values.

import { textOf, type Axis } from "./axis.ts";

/** A row of the table, and where the pointer is, in pixels of the plot. */
export interface Pointed {
  row: number;
  x: number;
  y: number;
}

const WIDTH = 220;

export function Tip({ pointed, width, title, axes }: { pointed: Pointed; width: number; title: string; axes: readonly Axis[] }) {
  const left = pointed.x + 16 + WIDTH > width ? Math.max(0, pointed.x - WIDTH - 16) : pointed.x + 16;
  return (
    <div class="plot-tip" style={{ left: `${left}px`, top: `${pointed.y + 12}px` }} aria-hidden>
      <b class="clip">{title}</b>
      <dl>
        {axes.map((axis) => (
          <div key={axis.name}>
            <dt class="clip">{axis.label}</dt>
            <dd>{textOf(axis, axis.values[pointed.row] ?? NaN)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
