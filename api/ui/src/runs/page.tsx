// The workspace: the runs of experiments as a table, and what they logged as charts beside it.

import "./runs.css";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ChartGrid } from "../charts/grid";
import { counted } from "../format";
import { useLoaded } from "../loaded";
import type { Group, RunRef, RunTable } from "../model";
import { Plots } from "../plots/plots";
import { href, navigate, route } from "../router";
import { get } from "../server";
import { Button } from "../ui/button";
import { Menu } from "../ui/dialog";
import { Splitter } from "../ui/splitter";
import { Empty, Failed, Loading } from "../ui/states";
import { Segments } from "../ui/tabs";
import { SavedViews } from "../views/saved";
import { Bulk, download, type Experiment } from "./bulk";
import { colored, refs } from "./colors";
import { defaults, metricColumn, type Spec, specOf } from "./columns";
import { MANY, ofFilter, RUNS_MAX, useKnownColumns, useRuns } from "./data";
import { Experiments } from "./experiments";
import { FilterBox } from "./filter";
import { grouped, type Items, leaves, lines, ordered } from "./order";
import { ColumnPicker, GroupBox, SortBox } from "./picker";
import { type Actions, RunGrid } from "./table";
import { changeView, nextSorts, type Side, toggled, type View, viewNow, viewOf } from "./view";

/** So many runs of all groups together are drawn one by one, beside the bands. */
const DRAWN_OF_GROUPS = 60;
/** A band is of so many of its runs at most. */
const GROUP_MAX = 1000;
const NONE: ReadonlySet<string> = new Set();

