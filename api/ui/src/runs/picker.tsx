// Boxes of the toolbar: which columns, in which order, in which groups.

import { useState } from "preact/hooks";
import { counted } from "../format";
import { IconButton } from "../ui/button";
import { Popover } from "../ui/dialog";
import { AGGREGATES, atBest, ATTRIBUTES, described, type KnownColumns, metricColumn, specOf } from "./columns";
import type { Sort } from "./order";

const SHOWN_MAX = 150;
const BESTS_MAX = 20;

interface PickerProps {
  known: KnownColumns | undefined;
  columns: readonly string[];
  change: (columns: readonly string[] | null) => void;
}

/** Which columns the table has. */
export function ColumnPicker({ known, columns, change }: PickerProps) {
  return (
    <Popover label="Columns" icon="columns" text="Columns" class="runs-picker">
      {() => <Columns known={known} columns={columns} change={change} />}
    </Popover>
  );
}

function Columns({ known, columns, change }: PickerProps) {
  const [search, setSearch] = useState("");
  const metrics = (known?.columns ?? []).filter(({ name }) => name.startsWith("metrics.")).map(({ name }) => name.slice("metrics.".length));
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const sections: [string, string[]][] = [
    ["Run", Object.keys(ATTRIBUTES).filter((name) => name !== "run_name")],
    ["Metrics", metrics.map((key) => `metrics.${key}`)],
    ["Params", (known?.columns ?? []).filter(({ name }) => name.startsWith("params.")).map(({ name }) => name)],
    ["Tags", ["tags.mlflow.note.content", ...(known?.columns ?? []).filter(({ name }) => name.startsWith("tags.") && name !== "tags.mlflow.note.content").map(({ name }) => name)]],
  ];
  let left = SHOWN_MAX;
  const of = (name: string) => columns.filter((one) => one === name || (name.startsWith("metrics.") && `metrics.${specOf(one, known?.byName).key}` === name));
  const toggle = (name: string) => {
    const held = of(name);
    change(held.length ? columns.filter((one) => !held.includes(one)) : [...columns, name]);
  };
  return (
    <>
      <input type="search" class="input" placeholder="Search columns" aria-label="Search columns" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
      <div class="runs-picker-list">
        {sections.map(([title, names]) => {
          const matching = names.filter((name) => words.every((word) => `${name} ${specOf(name, known?.byName).label}`.toLowerCase().includes(word)));
          const shown = matching.slice(0, Math.max(0, left));
          left -= shown.length;
          if (!matching.length) return null;
          return (
            <fieldset key={title}>
              <legend>
                {title} <span class="none">{matching.length}</span>
                <button type="button" class="link" onClick={() => change([...columns, ...shown.filter((name) => !of(name).length)])}>
                  all
                </button>
                <button type="button" class="link" onClick={() => change(columns.filter((one) => !shown.some((name) => of(name).includes(one))))}>
                  none
                </button>
              </legend>
              {shown.map((name) => {
                const spec = specOf(name, known?.byName);
                const held = of(name);
                const aggregate = held[0] ? specOf(held[0], known?.byName).aggregate : "";
                return (
                  <div key={name} class="runs-picker-line">
                    <label class="check-box">
                      <input type="checkbox" checked={held.length > 0} onChange={() => toggle(name)} />
                      <span class="clip" title={spec.key}>
                        {spec.label}
                      </span>
                    </label>
                    {spec.kind === "metric" && held[0] !== undefined ? (
                      <select
                        class="select"
                        aria-label={`Which value of ${spec.key}`}
                        value={aggregate}
                        onChange={(event) => {
                          const next = metricColumn(spec.key, event.currentTarget.value);
                          change(columns.map((one) => (one === held[0] ? next : one)));
                        }}
                      >
                        {Object.entries(AGGREGATES).map(([value, label]) => (
                          <option key={value} value={value}>
                            {label}
                          </option>
                        ))}
                        {[...new Set([...metrics.filter((key) => key !== spec.key).slice(0, BESTS_MAX).map(atBest), ...(aggregate.includes("(") ? [aggregate] : [])])].map((value) => (
                          <option key={value} value={value}>
                            {value.replace(/^at_best\((.*)\)$/, "at best $1")}
                          </option>
                        ))}
                      </select>
                    ) : (
                      <span class="none">{known?.byName.get(name)?.runs.toLocaleString("en-US")}</span>
                    )}
                  </div>
                );
              })}
              {matching.length > shown.length && <p class="none">{counted(matching.length - shown.length, "more column")}: search for them</p>}
            </fieldset>
          );
        })}
      </div>
      <button type="button" class="link" onClick={() => change(null)}>
        Choose for me
      </button>
    </>
  );
}

