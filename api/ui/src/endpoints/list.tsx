// All endpoints: what serves behind each, and how well.

import { useEffect } from "preact/hooks";
import { number } from "../format";
import { useLoaded } from "../loaded";
import { useFollowed } from "../registry/api";
import { href, navigate, route, setQuery } from "../router";
import { isAborted } from "../server";
import { Button } from "../ui/button";
import { Empty, Failed, Loading } from "../ui/states";
import { getEndpoint, getEndpoints, type Endpoint } from "./api";
import { Answers, EndpointForm, share, State } from "./parts";

const WAIT_S = 60;

/** While something loads, ask again as soon as it does so no more. */
export function useSettled(name: string | undefined, again: () => void): void {
  useEffect(() => {
    if (!name) return;
    const controller = new AbortController();
    getEndpoint(name, "", { signal: controller.signal }, WAIT_S).then(again, (error: unknown) => {
      if (!isAborted(error)) again();
    });
    return () => controller.abort();
  }, [name, again]);
}

export function isLoading(endpoint: Endpoint): boolean {
  return [...endpoint.routes, ...(endpoint.shadow ? [endpoint.shadow] : [])].some(({ loading }) => loading !== null);
}

export function Endpoints() {
  const asked = route.value.query.get("new");
  const { value, error, again } = useLoaded((signal) => getEndpoints({ signal }), []);
  useFollowed(again);
  useSettled(value?.find(isLoading)?.name, again);
  useEffect(() => void (document.title = "Endpoints · Headrace"), []);
  return (
    <div class="page registry">
      <div class="page-head">
        <h1>Endpoints</h1>
        <span class="grow" />
        <Button icon="plus" onClick={() => setQuery({ new: "models:/" })}>
          New endpoint
        </Button>
      </div>
      {error ? (
        <Failed title="The endpoints could not be read" error={error} again={again} />
      ) : !value ? (
        <Loading />
      ) : value.length ? (
        <Table endpoints={value} />
      ) : (
        <Empty icon="bolt" title="No endpoint yet">
          <p>An endpoint answers requests for predictions, and follows an alias or a stage of a model.</p>
          <pre>headrace endpoints create churn --model models:/churn@champion --wait</pre>
        </Empty>
      )}
      {asked !== null && <EndpointForm model={asked} close={() => setQuery({ new: null })} done={(name) => setTimeout(() => navigate(["endpoints", name]))} />}
    </div>
  );
}

const ms = (value: number | null | undefined) => (value === null || value === undefined ? "–" : `${number(value)} ms`);

function Table({ endpoints }: { endpoints: readonly Endpoint[] }) {
  return (
    <div class="card scroll">
      <table class="plain models-table">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col">Serves</th>
            <th scope="col" class="number">
              Requests
            </th>
            <th scope="col" class="number">
              Errors
            </th>
            <th scope="col" class="number wide-only">
              Median
            </th>
            <th scope="col" class="number wide-only">
              99th percentile
            </th>
          </tr>
        </thead>
        <tbody>
          {endpoints.map((endpoint) => {
            const serving = endpoint.routes.flatMap((one) => (one.serving ? [one.serving] : []));
            const slowest = (field: "p50_ms" | "p99_ms") => serving.reduce<number | null>((most, one) => (one[field] === null ? most : Math.max(most ?? 0, one[field])), null);
            const reason = endpoint.routes.map((one) => one.reason).find(Boolean);
            return (
              <tr key={endpoint.name}>
                <th scope="row">
                  <a href={href(["endpoints", endpoint.name])} class="strong">
                    {endpoint.name}
                  </a>
                </th>
                <td>
                  <State state={endpoint.state} reason={reason ?? ""} />
                </td>
                <td>
                  {endpoint.routes.map((one) => (
                    <div key={one.model} class="row">
                      <Answers route={one} />
                      {endpoint.routes.length > 1 && <span class="quiet">{share(one, endpoint.routes)}</span>}
                    </div>
                  ))}
                </td>
                <td class="number">{serving.reduce((sum, { requests }) => sum + requests, 0).toLocaleString("en-US")}</td>
                <td class="number">{serving.reduce((sum, { errors }) => sum + errors, 0).toLocaleString("en-US")}</td>
                <td class="number wide-only">{ms(slowest("p50_ms"))}</td>
                <td class="number wide-only">{ms(slowest("p99_ms"))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
