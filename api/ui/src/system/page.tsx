// The system: how fast the log grows, how far each view is, who writes them, what all of it takes, and rebuilds.

import "./system.css";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { counted, duration, number, size } from "../format";
import { useLoaded } from "../loaded";
import { useLogged } from "../logged";
import { href } from "../router";
import { get } from "../server";
import { Icon } from "../ui/icon";
import { Failed, Loading } from "../ui/states";
import { Ago } from "../ui/text";
import { Rebuild } from "./rebuild";
import { Spark } from "./spark";

interface System {
  version: string;
  started_ms: number;
  now_ms: number;
  stored_by: string;
  fault: string | null;
  rate: { over_s: number; appended_s: number; viewed_s: number; points_s: number };
  samples: { time_ms: number; appended: number; viewed: number; points: number }[];
  views: { name: string; topics: string[]; lag: number; rows: number | null; bytes: number | null }[];
  writers: { name: string; partitions: string[]; claimed_ms: number }[];
  storage: { what: string; place: string; bytes: number | null }[];
  disk_free: number;
  disk_total: number;
}

interface Status {
  data_dir: string;
  partitions: { topic: string; partition: number; end: number; folded: number; viewed: number }[];
  counters: Record<string, number>;
  running_with_heartbeat: number;
}

interface Endpoint {
  name: string;
  state: string;
  routes: { serving: { label: string; state: string; workers: { pid: number; rss_bytes: number; in_flight: number }[] } | null }[];
}

/** Rates go down once nothing is logged any more: looked at until they are 0. */
const SETTLE_MS = 5000;
const TITLES: Readonly<Record<string, string>> = {
  registry: "Experiments, models, endpoints",
  runs: "Runs",
  events: "History",
  metrics: "Metric points",
  metric_summary: "Latest metrics",
};
const COUNTERS: Readonly<Record<string, string>> = {
  events: "Events folded",
  points: "Points folded",
  duplicates: "Sent twice, counted once",
  missed: "Missing in writers' sequences",
  rejected: "Could not be read",
  refused: "Refused by a rule",
};

async function read(signal: AbortSignal): Promise<{ system: System; status: Status; endpoints: Endpoint[] }> {
  const [system, status, { endpoints }] = await Promise.all([
    get<System>("/api/headrace/v1/system", {}, { signal }),
    get<Status>("/api/headrace/v1/status", {}, { signal }),
    get<{ endpoints: Endpoint[] }>("/api/headrace/v1/endpoints", {}, { signal }),
  ]);
  return { system, status, endpoints };
}