export default function Workspace() {
  const { path, query } = route.value;
  const view = useMemo(() => viewOf(path, query), [path, query]);
  const several = view.experiments.length > 1;
  const experiments = useLoaded(
    (signal) => Promise.all(view.experiments.map((id) => get<{ experiment: Experiment }>("/api/2.0/mlflow/experiments/get", { experiment_id: id }, { signal }).then(({ experiment }) => experiment))),
    [view.experiments.join(",")],
  );
  const names = useMemo(() => new Map((experiments.value ?? []).map(({ experiment_id: id, name }) => [id, name])), [experiments.value]);
  const { known, error: columnsError, ask: askColumns } = useKnownColumns(view.experiments, view.stage);
  const of = view.experiments.join(",");
  const chosenForYou = useRef<{ of: string; columns: readonly string[] }>({ of: "", columns: [] });
  const columns = useMemo(() => {
    if (view.columns) return view.columns;
    if (!known) return null;
    // What was shown stays; other experiments begin anew.
    const before = chosenForYou.current.of === of ? chosenForYou.current.columns : [];
    chosenForYou.current = { of, columns: defaults(known, before, several) };
    return chosenForYou.current.columns;
  }, [view.columns, known, of]);
  const wanted = useMemo(() => {
    if (!columns) return null;
    const all = view.side === "plots" ? ["params.*", "metrics.*"] : [];
    return [...new Set([...columns, ...view.sorts.map(({ column }) => column), ...view.groupBy, ...all])];
  }, [columns, view.sorts, view.groupBy, view.side]);
  const newestFirst = !view.sorts.length && !view.groupBy.length && (known?.runs ?? 0) >= MANY;
  const { table, error, loading, partial, refresh, again } = useRuns({ experiments: view.experiments, filter: view.filter, stage: view.stage, columns: wanted, newestFirst }, () => askColumns());

  const [selected, setSelected] = useState<ReadonlySet<string>>(NONE);
  const [brush, setBrush] = useState<ReadonlySet<string> | null>(null);
  const narrow = useNarrow();
  useEffect(() => {
    setSelected(NONE);
    setBrush(null);
  }, [of]);

  const rows = useMemo(() => {
    if (!table) return new Int32Array();
    const all = ordered(table, view.sorts);
    return brush ? all.filter((row) => brush.has(table.ids[row] as string)) : all;
  }, [table, view.sorts, brush]);
  const nodes = useMemo(() => (table && view.groupBy.length ? grouped(table, rows, view.groupBy) : null), [table, rows, view.groupBy]);
  const items = useMemo<Items>(() => (nodes ? lines(nodes, view.open) : { items: rows, groups: [] }), [nodes, rows, view.open]);
  const { drawn, runs, groups } = useDrawn(table, rows, nodes, view);

  const specs = useMemo<{ columns: Spec[]; pinned: number }>(() => {
    const behind = (columns ?? []).filter((name) => name !== "run_name");
    const pinned = view.pinned.filter((name) => behind.includes(name));
    const all = ["run_name", ...pinned, ...behind.filter((name) => !pinned.includes(name))];
    return { columns: all.map((name) => specOf(name, known?.byName)), pinned: 1 + pinned.length };
  }, [columns, view.pinned, known]);

  const now = useRef({ columns, table, rows, refresh, drawnNames: drawn, known });
  now.current = { columns, table, rows, refresh, drawnNames: drawn, known };
  const metrics = useMemo(() => (known?.columns ?? []).filter(({ name }) => name.startsWith("metrics.")).map(({ name }) => name.slice(8)), [known]);
  const act = useMemo<Actions>(() => {
    const shown = () => now.current.columns ?? [];
    return {
      metrics,
      sort: (column, more) => changeView({ sorts: nextSorts(viewNow().sorts, column, more) }),
      sortBy: (column, descending) => changeView({ sorts: [{ column, descending }] }),
      resize: (column, width) => changeView({ widths: new Map([...viewNow().widths, [column, Math.round(Math.min(900, Math.max(50, width)))]]) }),
      pin: (column) => changeView({ pinned: [...toggled(new Set(viewNow().pinned), column)] }),
      hide: (column) => changeView({ columns: shown().filter((one) => one !== column) }),
      group: (column) => changeView({ groupBy: [...toggled(new Set(viewNow().groupBy), column)] }),
      move: (column, before) => {
        const rest = shown().filter((one) => one !== column);
        const at = before ? rest.indexOf(before) : rest.length;
        changeView({ columns: [...rest.slice(0, Math.max(0, at)), column, ...rest.slice(Math.max(0, at))] });
      },
      aggregate: (column, aggregate) => {
        const next = metricColumn(specOf(column, now.current.known?.byName).key, aggregate);
        if (shown().includes(next)) return;
        const { sorts, pinned } = viewNow();
        changeView({
          columns: shown().map((one) => (one === column ? next : one)),
          sorts: sorts.map((one) => (one.column === column ? { ...one, column: next } : one)),
          pinned: pinned.map((one) => (one === column ? next : one)),
        });
      },
      select: (ids, on) =>
        setSelected((before) => {
          const next = new Set(before);
          for (const id of ids) on ? next.add(id) : next.delete(id);
          return next;
        }),
      selectAll: (on) => setSelected(on ? new Set([...now.current.rows].map((row) => now.current.table?.ids[row] as string)) : NONE),
      eye: (name, on) => {
        const { hidden, added } = viewNow();
        const shownAnyway = now.current.drawnNames.has(name);
        if (on) changeView({ hidden: toggled(hidden, name, false), added: toggled(added, name, true) });
        else changeView({ added: toggled(added, name, false), hidden: toggled(hidden, name, shownAnyway) });
      },
      toggle: (path) => changeView({ open: toggled(viewNow().open, path) }),
      goTo: (of, row) => {
        const column = of.columns.get("experiment_id");
        navigate(["experiments", (column?.kind === "text" && column.values[row]) || "0", "runs", of.ids[row] as string]);
      },
      saved: (id) => now.current.refresh([id]),
    };
  }, [metrics]);

  // What is selected stays so through changes; what is no longer there is not done anything with.
  const selectedIds = useMemo(() => (table && selected.size ? [...rows].map((row) => table.ids[row] as string).filter((id) => selected.has(id)) : []), [table, rows, selected]);

  if (experiments.error && !experiments.value) return <Failed title="This experiment cannot be shown" error={experiments.error} again={experiments.again} />;
  const title = view.experiments.map((id) => names.get(id) ?? "").join(", ");
  const filterFault = ofFilter(error) ? error : undefined;
  const empty = table?.length === 0 && !view.filter && view.stage === "ACTIVE_ONLY" && known?.runs === 0;
  const choice: Side = view.side ?? (narrow ? "off" : "charts");
  const side: Side = empty ? "off" : choice;
  const exportNames = specs.columns.map(({ name }) => name);

  const paint = (color: number | null) => {
    const colors = new Map(viewNow().colors);
    for (const id of selectedIds) color === null ? colors.delete(id) : colors.set(id, color);
    changeView({ colors });
  };

  const grid = (
    <section class="runs-table" aria-label="Table of runs">
      {error && !filterFault && !table ? (
        <Failed title="The runs could not be read" error={error} again={again} />
      ) : columnsError && !columns ? (
        <Failed title="The runs could not be read" error={columnsError} again={() => askColumns()} />
      ) : !table ? (
        filterFault ? <Empty title="The filter is not understood" icon="filter" /> : <Loading />
      ) : empty ? (
        <NoRuns />
      ) : table.length === 0 ? (
        <Empty title={view.stage === "DELETED_ONLY" ? "Nothing is in the bin" : "No run matches"} icon="filter">
          {view.filter && <Button onClick={() => changeView({ filter: "" })}>Clear the filter</Button>}
        </Empty>
      ) : (
        <RunGrid
          table={table}
          lines={items}
          columns={specs.columns}
          pinned={specs.pinned}
          widths={view.widths}
          sorts={view.sorts}
          selected={selected}
          open={view.open}
          drawn={drawn}
          experiments={names}
          act={act}
        />
      )}
      {selectedIds.length > 0 && table ? (
        <Bulk table={table} ids={selectedIds} columns={exportNames} stage={view.stage} changed={refresh} clear={() => setSelected(NONE)} paint={nodes ? undefined : paint} />
      ) : null}
    </section>
  );
  const charts = side !== "off" && (
    <section class="runs-side" aria-label={side === "plots" ? "Plots" : "Charts"}>
      {side === "plots" ? table && <Plots table={table} runs={runs} onBrush={(ids) => setBrush(ids && new Set(ids))} /> : table && <ChartGrid runs={runs} experiments={view.experiments} groups={groups} />}
    </section>
  );
  return (
    <div class={`runs ${narrow ? "narrow" : ""}`} aria-busy={loading}>
      <header class="runs-bar">
        <h1 class="clip" title={title}>
          {title || "Runs"}
        </h1>
        <span class="runs-total" aria-live="polite">
          {table && (partial ? "…" : total(table, rows.length, brush !== null))}
        </span>
        <Experiments chosen={view.experiments} />
        <span class="grow" />
        <SavedViews experiments={view.experiments} />
        <Segments
          label="Beside the table"
          choices={narrow ? [{ value: "off", label: "Table" }, { value: "charts", label: "Charts" }, { value: "plots", label: "Plots" }] : [{ value: "charts", label: "Charts" }, { value: "plots", label: "Plots" }, { value: "off", label: "Table only" }]}
          chosen={choice}
          choose={(next) => {
            if (next !== "plots") setBrush(null);
            changeView({ side: next });
          }}
        />
      </header>
      <div class="runs-bar tools">
        <FilterBox value={view.filter} known={known} fault={filterFault} apply={(filter) => (filter === view.filter ? again() : changeView({ filter }))} />
        <GroupBox known={known} groupBy={view.groupBy} several={several} change={(groupBy) => changeView({ groupBy, open: NONE })} />
        <SortBox known={known} columns={columns ?? []} sorts={view.sorts} change={(sorts) => changeView({ sorts })} />
        <ColumnPicker known={known} columns={columns ?? []} change={(next) => changeView({ columns: next })} />
        <Menu
          label="More"
          icon="more"
          items={[
            { label: "Runs" },
            { label: "Active", checked: view.stage === "ACTIVE_ONLY", act: () => changeView({ stage: "ACTIVE_ONLY" }) },
            { label: "In the bin", checked: view.stage === "DELETED_ONLY", act: () => changeView({ stage: "DELETED_ONLY" }) },
            { label: "Both", checked: view.stage === "ALL", act: () => changeView({ stage: "ALL" }) },
            { label: nodes ? "Groups on charts" : "Runs on charts" },
            ...[0, 10, 20, 50, 100].map((drawnNow) => ({
              label: drawnNow ? `The first ${drawnNow}` : "Only those chosen",
              checked: view.drawn === drawnNow,
              act: () => changeView({ drawn: drawnNow, hidden: NONE, added: drawnNow ? NONE : view.added }),
            })),
            { label: "All of them" },
            ...(nodes
              ? [
                  { label: "Open all groups", icon: "down" as const, act: () => changeView({ open: new Set(everyPath(nodes).slice(0, 200)) }) },
                  { label: "Close all groups", icon: "right" as const, act: () => changeView({ open: NONE }) },
                ]
              : []),
            { label: "Export CSV", icon: "download", disabled: !table, act: () => table && download(table, [...rows].map((row) => table.ids[row] as string), exportNames) },
          ]}
        />
      </div>
      {error && !filterFault && table ? (
        <p class="runs-stale fault" role="alert">
          What is shown may be old: {error instanceof Error ? error.message : String(error)} <Button onClick={again}>Try again</Button>
        </p>
      ) : null}
      <div class="runs-panes" style={narrow || side === "off" ? undefined : { gridTemplateColumns: `minmax(0, ${view.split}fr) auto minmax(0, ${1 - view.split}fr)` }} data-side={side}>
        {narrow ? (side === "off" ? grid : charts) : grid}
        {!narrow && side !== "off" && <Splitter label="Width of the table" share={view.split} move={(split) => changeView({ split })} />}
        {!narrow && charts}
      </div>
    </div>
  );
}

