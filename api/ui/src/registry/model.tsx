// One registered model: its versions, history and lineage, now and as it was at any moment.

import { useEffect, useState } from "preact/hooks";
import { Lineage } from "../lineage/lineage";
import { useLoaded } from "../loaded";
import { href, navigate, route, setQuery } from "../router";
import { Fault } from "../server";
import { Button } from "../ui/button";
import { Menu } from "../ui/dialog";
import { Empty, Failed, Loading } from "../ui/states";
import { Tabs } from "../ui/tabs";
import { Ago } from "../ui/text";
import { changes, getHistory, getModel, searchVersions, useFollowed, type ModelVersion, type RegisteredModel } from "./api";
import { AsOf, indexAt, nameAt } from "./asof";
import { HistoryList } from "./history";
import { act, Ask, Description, Input, Stage, Tags, VersionLink, VersionStatus } from "./parts";
import { Comments } from "./talks";
import { Transition } from "./transition";

const TABS = ["versions", "history", "lineage", "comments"] as const;
type Tab = (typeof TABS)[number];

export function Model({ name }: { name: string }) {
  const { query } = route.value;
  const asOf = query.get("as_of") ?? "";
  const tab = (TABS as readonly string[]).includes(query.get("tab") ?? "") ? (query.get("tab") as Tab) : "versions";
  const history = useLoaded((signal) => getHistory("registered_model", name, { signal }), [name]);
  const entries = history.value ?? [];
  const then = asOf && history.value ? nameAt(entries, indexAt(entries, asOf), name) : name;
  const waits = asOf !== "" && history.loading && !history.value;
  const [pages, setPages] = useState(1);
  const model = useLoaded(
    async (signal) => {
      if (waits) return undefined;
      const found = await getModel(then, asOf, { signal });
      const versions: ModelVersion[] = [];
      let token: string | undefined = "";
      for (let page = 0; page < pages && token !== undefined; page++) {
        const told = await searchVersions(then, token, asOf, { signal });
        versions.push(...told.items);
        token = told.next;
      }
      return { model: found, versions, more: token !== undefined };
    },
    [then, asOf, waits, pages],
  );
  useFollowed(history.again);
  useFollowed(model.again);
  useEffect(() => void (document.title = `${name} · Models · Headrace`), [name]);
  const gone = model.error instanceof Fault && model.error.status === 404;
  const told = model.error ? undefined : model.value;
  return (
    <div class="page registry">
      <nav class="crumbs" aria-label="Where this is">
        <a href={href(["models"])}>Models</a> <span aria-hidden="true">/</span> <span>{name}</span>
      </nav>
      <Head name={told?.model.name ?? name} model={told?.model} editable={!asOf && !!told} again={model.again} />
      <AsOf entries={entries} asOf={asOf} what="the model" />
      {gone ? (
        <Gone name={name} asOf={asOf} known={entries.length > 0} />
      ) : model.error ? (
        <Failed title="The model could not be read" error={model.error} again={model.again} />
      ) : !told ? (
        <Loading />
      ) : (
        <>
          <Overview model={told.model} editable={!asOf} again={model.again} />
          <Tabs
            label="Of this model"
            chosen={tab}
            choose={(chosen) => setQuery({ tab: chosen === "versions" ? null : chosen })}
            choices={[
              { value: "versions", label: "Versions", count: told.more ? undefined : told.versions.length },
              { value: "history", label: "History", count: entries.length },
              { value: "lineage", label: "Lineage" },
              { value: "comments", label: "Comments" },
            ]}
          />
          <div role="tabpanel" aria-label={tab} class="tab-panel">
            {tab === "versions" && <Versions model={told.model} versions={told.versions} editable={!asOf} again={model.again} />}
            {tab === "versions" && told.more && (
              <p class="centered">
                <Button disabled={model.loading} onClick={() => setPages(pages + 1)}>
                  Show more
                </Button>
              </p>
            )}
            {tab === "history" && <HistoryList entries={asOf ? entries.slice(0, indexAt(entries, asOf) + 1) : entries} />}
            {tab === "lineage" && <Lineage kind="registered_model" id={told.model.name} asOf={asOf} />}
            {tab === "comments" && <Comments name={told.model.name} editable={!asOf} />}
          </div>
        </>
      )}
    </div>
  );
}

function Gone({ name, asOf, known }: { name: string; asOf: string; known: boolean }) {
  return (
    <Empty icon="box" title={asOf ? `There was no model ${name} then` : known ? `The model ${name} was deleted` : `There is no model ${name}`}>
      {known && <p>Its history is on the log: move the slider to see it as it was.</p>}
      <p>
        <a href={href(["models"])}>All models</a>
      </p>
    </Empty>
  );
}

