// A surface through scattered runs, and its lines of equal height. Where no runs are near, there is no surface.

export interface Surface {
  columns: number;
  rows: number;
  /** Heights, row by row from the lowest y; NaN where no runs are near. */
  heights: Float64Array;
  lo: number;
  hi: number;
}

export interface Line {
  level: number;
  /** Two ends of a piece, x and y from 0 to 1, four numbers a piece. */
  pieces: Float64Array;
}

/** Less than this part of what one run counts at its own place is too far from any. */
const NEAR = 0.08;

/**
 * A mean of the heights of the runs near each place, weighed by a bell curve (Nadaraya–Watson kernel regression).
 * x, y: from 0 to 1, NaN for runs to leave out; z: heights, of the same length.
 * The bell's width falls with the number of runs, as Silverman's rule has it.
 */
export function surface(x: ArrayLike<number>, y: ArrayLike<number>, z: ArrayLike<number>, columns = 96, rows = 72): Surface {
  const sums = new Float64Array(columns * rows);
  const counts = new Float64Array(columns * rows);
  let runs = 0;
  for (let i = 0; i < z.length; i++) {
    const [px, py, height] = [x[i] ?? NaN, y[i] ?? NaN, z[i] ?? NaN];
    if (!(px >= 0 && px <= 1 && py >= 0 && py <= 1 && Number.isFinite(height))) continue;
    const at = Math.round(py * (rows - 1)) * columns + Math.round(px * (columns - 1));
    sums[at] = (sums[at] ?? 0) + height;
    counts[at] = (counts[at] ?? 0) + 1;
    runs += 1;
  }
  const width = Math.max(0.025, 0.25 * Math.max(1, runs) ** (-1 / 6));
  const blurredSums = blurred(sums, columns, rows, width);
  const blurredCounts = blurred(counts, columns, rows, width);
  const heights = new Float64Array(columns * rows).fill(NaN);
  let [lo, hi] = [Infinity, -Infinity];
  for (let at = 0; at < heights.length; at++) {
    const weight = blurredCounts[at] ?? 0;
    if (weight < NEAR) continue;
    const height = (blurredSums[at] ?? 0) / weight;
    heights[at] = height;
    lo = Math.min(lo, height);
    hi = Math.max(hi, height);
  }
  return { columns, rows, heights, lo, hi };
}

/** Each value spread as a bell curve with the height 1, first along rows, then along columns. */
function blurred(values: Float64Array, columns: number, rows: number, width: number): Float64Array {
  const along = spread(values, columns, rows, width * columns, 1, columns);
  return spread(along, rows, columns, width * rows, columns, 1);
}

function spread(values: Float64Array, length: number, lines: number, sigma: number, step: number, lineStep: number): Float64Array {
  const reach = Math.ceil(3 * sigma);
  const bell = Float64Array.from({ length: 2 * reach + 1 }, (_, at) => Math.exp(-0.5 * ((at - reach) / sigma) ** 2));
  const found = new Float64Array(values.length);
  for (let line = 0; line < lines; line++) {
    for (let from = 0; from < length; from++) {
      const value = values[line * lineStep + from * step] ?? 0;
      if (value === 0) continue;
      const last = Math.min(length - 1, from + reach);
      for (let to = Math.max(0, from - reach); to <= last; to++) {
        const at = line * lineStep + to * step;
        found[at] = (found[at] ?? 0) + value * (bell[to - from + reach] ?? 0);
      }
    }
  }
  return found;
}

/** `count` heights between the lowest and the highest, evenly; none where the surface is flat. */
export function levels({ lo, hi }: Pick<Surface, "lo" | "hi">, count: number): number[] {
  // Less than this is what rounding gives.
  if (!(hi - lo > 1e-9 * Math.max(Math.abs(lo), Math.abs(hi)))) return [];
  return Array.from({ length: count }, (_, at) => lo + ((at + 1) * (hi - lo)) / (count + 1));
}

/** Marching squares: where the surface has this height. */
export function lineAt({ columns, rows, heights }: Surface, level: number): Line {
  const pieces: number[] = [];
  for (let row = 0; row + 1 < rows; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      const at = row * columns + column;
      const corners = [heights[at], heights[at + 1], heights[at + columns + 1], heights[at + columns]] as [number, number, number, number];
      if (corners.some(Number.isNaN)) continue;
      const ends: number[] = [];
      for (let side = 0; side < 4; side++) {
        const [a, b] = [corners[side] ?? 0, corners[(side + 1) % 4] ?? 0];
        if (a >= level === b >= level) continue;
        const part = (level - a) / (b - a);
        const [x, y] = side === 0 ? [part, 0] : side === 1 ? [1, part] : side === 2 ? [1 - part, 1] : [0, 1 - part];
        ends.push((column + x) / (columns - 1), (row + y) / (rows - 1));
      }
      // A saddle has four ends: two pieces.
      pieces.push(...ends.slice(0, 4), ...(ends.length === 8 ? ends.slice(4) : []));
    }
  }
  return { level, pieces: Float64Array.from(pieces) };
}
