// One version of a model: its stage and aliases, where it comes from, what it takes, what happened to it.

import { useEffect, useState } from "preact/hooks";
import { size } from "../format";
import { Lineage } from "../lineage/lineage";
import { useLoaded } from "../loaded";
import { href, navigate, route, setQuery } from "../router";
import { Fault } from "../server";
import { Button, Copy } from "../ui/button";
import { Menu } from "../ui/dialog";
import { Empty, Failed, Loading } from "../ui/states";
import { Tabs } from "../ui/tabs";
import { Ago } from "../ui/text";
import { changes, getHistory, getVersion, useFollowed, type ModelVersion } from "./api";
import { AsOf, indexAt } from "./asof";
import { HistoryList } from "./history";
import { act, Ask, Card, Description, Facts, Input, Stage, Tags, VersionStatus } from "./parts";
import { Signature } from "./signature";
import { Comments, Requests } from "./talks";
import { Transition } from "./transition";

const TABS = ["overview", "history", "lineage", "comments"] as const;
type Tab = (typeof TABS)[number];

export function Version({ name, number }: { name: string; number: string }) {
  const { query } = route.value;
  const asOf = query.get("as_of") ?? "";
  const tab = (TABS as readonly string[]).includes(query.get("tab") ?? "") ? (query.get("tab") as Tab) : "overview";
  const history = useLoaded((signal) => getHistory("model_version", `${name}/${number}`, { signal }), [name, number]);
  const { value, error, again } = useLoaded((signal) => getVersion(name, number, asOf, { signal }), [name, number, asOf]);
  useFollowed(history.again);
  useFollowed(again);
  useEffect(() => void (document.title = `${name} ${number} · Models · Headrace`), [name, number]);
  const entries = history.value ?? [];
  const version = error ? undefined : value;
  return (
    <div class="page registry">
      <nav class="crumbs" aria-label="Where this is">
        <a href={href(["models"])}>Models</a> <span aria-hidden="true">/</span> <a href={href(["models", name])}>{name}</a> <span aria-hidden="true">/</span>{" "}
        <span>Version {number}</span>
      </nav>
      <Head name={name} number={number} version={version} editable={!asOf} again={again} />
      <AsOf entries={entries} asOf={asOf} what="the version" />
      {error instanceof Fault && error.status === 404 ? (
        <Empty icon="box" title={asOf ? `There was no version ${number} of ${name} then` : `There is no version ${number} of ${name}`}>
          {entries.length > 0 && <p>Its history is on the log: move the slider to see it as it was.</p>}
          <p>
            <a href={href(["models", name])}>All versions of {name}</a>
          </p>
        </Empty>
      ) : error ? (
        <Failed title="The version could not be read" error={error} again={again} />
      ) : !version ? (
        <Loading />
      ) : (
        <>
          {!asOf && <Requests name={name} version={number} then={again} />}
          <Tabs
            label="Of this version"
            chosen={tab}
            choose={(chosen) => setQuery({ tab: chosen === "overview" ? null : chosen })}
            choices={[
              { value: "overview", label: "Overview" },
              { value: "history", label: "History", count: entries.length },
              { value: "lineage", label: "Lineage" },
              { value: "comments", label: "Comments" },
            ]}
          />
          <div role="tabpanel" aria-label={tab} class="tab-panel">
            {tab === "overview" && <Overview version={version} asOf={asOf} again={again} />}
            {tab === "history" && <HistoryList entries={asOf ? entries.slice(0, indexAt(entries, asOf) + 1) : entries} />}
            {tab === "lineage" && <Lineage kind="model_version" id={`${name}/${number}`} asOf={asOf} />}
            {tab === "comments" && <Comments name={name} version={number} editable={!asOf} />}
          </div>
        </>
      )}
    </div>
  );
}

