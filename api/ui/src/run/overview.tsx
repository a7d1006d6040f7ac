// What a run is at a glance: note, results, settings, where it came from and how to do it again.

import type { ComponentChildren } from "preact";
import { moment } from "../format";
import { type Loaded, useLoaded } from "../loaded";
import { Copy } from "../ui/button";
import { Icon } from "../ui/icon";
import { type Family, readModels, readPackages, readVersions, requirementsUrl, type Run } from "./data";
import { Datasets } from "./datasets";
import { FamilyCard } from "./family";
import { Models } from "./models";
import { Note } from "./note";
import { Packages } from "./packages";
import { commitPage, recipe, repositoryPage } from "./reproduce";
import { Metrics, Params } from "./tables";
import { Tags } from "./tags";

interface OverviewProps {
  run: Run;
  family: Loaded<Family>;
  asOf: string;
  again: () => void;
}

export function Overview({ run, family, asOf, again }: OverviewProps) {
  const { info } = run;
  const packages = useLoaded((signal) => readPackages(info.run_id, { signal }), [info.run_id, info.end_time]);
  const made = `${run.modelsMade.join()}|${run.modelsRead.join()}`;
  const models = useLoaded((signal) => readModels(run, { signal }), [info.run_id, made]);
  const versions = useLoaded((signal) => readVersions(info.run_id, { signal }), [info.run_id, made]);
  const editable = !asOf && info.lifecycle_stage !== "deleted";
  return (
    <div class="run-columns">
      <div class="run-column">
        <Note run={run} editable={editable} again={again} />
        <Metrics metrics={run.metrics} />
        <Params params={run.params} />
        {run.datasets.length > 0 && <Datasets datasets={run.datasets} />}
        {((models.value?.length ?? 0) > 0 || (versions.value?.length ?? 0) > 0 || made !== "|" || run.tags.has("mlflow.log-model.history")) && (
          <Models run={run} models={models.value ?? []} versions={versions.value ?? []} editable={editable} />
        )}
        {family.value && <FamilyCard run={run} family={family.value} />}
      </div>
      <div class="run-column side">
        <About run={run} />
        <Reproduce run={run} packages={packages.value ?? null} />
        <Tags run={run} editable={editable} again={again} />
        {packages.value && <Packages text={packages.value} />}
      </div>
    </div>
  );
}

/** A part of the overview. tools: beside its title. */
export function Card({ title, count, tools, children }: { title: string; count?: number; tools?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <section class="card run-card" aria-label={title}>
      <header>
        <h2>
          {title}
          {count !== undefined && <span class="count">{count.toLocaleString("en-US")}</span>}
        </h2>
        <span class="grow" />
        {tools}
      </header>
      {children}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function About({ run: { info, tags } }: { run: Run }) {
  const repository = tags.get("mlflow.source.git.repoURL") ?? "";
  const commit = tags.get("mlflow.source.git.commit");
  const page = repositoryPage(repository);
  const source = tags.get("mlflow.source.name");
  const facts: [string, string | undefined][] = [
    ["Branch", tags.get("mlflow.source.git.branch")],
    ["Entry point", tags.get("headrace.entry_point") ?? tags.get("mlflow.project.entryPoint")],
    ["Python", tags.get("headrace.python")],
    ["Platform", tags.get("headrace.platform")],
    ["Host", tags.get("headrace.host")],
    ["Process", tags.get("headrace.pid")],
  ];
  return (
    <Card title="About">
      <dl class="run-about">
        <Fact name="Run id">
          <code>{info.run_id}</code> <Copy text={info.run_id} label="Copy the run's id" />
        </Fact>
        <Fact name="Started">{moment(info.start_time)}</Fact>
        {info.end_time !== undefined && <Fact name="Ended">{moment(info.end_time)}</Fact>}
        {info.user_id && <Fact name="User">{info.user_id}</Fact>}
        {source && <Fact name="Source"><code>{source}</code></Fact>}
        {repository && (
          <Fact name="Repository">
            {page ? (
              <a href={page} target="_blank" rel="noopener noreferrer">
                {page.replace("https://", "")}
              </a>
            ) : (
              <code>{repository}</code>
            )}
          </Fact>
        )}
        {commit && <Fact name="Commit"><Commit repository={repository} commit={commit} dirty={tags.get("mlflow.source.git.dirty") === "true"} /></Fact>}
        {facts.map(([name, value]) => value && <Fact key={name} name={name}>{value}</Fact>)}
        {info.artifact_uri && <Fact name="Artifacts"><code>{info.artifact_uri}</code></Fact>}
      </dl>
    </Card>
  );
}

function Commit({ repository, commit, dirty }: { repository: string; commit: string; dirty: boolean }) {
  const page = commitPage(repository, commit);
  const short = <code title={commit}>{commit.slice(0, 10)}</code>;
  return (
    <>
      {page ? (
        <a href={page} target="_blank" rel="noopener noreferrer" aria-label={`Commit ${commit.slice(0, 10)} at its host`}>
          {short}
        </a>
      ) : (
        short
      )}{" "}
      <Copy text={commit} label="Copy the commit" />
      {dirty && <span class="chip run-dirty">uncommitted changes</span>}
    </>
  );
}

function Reproduce({ run, packages }: { run: Run; packages: string | null }) {
  const told = recipe(run.tags, packages === null ? undefined : new URL(requirementsUrl(run.info.run_id), location.href).href);
  if (!told) return null;
  const text = told.lines.join("\n");
  return (
    <Card title="Run it again" tools={<Copy text={text} label="Copy the commands" />}>
      <pre class="run-recipe" tabIndex={0} aria-label="Commands that run it again">{text}</pre>
      {told.warnings.map((warning) => (
        <p key={warning} class="run-warning">
          <Icon name="warning" /> {warning}
        </p>
      ))}
    </Card>
  );
}
