// Runs as points of a plane, with a surface below them where a third column gives heights; on a canvas.

import { paint, resolved } from "../model.ts";
import { placeOf, valueAt, type Axis } from "./axis.ts";
import { rampChannels, type Coloring } from "./coloring.ts";
import { levels, lineAt, type Surface } from "./contour.ts";
import type { Size } from "./size.ts";

/** The plane in CSS pixels. */
export interface Plane {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export function planeOf({ width, height }: Size): Plane {
  return { left: 72, right: width - 18, top: 14, bottom: height - 46 };
}

const MARGIN = 0.04;

/** The axis with some room at its ends, so that no point is cut. */
export function padded(axis: Axis): Axis {
  if (axis.kind === "text") return axis;
  return { ...axis, lo: valueAt(axis, -MARGIN), hi: valueAt(axis, 1 + MARGIN) };
}

/** Where each run is, in pixels: x of the first, y of the first, x of the second …; NaN for a run without a place. */
export function positions(x: Axis, y: Axis, { left, right, top, bottom }: Plane, length: number): Float32Array {
  const found = new Float32Array(2 * length);
  for (let row = 0; row < length; row++) {
    found[2 * row] = left + placeOf(x, x.values[row] ?? NaN) * (right - left);
    found[2 * row + 1] = bottom - placeOf(y, y.values[row] ?? NaN) * (bottom - top);
  }
  return found;
}

export function drawPoints(
  context: CanvasRenderingContext2D, at: Float32Array, coloring: Coloring, chosen: Uint8Array | null, outlined: boolean,
): void {
  const length = at.length / 2;
  const radius = length > 3000 ? 2.2 : length > 500 ? 3 : 4.5;
  const muted = resolved("--muted");
  context.strokeStyle = resolved("--card");
  context.lineWidth = 1;
  for (const pass of chosen ? [0, 1] : [1]) {
    for (let row = 0; row < length; row++) {
      if (chosen && Number(chosen[row]) !== pass) continue;
      const [x, y] = [at[2 * row] ?? NaN, at[2 * row + 1] ?? NaN];
      if (Number.isNaN(x) || Number.isNaN(y)) continue;
      context.globalAlpha = pass ? (length > 3000 ? 0.6 : 0.9) : 0.18;
      context.fillStyle = pass ? coloring.of(row) : muted;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
      if (outlined && pass) context.stroke();
    }
  }
  context.globalAlpha = 1;
}

/** A ring around one run. */
export function drawRing(context: CanvasRenderingContext2D, at: Float32Array, row: number): void {
  context.strokeStyle = resolved("--text");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(at[2 * row] ?? NaN, at[2 * row + 1] ?? NaN, 7, 0, 2 * Math.PI);
  context.stroke();
}

const BANDS = 10;

/** Bands of equal height in the colors of the ramp, and the lines between them. */
export function drawSurface(context: CanvasRenderingContext2D, found: Surface, plane: Plane): void {
  const { columns, rows, heights, lo, hi } = found;
  if (!(hi > lo)) return;
  const shades = rampChannels();
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const height = heights[row * columns + column] ?? NaN;
      if (Number.isNaN(height)) continue;
      const band = Math.min(BANDS - 1, Math.floor(((height - lo) / (hi - lo)) * BANDS));
      const shade = shades[Math.round((band / (BANDS - 1)) * (shades.length - 1))] ?? [0, 0, 0];
      image.data.set([...shade, 190], 4 * ((rows - 1 - row) * columns + column));
    }
  }
  const small = new OffscreenCanvas(columns, rows);
  small.getContext("2d")?.putImageData(image, 0, 0);
  const [width, height] = [plane.right - plane.left, plane.bottom - plane.top];
  // The outer cells lie half outside of the plane: their middles are on its edges.
  const [cellX, cellY] = [width / (columns - 1), height / (rows - 1)];
  context.save();
  context.beginPath();
  context.rect(plane.left, plane.top, width, height);
  context.clip();
  context.drawImage(small, plane.left - cellX / 2, plane.top - cellY / 2, width + cellX, height + cellY);
  context.strokeStyle = resolved("--card");
  context.globalAlpha = 0.7;
  context.lineWidth = 1;
  context.beginPath();
  for (const level of levels(found, BANDS - 1)) {
    const { pieces } = lineAt(found, level);
    for (let at = 0; at < pieces.length; at += 4) {
      context.moveTo(plane.left + (pieces[at] ?? 0) * width, plane.bottom - (pieces[at + 1] ?? 0) * height);
      context.lineTo(plane.left + (pieces[at + 2] ?? 0) * width, plane.bottom - (pieces[at + 3] ?? 0) * height);
    }
  }
  context.stroke();
  context.restore();
}

const NEAR_PX = 12;

/** The run nearest to a point, or -1 where none is near. */
export function nearestPoint(at: Float32Array, px: number, py: number): number {
  let [found, distance] = [-1, NEAR_PX ** 2];
  for (let row = 0; row < at.length / 2; row++) {
    const away = ((at[2 * row] ?? NaN) - px) ** 2 + ((at[2 * row + 1] ?? NaN) - py) ** 2;
    if (away < distance) [found, distance] = [row, away];
  }
  return found;
}

/** All points in one color where nothing tells them apart. */
export function plain(): Coloring {
  const color = resolved(paint(0));
  return { of: () => color, rank: () => 0, legend: null };
}
