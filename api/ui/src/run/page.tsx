// A run: what it is, what it logged, what it printed, and everything that happened to it.

import "./run.css";
import { useEffect, useMemo } from "preact/hooks";
import { ArtifactBrowser } from "../artifacts/browser";
import { ChartGrid } from "../charts/grid";
import { begun } from "../feed";
import { duration, moment } from "../format";
import { type Loaded, useLoaded } from "../loaded";
import type { RunRef } from "../model";
import { href, route, setQuery } from "../router";
import { Icon } from "../ui/icon";
import { Button } from "../ui/button";
import { Empty, Failed, Loading } from "../ui/states";
import { Tabs } from "../ui/tabs";
import { Ago, StatusBadge, useNow } from "../ui/text";
import { Actions, restored } from "./actions";
import { Console } from "./console";
import { experimentName, type Family, readFamily, readRun, type Run } from "./data";
import { useFollowed, useLive } from "./following";
import { History } from "./history";
import { Overview } from "./overview";

type Place = "overview" | "charts" | "system" | "console" | "artifacts" | "history";

const SYSTEM = "system/";
const RUN_EVERY_MS = 250;
const FAMILY_EVERY_MS = 3000;
const system = (key: string) => key.startsWith(SYSTEM);
const own = (key: string) => !system(key);

export default function RunPage() {
  const { path, query } = route.value;
  const runId = (path[0] === "runs" ? path[1] : path[3]) ?? "";
  return <OneRun key={runId} runId={runId} asOf={query.get("as_of") ?? ""} />;
}

function OneRun({ runId, asOf }: { runId: string; asOf: string }) {
  const loaded = useLive(async (signal) => {
    await begun();
    return readRun(runId, asOf, { signal });
  }, [runId, asOf]);
  const family = useLive((signal) => readFamily(runId, { signal }), [runId]);
  useFollowed({ runs: [runId] }, RUN_EVERY_MS, () => (asOf ? Promise.resolve() : loaded.again()));
  const around = family.value?.children.map((one) => one.experiment_id) ?? [];
  useFollowed({ runs: [runId] }, FAMILY_EVERY_MS, family.again);
  useFollowed(around.length ? { experiments: [...new Set(around)] } : undefined, FAMILY_EVERY_MS, family.again);
  const run = loaded.value;
  const name = run?.info.run_name ?? runId;
  useEffect(() => {
    const before = document.title;
    document.title = `${name} · Headrace`;
    return () => {
      document.title = before;
    };
  }, [name]);
  if (!run) {
    if (!loaded.error) return <Loading label="Loading the run" />;
    return (
      <>
        <Failed title="This run cannot be shown" error={loaded.error} again={loaded.again} />
        <p class="run-elsewhere">
          <a href={href(asOf ? ["runs", runId] : [])}>{asOf ? "The run as it is now" : "All experiments"}</a>
        </p>
      </>
    );
  }
  return (
    <div class="page run-page">
      <Head run={run} family={family.value} asOf={asOf} />
      <Notices run={run} asOf={asOf} again={loaded.again} />
      <Body run={run} family={family} asOf={asOf} again={loaded.again} />
    </div>
  );
}

function Head({ run, family, asOf }: { run: Run; family: Family | undefined; asOf: string }) {
  const { info } = run;
  const experiment = useLoaded((signal) => experimentName(info.experiment_id, { signal }), [info.experiment_id]);
  return (
    <header class="run-head">
      <nav class="crumbs" aria-label="Where this run is">
        <a href={href([])}>Experiments</a>
        <Icon name="right" />
        <a href={href(["experiments", info.experiment_id])}>{experiment.value ?? "…"}</a>
        {family?.ancestors.map((one) => (
          <>
            <Icon name="right" />
            <a href={href(["experiments", one.experiment_id, "runs", one.run_id])}>{one.run_name || one.run_id}</a>
          </>
        ))}
      </nav>
      <div class="run-title">
        <h1 title={info.run_name}>{info.run_name || info.run_id}</h1>
        <StatusBadge status={info.status} reason={run.tags.get("headrace.status_reason")} />
        <span class="grow" />
        {!asOf && <Actions run={run} family={family} />}
      </div>
      <p class="run-facts">
        <Lasted run={run} asOf={asOf} />
        <span>
          <Icon name="clock" /> started <Ago ms={info.start_time} />
        </span>
        {info.user_id && <span>by {info.user_id}</span>}
        {run.tags.get("headrace.status_reason") && <span class="quiet">{run.tags.get("headrace.status_reason")}</span>}
      </p>
    </header>
  );
}

