// One endpoint: what serves and since when, its traffic as it happens, a form to try it, and its past.

import { useEffect, useState } from "preact/hooks";
import { duration, number, size } from "../format";
import { Lineage } from "../lineage/lineage";
import { useLoaded } from "../loaded";
import { getHistory, useFollowed } from "../registry/api";
import { AsOf, indexAt } from "../registry/asof";
import { HistoryList } from "../registry/history";
import { Ask, Card, Facts } from "../registry/parts";
import { href, navigate, route, setQuery } from "../router";
import { Fault } from "../server";
import { Button } from "../ui/button";
import { Menu } from "../ui/dialog";
import { Empty, Failed, Loading } from "../ui/states";
import { Tabs } from "../ui/tabs";
import { Ago } from "../ui/text";
import { changes, getEndpoint, getPredictions, uriOf, type Endpoint as EndpointInfo, type Route, type Served } from "./api";
import { isLoading, useSettled } from "./list";
import { EndpointForm, LabelLink, share, State } from "./parts";
import { Traffic } from "./traffic";
import { Try } from "./try";

const TABS = ["serving", "predictions", "history", "lineage"] as const;
type Tab = (typeof TABS)[number];

export function Endpoint({ name }: { name: string }) {
  const { query } = route.value;
  const asOf = query.get("as_of") ?? "";
  const tab = (TABS as readonly string[]).includes(query.get("tab") ?? "") ? (query.get("tab") as Tab) : "serving";
  const history = useLoaded((signal) => getHistory("endpoint", name, { signal }), [name]);
  const { value, error, again } = useLoaded((signal) => getEndpoint(name, asOf, { signal }), [name, asOf]);
  useFollowed(history.again);
  useFollowed(again);
  useSettled(!asOf && value && isLoading(value) ? name : undefined, again);
  useEffect(() => void (document.title = `${name} · Endpoints · Headrace`), [name]);
  const entries = history.value ?? [];
  const endpoint = error ? undefined : value;
  return (
    <div class="page registry">
      <nav class="crumbs" aria-label="Where this is">
        <a href={href(["endpoints"])}>Endpoints</a> <span aria-hidden="true">/</span> <span>{name}</span>
      </nav>
      <Head name={name} endpoint={endpoint} editable={!asOf} again={again} />
      <AsOf entries={entries} asOf={asOf} what="the endpoint" />
      {error instanceof Fault && error.status === 404 ? (
        <Empty icon="bolt" title={asOf ? `There was no endpoint ${name} then` : entries.length ? `The endpoint ${name} was deleted` : `There is no endpoint ${name}`}>
          <p>
            <a href={href(["endpoints"])}>All endpoints</a>
          </p>
        </Empty>
      ) : error ? (
        <Failed title="The endpoint could not be read" error={error} again={again} />
      ) : !endpoint ? (
        <Loading />
      ) : (
        <>
          <Tabs
            label="Of this endpoint"
            chosen={tab}
            choose={(chosen) => setQuery({ tab: chosen === "serving" ? null : chosen })}
            choices={[
              { value: "serving", label: "Serving" },
              { value: "predictions", label: "Predictions" },
              { value: "history", label: "History", count: entries.length },
              { value: "lineage", label: "Lineage" },
            ]}
          />
          <div role="tabpanel" aria-label={tab} class="tab-panel">
            {tab === "serving" && <Serving endpoint={endpoint} past={asOf !== ""} />}
            {tab === "predictions" && <Predictions endpoint={endpoint} />}
            {tab === "history" && <HistoryList entries={asOf ? entries.slice(0, indexAt(entries, asOf) + 1) : entries} />}
            {tab === "lineage" && <Lineage kind="endpoint" id={name} asOf={asOf} />}
          </div>
        </>
      )}
    </div>
  );
}

function Head({ name, endpoint, editable, again }: { name: string; endpoint: EndpointInfo | undefined; editable: boolean; again: () => void }) {
  const [dialog, setDialog] = useState<"" | "change" | "delete">("");
  return (
    <div class="page-head">
      <h1>{name}</h1>
      {endpoint && <State state={endpoint.state} />}
      {endpoint && (
        <span class="quiet">
          changed <Ago ms={endpoint.last_update_time_ms} />
        </span>
      )}
      <span class="grow" />
      {endpoint && editable && (
        <>
          <Button icon="edit" onClick={() => setDialog("change")}>
            Change
          </Button>
          <Menu label={`More for ${name}`} items={[{ label: "Delete", icon: "trash", danger: true, act: () => setDialog("delete") }]} />
        </>
      )}
      {dialog === "change" && endpoint && <EndpointForm endpoint={endpoint} close={() => setDialog("")} done={again} />}
      {dialog === "delete" && (
        <Ask
          title={`Delete ${name}?`}
          action="Delete endpoint"
          danger
          close={() => setDialog("")}
          submit={async () => {
            await changes.delete(name);
            navigate(["endpoints"]);
          }}
        >
          <p>Requests that were begun are answered; later ones get 404. What it logged stays.</p>
        </Ask>
      )}
    </div>
  );
}

