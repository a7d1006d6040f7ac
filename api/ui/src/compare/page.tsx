// Runs side by side: their charts on top, below these what differs, or a file of each beside the others'.

import "../artifacts/artifacts.css";
import "./compare.css";
import { useEffect, useMemo } from "preact/hooks";
import { ChartGrid } from "../charts/grid";
import { follow } from "../feed";
import { counted } from "../format";
import { useLoaded } from "../loaded";
import type { RunRef } from "../model";
import { href, route, setQuery } from "../router";
import { colored } from "../runs/colors";
import { post } from "../server";
import { Button } from "../ui/button";
import { Empty, Failed, Loading } from "../ui/states";
import { Segments, Tabs } from "../ui/tabs";
import { Differences } from "./differences";
import { type Aggregate, type Comparison, csvOf, linesOf } from "./rows";
import { SideBySide } from "./side_by_side";

export const RUNS_MAX = 100;
const AGAIN_MS = 1000;
const NO_COLORS = new Map<string, number>();

const TABS = [
  { value: "differences", label: "Differences" },
  { value: "artifacts", label: "Artifacts" },
] as const;

const AGGREGATES = [
  { value: "last", label: "Last" },
  { value: "min", label: "Min" },
  { value: "max", label: "Max" },
] as const;

export default function ComparePage() {
  const query = route.value.query;
  const asked = [...new Set((query.get("runs") ?? "").split(",").filter(Boolean))];
  const ids = asked.slice(0, RUNS_MAX);
  const all = query.get("all") !== null;
  const key = ids.join();
  const { value, error, loading, again } = useLoaded<Comparison | null>(
    async (signal) => (ids.length < 2 ? null : post<Comparison>("/api/headrace/v1/compare", { run_ids: ids, only_differences: !all }, { signal })),
    [key, all],
  );
  useEffect(() => {
    if (ids.length < 2) return;
    let pending = 0;
    const stop = follow({ runs: ids }, (changes) => {
      if (changes !== "all" && !changes.runIds.some((id) => ids.includes(id))) return;
      pending ||= window.setTimeout(() => {
        pending = 0;
        again();
      }, AGAIN_MS);
    });
    return () => {
      clearTimeout(pending);
      stop();
    };
  }, [key, again]);
  if (ids.length < 2) {
    return (
      <Empty title="Choose runs to compare" icon="columns">
        <p>
          Select two runs or more, {RUNS_MAX} at most, in the table of an <a href={href([])}>experiment</a>, then press Compare.
        </p>
      </Empty>
    );
  }
  if (error && !value) return <Failed title="The runs could not be compared" error={error} again={again} />;
  if (!value) return <Loading label="Comparing" />;
  return <Compared comparison={value} all={all} left={asked.length - ids.length} loading={loading} />;
}

