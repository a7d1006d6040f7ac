// Runs as lines across parallel axes, on a canvas: ten thousand of them in a few hundredths of a second.

import { placeOf, type Axis } from "./axis.ts";
import type { Coloring } from "./coloring.ts";

/** Where things are, in CSS pixels. missing: where runs without a place cross an axis, below it. */
export interface Frame {
  width: number;
  height: number;
  /** Of each axis, from the left. */
  x: readonly number[];
  top: number;
  bottom: number;
  missing: number;
}

export const AXIS_GAP_MIN = 104;

/** The frame of so many axes in so much room; it grows to the right where they would crowd. */
export function frameOf(axes: number, width: number, height: number): Frame {
  const side = 58;
  const gap = Math.max(AXIS_GAP_MIN, (width - 2 * side) / Math.max(1, axes - 1));
  const x = Array.from({ length: axes }, (_, at) => (axes === 1 ? width / 2 : side + at * gap));
  return { width: Math.max(width, 2 * side + gap * (axes - 1)), height, x, top: 12, bottom: height - 40, missing: height - 16 };
}

/** Where each run crosses each axis: y of all rows of the first axis, then of the second. */
export function crossings(axes: readonly Axis[], { top, bottom, missing }: Frame, length: number): Float32Array {
  const y = new Float32Array(axes.length * length);
  axes.forEach((axis, at) => {
    for (let row = 0; row < length; row++) {
      const place = placeOf(axis, axis.values[row] ?? NaN);
      y[at * length + row] = Number.isNaN(place) ? missing : bottom - place * (bottom - top);
    }
  });
  return y;
}

/** Draw these rows in one color. */
export function drawRows(context: CanvasRenderingContext2D, frame: Frame, y: Float32Array, rows: Iterable<number>, length: number): void {
  context.beginPath();
  for (const row of rows) {
    frame.x.forEach((x, at) => {
      const here = y[at * length + row] ?? 0;
      if (at) context.lineTo(x, here);
      else context.moveTo(x, here);
    });
  }
  context.stroke();
}

/** Draw the chosen rows in their colors: those of one color at once, the highest rank last. */
export function drawColored(
  context: CanvasRenderingContext2D, frame: Frame, y: Float32Array, length: number, coloring: Coloring, chosen: Uint8Array | null,
): void {
  const byRank = new Map<number, number[]>();
  let count = 0;
  for (let row = 0; row < length; row++) {
    if (chosen && !chosen[row]) continue;
    count += 1;
    const rank = coloring.rank(row);
    const rows = byRank.get(rank);
    if (rows) rows.push(row);
    else byRank.set(rank, [row]);
  }
  context.globalAlpha = count > 3000 ? 0.25 : count > 500 ? 0.45 : count > 100 ? 0.7 : 0.9;
  context.lineWidth = count > 500 ? 1 : 1.4;
  for (const [, rows] of [...byRank].sort(([a], [b]) => a - b)) {
    context.strokeStyle = coloring.of(rows[0] ?? 0);
    drawRows(context, frame, y, rows, length);
  }
  context.globalAlpha = 1;
}

const NEAR_PX = 9;

/** The chosen row whose line is nearest to a point, or -1 where none is near. */
export function nearest(frame: Frame, y: Float32Array, length: number, chosen: Uint8Array | null, px: number, py: number): number {
  const right = frame.x.findIndex((x) => x >= px);
  const at = right < 0 ? frame.x.length - 1 : Math.max(1, right);
  const [from, to] = [frame.x[at - 1] ?? 0, frame.x[at] ?? 0];
  const part = to > from ? Math.max(0, Math.min(1, (px - from) / (to - from))) : 0;
  let [found, distance] = [-1, NEAR_PX];
  for (let row = 0; row < length; row++) {
    if (chosen && !chosen[row]) continue;
    const [a, b] = [y[(at - 1) * length + row] ?? 0, y[at * length + row] ?? 0];
    const away = Math.abs(a + part * (b - a) - py);
    if (away < distance) [found, distance] = [row, away];
  }
  return found;
}
