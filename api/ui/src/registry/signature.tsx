// What a model takes and answers.

import { useLoaded } from "../loaded";
import { says } from "../server";
import { getSignature, type Field } from "./api";

/** The type of a column, tensor or param in a few characters. */
export function typed(field: Field): string {
  const tensor = field["tensor-spec"];
  return tensor ? `${tensor.dtype} (${tensor.shape.map((one) => (one < 0 ? "any" : one)).join(" × ")})` : field.type;
}

export function Signature({ uri, asOf }: { uri: string; asOf: string }) {
  const { value, error } = useLoaded((signal) => getSignature(uri, asOf, { signal }), [uri, asOf]);
  if (error) return <p class="none">{says(error)}</p>;
  if (!value) return null;
  if (value.unknown) return <p class="none">{value.unknown}</p>;
  return (
    <div class="signature">
      <Fields title="Inputs" fields={value.inputs} />
      <Fields title="Outputs" fields={value.outputs} />
      {value.params && value.params.length > 0 && <Fields title="Params" fields={value.params} />}
      <p class="quiet">Flavors: {value.flavors.join(", ") || "none"}</p>
    </div>
  );
}

const SHOWN_MAX = 100;

function Fields({ title, fields }: { title: string; fields: readonly (Field & { default?: unknown })[] | null }) {
  if (!fields) return <p class="none">{title}: nothing is said of them.</p>;
  return (
    <div>
      <h3>{title}</h3>
      <ul>
        {fields.slice(0, SHOWN_MAX).map((field, index) => (
          <li key={field.name ?? index}>
            <span>{field.name ?? <span class="quiet">unnamed</span>}</span> <code>{typed(field)}</code>
            {field.required === false && <span class="quiet"> optional</span>}
            {"default" in field && <span class="quiet"> = {JSON.stringify(field.default)}</span>}
          </li>
        ))}
        {fields.length > SHOWN_MAX && <li class="quiet">and {fields.length - SHOWN_MAX} more</li>}
      </ul>
    </div>
  );
}
