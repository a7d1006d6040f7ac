// The runs around a run: what it is nested in, what is nested in it, what it was forked from, and what from it.

import { duration } from "../format";
import { href } from "../router";
import { Icon } from "../ui/icon";
import { Ago, StatusBadge } from "../ui/text";
import type { Family, Relative, Run } from "./data";
import { Card } from "./overview";

const COMPARED_MAX = 100;
const place = (one: Relative) => href(["experiments", one.experiment_id, "runs", one.run_id]);

export function FamilyCard({ run, family }: { run: Run; family: Family }) {
  const { ancestors, children, forks } = family;
  const parent = ancestors.at(-1);
  if (!parent && !children.length && !forks.length && !family.forked_from && family.fork_step === null) return null;
  const id = run.info.run_id;
  return (
    <Card
      title="Related runs"
      tools={
        children.length > 0 && (
          <span class="run-tools">
            <a href={href(["experiments", [...new Set(children.map((one) => one.experiment_id))].join(",")], { filter: `tags."mlflow.parentRunId" = '${id}'` })}>Children as a table</a>
            {children.length > 1 && <a href={href(["compare"], { runs: children.slice(0, COMPARED_MAX).map((one) => one.run_id).join(",") })}>Compare them</a>}
          </span>
        )
      }
    >
      {(parent || family.forked_from || family.fork_step !== null) && (
        <dl class="run-about">
          {parent && (
            <div>
              <dt>Parent</dt>
              <dd><a href={place(parent)}>{parent.run_name || parent.run_id}</a></dd>
            </div>
          )}
          {family.fork_step !== null && (
            <div>
              <dt>Forked from</dt>
              <dd>
                {family.forked_from ? <a href={place(family.forked_from)}>{family.forked_from.run_name || family.forked_from.run_id}</a> : "a run that is gone"} at step{" "}
                {family.fork_step.toLocaleString("en-US")}
              </dd>
            </div>
          )}
        </dl>
      )}
      {children.length > 0 && <Runs label="Children" runs={children} />}
      {forks.length > 0 && <Runs label="Forks" runs={forks} />}
      {family.more && <p class="run-hint">There are more than are shown here.</p>}
    </Card>
  );
}

function Runs({ label, runs }: { label: string; runs: readonly Relative[] }) {
  return (
    <div class="scroll run-scroll">
      <table class="plain" aria-label={label}>
        <thead>
          <tr>
            <th scope="col">
              {label} <span class="count">{runs.length.toLocaleString("en-US")}</span>
            </th>
            <th scope="col">Status</th>
            <th scope="col">Duration</th>
            <th scope="col" class="wide-only">Started</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((one) => (
            <tr key={one.run_id}>
              <th scope="row">
                <a href={place(one)}>{one.run_name || one.run_id}</a>
                {one.fork_step !== null && <span class="quiet"> at step {one.fork_step.toLocaleString("en-US")}</span>}
                {one.lifecycle_stage === "deleted" && <span class="chip run-chip"><Icon name="trash" /> in the bin</span>}
              </th>
              <td><StatusBadge status={one.status} /></td>
              <td class="numbers">{one.end_time_ms ? duration(one.end_time_ms - one.start_time_ms) : "–"}</td>
              <td class="wide-only"><Ago ms={one.start_time_ms} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
