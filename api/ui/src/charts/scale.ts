// What an axis spans, and how its ticks read.

import { number } from "../format";

export type Span = readonly [number, number];

/** The part of sorted numbers that lies below a share of them, between two in proportion. */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const a = sorted[below] ?? NaN;
  const b = sorted[Math.min(below + 1, sorted.length - 1)] ?? NaN;
  return a + (b - a) * (place - below);
}

/** How many numbers are looked at to find outliers, evenly chosen. */
const SAMPLE = 20_000;

/**
 * The least and greatest number of several lists that an axis shows; undefined where there is none.
 *
 * log: only what is above 0. safe: what lies further from the middle half of all than three times that half's width is an
 * outlier and is left out.
 */
export function reach(lists: readonly Float64Array[], { log = false, safe = false } = {}): Span | undefined {
  let [low, high, count] = [Infinity, -Infinity, 0];
  for (const list of lists) {
    for (const value of list) {
      if (!Number.isFinite(value) || (log && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
      count++;
    }
  }
  if (!count) return undefined;
  if (!safe || count < 8) return [low, high];
  const stride = Math.max(1, Math.floor(count / SAMPLE));
  const sample = new Float64Array(Math.ceil(count / stride));
  let [seen, kept] = [0, 0];
  for (const list of lists) {
    for (const value of list) {
      if (!Number.isFinite(value) || (log && value <= 0)) continue;
      if (seen++ % stride === 0) sample[kept++] = log ? Math.log10(value) : value;
    }
  }
  const sorted = sample.subarray(0, kept).sort();
  const [q1, q3] = [quantile(sorted, 0.25), quantile(sorted, 0.75)];
  const spread = q3 - q1;
  if (!(spread > 0)) return [low, high];
  const back = (value: number) => (log ? 10 ** value : value);
  return [Math.max(low, back(q1 - 3 * spread)), Math.min(high, back(q3 + 3 * spread))];
}

/** A span with some room at both ends, of a length above 0. */
export function padded(span: Span | undefined, log: boolean): Span {
  let [low, high] = span ?? (log ? [0.1, 1] : [0, 1]);
  if (log) {
    if (low === high) [low, high] = [low / 2, high * 2];
    const pad = (high / low) ** 0.04;
    return [low / pad, high * pad];
  }
  const pad = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.06;
  return [low - pad, high + pad];
}

/** A tick without the noise of binary fractions. */
export function tidy(value: number): number {
  return Number(value.toPrecision(6));
}

/** A step as a tick shows it. */
export function compact(step: number): string {
  const size = Math.abs(step);
  const text = size >= 1e9 ? `${tidy(step / 1e9)}G` : size >= 1e6 ? `${tidy(step / 1e6)}M` : size >= 1e4 ? `${tidy(step / 1e3)}k` : String(tidy(step));
  return text.replace("-", "−");
}

/** A length of time as a tick shows it. */
export function clock(ms: number): string {
  const sign = ms < 0 ? "−" : "";
  const s = Math.abs(ms) / 1000;
  if (s < 60) return `${sign}${tidy(s)}s`;
  if (s < 3600) return `${sign}${Math.floor(s / 60)}m${s % 60 ? ` ${Math.round(s % 60)}s` : ""}`;
  if (s < 86400) return `${sign}${Math.floor(s / 3600)}h${s % 3600 ? ` ${Math.round((s % 3600) / 60)}m` : ""}`;
  return `${sign}${Math.floor(s / 86400)}d${s % 86400 ? ` ${Math.round((s % 86400) / 3600)}h` : ""}`;
}

/** A value as a tick shows it. */
export function tick(value: number | null): string {
  return value === null ? "" : number(tidy(value));
}

/** Distances between ticks of a step axis: whole steps. */
export function steps(): number[] {
  const found = [];
  for (let power = 1; power < 1e18; power *= 10) found.push(power, 2 * power, 5 * power);
  return found;
}

/** Distances between ticks of a length of time, ms. */
export function spans(): number[] {
  const [s, m, h, d] = [1000, 60_000, 3_600_000, 86_400_000];
  const found = [1, 2, 5, 10, 20, 50, 100, 200, 500, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 3 * h, 6 * h, 12 * h, d];
  for (let days = 2; days < 1e6; days *= 2) found.push(days * d);
  return found;
}
