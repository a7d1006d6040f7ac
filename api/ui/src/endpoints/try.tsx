// A form to try an endpoint, made from the signature of the version that serves.

import { useEffect, useState } from "preact/hooks";
import { useLoaded } from "../loaded";
import { getSignature, type Field, type Signature } from "../registry/api";
import { typed } from "../registry/signature";
import { says } from "../server";
import { Button, Copy } from "../ui/button";
import { Segments } from "../ui/tabs";
import { bodyOf, type Cells, columnsOf, exampleCells, template } from "./request";

interface Answer {
  status: number;
  ms: number;
  model: string;
  text: string;
}

export function Try({ name, uri }: { name: string; uri: string }) {
  const { value, error } = useLoaded((signal) => getSignature(uri, "", { signal }), [uri]);
  if (error) return <p class="none">{says(error)}</p>;
  return value ? <Form key={uri} name={name} signature={value} /> : null;
}

function Form({ name, signature }: { name: string; signature: Signature }) {
  const columns = columnsOf(signature);
  const [mode, setMode] = useState<"form" | "json">(columns ? "form" : "json");
  const [cells, setCells] = useState<Cells>(() => exampleCells(signature));
  const [text, setText] = useState(() => pretty(template(signature)));
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const address = `/endpoints/${encodeURIComponent(name)}/invocations`;
  const body = (): string => (mode === "form" && columns ? bodyOf(columns, signature, cells) : text);
  useEffect(() => setFault(""), [mode, cells, text]);
  const send = async () => {
    setBusy(true);
    setFault("");
    try {
      const began = performance.now();
      const told = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: body() });
      const said = await told.text();
      setAnswer({ status: told.status, ms: performance.now() - began, model: told.headers.get("X-Headrace-Model") ?? "", text: pretty(said) });
    } catch (error) {
      setFault(says(error));
    }
    setBusy(false);
  };
  const choose = (chosen: "form" | "json") => {
    if (chosen === "json" && columns) {
      try {
        setText(pretty(bodyOf(columns, signature, cells)));
      } catch {
        // What is in the form is no request yet: the text stays as it was.
      }
    }
    setMode(chosen);
  };
  return (
    <form
      class="try"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {columns && (
        <Segments
          label="How to write the request"
          chosen={mode}
          choose={choose}
          choices={[
            { value: "form", label: "Form" },
            { value: "json", label: "JSON" },
          ]}
        />
      )}
      {mode === "form" && columns ? (
        <>
          <Inputs legend="Inputs" fields={columns} cells={cells} set={setCells} />
          {signature.params && signature.params.length > 0 && <Inputs legend="Params" prefix="params." fields={signature.params} cells={cells} set={setCells} />}
        </>
      ) : (
        <>
          {signature.unknown && <p class="quiet">Nothing is known of what it takes: {signature.unknown}</p>}
          <label class="field">
            <span>Request, as JSON</span>
            <textarea class="input" rows={10} value={text} spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
        </>
      )}
      <div class="row">
        <button type="submit" class="button primary" disabled={busy}>
          {busy ? "Asking…" : "Predict"}
        </button>
        <CopyCurl address={address} body={body} />
      </div>
      {fault && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {answer && (
        <section class="answer" aria-label="Answer" aria-live="polite">
          <p class="row quiet">
            <span class={`dot ${answer.status < 400 ? "good" : "bad"}`}>{answer.status}</span>
            <span>{answer.ms.toFixed(answer.ms < 10 ? 1 : 0)} ms</span>
            {answer.model && <span>by {answer.model}</span>}
            <span class="grow" />
            <Copy text={answer.text} label="Copy the answer" />
          </p>
          <pre tabIndex={0}>{answer.text}</pre>
        </section>
      )}
    </form>
  );
}

function CopyCurl({ address, body }: { address: string; body: () => string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    let text = "";
    try {
      text = body();
    } catch {
      return;
    }
    const quoted = text.replaceAll("'", "'\\''");
    await navigator.clipboard?.writeText(`curl -H 'Content-Type: application/json' -d '${quoted}' ${location.origin}${address}`);
    setCopied(true);
  };
  return (
    <Button icon={copied ? "finished" : "copy"} onClick={() => void copy()}>
      {copied ? "Copied" : "Copy as curl"}
    </Button>
  );
}

function Inputs({ legend, fields, cells, set, prefix = "" }: { legend: string; fields: readonly Field[]; cells: Cells; set: (cells: Cells) => void; prefix?: string }) {
  return (
    <fieldset class="try-fields">
      <legend>{legend}</legend>
      {fields.map((field) => {
        const key = prefix + (field.name ?? "");
        const value = cells[key] ?? "";
        const change = (text: string) => set({ ...cells, [key]: text });
        const optional = field.required === false;
        const common = { "aria-label": field.name, value };
        return (
          <label key={key} class="field">
            <span>
              {field.name} <code>{typed(field)}</code>
              {optional && <span class="quiet"> optional</span>}
            </span>
            {field.type === "boolean" ? (
              <select class="select" {...common} onChange={(event) => change(event.currentTarget.value)}>
                {optional && <option value="">–</option>}
                <option>true</option>
                <option>false</option>
              </select>
            ) : field.type === "datetime" ? (
              <input class="input" type="datetime-local" step="1" {...common} onInput={(event) => change(event.currentTarget.value)} />
            ) : (
              <input
                class="input"
                inputMode={["double", "float", "long", "integer"].includes(field.type) ? "decimal" : "text"}
                {...common}
                onInput={(event) => change(event.currentTarget.value)}
              />
            )}
          </label>
        );
      })}
    </fieldset>
  );
}

function pretty(text: string): string {
  // Numbers beyond 2^53 would change if they were parsed: such a text is shown as it came.
  if (/\d{16}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
