// Places on an axis that are worth a label.

import { number } from "../format.ts";

export interface Tick {
  value: number;
  label: string;
}

/** Round numbers from lo to hi, about `count` of them: steps of 1, 2 or 5 times a power of ten. */
export function linearTicks(lo: number, hi: number, count: number): Tick[] {
  if (!(hi > lo)) return [{ value: lo, label: number(lo) }];
  const rough = (hi - lo) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const ticks: Tick[] = [];
  for (let n = Math.ceil(lo / step - 1e-9); n * step <= hi + step * 1e-9 && ticks.length < 100; n++) {
    // The product has the errors of binary fractions: 3 * 0.1 is no 0.3.
    const value = Number((n * step).toPrecision(12));
    ticks.push({ value, label: number(value) });
  }
  return ticks;
}

/** Powers of ten from lo to hi; with 2 and 5 times of these where there are few, every second or third where many. */
export function logTicks(lo: number, hi: number, count: number): Tick[] {
  const first = Math.ceil(Math.log10(lo) - 1e-9);
  const last = Math.floor(Math.log10(hi) + 1e-9);
  const decades = Math.log10(hi / lo);
  const factors = decades * 3 <= count ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / Math.max(1, count)));
  const ticks: Tick[] = [];
  for (let power = first - 1; power <= last; power++) {
    if ((power - first) % every) continue;
    for (const factor of factors) {
      const value = Number(`${factor}e${power}`);
      if (value >= lo * (1 - 1e-9) && value <= hi * (1 + 1e-9)) ticks.push({ value, label: number(value) });
    }
  }
  return ticks.length >= 2 ? ticks : linearTicks(lo, hi, count);
}

const STEPS_MS = [1e3, 5e3, 15e3, 60e3, 300e3, 900e3, 3600e3, 10_800e3, 43_200e3, 86_400e3, 7 * 86_400e3, 30 * 86_400e3, 365 * 86_400e3];

/** Round times, in milliseconds since the epoch. */
export function timeTicks(lo: number, hi: number, count: number): Tick[] {
  const rough = (hi - lo) / Math.max(1, count);
  const step = STEPS_MS.find((one) => one >= rough) ?? rough;
  const shift = new Date(lo).getTimezoneOffset() * 60e3;
  const parts: Intl.DateTimeFormatOptions =
    step >= 86_400e3 ? { month: "short", day: "numeric" } : step >= 60e3 ? { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const ticks: Tick[] = [];
  for (let value = Math.ceil((lo - shift) / step) * step + shift; value <= hi && ticks.length < 100; value += step) {
    ticks.push({ value, label: new Date(value).toLocaleString("en-GB", { ...parts, hour12: false }) });
  }
  return ticks;
}
