// One series as it is drawn: every bucket's first, min, max and last in their places, gaps at NaN, and smoothing.

/** Buckets of one run's metric, as the server answers them; x rises. min and max are NaN where all are NaN. */
export interface Buckets {
  x: Float64Array;
  xLast: Float64Array;
  first: Float64Array;
  last: Float64Array;
  min: Float64Array;
  max: Float64Array;
  count: Float64Array;
  nan: Float64Array;
}

export interface Line {
  id: string;
  /** How many points were logged in the range. */
  points: number;
  /** Whether any bucket holds several points. */
  bucketed: boolean;
  /** The path: up to four vertices a bucket; a y of NaN lifts the pen. */
  px: Float64Array;
  py: Float64Array;
  /** Of each bucket's last point, and of its first one: what the crosshair finds. */
  x: Float64Array;
  value: Float64Array;
  xFirst: Float64Array;
  first: Float64Array;
  /** Places of NaN, +∞ and −∞. */
  nan: readonly number[];
  over: readonly number[];
  under: readonly number[];
}

/** The line of a run. */
export function lineOf(id: string, buckets: Buckets): Line {
  const size = buckets.x.length;
  const px = new Float64Array(size * 4);
  const py = new Float64Array(size * 4);
  const nan: number[] = [];
  const over: number[] = [];
  const under: number[] = [];
  let [n, points, bucketed] = [0, 0, false];
  const put = (x: number, y: number) => {
    px[n] = x;
    py[n++] = Number.isFinite(y) ? y : NaN;
  };
  for (let i = 0; i < size; i++) {
    const [x, xLast, count] = [buckets.x[i]!, buckets.xLast[i]!, buckets.count[i]!];
    const [first, last, least, most] = [buckets.first[i]!, buckets.last[i]!, buckets.min[i]!, buckets.max[i]!];
    points += count;
    if (buckets.nan[i]) nan.push(xLast);
    if (most === Infinity) over.push(xLast);
    if (least === -Infinity) under.push(xLast);
    put(x, first);
    if (count === 1) continue;
    if (xLast > x) bucketed = true;
    if (count > 2) {
      const middle = (x + xLast) / 2;
      put(middle, first < last ? least : most);
      put(middle, first < last ? most : least);
    }
    put(xLast, last);
  }
  return { id, points, bucketed, px: px.subarray(0, n), py: py.subarray(0, n), x: buckets.xLast, value: buckets.last, xFirst: buckets.x, first: buckets.first, nan, over, under };
}

/** Exponential moving average without the pull towards zero at the start; what is not finite is passed over. */
export function smoothed(values: Float64Array, weight: number): Float64Array {
  if (!weight) return values;
  const out = new Float64Array(values.length);
  let [mean, mass] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isFinite(value)) {
      mean = weight * mean + (1 - weight) * value;
      mass = weight * mass + (1 - weight);
      out[i] = mean / mass;
    } else out[i] = NaN;
  }
  return out;
}

/** The index of the x nearest to a place; -1 in an empty line. x rises. */
export function nearest(x: Float64Array, at: number): number {
  let low = 0;
  let high = x.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle]! < at) low = middle + 1;
    else high = middle;
  }
  if (!x.length) return -1;
  return low > 0 && at - x[low - 1]! <= x[low]! - at ? low - 1 : low;
}

/** The logged point nearest to a place, of those that begin or end a bucket: its bucket, x and value. */
export function pointNear(line: Line, at: number): { bucket: number; x: number; value: number } | undefined {
  const last = nearest(line.x, at);
  if (last < 0) return undefined;
  const first = nearest(line.xFirst, at);
  const [x, before] = [line.x[last]!, line.xFirst[first]!];
  return Math.abs(x - at) <= Math.abs(before - at) ? { bucket: last, x, value: line.value[last]! } : { bucket: first, x: before, value: line.first[first]! };
}
