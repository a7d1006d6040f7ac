import type { RunRef, RunTable } from "../model";
import { Empty } from "../ui/states";

export interface PlotsProps {
  /** All runs that match the filter, with every param and metric column. */
  table: RunTable;
  /** Those that are shown on charts. */
  runs: readonly RunRef[];
  /** Which runs a brush leaves; null for all. */
  onBrush: (ids: readonly string[] | null) => void;
}

export function Plots(_: PlotsProps) {
  return <Empty title="Plots" />;
}