function Head({ name, number, version, editable, again }: { name: string; number: string; version: ModelVersion | undefined; editable: boolean; again: () => void }) {
  const [dialog, setDialog] = useState<"" | "move" | "delete" | "alias">("");
  const [alias, setAlias] = useState("");
  const close = () => setDialog("");
  return (
    <div class="page-head">
      <h1>
        {name} <span class="quiet">version {number}</span>
      </h1>
      {version && (
        <>
          <Stage stage={version.current_stage} />
          {(version.aliases ?? []).map((one) => (
            <span key={one} class="alias">
              @{one}
            </span>
          ))}
          <VersionStatus version={version} />
        </>
      )}
      <span class="grow" />
      {version && editable && (
        <>
          <Button icon="star" onClick={() => (setAlias(""), setDialog("alias"))}>
            Set alias
          </Button>
          <Button kind="primary" icon="sort" onClick={() => setDialog("move")}>
            Move to stage
          </Button>
          <Menu
            label={`More for version ${number}`}
            items={[
              { label: "Serve it", icon: "bolt", act: () => navigate(["endpoints"], { new: `models:/${name}/${number}` }) },
              { label: "Delete", icon: "trash", danger: true, act: () => setDialog("delete") },
            ]}
          />
        </>
      )}
      {dialog === "move" && version && <Transition version={version} close={close} then={again} />}
      {dialog === "alias" && (
        <Ask
          title={`An alias for version ${number}`}
          action="Set alias"
          disabled={!alias.trim()}
          close={close}
          submit={async () => {
            await changes.setAlias(name, alias.trim().replace(/^@/, ""), number);
            again();
          }}
        >
          <Input label="Alias" value={alias} set={setAlias} placeholder="champion" />
          <p class="quiet">An alias points to one version: what it pointed to before loses it.</p>
        </Ask>
      )}
      {dialog === "delete" && (
        <Ask
          title={`Delete version ${number}?`}
          action="Delete version"
          danger
          close={close}
          submit={async () => {
            await changes.deleteVersion(name, number);
            navigate(["models", name]);
          }}
        >
          <p>Its aliases go with it. Its number is not given again, and its history stays on the log.</p>
        </Ask>
      )}
    </div>
  );
}

function Overview({ version, asOf, again }: { version: ModelVersion; asOf: string; again: () => void }) {
  const { name, version: number, headrace } = version;
  const editable = !asOf;
  const tags = { set: (key: string, value: string) => changes.tagVersion(name, number, key, value), take: (key: string) => changes.untagVersion(name, number, key) };
  const save = async (text: string) => {
    await changes.describeVersion(name, number, text);
    again();
  };
  const uri = `models:/${name}/${number}`;
  const code = headrace.code ?? {};
  return (
    <div class="columns">
      <div class="column">
        <Card title="Description">
          <Description key={`${name}/${number}`} text={version.description ?? ""} save={editable ? save : undefined} />
        </Card>
        <Card title="Tags">
          <Tags tags={version.tags ?? []} change={editable ? tags : undefined} then={again} />
        </Card>
        {(version.aliases ?? []).length > 0 && (
          <Card title="Aliases">
            <div class="chips">
              {(version.aliases ?? []).map((alias) => (
                <span key={alias} class="chip">
                  <span class="alias">@{alias}</span>
                  {editable && (
                    <button
                      type="button"
                      class="icon-button small"
                      aria-label={`Take alias ${alias} away`}
                      onClick={() => void act(() => changes.deleteAlias(name, alias), `Alias ${alias} taken away`, again)}
                    >
                      ×
                    </button>
                  )}
                </span>
              ))}
            </div>
          </Card>
        )}
        <Card title="Signature">
          <Signature uri={uri} asOf={asOf} />
        </Card>
      </div>
      <div class="column">
        <Card title="Where it comes from">
          <Facts
            facts={[
              ["Made", <><Ago ms={version.creation_timestamp} />{version.user_id && ` by ${version.user_id}`}</>],
              ["Run", version.run_id && (headrace.run ? `${version.run_id}: ${headrace.run}` : <a href={href(["runs", version.run_id])} class="mono">{version.run_id}</a>)],
              ["Logged model", version.model_id && (version.run_id ? <a href={href(["runs", version.run_id], { tab: "artifacts", model: version.model_id })} class="mono" title="Its files">{version.model_id}</a> : <code>{version.model_id}</code>)],
              ["Source", version.source && <code>{version.source}</code>],
              ["Code", code["mlflow.source.name"] && <code>{code["mlflow.source.name"]}</code>],
              ["Commit", code["mlflow.source.git.commit"] && <code>{code["mlflow.source.git.commit"]}</code>],
              ["Data", headrace.datasets?.length ? headrace.datasets.map((one) => `${one.name}${one.context ? ` (${one.context})` : ""}`).join(", ") : ""],
              ["Last transition", headrace.stage_comment && <q>{headrace.stage_comment}</q>],
            ]}
          />
        </Card>
        <Card title="Files">
          <Facts
            facts={[
              ["Load it by", <span class="row"><code>{uri}</code><Copy text={uri} label="Copy the URI" /></span>],
              ["Size", headrace.files ? `${size(headrace.file_bytes ?? 0)} in ${headrace.files} file${headrace.files === 1 ? "" : "s"}` : ""],
              ["Digest", headrace.digest && <code>{headrace.digest}</code>],
              ["No digest", headrace.digest_message],
              ["Status", version.status_message],
              ["Stored at", headrace.storage_location && <code>{headrace.storage_location}</code>],
            ]}
          />
        </Card>
      </div>
    </div>
  );
}
