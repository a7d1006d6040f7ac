// Pieces of endpoints: their state, the version behind a route, a form of what they are.

import { useState } from "preact/hooks";
import { href } from "../router";
import { Ask, Input } from "../registry/parts";
import { Button, IconButton } from "../ui/button";
import { changes, type Endpoint, type Route } from "./api";

const STATES: Readonly<Record<string, string>> = { ready: "good", degraded: "warn", loading: "muted", failed: "bad" };

export function State({ state, reason }: { state: string; reason?: string }) {
  return (
    <span class={`dot ${STATES[state] ?? "muted"}`} title={reason || state}>
      {state.charAt(0).toUpperCase() + state.slice(1)}
    </span>
  );
}

/** A version as `model/3`, leading to its page; a logged model by its id. */
export function LabelLink({ label }: { label: string }) {
  const cut = label.lastIndexOf("/");
  if (cut <= 0) return <code>{label}</code>;
  return <a href={href(["models", label.slice(0, cut), "versions", label.slice(cut + 1)])}>{label}</a>;
}

/** What requests that a route gets are answered by. */
export function Answers({ route }: { route: Route }) {
  if (route.serving) return <LabelLink label={route.serving.label} />;
  return <span class="none">{route.loading ? `${route.loading.label} loads` : "nothing"}</span>;
}

/** The share of requests of a route, as text. */
export function share(route: { weight: number }, routes: readonly { weight: number }[]): string {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0);
  return total ? `${Number(((100 * route.weight) / total).toFixed(1))} %` : "–";
}

/** A form for an endpoint that is new, or for one that is there. */
export function EndpointForm({ endpoint, model = "", close, done }: { endpoint?: Endpoint; model?: string; close: () => void; done: (name: string) => void }) {
  const [name, setName] = useState(endpoint?.name ?? "");
  const [routes, setRoutes] = useState<readonly { model: string; weight: string }[]>(
    endpoint ? endpoint.routes.map(({ model, weight }) => ({ model, weight: String(weight) })) : [{ model, weight: "1" }],
  );
  const [shadow, setShadow] = useState(endpoint?.shadow?.model ?? "");
  const [workers, setWorkers] = useState(String(endpoint?.options["workers"] ?? 1));
  const [sample, setSample] = useState(String(endpoint?.options["log_sample"] ?? 0));
  const change = (index: number, changed: Partial<{ model: string; weight: string }>) =>
    setRoutes(routes.map((route, at) => (at === index ? { ...route, ...changed } : route)));
  return (
    <Ask
      title={endpoint ? `Change ${endpoint.name}` : "New endpoint"}
      action={endpoint ? "Save" : "Create endpoint"}
      disabled={!name.trim() || routes.some((route) => !route.model.trim())}
      close={close}
      submit={async () => {
        const wanted = {
          routes: routes.map((route) => ({ model: route.model.trim(), weight: Number(route.weight) })),
          shadow: shadow.trim(),
          options: { workers: Number(workers), log_sample: Number(sample) },
        };
        await (endpoint ? changes.update(endpoint.name, wanted) : changes.create(name.trim(), wanted));
        done(name.trim());
      }}
    >
      {!endpoint && <Input label="Name" value={name} set={setName} placeholder="churn" />}
      <fieldset class="routes-edit">
        <legend>Models, and how the requests are split between them</legend>
        {routes.map((route, index) => (
          <div key={index} class="row">
            <input
              class="input grow"
              aria-label={`Model ${index + 1}`}
              placeholder="models:/churn@champion"
              value={route.model}
              onInput={(event) => change(index, { model: event.currentTarget.value })}
            />
            <input
              class="input weight"
              type="number"
              min="0"
              step="any"
              aria-label={`Weight of model ${index + 1}`}
              value={route.weight}
              onInput={(event) => change(index, { weight: event.currentTarget.value })}
            />
            <IconButton small icon="close" label={`Take model ${index + 1} away`} disabled={routes.length === 1} onClick={() => setRoutes(routes.filter((_, at) => at !== index))} />
          </div>
        ))}
        <Button kind="quiet" icon="plus" onClick={() => setRoutes([...routes, { model: "", weight: "1" }])}>
          Add a model
        </Button>
      </fieldset>
      <Input label="Shadow: gets a copy of each request (empty for none)" value={shadow} set={setShadow} placeholder="models:/churn@challenger" />
      <Input label="Workers for each version" value={workers} set={setWorkers} />
      <Input label="Share of requests that is logged, 0 to 1" value={sample} set={setSample} />
    </Ask>
  );
}