export default function SystemPage() {
  const { value, error, again } = useLoaded(read, []);
  useLogged(again);
  const moving = value !== undefined && (value.system.rate.appended_s > 0 || value.system.views.some(({ lag }) => lag > 0));
  useEffect(() => {
    if (!moving) return;
    const timer = setTimeout(() => again(), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [moving, value]);
  if (error && !value) return <Failed title="The state of the system could not be read" error={error} again={again} />;
  if (!value) return <Loading />;
  return <Shown {...value} />;
}

function Shown({ system, status, endpoints }: { system: System; status: Status; endpoints: Endpoint[] }) {
  const lag = system.views.reduce((most, view) => Math.max(most, view.lag), 0);
  const times = system.samples.map(({ time_ms }) => time_ms);
  const rates = (field: "appended" | "points") => perSecond(system.samples, field);
  return (
    <div class="page system">
      <div class="page-head">
        <h1>System</h1>
        <span class={`system-state ${system.fault ? "bad" : "good"}`} role="status">
          <Icon name={system.fault ? "warning" : "finished"} />
          {system.fault ? "The views wait" : lag ? "Catching up" : "All is well"}
        </span>
        <span class="grow" />
        <span class="quiet">
          Headrace {system.version}, started <Ago ms={system.started_ms} />
        </span>
      </div>
      {system.fault && (
        <p class="card system-fault" role="alert">
          <Icon name="warning" />
          <span>
            <strong>What is logged is kept, but the views cannot be written: </strong>
            {system.fault}
          </span>
        </p>
      )}
      <dl class="system-figures">
        <Figure label="Events logged" value={perS(system.rate.appended_s)} times={times} values={rates("appended")} />
        <Figure label="Metric points" value={perS(system.rate.points_s)} times={times} values={rates("points")} />
        <Figure label="Behind the log" value={counted(lag, "event")} times={times} values={system.samples.map((one) => Math.max(0, one.appended - one.viewed))} bad={lag > 0 && system.fault !== null} />
        <Figure label="Free on disk" value={size(system.disk_free)} note={`of ${size(system.disk_total)}`} bad={system.disk_free < 0.05 * system.disk_total} />
      </dl>
      <Section title="Views" note={system.stored_by === "this server" ? "This server folds the log into them." : "Workers fold the log into them."}>
        <table class="plain">
          <caption class="sr">Views</caption>
          <thead>
            <tr>
              <th scope="col">View</th>
              <th scope="col" class="wide">Folded from</th>
              <th scope="col" class="number">Behind</th>
              <th scope="col" class="number">Rows</th>
              <th scope="col" class="number">Size</th>
            </tr>
          </thead>
          <tbody>
            {system.views.map((view) => (
              <tr key={view.name}>
                <th scope="row">
                  {TITLES[view.name] ?? view.name} <code class="quiet">{view.name}</code>
                </th>
                <td class="wide quiet">{view.topics.join(", ")}</td>
                <td class={`number ${view.lag ? "behind" : ""}`}>{view.lag ? view.lag.toLocaleString("en-US") : "up to date"}</td>
                <td class="number">{view.rows === null ? "in memory" : view.rows.toLocaleString("en-US")}</td>
                <td class="number">{view.bytes === null ? "–" : size(view.bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Section>
      <Rebuild stored={system.stored_by} />
      <Section title="Log" note="Offsets of the next record; folded is what commands see, viewed what queries see.">
        <Positions partitions={status.partitions} />
      </Section>
      <div class="system-pair">
        <Section title="Workers">
          <Workers system={system} endpoints={endpoints} />
        </Section>
        <Section title="Storage">
          <dl class="system-list">
            {system.storage.map(({ what, place, bytes }) => (
              <div key={what}>
                <dt>
                  {what}
                  <code class="quiet">{place}</code>
                </dt>
                <dd>{bytes === null ? <span class="quiet">not counted</span> : size(bytes)}</dd>
              </div>
            ))}
          </dl>
        </Section>
        <Section title="Since the start">
          <dl class="system-list">
            {Object.entries(status.counters).map(([name, value]) => (
              <div key={name}>
                <dt>{COUNTERS[name] ?? name}</dt>
                <dd class={value && ["missed", "rejected"].includes(name) ? "behind" : ""}>{value.toLocaleString("en-US")}</dd>
              </div>
            ))}
            <div>
              <dt>Running runs with a heartbeat</dt>
              <dd>{status.running_with_heartbeat.toLocaleString("en-US")}</dd>
            </div>
          </dl>
        </Section>
      </div>
    </div>
  );
}

function perS(rate: number): string {
  return `${number(Math.round(rate * 10) / 10)} /s`;
}

function perSecond(samples: System["samples"], field: "appended" | "points"): number[] {
  return samples.map((one, i) => {
    const before = samples[i - 1];
    const ms = before ? one.time_ms - before.time_ms : 0;
    return before && ms > 500 ? Math.max(0, (one[field] - before[field]) / (ms / 1000)) : 0;
  });
}

function Figure({ label, value, note, times, values, bad }: { label: string; value: string; note?: string; times?: number[]; values?: number[]; bad?: boolean }) {
  const span = times && times.length > 1 ? (times[times.length - 1] ?? 0) - (times[0] ?? 0) : 0;
  return (
    <div class="card system-figure">
      <dt>{label}</dt>
      <dd>
        <strong class={bad ? "behind" : ""}>{value}</strong>
        {note && <span class="quiet"> {note}</span>}
        {times && values && span > 0 && <Spark label={`${label}, the last ${duration(span)}`} times={times} values={values} />}
      </dd>
    </div>
  );
}

function Section({ title, note, children }: { title: string; note?: string; children: ComponentChildren }) {
  return (
    <section class="system-section" aria-label={title}>
      <h2>
        {title}
        {note && <span class="quiet">{note}</span>}
      </h2>
      <div class="card scroll">{children}</div>
    </section>
  );
}

function Positions({ partitions }: { partitions: Status["partitions"] }) {
  return (
    <table class="plain">
      <caption class="sr">Positions of the log</caption>
      <thead>
        <tr>
          <th scope="col">Partition</th>
          <th scope="col" class="number">End</th>
          <th scope="col" class="number">Folded</th>
          <th scope="col" class="number">Viewed</th>
        </tr>
      </thead>
      <tbody>
        {partitions.map(({ topic, partition, end, folded, viewed }) => (
          <tr key={`${topic}/${partition}`}>
            <th scope="row">
              <code>
                {topic}/{partition}
              </code>
            </th>
            <td class="number">{end.toLocaleString("en-US")}</td>
            <td class={`number ${folded < end ? "behind" : ""}`}>{folded.toLocaleString("en-US")}</td>
            <td class={`number ${viewed < end ? "behind" : ""}`}>{viewed.toLocaleString("en-US")}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Workers({ system, endpoints }: { system: System; endpoints: Endpoint[] }) {
  const models = endpoints.flatMap(({ name, routes }) =>
    routes.flatMap(({ serving }) => (serving?.workers ?? []).map((worker) => ({ ...worker, name, label: serving?.label ?? "" }))),
  );
  return (
    <dl class="system-list">
      {system.writers.length === 0 && (
        <div>
          <dt>Views</dt>
          <dd class="quiet">{system.stored_by}</dd>
        </div>
      )}
      {system.writers.map(({ name, partitions, claimed_ms }) => (
        <div key={name}>
          <dt>
            Views <code class="quiet">{name.slice(0, 12)}</code>
          </dt>
          <dd title={partitions.join(", ")}>
            {counted(partitions.length, "partition")}, <Ago ms={claimed_ms} />
          </dd>
        </div>
      ))}
      {models.map(({ pid, rss_bytes, in_flight, name, label }) => (
        <div key={pid}>
          <dt>
            <a href={href(["endpoints", name])}>{name}</a> <code class="quiet">{label}</code>
          </dt>
          <dd>
            {size(rss_bytes)}, {in_flight} in flight
          </dd>
        </div>
      ))}
      {!models.length && (
        <div>
          <dt>Model endpoints</dt>
          <dd class="quiet">no workers</dd>
        </div>
      )}
    </dl>
  );
}
