// Bars beside each other: a metric by run, or its mean by the values of a column with the range of each.

import { useMemo } from "preact/hooks";
import { counted, number } from "../format.ts";
import type { RunTable } from "../model.ts";
import { href } from "../router.ts";
import { placeOf, type Axis } from "./axis.ts";
import { barsOf, type Bar } from "./bars.ts";
import type { Coloring } from "./coloring.ts";
import { setBrush } from "./state.ts";

const SHOWN_MAX = 200;

interface BarsProps {
  table: RunTable;
  metric: Axis;
  /** The column whose values are the groups; null for a bar a run. */
  by: Axis | null;
  chosen: Uint8Array | null;
  rising: boolean;
  coloring: Coloring;
  nameOf: (row: number) => string;
}

export function Bars({ table, metric, by, chosen, rising, coloring, nameOf }: BarsProps) {
  const bars = useMemo(() => barsOf(metric, by, nameOf, rising), [metric, by, nameOf, rising]);
  const colors = coloring;
  // Bars begin at 0, as their lengths are compared; a logarithmic axis has no 0, and begins below the least.
  const scale = metric.log ? { ...metric, lo: metric.lo / 2 } : { ...metric, lo: Math.min(0, metric.lo), hi: Math.max(0, metric.hi) };
  const zero = metric.log ? 0 : placeOf(scale, 0);
  return (
    <div class="bars scroll">
      <ol aria-label={`${metric.label} by ${by?.label ?? "run"}`}>
        {bars.slice(0, SHOWN_MAX).map((bar) => (
          <Row key={by ? bar.label : table.ids[bar.rows[0] ?? 0]} bar={bar} scale={scale} zero={zero} by={by} id={by ? undefined : table.ids[bar.rows[0] ?? 0]} pale={chosen !== null && !bar.rows.some((row) => chosen[row])} color={by ? undefined : colors.of(bar.rows[0] ?? 0)} />
        ))}
      </ol>
      {bars.length > SHOWN_MAX && <p class="plot-note">The first {SHOWN_MAX} of {bars.length.toLocaleString("en-US")} bars.</p>}
      {by && <p class="plot-note">Means; the thin line is from the least to the greatest.</p>}
    </div>
  );
}

interface RowProps {
  bar: Bar;
  scale: Axis;
  zero: number;
  by: Axis | null;
  id: string | undefined;
  pale: boolean;
  color: string | undefined;
}

function Row({ bar, scale, zero, by, id, pale, color }: RowProps) {
  const places = [bar.value, bar.lo, bar.hi].map((value) => Math.max(0, Math.min(1, placeOf(scale, value))));
  const [end = 0, lo = 0, hi = 0] = places;
  const choose = () => by && bar.label !== "none" && setBrush(by.name, { lo: bar.label, hi: bar.label });
  return (
    <li class={pale ? "pale" : ""}>
      {id ? (
        <a class="bar-label clip" href={href(["runs", id])} title={bar.label}>{bar.label}</a>
      ) : (
        <button type="button" class="bar-label clip link" title={`Choose the runs with ${bar.label}`} onClick={choose}>{bar.label}</button>
      )}
      <span class="bar-track" aria-hidden>
        {Number.isFinite(bar.value) && <i class="bar" style={{ left: `${100 * Math.min(zero, end)}%`, width: `max(1px, ${100 * Math.abs(end - zero)}%)`, background: color }} />}
        {bar.counted > 1 && <i class="whisker" style={{ left: `${100 * lo}%`, width: `${100 * (hi - lo)}%` }} />}
      </span>
      <span class="bar-value numbers">{Number.isFinite(bar.value) ? number(bar.value) : "–"}</span>
      {by && <span class="bar-count quiet numbers">{counted(bar.rows.length, "run")}</span>}
    </li>
  );
}
