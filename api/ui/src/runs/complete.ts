// What could stand next in a filter: names, operators, values that runs have, and what joins comparisons.

import { AGGREGATES, atBest, ATTRIBUTES, type KnownColumns, quoted } from "./columns.ts";

/** Something to put in the place of the characters from `from` to `to`. */
export interface Completion {
  text: string;
  hint: string;
  from: number;
  to: number;
}

interface Token {
  text: string;
  from: number;
  to: number;
}

const TOKENS = /'(?:[^'\\]|\\.|'')*'?|[^\s"'`()<>=!,;]*(?:"(?:[^"]|"")*"?|`[^`]*`?)[^\s"'`()<>=!,;]*|[<>=!]+~?|[(),;]|[^\s"'`()<>=!,;]+/g;
const SHOWN_MAX = 12;
const TEXT_OPERATORS = ["=", "!=", "LIKE", "ILIKE", "IN", "=~", "IS NULL", "IS NOT NULL"];
const NUMBER_OPERATORS = ["<", "<=", ">", ">=", "=", "!=", "IS NULL", "IS NOT NULL"];
const STATUSES = ["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"];
const MORE_NAMES = ["datasets.name", "datasets.context", "models.name", "code.commit", "code.branch", "environment.host"];

type Place = "name" | "operator" | "value" | "joiner";

/** Completions at a place in a filter. */
export function completions(filter: string, caret: number, known: KnownColumns | undefined): Completion[] {
  const tokens: Token[] = [...filter.slice(0, caret).matchAll(TOKENS)].map((match) => ({ text: match[0], from: match.index, to: match.index + match[0].length }));
  const last = tokens.at(-1);
  const typing = last && last.to === caret && !/^[(),;<>=!~]+$/.test(last.text) ? last : undefined;
  const before = typing ? tokens.slice(0, -1) : tokens;
  const { place, name, listed } = placeOf(before);
  const [from, to] = [typing?.from ?? caret, typing ? wordEnd(filter, caret) : caret];
  const typed = typing?.text ?? "";
  const found: [string, string][] = [];
  if (place === "name") {
    if (typed && before.length === 0 && /^[\w-]+$/.test(filter.trim())) found.push([`run_name ILIKE '%${typed}%'`, "runs whose name has this"]);
    found.push(...names(typed, known));
    if (!typed || "not".startsWith(typed.toLowerCase())) found.push(["NOT ", "the opposite"]);
  } else if (place === "operator") {
    const operators = /^(metrics?\.|start_time|end_time|duration|created)/.test(name) ? NUMBER_OPERATORS : TEXT_OPERATORS;
    found.push(...operators.filter((one) => one.toLowerCase().startsWith(typed.toLowerCase())).map((one): [string, string] => [one.startsWith("IS ") ? `${one} ` : one === "IN" ? "IN (" : `${one} `, ""]));
  } else if (place === "value") {
    found.push(...values(name, typed, known).map((one): [string, string] => [listed ? one : `${one} `, ""]));
  } else {
    const joiners = listed ? [",", ")"] : ["AND ", "OR "];
    found.push(...joiners.filter((one) => one.toLowerCase().startsWith(typed.toLowerCase())).map((one): [string, string] => [one, ""]));
  }
  return found.filter(([text]) => text.trim() !== typed).slice(0, SHOWN_MAX).map(([text, hint]) => ({ text, hint, from, to }));
}

function wordEnd(filter: string, caret: number): number {
  const rest = /^[^\s"'`()<>=!,;]*/.exec(filter.slice(caret));
  return caret + (rest?.[0].length ?? 0);
}

/** What is expected behind these tokens, and the name that it is about. */
function placeOf(tokens: readonly Token[]): { place: Place; name: string; listed: boolean } {
  let place: Place = "name";
  let name = "";
  let listed = false;
  for (const { text } of tokens) {
    const upper = text.toUpperCase();
    if (place === "name") {
      if (text === "(" || upper === "NOT") continue;
      name = text;
      place = "operator";
    } else if (place === "operator") {
      // The parentheses of at(…) belong to the name.
      if (text === "(") place = "operator";
      else if (upper === "NULL") place = "joiner";
      else if (/^[<>=!~]+$/.test(text) || upper === "LIKE" || upper === "ILIKE") place = "value";
      else if (upper === "IN") [place, listed] = ["value", true];
    } else if (place === "value") {
      if (text !== "(") place = "joiner";
    } else if (listed && text === ",") place = "value";
    else if (text === ")") listed = false;
    else if (upper === "AND" || upper === "OR") [place, name] = ["name", ""];
  }
  return { place, name, listed };
}

function names(typed: string, known: KnownColumns | undefined): [string, string][] {
  const wanted = typed.toLowerCase();
  const all: [string, string][] = [];
  for (const { name, runs } of known?.columns ?? []) {
    const at = name.indexOf(".");
    all.push([`${name.slice(0, at)}.${quoted(name.slice(at + 1))}`, `${runs.toLocaleString("en-US")} runs`]);
  }
  const metrics = (known?.columns ?? []).filter(({ name }) => name.startsWith("metrics.")).map(({ name }) => name.slice(8));
  const base = metrics.find((key) => typed.startsWith(`metrics.${quoted(key)}.`));
  if (base) {
    const of = [...Object.keys(AGGREGATES).filter(Boolean), ...metrics.filter((key) => key !== base).slice(0, 5).map(atBest)];
    return of.map((one): [string, string] => [`metrics.${quoted(base)}.${one}`, "aggregate"]).filter(([name]) => name.startsWith(typed));
  }
  const attributes = Object.keys(ATTRIBUTES).map((name): [string, string] => [name, "attribute"]);
  const found = [...attributes, ...all].filter(([name]) => name.toLowerCase().includes(wanted));
  const more = MORE_NAMES.filter((name) => name.includes(wanted)).map((name): [string, string] => [name, ""]);
  // What begins so, or has a key that does, comes first.
  const score = ([name]: [string, string]) => (name.toLowerCase().startsWith(wanted) ? 0 : name.toLowerCase().includes(`.${wanted}`) ? 1 : 2);
  return [...found.sort((a, b) => score(a) - score(b)), ...more];
}

function values(name: string, typed: string, known: KnownColumns | undefined): string[] {
  const plain = name.replace(/^(params?|parameters?)\./, "params.").replace(/^tag\./, "tags.").replaceAll(/["`]/g, "");
  const wanted = typed.replace(/^'/, "").toLowerCase();
  if (plain === "status") return STATUSES.filter((one) => one.toLowerCase().includes(wanted)).map((one) => `'${one}'`);
  if (plain === "start_time" || plain === "end_time") return ["now - 1h", "now - 1d", "now - 7d"].filter((one) => one.includes(wanted));
  if (plain === "duration") return ["1m", "1h", "1d"].filter((one) => one.includes(wanted));
  const examples = known?.byName.get(plain)?.examples ?? [];
  return examples.filter((one) => one.toLowerCase().includes(wanted)).map((one) => `'${one.replaceAll("'", "''")}'`);
}