function Serving({ endpoint, past }: { endpoint: EndpointInfo; past: boolean }) {
  const serving = endpoint.routes.map((one) => one.serving).find((one) => one !== null);
  const every = [...endpoint.routes, ...(endpoint.shadow ? [endpoint.shadow] : [])];
  return (
    <div class="column">
      <div class="card scroll">
        <table class="plain models-table">
          <thead>
            <tr>
              <th scope="col">Route</th>
              <th scope="col" class="number">
                Share
              </th>
              <th scope="col">{past ? "Named then" : "Serves"}</th>
              <th scope="col">State</th>
              <th scope="col" class="number wide-only">
                Requests
              </th>
              <th scope="col" class="number wide-only">
                Errors
              </th>
              <th scope="col" class="wide-only">
                Since
              </th>
            </tr>
          </thead>
          <tbody>
            {every.map((one) => (
              <RouteRow key={one.model} route={one} endpoint={endpoint} past={past} />
            ))}
          </tbody>
        </table>
      </div>
      {!past && (
        <div class="columns">
          <div class="column">
            <Traffic name={endpoint.name} />
            {serving && <Workers served={serving} />}
          </div>
          <div class="column">
            <Card title="Try it">
              {serving ? <Try name={endpoint.name} uri={uriOf(serving)} /> : <p class="none">Nothing serves yet; once a version does, it can be asked here.</p>}
            </Card>
          </div>
        </div>
      )}
      <Card title="Options">
        <Facts facts={Object.entries(endpoint.options).map(([option, value]) => [option, <code>{String(value)}</code>] as const)} />
      </Card>
    </div>
  );
}

function RouteRow({ route: one, endpoint, past }: { route: Route; endpoint: EndpointInfo; past: boolean }) {
  const { serving, loading, names } = one;
  return (
    <tr>
      <th scope="row">
        <code>{one.model}</code>
        {one === endpoint.shadow && <span class="quiet"> shadow</span>}
      </th>
      <td class="number">{one === endpoint.shadow ? "copies" : share(one, endpoint.routes)}</td>
      <td>
        {past ? names ? <LabelLink label={names} /> : <span class="none">nothing</span> : serving ? <LabelLink label={serving.label} /> : <span class="none">nothing</span>}
        {loading && <div class="quiet">{loading.label} loads ({loading.state})</div>}
        {!past && serving && names && names !== serving.label && !loading && <div class="fault">it names {names}</div>}
      </td>
      <td>
        <State state={one.state} />
        {one.reason && <div class="fault reason">{one.reason}</div>}
      </td>
      <td class="number wide-only">{serving?.requests.toLocaleString("en-US") ?? "–"}</td>
      <td class="number wide-only">{serving?.errors.toLocaleString("en-US") ?? "–"}</td>
      <td class="wide-only">{serving ? <Ago ms={serving.since_ms} /> : <span class="none">–</span>}</td>
    </tr>
  );
}

function Workers({ served }: { served: Served }) {
  return (
    <Card title={`Workers of ${served.label}`}>
      <Facts
        facts={[
          ["State", served.state],
          ["Loaded in", duration(served.load_s * 1000)],
          ["Environment", <code>{served.environment}</code>],
          ["Restarts", served.restarts.toLocaleString("en-US")],
          ["Run", served.run_id && <a href={href(["runs", served.run_id])}>{served.run_id.slice(0, 8)}</a>],
          ["Processes", served.workers.map((one) => `${one.pid} (${size(one.rss_bytes)})`).join(", ")],
          ["Last event", served.reason],
        ]}
      />
    </Card>
  );
}

function Predictions({ endpoint }: { endpoint: EndpointInfo }) {
  const { value, error, again } = useLoaded((signal) => getPredictions(endpoint.name, { signal }), [endpoint.name]);
  if (error) return <Failed title="The predictions could not be read" error={error} again={again} />;
  if (!value) return <Loading />;
  if (!value.length) {
    return (
      <Empty icon="table" title="No prediction is logged">
        <p>{Number(endpoint.options["log_sample"]) > 0 ? "What is sampled of the requests comes here." : "Change the endpoint to log a share of its requests; it logs none now."}</p>
        <Button icon="refresh" onClick={again}>
          Look again
        </Button>
      </Empty>
    );
  }
  return (
    <div class="card scroll">
      <table class="plain predictions">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Version</th>
            <th scope="col" class="number">
              Status
            </th>
            <th scope="col" class="number">
              Time
            </th>
            <th scope="col">Request</th>
            <th scope="col">Answer</th>
          </tr>
        </thead>
        <tbody>
          {value.map(({ position, time_ms: ms, prediction: one }) => (
            <tr key={position}>
              <td>
                <Ago ms={ms} />
              </td>
              <td>
                {one.version}
                {one.shadow && <span class="quiet"> shadow</span>}
              </td>
              <td class={`number ${(one.status ?? 0) >= 400 ? "fault" : ""}`}>{one.status}</td>
              <td class="number">{number(one.latency_ms ?? 0)} ms</td>
              <td>
                <code class="clip body" title={one.request}>
                  {one.request}
                </code>
              </td>
              <td>
                <code class="clip body" title={one.response}>
                  {one.response}
                </code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