function everyPath(nodes: readonly { path: string; children: readonly never[] | readonly { path: string }[] }[]): string[] {
  return nodes.flatMap((node) => [node.path, ...everyPath(node.children as typeof nodes)]);
}

function total(table: RunTable, shown: number, brushed: boolean): string {
  if (brushed) return `${shown.toLocaleString("en-US")} of ${counted(table.length, "run")}`;
  return table.length >= RUNS_MAX ? `the newest ${counted(table.length, "run")}` : counted(table.length, "run");
}

/** Which runs or groups are on charts: the first of the table, without those hidden and with those added. */
function useDrawn(table: RunTable | undefined, rows: Int32Array, nodes: ReturnType<typeof grouped> | null, view: View): { drawn: ReadonlyMap<string, { color: number; dashed: boolean }>; runs: readonly RunRef[]; groups: readonly Group[] | undefined } {
  const { drawn: count, hidden, added, colors } = view;
  const found = useMemo(() => {
    if (!table) return { drawn: new Map<string, { color: number; dashed: boolean }>(), runs: [], groups: undefined };
    if (nodes) {
      const shown = leaves(nodes).filter(({ path }, at) => (at < count && !hidden.has(path)) || added.has(path));
      const drawn = colored(shown.map(({ path }) => path), colors);
      const groups = shown.map(({ path, rows: of }) => ({ name: labelOf(path), color: drawn.get(path)?.color ?? 0, runIds: [...of.subarray(0, GROUP_MAX)].map((row) => table.ids[row] as string) }));
      const share = Math.max(1, Math.floor(DRAWN_OF_GROUPS / Math.max(1, shown.length)));
      const runs = shown.flatMap((node) => refs(table, [...node.rows.slice(0, share)], colors).map((run) => ({ ...run, color: drawn.get(node.path)?.color ?? 0, dashed: false })));
      return { drawn, runs, groups };
    }
    const shown: number[] = [];
    const rest = new Set(added);
    for (let at = 0; at < rows.length && (at < count || rest.size); at++) {
      const row = rows[at] as number;
      const id = table.ids[row] as string;
      if ((at < count && !hidden.has(id)) || rest.has(id)) shown.push(row);
      rest.delete(id);
    }
    const runs = refs(table, shown, colors);
    return { drawn: new Map(runs.map(({ id, color, dashed }) => [id, { color, dashed }])), runs, groups: undefined };
  }, [table, rows, nodes, count, hidden, added, colors]);
  // Charts are told of other runs only where they are others: rows that change tell of themselves.
  const held = useRef({ key: "", found });
  const key = useMemo(() => JSON.stringify([found.runs, found.groups]), [found]);
  if (held.current.key !== key) held.current = { key, found };
  return held.current.found;
}

function labelOf(path: string): string {
  return path.split("/").map((part) => (part === "~" ? "–" : decodeURIComponent(part))).join(" · ");
}

/** Whether the page is too narrow for two panes. */
function useNarrow(): boolean {
  const query = useMemo(() => matchMedia("(max-width: 860px)"), []);
  const [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const changed = () => setNarrow(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return narrow;
}

function NoRuns() {
  return (
    <Empty title="No runs yet" icon="chart">
      <p>Log one, and it appears here at once:</p>
      <pre>
        <code>{`import headrace

headrace.set_tracking_uri("${location.origin}")
with headrace.start_run():
    headrace.log_param("lr", 0.1)
    headrace.log_metric("loss", 0.5, step=1)`}</code>
      </pre>
      <p>
        <a href={href([])}>Other experiments</a>
      </p>
    </Empty>
  );
}
