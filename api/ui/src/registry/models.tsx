// All registered models: where each stage and alias points, found as one types.

import { useEffect, useState } from "preact/hooks";
import { useLoaded } from "../loaded";
import { href, navigate, route, setQuery } from "../router";
import { Button } from "../ui/button";
import { Empty, Failed, Loading } from "../ui/states";
import { Ago } from "../ui/text";
import { changes, named, searchModels, useFollowed, type RegisteredModel } from "./api";
import { Ask, Input, Stage, VersionLink } from "./parts";

export function Models() {
  const wanted = route.value.query.get("q") ?? "";
  const [more, setMore] = useState(1);
  const [creating, setCreating] = useState(false);
  const { value, error, loading, again } = useLoaded(
    async (signal) => {
      const items: RegisteredModel[] = [];
      let token: string | undefined = "";
      for (let page = 0; page < more && token !== undefined; page++) {
        const found = await searchModels(named(wanted), token, "", { signal });
        items.push(...found.items);
        token = found.next;
      }
      return { items, more: token !== undefined };
    },
    [wanted, more],
  );
  useFollowed(again);
  useEffect(() => void (document.title = "Models · Headrace"), []);
  return (
    <div class="page registry">
      <div class="page-head">
        <h1>Models</h1>
        <input
          class="input find"
          type="search"
          aria-label="Find models by name"
          placeholder="Find by name"
          value={wanted}
          onInput={(event) => setQuery({ q: event.currentTarget.value })}
        />
        <span class="grow" />
        <Button icon="plus" onClick={() => setCreating(true)}>
          New model
        </Button>
      </div>
      {error ? <Failed title="The models could not be read" error={error} again={again} /> : !value ? <Loading /> : <Table models={value.items} wanted={wanted} />}
      {value?.more && (
        <p class="centered">
          <Button disabled={loading} onClick={() => setMore(more + 1)}>
            Show more
          </Button>
        </p>
      )}
      {creating && <Create close={() => setCreating(false)} />}
    </div>
  );
}

function Table({ models, wanted }: { models: readonly RegisteredModel[]; wanted: string }) {
  if (!models.length) {
    return wanted ? (
      <Empty icon="search" title={`No model has “${wanted}” in its name`}>
        <Button onClick={() => setQuery({ q: null })}>Show all models</Button>
      </Empty>
    ) : (
      <Empty icon="box" title="No model is registered yet">
        <p>Register what a run has made:</p>
        <pre>{'import headrace\n\nheadrace.register_model(f"runs:/{run.info.run_id}/model", "iris")'}</pre>
      </Empty>
    );
  }
  return (
    <div class="card scroll">
      <table class="plain models-table">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="number">
              Latest
            </th>
            <th scope="col">Stages</th>
            <th scope="col">Aliases</th>
            <th scope="col" class="wide-only">
              Tags
            </th>
            <th scope="col" class="wide-only">
              Changed
            </th>
          </tr>
        </thead>
        <tbody>
          {models.map((model) => (
            <Row key={model.name} model={model} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ model }: { model: RegisteredModel }) {
  const versions = model.latest_versions ?? [];
  const latest = versions.reduce((most, { version }) => Math.max(most, Number(version)), 0);
  const staged = versions.filter(({ current_stage: stage }) => stage !== "None" && stage !== "Archived");
  return (
    <tr>
      <th scope="row">
        <a href={href(["models", model.name])} class="strong">
          {model.name}
        </a>
        {model.description && <div class="quiet clip description-line">{model.description}</div>}
      </th>
      <td class="number">{latest ? <VersionLink name={model.name} version={String(latest)}>{`v${latest}`}</VersionLink> : <span class="none">–</span>}</td>
      <td>
        <div class="chips">
          {staged.map((version) => (
            <span key={version.version} class="pair">
              <Stage stage={version.current_stage} />
              <VersionLink name={model.name} version={version.version}>{`v${version.version}`}</VersionLink>
            </span>
          ))}
          {!staged.length && <span class="none">–</span>}
        </div>
      </td>
      <td>
        <div class="chips">
          {(model.aliases ?? []).map(({ alias, version }) => (
            <span key={alias} class="pair">
              <span class="alias">@{alias}</span>
              <VersionLink name={model.name} version={version}>{`v${version}`}</VersionLink>
            </span>
          ))}
          {!model.aliases?.length && <span class="none">–</span>}
        </div>
      </td>
      <td class="wide-only">
        <div class="chips">
          {(model.tags ?? []).slice(0, 4).map(({ key, value }) => (
            <span key={key} class="chip" title={`${key}: ${value}`}>
              {key}
              {value && <span class="clip chip-value">{value}</span>}
            </span>
          ))}
        </div>
      </td>
      <td class="wide-only">
        <Ago ms={model.last_updated_timestamp} />
      </td>
    </tr>
  );
}

function Create({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  return (
    <Ask
      title="New model"
      action="Create model"
      disabled={!name.trim()}
      close={close}
      submit={async () => {
        await changes.createModel(name.trim(), description);
        navigate(["models", name.trim()]);
      }}
    >
      <Input label="Name" value={name} set={setName} placeholder="iris" />
      <Input label="Description, in Markdown" value={description} set={setDescription} area />
    </Ask>
  );
}
