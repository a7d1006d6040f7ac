// Metrics and params of a run as tables that are searched by typing.

import { useState } from "preact/hooks";
import { number } from "../format";
import { href, route } from "../router";
import { decode, type Wire } from "../server";
import { Copy } from "../ui/button";
import type { Metric, Pair } from "./data";
import { Card } from "./overview";

const SHOWN_AT_FIRST = 15;
const SHOWN_AT_ONCE = 300;
const SEARCHED_FROM = 8;

/** Rows that hold what is typed; at first only some of many. */
function useRows<T>(rows: readonly T[], text: (row: T) => string) {
  const [typed, setTyped] = useState("");
  const [most, setMost] = useState(SHOWN_AT_FIRST);
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length ? rows.filter((row) => words.every((word) => text(row).toLowerCase().includes(word))) : rows;
  const shown = found.slice(0, words.length ? Math.max(most, SHOWN_AT_ONCE) : most);
  const rest = found.length - shown.length;
  return { typed, setTyped, found, shown, rest, showMore: () => setMost(shown.length + SHOWN_AT_ONCE) };
}

export function Filter({ label, typed, type }: { label: string; typed: string; type: (text: string) => void }) {
  return <input class="input run-filter" type="search" aria-label={label} placeholder={label} value={typed} onInput={(event) => type(event.currentTarget.value)} />;
}

export function Rest({ count, show }: { count: number; show: () => void }) {
  if (count <= 0) return null;
  return (
    <p class="run-rest">
      <button type="button" class="link" onClick={show}>
        {count > SHOWN_AT_ONCE ? `Show ${SHOWN_AT_ONCE} of ${count.toLocaleString("en-US")} more` : `Show ${count} more`}
      </button>
    </p>
  );
}

function Value({ value }: { value: Wire }) {
  if (value === null) return <span class="none">–</span>;
  return <span title={String(value)}>{number(decode(value))}</span>;
}

export function Metrics({ metrics }: { metrics: readonly Metric[] }) {
  const own = metrics.filter(({ key }) => !key.startsWith("system/"));
  const { typed, setTyped, found, shown, rest, showMore } = useRows(own, ({ key }) => key);
  return (
    <Card title="Metrics" count={own.length} tools={own.length >= SEARCHED_FROM && <Filter label="Find metrics" typed={typed} type={setTyped} />}>
      {own.length === 0 ? (
        <p class="run-hint">None were logged yet.</p>
      ) : (
        <div class="scroll run-scroll">
          <table class="plain" aria-label="Metrics">
            <thead>
              <tr>
                <th scope="col">Metric</th>
                <th scope="col" class="number">Last</th>
                <th scope="col" class="number">Min</th>
                <th scope="col" class="number">Max</th>
                <th scope="col" class="number">Step</th>
                <th scope="col" class="number wide-only">Points</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((metric) => (
                <tr key={metric.key}>
                  <th scope="row">
                    <a href={href(route.value.path, { tab: "charts", panel: metric.key })}>{metric.key}</a>
                  </th>
                  <td class="number"><Value value={metric.last} /></td>
                  <td class="number"><Value value={metric.min} /></td>
                  <td class="number"><Value value={metric.max} /></td>
                  <td class="number">{metric.last_step.toLocaleString("en-US")}</td>
                  <td class="number wide-only">
                    {metric.points.toLocaleString("en-US")}
                    {metric.nan > 0 && <span class="run-nan"> ({metric.nan.toLocaleString("en-US")} NaN)</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {found.length === 0 && <p class="run-hint">No metric is named so.</p>}
        </div>
      )}
      <Rest count={rest} show={showMore} />
    </Card>
  );
}

export function Params({ params }: { params: readonly Pair[] }) {
  const { typed, setTyped, found, shown, rest, showMore } = useRows(params, ({ key, value }) => `${key} ${value}`);
  return (
    <Card
      title="Params"
      count={params.length}
      tools={
        <>
          {params.length >= SEARCHED_FROM && <Filter label="Find params" typed={typed} type={setTyped} />}
          {params.length > 0 && <Copy text={JSON.stringify(Object.fromEntries(params.map(({ key, value }) => [key, value])), null, 2)} label="Copy the params as JSON" />}
        </>
      }
    >
      {params.length === 0 ? (
        <p class="run-hint">None were logged yet.</p>
      ) : (
        <div class="scroll run-scroll">
          <table class="plain" aria-label="Params">
            <tbody>
              {shown.map(({ key, value }) => (
                <tr key={key}>
                  <th scope="row">{key}</th>
                  <td><code>{value}</code></td>
                </tr>
              ))}
            </tbody>
          </table>
          {found.length === 0 && <p class="run-hint">No param is like that.</p>}
        </div>
      )}
      <Rest count={rest} show={showMore} />
    </Card>
  );
}