function Compared({ comparison, all, left, loading }: { comparison: Comparison; all: boolean; left: number; loading: boolean }) {
  const query = route.value.query;
  const { runs, missing } = comparison;
  const identity = JSON.stringify(runs);
  const refs = useMemo(() => {
    const colors = colored(runs.map(({ run_id }) => run_id), NO_COLORS);
    return runs.map(({ run_id: id, run_name: name, experiment_id: experiment }): RunRef => ({ id, name, experiment, ...(colors.get(id) ?? { color: 0, dashed: false }) }));
  }, [identity]);
  const byId = useMemo(() => new Map(refs.map((run) => [run.id, run])), [refs]);
  const experiments = useMemo(() => [...new Set(refs.map(({ experiment }) => experiment))], [refs]);
  const tab = query.get("tab") === "artifacts" ? "artifacts" : "differences";
  const charts = query.get("charts") !== "no";
  const leave = (id: string) => setQuery({ runs: refs.filter((run) => run.id !== id).map((run) => run.id).join(","), base: query.get("base") === id ? null : query.get("base") });
  if (runs.length < 2) {
    return (
      <Empty title={runs.length ? "Only one of these runs is there" : "None of these runs is there"} icon="search">
        <p>They may have been erased, or the link is of another server.</p>
      </Empty>
    );
  }
  return (
    <div class="compare-page" aria-busy={loading}>
      <div class="page-head">
        <h1>Compare {counted(runs.length, "run")}</h1>
        <nav class="crumbs" aria-label="Experiments">
          <a href={href(["experiments", experiments.join(",")])}>{experiments.length > 1 ? "Their experiments" : "Their experiment"}</a>
        </nav>
        <span class="grow" />
        <Button icon="chart" aria-pressed={charts} onClick={() => setQuery({ charts: charts ? "no" : null })}>
          {charts ? "Hide charts" : "Show charts"}
        </Button>
      </div>
      {missing.length > 0 && <p class="compare-note">{counted(missing.length, "run")} of the link {missing.length === 1 ? "is" : "are"} not there.</p>}
      {left > 0 && <p class="compare-note">The first {RUNS_MAX} runs are compared, and {left.toLocaleString("en-US")} are left out.</p>}
      {charts && (
        <section class="compare-charts scroll card" aria-label="Charts" tabIndex={0}>
          <ChartGrid runs={refs} experiments={experiments} />
        </section>
      )}
      <Tabs label="What is compared" choices={TABS} chosen={tab} choose={(tab) => setQuery({ tab: tab === "artifacts" ? tab : null }, { replace: false })} />
      <div role="tabpanel" aria-label={tab === "artifacts" ? "Artifacts" : "Differences"} class="compare-panel">
        {tab === "artifacts" ? <SideBySide runs={refs} /> : <Facts comparison={comparison} all={all} refs={byId} leave={leave} />}
      </div>
    </div>
  );
}

function Facts({ comparison, all, refs, leave }: { comparison: Comparison; all: boolean; refs: ReadonlyMap<string, RunRef>; leave: (id: string) => void }) {
  const query = route.value.query;
  const find = query.get("facts") ?? "";
  const aggregate: Aggregate = AGGREGATES.find(({ value }) => value === query.get("aggregate"))?.value ?? "last";
  const folded = query.get("folded") ?? "";
  const lines = useMemo(() => linesOf(comparison.rows, { find, aggregate, folded: new Set(folded.split(",")) }), [comparison, find, aggregate, folded]);
  const fold = (section: string) => {
    const now = new Set(folded.split(",").filter(Boolean));
    if (!now.delete(section)) now.add(section);
    setQuery({ folded: [...now].join(",") });
  };
  return (
    <>
      <div class="compare-bar" role="toolbar" aria-label="Facts">
        <label class="check-box">
          <input type="checkbox" checked={!all} onChange={() => setQuery({ all: all ? null : "yes" })} />
          Only differences
        </label>
        <Segments label="Metrics by" choices={AGGREGATES} chosen={aggregate} choose={(value) => setQuery({ aggregate: value === "last" ? null : value })} />
        <input class="input" type="search" aria-label="Find a fact" placeholder="Find a fact" value={find} onInput={(event) => setQuery({ facts: event.currentTarget.value })} />
        <span class="quiet" aria-live="polite">
          {!all && comparison.equal > 0 && `${counted(comparison.equal, "fact")} the same in all`}
        </span>
        <span class="grow" />
        <Button icon="download" onClick={() => save(csvOf(comparison, comparison.rows))}>
          CSV
        </Button>
      </div>
      {lines.length ? (
        <Differences comparison={comparison} lines={lines} refs={refs} base={query.get("base") ?? ""} fold={fold} leave={leave} />
      ) : (
        <Empty title={find ? "No fact has this in its name" : "These runs do not differ"} icon="finished">
          <button type="button" class="link" onClick={() => setQuery(find ? { facts: null } : { all: "yes" })}>
            {find ? "Show all facts" : "Show what they have in common"}
          </button>
        </Empty>
      )}
    </>
  );
}

/** Give the browser a text to save. */
function save(text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: "comparison.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