function Head({ name, model, editable, again }: { name: string; model: RegisteredModel | undefined; editable: boolean; again: () => void }) {
  const [dialog, setDialog] = useState<"" | "rename" | "delete" | "alias">("");
  const [text, setText] = useState("");
  const [version, setVersion] = useState("");
  const open = (which: "rename" | "delete" | "alias") => {
    setText(which === "rename" ? name : "");
    setVersion("");
    setDialog(which);
  };
  const close = () => setDialog("");
  return (
    <div class="page-head">
      <h1>{name}</h1>
      {model && (
        <span class="quiet">
          {model.user_id && <>by {model.user_id} · </>}changed <Ago ms={model.last_updated_timestamp} />
        </span>
      )}
      <span class="grow" />
      {editable && (
        <>
          <Button icon="star" onClick={() => open("alias")}>
            Set alias
          </Button>
          <Menu
            label={`More for ${name}`}
            items={[
              { label: "Rename", icon: "edit", act: () => open("rename") },
              { label: "Delete", icon: "trash", danger: true, act: () => open("delete") },
            ]}
          />
        </>
      )}
      {dialog === "rename" && (
        <Ask
          title={`Rename ${name}`}
          action="Rename"
          disabled={!text.trim() || text.trim() === name}
          close={close}
          submit={async () => {
            await changes.renameModel(name, text.trim());
            navigate(["models", text.trim()], {}, { replace: true });
          }}
        >
          <Input label="New name" value={text} set={setText} />
          <p class="quiet">Its versions and its history go with it. Endpoints that name it by {name} find nothing any more.</p>
        </Ask>
      )}
      {dialog === "delete" && (
        <Ask
          title={`Delete ${name}?`}
          action="Delete model"
          danger
          close={close}
          submit={async () => {
            await changes.deleteModel(name);
            navigate(["models"]);
          }}
        >
          <p>The model and all its versions are deleted. Its history stays on the log.</p>
        </Ask>
      )}
      {dialog === "alias" && (
        <Ask
          title="Set alias"
          action="Set alias"
          disabled={!text.trim() || !version.trim()}
          close={close}
          submit={async () => {
            await changes.setAlias(name, text.trim().replace(/^@/, ""), version.trim());
            again();
          }}
        >
          <Input label="Alias" value={text} set={setText} placeholder="champion" />
          <Input label="Version" value={version} set={setVersion} placeholder="3" />
        </Ask>
      )}
    </div>
  );
}

function Overview({ model, editable, again }: { model: RegisteredModel; editable: boolean; again: () => void }) {
  const change = { set: (key: string, value: string) => changes.tagModel(model.name, key, value), take: (key: string) => changes.untagModel(model.name, key) };
  const save = async (text: string) => {
    await changes.describeModel(model.name, text);
    again();
  };
  return (
    <div class="overview">
      <Description key={model.name} text={model.description ?? ""} save={editable ? save : undefined} />
      {(model.aliases ?? []).length > 0 && (
        <div class="chips" role="group" aria-label="Aliases">
          {(model.aliases ?? []).map(({ alias, version }) => (
            <span key={alias} class="chip">
              <span class="alias">@{alias}</span> <VersionLink name={model.name} version={version}>{`v${version}`}</VersionLink>
              {editable && (
                <button
                  type="button"
                  class="icon-button small"
                  aria-label={`Take alias ${alias} away`}
                  onClick={() => void act(() => changes.deleteAlias(model.name, alias), `Alias ${alias} taken away`, again)}
                >
                  ×
                </button>
              )}
            </span>
          ))}
        </div>
      )}
      <Tags tags={model.tags ?? []} change={editable ? change : undefined} then={again} />
    </div>
  );
}

function Versions({ model, versions, editable, again }: { model: RegisteredModel; versions: readonly ModelVersion[]; editable: boolean; again: () => void }) {
  const [moving, setMoving] = useState<ModelVersion | null>(null);
  if (!versions.length) return <Empty icon="box" title="No version yet"><pre>{`headrace.register_model(f"runs:/{run_id}/model", "${model.name}")`}</pre></Empty>;
  return (
    <div class="card scroll">
      <table class="plain versions-table">
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col">Stage</th>
            <th scope="col">Aliases</th>
            <th scope="col" class="wide-only">
              Status
            </th>
            <th scope="col" class="wide-only">
              Run
            </th>
            <th scope="col" class="wide-only">
              Made
            </th>
            <th scope="col">
              <span class="sr">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {versions.map((version) => (
            <tr key={version.version}>
              <th scope="row">
                <VersionLink name={model.name} version={version.version} />
                {version.description && <div class="quiet clip description-line">{version.description}</div>}
              </th>
              <td>
                <Stage stage={version.current_stage} />
              </td>
              <td>
                <div class="chips">
                  {(version.aliases ?? []).map((alias) => (
                    <span key={alias} class="alias">
                      @{alias}
                    </span>
                  ))}
                </div>
              </td>
              <td class="wide-only">
                <VersionStatus version={version} />
              </td>
              <td class="wide-only">
                {version.run_id ? <a href={href(["runs", version.run_id])} class="mono">{version.run_id.slice(0, 8)}</a> : <span class="none">–</span>}
              </td>
              <td class="wide-only">
                <Ago ms={version.creation_timestamp} />
                {version.user_id && <span class="quiet"> by {version.user_id}</span>}
              </td>
              <td class="number">
                {editable && (
                  <Button kind="quiet" aria-label={`Move version ${version.version} to a stage`} onClick={() => setMoving(version)}>
                    Move
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {moving && <Transition version={moving} close={() => setMoving(null)} then={again} />}
    </div>
  );
}
