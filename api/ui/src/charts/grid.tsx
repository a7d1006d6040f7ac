import type { Group, RunRef } from "../model";
import { Empty } from "../ui/states";

export interface ChartGridProps {
  runs: readonly RunRef[];
  /** Of the runs; the feed is followed by them. */
  experiments: readonly string[];
  groups?: readonly Group[];
  /** Which metrics have a panel; all without it. */
  keys?: ((key: string) => boolean) | undefined;
}

export function ChartGrid(_: ChartGridProps) {
  return <Empty title="Charts" />;
}