interface SortProps {
  known: KnownColumns | undefined;
  columns: readonly string[];
  sorts: readonly Sort[];
  change: (sorts: readonly Sort[]) => void;
}

/** By what the runs are ordered; the next decides where the first are equal. */
export function SortBox({ known, columns, sorts, change }: SortProps) {
  const names = [...new Set([...sorts.map(({ column }) => column), "run_name", ...columns, "start_time"])];
  return (
    <Popover label="Sort" icon="sort" text={sorts.length ? `Sort ${sorts.length}` : "Sort"} class="runs-levels">
      {() => (
        <>
          {!sorts.length && <p class="none">The newest run comes first.</p>}
          {sorts.map(({ column, descending }, at) => (
            <div key={column} class="runs-level">
              <span class="none">{at ? "then" : "by"}</span>
              <span class="clip grow">{described(specOf(column, known?.byName))}</span>
              <button type="button" class="button" onClick={() => change(sorts.map((one, i) => (i === at ? { column, descending: !descending } : one)))}>
                {descending ? "descending" : "ascending"}
              </button>
              <IconButton small icon="close" label={`Do not sort by ${column}`} onClick={() => change(sorts.filter((_, i) => i !== at))} />
            </div>
          ))}
          <Adder label="Sort by" names={names.filter((name) => !sorts.some(({ column }) => column === name))} known={known} add={(name) => change([...sorts, { column: name, descending: false }])} />
        </>
      )}
    </Popover>
  );
}

interface GroupProps {
  known: KnownColumns | undefined;
  groupBy: readonly string[];
  several: boolean;
  change: (groupBy: readonly string[]) => void;
}

/** Columns by whose values runs are grouped, level by level. */
export function GroupBox({ known, groupBy, several, change }: GroupProps) {
  const keys = (known?.columns ?? []).filter(({ name }) => /^(params|tags)\./.test(name) && !/^tags\.mlflow\.(runName|note|source\.git)/.test(name)).map(({ name }) => name);
  const names = [...(several ? ["experiment_id"] : []), "status", "user_id", "run_name", "start_time", ...keys];
  return (
    <Popover label="Group" icon="group" text={groupBy.length ? `Group ${groupBy.length}` : "Group"} class="runs-levels">
      {() => (
        <>
          {!groupBy.length && <p class="none">Runs that have the same param, tag or status are put together.</p>}
          {groupBy.map((column, at) => (
            <div key={column} class="runs-level">
              <span class="none">{at ? "then" : "by"}</span>
              <span class="clip grow">{described(specOf(column))}</span>
              <IconButton small icon="close" label={`Do not group by ${column}`} onClick={() => change(groupBy.filter((_, i) => i !== at))} />
            </div>
          ))}
          <Adder label="Group by" names={names.filter((name) => !groupBy.includes(name))} known={known} add={(name) => change([...groupBy, name])} />
        </>
      )}
    </Popover>
  );
}

function Adder({ label, names, known, add }: { label: string; names: readonly string[]; known: KnownColumns | undefined; add: (name: string) => void }) {
  return (
    <select class="select" aria-label={label} value="" onChange={(event) => event.currentTarget.value && add(event.currentTarget.value)}>
      <option value="">{label} …</option>
      {names.map((name) => (
        <option key={name} value={name}>
          {described(specOf(name, known?.byName))}
        </option>
      ))}
    </select>
  );
}
