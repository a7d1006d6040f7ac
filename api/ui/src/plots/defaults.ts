// What a plot shows before anyone has chosen: the params that differ, against the first metric that does.

import type { Known } from "./source.ts";
import type { PlotState } from "./state.ts";

const PARAMS_MAX = 5;

/** The state with a choice for everything that has none. */
export function defaults(state: PlotState, known: readonly Known[]): PlotState {
  const metrics = known.filter(({ name }) => name.startsWith("metrics."));
  const own = metrics.filter(({ name }) => !name.startsWith("metrics.system/"));
  const byUse = [...known].filter(({ name, differs }) => name.startsWith("params.") && differs).sort((a, b) => Number(b.numeric) - Number(a.numeric) || b.runs - a.runs);
  const most = Math.max(0, ...own.map(({ runs }) => runs));
  const metric = (own.find(({ differs, runs }) => differs && runs * 2 > most) ?? own[0] ?? metrics[0])?.name ?? "";
  const params = byUse.slice(0, PARAMS_MAX).map(({ name }) => name);
  const others = own.map(({ name }) => name).filter((name) => name !== metric);
  const numeric = byUse.filter((one) => one.numeric).map(({ name }) => name);
  const contour = state.kind === "contour";
  // A surface between categories means little.
  const places = [...(contour ? numeric : params), ...others, metric].filter(Boolean);
  const chosenMetric = state.metric || metric;
  return {
    ...state,
    axes: state.axes.length ? state.axes : [...params, metric].filter(Boolean),
    x: state.x || (places[0] ?? ""),
    y: state.y || (contour ? (places.find((name) => name !== (state.x || places[0])) ?? "") : chosenMetric),
    z: state.z || chosenMetric,
    color: contour ? state.z || chosenMetric : state.color || (state.kind === "parallel" ? metric : "run"),
    metric: chosenMetric,
  };
}
