// Plots of runs against each other: which params went with which results.

import "./plots.css";
import { useCallback, useEffect, useMemo, useRef } from "preact/hooks";
import type { Column, RunRef, RunTable } from "../model.ts";
import { route } from "../router.ts";
import { theme } from "../theme.ts";
import { Button, IconButton } from "../ui/button";
import { Empty, Failed, Loading } from "../ui/states";
import { Segments } from "../ui/tabs";
import { axisFor, labelOf, type Axis } from "./axis.ts";
import { Bars } from "./bar_list.tsx";
import { chosenRows } from "./brush.ts";
import { ColumnSelect, LogToggle } from "./choose.tsx";
import { byAxis, byRun, type Coloring } from "./coloring.ts";
import { defaults } from "./defaults.ts";
import { plain } from "./field.ts";
import { Importance } from "./importance.tsx";
import { Parallel } from "./parallel.tsx";
import { Scatter } from "./scatter.tsx";
import { useColumns, useKnown, type Known } from "./source.ts";
import { dragged, KINDS, readState, set, setAxes, setBrush, setBrushes, type Kind, type PlotState } from "./state.ts";

export interface PlotsProps {
  /** All runs that match the filter, with every param and metric column. */
  table: RunTable;
  /** Those that are shown on charts. */
  runs: readonly RunRef[];
  /** Which runs a brush leaves; null for all. */
  onBrush: (ids: readonly string[] | null) => void;
}

const LABELS: Readonly<Record<Kind, string>> = {
  parallel: "Parallel", scatter: "Scatter", contour: "Contour", importance: "Importance", bars: "Bars",
};

export function Plots({ table, runs, onBrush }: PlotsProps) {
  const { path } = route.value;
  const experiments = path[0] === "experiments" ? (path[1] ?? "").split(",") : [...new Set(runs.map(({ experiment }) => experiment))];
  const { value: known, error, again } = useKnown(experiments);
  if (!table.length) {
    return (
      <Empty icon="chart" title="No runs to plot">
        <p>Plots show the runs of the table. Take away the filter, or log a run.</p>
      </Empty>
    );
  }
  if (error && !known) return <Failed title="The columns could not be read" error={error} again={again} />;
  if (!known) return <Loading label="Columns are on their way" />;
  if (!known.some(({ name }) => !name.startsWith("tags."))) {
    return (
      <Empty icon="chart" title="Nothing to plot yet">
        <p>These runs have neither params nor metrics. Log some with log_params() and log_metric().</p>
      </Empty>
    );
  }
  return <Chosen table={table} runs={runs} onBrush={onBrush} known={known} experiments={experiments} />;
}

/** The state as it is shown: what is not chosen has its default. */
function Chosen({ table, runs, onBrush, known: told, experiments }: PlotsProps & { known: readonly Known[]; experiments: readonly string[] }) {
  const { query } = route.value;
  const known = useMemo(() => withAggregates(told, table), [told, table]);
  const settled = useMemo(() => defaults(readState(query), known), [query, known]);
  const moving = dragged.value;
  const state = useMemo(() => (moving ? { ...settled, brushes: moving } : settled), [settled, moving]);
  const names = useMemo(() => namesOf(state), [state]);
  const { columns, fault } = useColumns(table, experiments, names);
  const axis = (name: string): Axis | null => {
    const column = columns.get(name);
    return column ? axisFor(column, state.log.get(name)) : null;
  };
  const chosen = useMemo(() => {
    const brushed = [...state.brushes.keys()].map(axis).filter((one) => one !== null);
    return chosenRows(brushed, state.brushes, table.length);
  }, [columns, state, table]);
  // The table follows when the range is let go: filtering it takes longer than a frame.
  useEffect(() => {
    if (!moving) onBrush(chosen && table.ids.filter((_, row) => chosen[row]));
  }, [chosen, table, moving]);
  useEffect(() => () => onBrush(null), []);
  const nameOf = useNames(table, runs, columns.get("run_name"));
  const colorAxis = state.color === "run" || state.color === "" ? null : axis(state.color);
  const shade = theme.value;
  const coloring = useMemo(
    (): Coloring => (colorAxis ? byAxis(colorAxis) : runs.length ? byRun(table.ids, runs) : plain()),
    [colorAxis, runs, table, shade],
  );
  const waiting = names.some((name) => name !== "run_name" && !columns.has(name));
  const shown = { table, chosen, coloring, nameOf, brushes: state.brushes };
  return (
    <div class="plots">
      <div class="plots-bar">
        <Segments label="Kind of plot" choices={KINDS.map((value) => ({ value, label: LABELS[value] }))} chosen={state.kind} choose={(kind) => set({ kind })} />
        <Controls state={state} known={known} axis={axis} />
        <span class="grow" />
        {state.kind !== "importance" && <Legend coloring={coloring} />}
      </div>
      <Ranges state={state} chosen={chosen} length={table.length} />
      <div class="plots-body" data-kind={state.kind}>
        {fault && waiting ? <Failed title="The values could not be read" error={fault} /> : waiting ? <Loading label="Values are on their way" /> : <Body state={state} axis={axis} {...shown} />}
      </div>
    </div>
  );
}

/** Columns that the table has been given beside, such as `metrics.loss.min`. */
function withAggregates(known: readonly Known[], table: RunTable): readonly Known[] {
  const names = new Set(known.map(({ name }) => name));
  const more = [...table.columns.keys()].filter((name) => name.startsWith("metrics.") && !names.has(name));
  return [...known, ...more.map((name) => ({ name, runs: 0, differs: false, numeric: true }))];
}

type AxisOf = (name: string) => Axis | null;

