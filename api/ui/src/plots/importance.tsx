// Which params go together with a metric: the correlations of the server, the most important first.

import { useLoaded } from "../loaded.ts";
import type { RunTable } from "../model.ts";
import { post } from "../server.ts";
import { Empty, Failed, Loading } from "../ui/states";
import { labelOf } from "./axis.ts";
import { set } from "./state.ts";

interface Correlation {
  param: string;
  kind: "number" | "category" | "constant";
  runs: number;
  missing: number;
  values: number;
  pearson: number | null;
  pearson_log: number | null;
  spearman: number | null;
  eta: number | null;
  importance: number | null;
}

interface Answer {
  runs: number;
  without: number;
  not_finite: number;
  correlations: Correlation[];
}

/** As many runs as the server takes at once. */
const RUNS_MAX = 10_000;

export function Importance({ table, metric }: { table: RunTable; metric: string }) {
  const key = labelOf(metric);
  const { value, error, again } = useLoaded(
    (signal) => post<Answer>("/api/headrace/v1/correlations", { run_ids: table.ids.slice(0, RUNS_MAX), metric: key }, { signal }),
    [table, key],
  );
  if (error && !value) return <Failed title="The correlations could not be read" error={error} again={again} />;
  if (!value) return <Loading label="Correlations are on their way" />;
  const measured = value.correlations.filter(({ kind }) => kind !== "constant");
  if (!measured.length) {
    return (
      <Empty icon="chart" title="No param differs between these runs">
        <p>Importance tells how much of {key} each param explains. It needs runs that have {key}, and params that differ.</p>
      </Empty>
    );
  }
  return (
    <div class="importance scroll">
      <table class="plain">
        <caption class="sr">Params by how much of {key} each explains</caption>
        <thead>
          <tr>
            <th scope="col">Param</th>
            <th scope="col" title="How much of the metric's variance the param alone tells of, less what chance gives">Importance</th>
            <th scope="col">Correlation</th>
            <th scope="col">Measure</th>
            <th scope="col" class="number">Values</th>
            <th scope="col" class="number">Runs</th>
          </tr>
        </thead>
        <tbody>
          {measured.map((one) => (
            <Row key={one.param} one={one} metric={metric} />
          ))}
        </tbody>
      </table>
      <p class="plot-note">
        {value.runs.toLocaleString("en-US")} runs take part
        {value.without > 0 && `; ${value.without.toLocaleString("en-US")} lack the metric`}
        {value.not_finite > 0 && `; ${value.not_finite.toLocaleString("en-US")} have NaN or infinity`}
        {table.length > RUNS_MAX && `; the first ${RUNS_MAX.toLocaleString("en-US")} of ${table.length.toLocaleString("en-US")} were looked at`}
        . A hint where to look, no proof: params that were changed together share it.
      </p>
    </div>
  );
}

function Row({ one, metric }: { one: Correlation; metric: string }) {
  const { value, measure } = strongest(one);
  const show = () => {
    const name = `params.${one.param}`;
    if (one.kind === "number") set({ kind: "scatter", x: name, y: metric });
    else set({ kind: "bars", by: name, metric });
  };
  return (
    <tr>
      <th scope="row">
        <button type="button" class="link" onClick={show} title={`Show ${labelOf(metric)} by ${one.param}`}>
          {one.param}
        </button>
      </th>
      <td>
        <span class="meter">
          <i style={{ width: `${100 * (one.importance ?? 0)}%` }} />
        </span>
        <span class="numbers">{told(one.importance)}</span>
      </td>
      <td>
        <span class="meter signed">
          {value !== null && <i class={value < 0 ? "less" : "more"} style={value < 0 ? { right: "50%", width: `${-50 * value}%` } : { left: "50%", width: `${50 * value}%` }} />}
        </span>
        <span class="numbers">{told(value)}</span>
      </td>
      <td class="quiet">{measure}</td>
      <td class="number">{one.values.toLocaleString("en-US")}</td>
      <td class="number">{one.runs.toLocaleString("en-US")}</td>
    </tr>
  );
}

/** The measure that importance is made of: the greatest by amount. */
function strongest({ kind, pearson, pearson_log, spearman, eta }: Correlation): { value: number | null; measure: string } {
  if (kind === "category") return { value: eta, measure: "η of categories" };
  let found: { value: number | null; measure: string } = { value: pearson, measure: "Pearson" };
  for (const [value, measure] of [[pearson_log, "Pearson, log"], [spearman, "Spearman"]] as const) {
    if (value !== null && Math.abs(value) > Math.abs(found.value ?? 0)) found = { value, measure };
  }
  return found;
}

/** Three places after the point are more than such a measure is good for. */
function told(value: number | null): string {
  return value === null ? "–" : value.toFixed(3).replace("-", "−");
}