function Lasted({ run, asOf }: { run: Run; asOf: string }) {
  const { start_time, end_time, status } = run.info;
  if (end_time) return <span title="From its start to its end">{duration(end_time - start_time)}</span>;
  return status === "RUNNING" && !asOf ? <Since ms={start_time} /> : null;
}

function Since({ ms }: { ms: number }) {
  const now = useNow();
  return <span title="Since its start">{duration(Math.max(0, now - ms))} so far</span>;
}

function Notices({ run, asOf, again }: { run: Run; asOf: string; again: () => void }) {
  return (
    <>
      {asOf && (
        <p class="run-notice" role="status">
          <Icon name="clock" /> The run as it was at {/^\d+$/.test(asOf) ? moment(Number(asOf)) : asOf}; charts, console and artifacts are of now.
          <a href={href(route.value.path, new URLSearchParams([...route.value.query].filter(([name]) => name !== "as_of")))}>Back to now</a>
        </p>
      )}
      {run.info.lifecycle_stage === "deleted" && (
        <p class="run-notice warn" role="status">
          <Icon name="trash" /> This run is in the bin; nothing can be logged to it.
          {!asOf && <Button onClick={() => void restored(run.info.run_id, again)}>Restore</Button>}
        </p>
      )}
    </>
  );
}

function Body({ run, family, asOf, again }: { run: Run; family: Loaded<Family>; asOf: string; again: () => void }) {
  const { info } = run;
  const place = (route.value.query.get("tab") ?? "overview") as Place;
  const systems = run.metrics.filter(({ key }) => system(key)).length;
  const choices: { value: Place; label: string; count?: number }[] = [
    { value: "overview", label: "Overview" },
    { value: "charts", label: "Charts", count: run.metrics.length - systems },
    { value: "system", label: "System", count: systems },
    { value: "console", label: "Console" },
    { value: "artifacts", label: "Artifacts" },
    { value: "history", label: "History" },
  ];
  const chosen = choices.find(({ value }) => value === place) ?? choices[0];
  const name = info.run_name || info.run_id;
  const runs = useMemo<RunRef[]>(() => [{ id: info.run_id, name, experiment: info.experiment_id, color: 0, dashed: false }], [info.run_id, name, info.experiment_id]);
  return (
    <>
      <Tabs label="Parts of the run" choices={choices} chosen={chosen?.value ?? "overview"} choose={(tab) => setQuery({ tab: tab === "overview" ? null : tab })} />
      <div class={`run-body of-${chosen?.value}`} role="tabpanel" aria-label={chosen?.label}>
        {chosen?.value === "overview" && <Overview run={run} family={family} asOf={asOf} again={again} />}
        {chosen?.value === "charts" &&
          (run.metrics.length > systems ? (
            <ChartGrid runs={runs} experiments={[info.experiment_id]} keys={own} />
          ) : (
            <Empty title="No metrics yet" icon="chart">
              <p>Log some with <code>headrace.log_metric("loss", 0.1, step=1)</code>; they appear here as they come.</p>
            </Empty>
          ))}
        {chosen?.value === "system" &&
          (systems ? (
            <ChartGrid runs={runs} experiments={[info.experiment_id]} keys={system} />
          ) : (
            <Empty title="No system metrics" icon="pulse">
              <p>CPU, memory, disk, network and GPU are sampled with <code>headrace.start_run(log_system_metrics=True)</code>.</p>
            </Empty>
          ))}
        {chosen?.value === "console" && <Console run={run} />}
        {chosen?.value === "artifacts" && <ArtifactBrowser runId={info.run_id} />}
        {chosen?.value === "history" && <History run={run} />}
      </div>
    </>
  );
}
