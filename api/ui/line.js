// @ts-check
// One run's series as it is drawn: every bucket's first, min, max and last in their places, gaps at NaN, and smoothing.

import { decode } from "./server.js";

/** @typedef {import("./server.js").Series} Series */
/**
 * @typedef {object} Line
 * @property {string} id
 * @property {number} points
 * @property {boolean} bucketed
 * @property {Float64Array} px the path; up to four vertices a bucket
 * @property {Float64Array} py NaN lifts the pen
 * @property {Float64Array} x of each bucket's last point: what the crosshair finds
 * @property {Float64Array} value of each bucket's last point
 * @property {Float64Array} smoothed
 * @property {number[]} nan x of buckets with NaN
 * @property {number[]} over x of +∞
 * @property {number[]} under x of −∞
 * @property {number} low smallest finite value
 * @property {number} lowPositive smallest finite value above 0, for a log axis
 * @property {number} high largest finite value
 */

/** @param {Series} series @param {number} smooth @returns {Line} */
export function line(series, smooth) {
  const buckets = series.x.length;
  const px = new Float64Array(buckets * 4);
  const py = new Float64Array(buckets * 4);
  const x = new Float64Array(buckets);
  const value = new Float64Array(buckets);
  /** @type {number[]} */ const nan = [];
  /** @type {number[]} */ const over = [];
  /** @type {number[]} */ const under = [];
  let n = 0;
  let low = Infinity;
  let lowPositive = Infinity;
  let high = -Infinity;
  /** @param {number} at @param {number} y */
  const put = (at, y) => {
    px[n] = at;
    py[n++] = Number.isFinite(y) ? y : NaN;
    if (!Number.isFinite(y)) return;
    if (y < low) low = y;
    if (y > high) high = y;
    if (y > 0 && y < lowPositive) lowPositive = y;
  };
  for (let i = 0; i < buckets; i++) {
    const last = decode(series.last[i]);
    x[i] = series.x_last[i];
    value[i] = last;
    if (series.nan[i]) nan.push(series.x_last[i]);
    const least = decode(series.min[i]);
    const most = decode(series.max[i]);
    if (most === Infinity) over.push(series.x_last[i]);
    if (least === -Infinity) under.push(series.x_last[i]);
    if (!series.bucketed) {
      put(series.x[i], last);
      continue;
    }
    const first = decode(series.first[i]);
    const middle = (series.x[i] + series.x_last[i]) / 2;
    put(series.x[i], first);
    if (series.count[i] > 2) {
      put(middle, first < last ? least : most);
      put(middle, first < last ? most : least);
    }
    if (series.count[i] > 1) put(series.x_last[i], last);
  }
  const made = { id: series.run_id, points: series.points, bucketed: series.bucketed, px: px.subarray(0, n), py: py.subarray(0, n), x, value, nan, over, under, low, lowPositive, high };
  return { ...made, smoothed: smoothed(value, smooth) };
}

/**
 * Exponential moving average, without the pull towards zero at the start; what is not finite is passed over.
 * @param {Float64Array} values @param {number} weight
 */
export function smoothed(values, weight) {
  if (!weight) return values;
  const out = new Float64Array(values.length);
  let mean = 0;
  let mass = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (Number.isFinite(value)) {
      mean = weight * mean + (1 - weight) * value;
      mass = weight * mass + (1 - weight);
      out[i] = mean / mass;
    } else out[i] = NaN;
  }
  return out;
}

/** The index of the x nearest to a place; -1 in an empty line. @param {Float64Array} x rising @param {number} at */
export function nearest(x, at) {
  let low = 0;
  let high = x.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - x[low - 1] <= x[low] - at ? low - 1 : x.length ? low : -1;
}
