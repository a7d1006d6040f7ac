// Facts of runs as a table: a row a fact, a column a run; only the rows in sight are in the document.

import { useEffect, useRef, useState } from "preact/hooks";
import type { RunRef } from "../model";
import { href, setQuery } from "../router";
import { Menu } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { type Comparison, difference, type Line, named, place, type Row, told } from "./rows";

const ROW_PX = 30;
const BEYOND = 10;

interface DifferencesProps {
  comparison: Comparison;
  lines: readonly Line[];
  refs: ReadonlyMap<string, RunRef>;
  /** The run that the others are measured against. */
  base: string;
  fold: (section: string) => void;
  leave: (runId: string) => void;
}

export function Differences({ comparison: { runs }, lines, refs, base, fold, leave }: DifferencesProps) {
  const box = useRef<HTMLDivElement>(null);
  const [span, setSpan] = useState({ top: 0, height: 800 });
  const look = () => {
    const element = box.current;
    if (element) setSpan({ top: element.scrollTop, height: element.clientHeight });
  };
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(look);
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const from = Math.max(0, Math.min(lines.length, Math.floor(span.top / ROW_PX) - BEYOND));
  const to = Math.min(lines.length, Math.ceil((span.top + span.height) / ROW_PX) + BEYOND);
  const baseAt = runs.findIndex(({ run_id }) => run_id === base);
  return (
    <div ref={box} class={`differences scroll card ${baseAt < 0 ? "" : "measured"}`} role="region" aria-label="Differences" tabIndex={0} onScroll={look}>
      <table aria-rowcount={lines.length + 1}>
        <colgroup>
          <col class="fact" />
          {runs.map(({ run_id }) => (
            <col key={run_id} class="value" />
          ))}
          <col class="rest" />
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col">Fact</th>
            {runs.map((run) => {
              const ref = refs.get(run.run_id);
              return (
                <th key={run.run_id} scope="col" class={run.run_id === base ? "base" : ""}>
                  <span>
                    <i class={`swatch c${ref?.color ?? 0}${ref?.dashed ? " dashed" : ""}`} />
                    <a class="clip grow" href={href(["experiments", run.experiment_id, "runs", run.run_id])} title={run.run_name}>
                      {run.run_name}
                    </a>
                    <Menu
                      small
                      label={`Of ${run.run_name}`}
                      items={[
                        { label: run.run_id === base ? "Measure against none" : "Measure against this run", icon: "pin", act: () => setQuery({ base: run.run_id === base ? null : run.run_id }) },
                        { label: "Leave it out", icon: "close", act: () => leave(run.run_id), disabled: runs.length < 3 },
                      ]}
                    />
                  </span>
                </th>
              );
            })}
            <td />
          </tr>
        </thead>
        <tbody>
          {from > 0 && (
            <tr aria-hidden="true">
              <td style={{ height: `${from * ROW_PX}px` }} />
            </tr>
          )}
          {lines.slice(from, to).map((line, at) =>
            "row" in line ? (
              <Fact key={`${line.row.section}/${line.row.key}/${line.row.aggregate}`} row={line.row} baseAt={baseAt} index={from + at + 2} />
            ) : (
              <tr key={line.section} class="section" aria-rowindex={from + at + 2}>
                <th scope="rowgroup" colSpan={runs.length + 2}>
                  <button type="button" aria-expanded={!line.folded} onClick={() => fold(line.section)}>
                    <Icon name={line.folded ? "right" : "down"} />
                    {line.heading}
                    <span class="quiet">{line.count.toLocaleString("en-US")}</span>
                  </button>
                </th>
              </tr>
            ),
          )}
          {to < lines.length && (
            <tr aria-hidden="true">
              <td style={{ height: `${(lines.length - to) * ROW_PX}px` }} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function Fact({ row, baseAt, index }: { row: Row; baseAt: number; index: number }) {
  const base = baseAt < 0 ? null : (row.values[baseAt] ?? null);
  return (
    <tr aria-rowindex={index} class={row.differs ? "" : "equal"}>
      <th scope="row" class="clip" title={named(row)}>
        {named(row)}
      </th>
      {row.values.map((value, at) => {
        const text = told(row, value);
        const share = place(row, value);
        const differs = baseAt >= 0 && at !== baseAt && value !== base;
        return (
          <td
            key={at}
            class={`${row.section === "metrics" ? "number" : ""} ${at === baseAt ? "base" : ""} ${differs ? "differs" : ""}`}
            title={text === null ? "This run has none" : row.section === "metrics" ? String(value) : text}
          >
            {share !== undefined && <i class="share" style={{ width: `${share * 100}%` }} aria-hidden="true" />}
            {text === null ? <span class="none">–</span> : text}
            {at !== baseAt && baseAt >= 0 && <small>{difference(row, value, base)}</small>}
          </td>
        );
      })}
      <td />
    </tr>
  );
}
