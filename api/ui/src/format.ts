// Numbers, times and sizes as people read them.

/** four significant digits; an exponent where zeros would crowd. */
export function number(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-4)) {
    return trimmed(value.toExponential(3)).replace("e+", "e").replaceAll("-", "−");
  }
  if (Number.isInteger(value)) return value.toLocaleString("en-US").replace("-", "−");
  const digits = size >= 1000 ? 1 : Math.max(0, 3 - Math.floor(Math.log10(size)));
  const fixed = trimmed(value.toFixed(Math.min(digits, 8)));
  return (size >= 1000 ? Number(fixed).toLocaleString("en-US") : fixed).replace("-", "−");
}

function trimmed(text: string): string {
  return text.replace(/\.?0+(?=e|$)/, (zeros, at) => (text.slice(0, at).includes(".") || zeros.startsWith(".") ? "" : zeros));
}

/** A length of time in milliseconds. */
export function duration(ms: number): string {
  if (!(ms >= 0)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} m ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  const h = Math.floor(m / 60);
  if (h < 48) return `${h} h ${String(m % 60).padStart(2, "0")} m`;
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** How long ago a time is; both in milliseconds since the epoch. */
export function ago(ms: number, now: number): string {
  const s = Math.max(0, (now - ms) / 1000);
  if (s < 5) return "just now";
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  if (s < 86400 * 30) return `${Math.floor(s / 86400)} d ago`;
  return new Date(ms).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

/** A time, in milliseconds since the epoch, in full. */
export function moment(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toLocaleString();
}

/** A number of bytes. */
export function size(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/** A number of things, such as `1 run` or `2,000 runs`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}
