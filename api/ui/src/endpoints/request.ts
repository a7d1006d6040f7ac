// The body of a request for predictions, from what was typed into a form.

import type { Field, Signature } from "../registry/api";

/** What was typed, by the name of a column; of a param with `params.` before it. */
export type Cells = Readonly<Record<string, string>>;

/** The columns a form can ask for; undefined where the inputs are tensors, have no names, or are unknown. */
export function columnsOf({ inputs }: Signature): readonly Field[] | undefined {
  return inputs?.length && inputs.every(({ name, type }) => name && type !== "tensor") ? inputs : undefined;
}

const NUMBERS: readonly string[] = ["double", "float", "long", "integer"];
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** A cell as JSON. Throws where it is not of its type. A whole number stays as it was typed, however long. */
export function json(field: Field, text: string): string {
  const said = text.trim();
  if (said === "" && (field.required === false || "default" in field)) return "null";
  if (NUMBERS.includes(field.type)) {
    const whole = field.type === "long" || field.type === "integer";
    if (!NUMBER.test(said) || (whole && !/^-?\d+$/.test(said))) throw new Error(`${field.name}: “${text}” is no ${whole ? "whole number" : "number"}`);
    return said;
  }
  if (field.type === "boolean") return said === "false" ? "false" : "true";
  if (field.type === "string" || field.type === "datetime" || field.type === "binary") return JSON.stringify(text);
  try {
    return JSON.stringify(JSON.parse(said));
  } catch {
    throw new Error(`${field.name}: write a ${field.type} as JSON`);
  }
}

/** The body that asks for a prediction of one row. Throws where a cell is not of its type. */
export function bodyOf(columns: readonly Field[], signature: Signature, cells: Cells): string {
  const shown = columns.filter(({ name = "", required }) => required !== false || (cells[name] ?? "").trim() !== "");
  const names = JSON.stringify(shown.map(({ name }) => name));
  const row = shown.map((field) => json(field, cells[field.name ?? ""] ?? "")).join(", ");
  const params = (signature.params ?? []).filter(({ name }) => (cells[`params.${name}`] ?? "").trim() !== "");
  const told = params.map((field) => `${JSON.stringify(field.name)}: ${json(field, cells[`params.${field.name}`] ?? "")}`).join(", ");
  return `{"dataframe_split": {"columns": ${names}, "data": [[${row}]]}${told && `, "params": {${told}}`}}`;
}

/** The first row of the model's example, and the defaults of its params. */
export function exampleCells(signature: Signature): Cells {
  const cells: Record<string, string> = {};
  for (const field of signature.inputs ?? []) if (field.type === "boolean" && field.required !== false) cells[field.name ?? ""] = "true";
  for (const param of signature.params ?? []) cells[`params.${param.name}`] = param.default === null || param.default === undefined ? "" : asText(param.default);
  try {
    const { dataframe_split: split } = JSON.parse(signature.example) as { dataframe_split?: { columns?: string[]; data?: unknown[][] } };
    split?.columns?.forEach((name, index) => {
      const value = split.data?.[0]?.[index];
      if (value !== null && value !== undefined) cells[name] = asText(value);
    });
  } catch {
    // There is no example.
  }
  return cells;
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

const FILLED_MAX = 1000;

/** A body to begin with where there is no form: the model's example, or zeros in the shape that it takes. */
export function template(signature: Signature): string {
  if (signature.example) return signature.example;
  const inputs = signature.inputs ?? [];
  const tensors = inputs.filter((field) => field["tensor-spec"]);
  if (!tensors.length) return inputs.length ? `{"inputs": [${JSON.stringify(inputs.map(zero))}]}` : '{"inputs": []}';
  const [first] = tensors;
  if (tensors.length === 1 && first && !first.name) return JSON.stringify({ inputs: zeros(first) });
  return JSON.stringify({ inputs: Object.fromEntries(tensors.map((field) => [field.name, zeros(field)])) });
}

function zero({ type }: Field): unknown {
  return type === "string" || type === "datetime" ? "" : type === "boolean" ? false : 0;
}

/** Zeros of a tensor's shape, one where any length goes; none where they would be too many to write. */
function zeros(field: Field): unknown {
  const shape = (field["tensor-spec"]?.shape ?? []).map((length) => Math.max(1, length));
  if (shape.reduce((product, length) => product * length, 1) > FILLED_MAX) return [];
  return shape.reduceRight<unknown>((inner, length) => Array.from({ length }, () => inner), 0);
}
