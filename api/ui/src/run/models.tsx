// The models that a run made or read, and the registered versions made from it.

import { useState } from "preact/hooks";
import { href, route } from "../router";
import { Button, Copy } from "../ui/button";
import { Icon } from "../ui/icon";
import { Ago } from "../ui/text";
import { type LoggedModel, oldModels, type Run, type Version } from "./data";
import { Card } from "./overview";
import { Register } from "./register";

const STATUS: Readonly<Record<string, string>> = {
  LOGGED_MODEL_READY: "",
  LOGGED_MODEL_PENDING: "uploading",
  LOGGED_MODEL_UPLOAD_FAILED: "upload failed",
};

interface ModelsProps {
  run: Run;
  models: readonly LoggedModel[];
  versions: readonly Version[];
  editable: boolean;
}

export function Models({ run, models, versions, editable }: ModelsProps) {
  const [registering, setRegistering] = useState<LoggedModel | undefined>();
  const known = new Map(models.map((model) => [model.model_id, model]));
  const ids = [...new Set([...run.modelsMade, ...run.modelsRead, ...known.keys()])];
  const without = versions.filter(({ model_id }) => !model_id || !ids.includes(model_id));
  const old = oldModels(run.tags);
  return (
    <Card title="Models" count={ids.length + old.length}>
      <ul class="run-things" aria-label="Models">
        {ids.map((id) => {
          const model = known.get(id);
          const state = STATUS[model?.status ?? "LOGGED_MODEL_READY"] ?? model?.status;
          return (
            <li key={id}>
              <div class="line">
                <Icon name="box" />
                <strong>{model?.name ?? id}</strong>
                {model?.model_type && <span class="chip">{model.model_type}</span>}
                {run.modelsRead.includes(id) && <span class="chip">read by this run</span>}
                {state && <span class="chip">{state}</span>}
                <span class="grow" />
                {editable && model?.status === "LOGGED_MODEL_READY" && (
                  <Button kind="quiet" aria-label={`Register ${model.name ?? id}`} onClick={() => setRegistering(model)}>
                    Register
                  </Button>
                )}
                <a href={href(route.value.path, { tab: "artifacts", model: id })}>Files</a>
                <a href={href(["lineage"], { kind: "logged_model", id })}>Lineage</a>
              </div>
              <p class="quiet">
                <code>models:/{id}</code> <Copy text={`models:/${id}`} label={`Copy the address of ${model?.name ?? id}`} />
                {model?.creation_timestamp_ms && <>made <Ago ms={model.creation_timestamp_ms} /></>}
              </p>
              <Versions versions={versions.filter(({ model_id }) => model_id === id)} />
            </li>
          );
        })}
        {old.map(({ path, flavors }) => {
          const address = `runs:/${run.info.run_id}/${path}`;
          return (
            <li key={path}>
              <div class="line">
                <Icon name="box" />
                <strong>{path}</strong>
                {flavors.map((flavor) => <span key={flavor} class="chip">{flavor}</span>)}
                <span class="grow" />
                <a href={href(route.value.path, { tab: "artifacts", file: `${path}/MLmodel` })}>Files</a>
              </div>
              <p class="quiet">
                <code>{address}</code> <Copy text={address} label={`Copy the address of ${path}`} />
              </p>
            </li>
          );
        })}
        {without.length > 0 && (
          <li>
            <Versions versions={without} />
          </li>
        )}
      </ul>
      {registering && <Register run={run} model={registering} close={() => setRegistering(undefined)} />}
    </Card>
  );
}

function Versions({ versions }: { versions: readonly Version[] }) {
  if (!versions.length) return null;
  return (
    <p class="line run-versions">
      {versions.map(({ name, version, aliases, current_stage }) => (
        <a key={`${name}/${version}`} class="chip" href={href(["models", name, "versions", version])}>
          {name} v{version}
          {[...(aliases ?? []).map((alias) => `@${alias}`), ...(current_stage && current_stage !== "None" ? [current_stage] : [])].map((label) => ` ${label}`)}
        </a>
      ))}
    </p>
  );
}