function Body({ state, axis, ...shown }: { state: PlotState; axis: AxisOf; table: RunTable; chosen: Uint8Array | null; coloring: Coloring; nameOf: (row: number) => string; brushes: PlotState["brushes"] }) {
  const axes = state.axes.map(axis).filter((one) => one !== null);
  // The same list while its axes are the same, so that lines are not placed anew.
  const last = useRef(axes);
  if (axes.length !== last.current.length || axes.some((one, at) => one !== last.current[at])) last.current = axes;
  const kept = last.current;
  const [x, y, z] = [axis(state.x), axis(state.y), axis(state.z)];
  const color = axis(state.color);
  if (state.kind === "importance") return <Importance table={shown.table} metric={state.metric} />;
  if (state.kind === "parallel") return <Parallel axes={kept} {...shown} />;
  if (state.kind === "bars") {
    const metric = axis(state.metric);
    return metric && <Bars metric={metric} by={axis(state.by)} rising={state.rising} {...shown} />;
  }
  return x && y && <Scatter x={x} y={y} z={state.kind === "contour" && z ? z : undefined} told={color ? [color] : []} {...shown} />;
}

function Controls({ state, known, axis }: { state: PlotState; known: readonly Known[]; axis: AxisOf }) {
  const isMetric = ({ name }: Known) => name.startsWith("metrics.");
  const color = <ColumnSelect label="Color" known={known} chosen={state.color} choose={(name) => set({ color: name })} first={[["run", "Run"]]} />;
  switch (state.kind) {
    case "parallel":
      return (
        <>
          <ColumnSelect label="Add axis" known={known} chosen="" first={[["", "Choose…"]]} fits={({ name }) => !state.axes.includes(name)} choose={(name) => name && setAxes([...state.axes, name])} />
          {color}
        </>
      );
    case "scatter":
    case "contour":
      return (
        <>
          <ColumnSelect label="X" known={known} chosen={state.x} choose={(name) => set({ x: name })} />
          <LogToggle axis={axis(state.x)} />
          <ColumnSelect label="Y" known={known} chosen={state.y} choose={(name) => set({ y: name })} />
          <LogToggle axis={axis(state.y)} />
          {state.kind === "contour" ? <ColumnSelect label="Height" known={known} chosen={state.z} choose={(name) => set({ z: name, color: null })} fits={(one) => one.numeric} /> : color}
        </>
      );
    case "importance":
      return <ColumnSelect label="Of metric" known={known} chosen={state.metric} choose={(name) => set({ metric: name })} fits={isMetric} />;
    case "bars":
      return (
        <>
          <ColumnSelect label="Metric" known={known} chosen={state.metric} choose={(name) => set({ metric: name })} fits={isMetric} />
          <LogToggle axis={axis(state.metric)} />
          <ColumnSelect label="By" known={known} chosen={state.by} choose={(name) => set({ by: name })} first={[["", "Run"]]} fits={(one) => !isMetric(one)} />
          <Segments label="Order" choices={[{ value: "falling", label: "Greatest first" }, { value: "rising", label: "Least first" }]} chosen={state.rising ? "rising" : "falling"} choose={(sort) => set({ sort: sort === "rising" ? sort : null })} />
        </>
      );
  }
}

/** The ranges that choose runs, each of which can be taken away. */
function Ranges({ state, chosen, length }: { state: PlotState; chosen: Uint8Array | null; length: number }) {
  const count = chosen ? chosen.reduce((sum, one) => sum + one, 0) : length;
  return (
    <div class="plots-ranges" hidden={!state.brushes.size}>
      <span role="status" class="numbers">{state.brushes.size > 0 && `${count.toLocaleString("en-US")} of ${length.toLocaleString("en-US")} runs chosen`}</span>
      {[...state.brushes].map(([name, { lo, hi }]) => (
        <span key={name} class="chip">
          {labelOf(name)}: {lo === hi ? lo : `${lo} – ${hi}`}
          <IconButton small icon="close" label={`Take away the range of ${labelOf(name)}`} onClick={() => setBrush(name, null)} />
        </span>
      ))}
      <Button kind="quiet" onClick={() => setBrushes(new Map())}>Show all</Button>
    </div>
  );
}

function Legend({ coloring: { legend } }: { coloring: Coloring }) {
  if (!legend) return null;
  if (legend.kind === "ramp") {
    return (
      <span class="plot-legend">
        <span class="clip">{legend.label}</span>
        <span class="numbers">{legend.from}</span>
        <i class="ramp" aria-hidden />
        <span class="numbers">{legend.to}</span>
      </span>
    );
  }
  return (
    <span class="plot-legend">
      <span class="clip">{legend.label}</span>
      {legend.items.map(({ name, color }) => (
        <span key={name} class={`plot-category c${color}`}><i aria-hidden /><span class="clip">{name}</span></span>
      ))}
    </span>
  );
}

function namesOf(state: PlotState): string[] {
  const ofKind: Readonly<Record<Kind, readonly string[]>> = {
    parallel: [...state.axes, state.color], scatter: [state.x, state.y, state.color],
    contour: [state.x, state.y, state.z], importance: [], bars: [state.metric, state.by],
  };
  return [...new Set(["run_name", ...ofKind[state.kind], ...state.brushes.keys()])].filter((name) => name && name !== "run");
}

function useNames(table: RunTable, runs: readonly RunRef[], column: Column | undefined): (row: number) => string {
  const named = useMemo(() => new Map(runs.map(({ id, name }) => [id, name])), [runs]);
  return useCallback(
    (row) => {
      const id = table.ids[row] ?? "";
      const text = column?.kind === "text" ? column.values[row] : null;
      return named.get(id) || text || id;
    },
    [table, named, column],
  );
}
