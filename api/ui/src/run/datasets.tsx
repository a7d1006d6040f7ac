// The data sets that a run read.

import { href } from "../router";
import { Copy } from "../ui/button";
import type { DatasetInput } from "./data";
import { Card } from "./overview";

interface Field {
  name: string;
  type: string;
}

/** The columns or tensors of a schema as MLflow writes it; none where it is written otherwise. */
export function fields(schema: string): Field[] {
  try {
    const told = JSON.parse(schema) as Record<string, unknown>;
    const listed = told["mlflow_colspec"] ?? (told["mlflow_tensorspec"] as Record<string, unknown> | undefined)?.["features"] ?? [];
    const texts = typeof listed === "string" ? (JSON.parse(listed) as unknown) : listed;
    if (!Array.isArray(texts)) return [];
    return texts.map((one: Record<string, unknown>, place) => ({
      name: String(one["name"] ?? place),
      type: one["tensor-spec"] ? JSON.stringify(one["tensor-spec"]) : String(one["type"] ?? ""),
    }));
  } catch {
    return [];
  }
}

/** Numbers of rows and the like. */
function profile(text: string | undefined): [string, string][] {
  try {
    const told = JSON.parse(text ?? "{}") as Record<string, unknown>;
    return Object.entries(told).map(([name, value]) => [name.replace(/^num_/, "").replaceAll("_", " "), typeof value === "number" ? value.toLocaleString("en-US") : JSON.stringify(value)]);
  } catch {
    return [];
  }
}

/** Where data came from, without the JSON around it. */
function origin(source: string | undefined): string {
  try {
    const told = JSON.parse(source ?? "") as Record<string, unknown>;
    const tags = told["tags"] as Record<string, unknown> | undefined;
    const found = told["uri"] ?? told["url"] ?? told["path"] ?? told["table_name"] ?? tags?.["mlflow.source.name"];
    return typeof found === "string" ? found : (source ?? "");
  } catch {
    return source ?? "";
  }
}

export function Datasets({ datasets }: { datasets: readonly DatasetInput[] }) {
  return (
    <Card title="Data sets" count={datasets.length}>
      <ul class="run-things" aria-label="Data sets">
        {datasets.map((one) => (
          <Dataset key={`${one.dataset.name} ${one.dataset.digest}`} input={one} />
        ))}
      </ul>
    </Card>
  );
}

function Dataset({ input: { dataset, tags } }: { input: DatasetInput }) {
  const context = tags?.find(({ key }) => key === "mlflow.data.context")?.value;
  const columns = dataset.schema ? fields(dataset.schema) : [];
  const from = origin(dataset.source);
  return (
    <li>
      <div class="line">
        <strong>{dataset.name}</strong>
        {context && <span class="chip">{context}</span>}
        <code class="quiet" title="Digest">{dataset.digest}</code>
        <Copy text={dataset.digest} label={`Copy the digest of ${dataset.name}`} />
        <span class="grow" />
        <a href={href(["lineage"], { kind: "dataset", id: `${dataset.name}@${dataset.digest}` })}>Lineage</a>
      </div>
      <p class="quiet">
        {[dataset.source_type, ...profile(dataset.profile).map(([name, value]) => `${value} ${name}`)].filter(Boolean).join(" · ")}
        {from && <> · <span class="run-origin">{from}</span></>}
      </p>
      {columns.length > 0 && (
        <details class="run-details">
          <summary>{columns.length} columns</summary>
          <table class="plain" aria-label={`Columns of ${dataset.name}`}>
            <tbody>
              {columns.map(({ name, type }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td><code>{type}</code></td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </li>
  );
}
