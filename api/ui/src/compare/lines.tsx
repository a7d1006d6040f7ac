// Small texts of several runs beside each other: the lines that not all of them have are marked.

import { address, beginning } from "../artifacts/files";
import { indented } from "../artifacts/json";
import { kindOf } from "../artifacts/kinds";
import { useLoaded } from "../loaded";

const BYTES_MAX = 256 * 1024;
const RUNS_MAX = 20;

/** A run's text by lines, and which of them not all runs have. */
export interface Lines {
  lines: readonly string[];
  marked: ReadonlySet<string>;
}

/** The lines of each text, and of all together those that are not in every one. */
export function compared(texts: ReadonlyMap<string, string>): Map<string, Lines> {
  const lines = new Map([...texts].map(([id, text]) => [id, text.replace(/\n$/, "").split(/\r?\n/)]));
  const counts = new Map<string, number>();
  for (const found of lines.values()) for (const line of new Set(found)) counts.set(line, (counts.get(line) ?? 0) + 1);
  const marked = new Set([...counts].filter(([, count]) => count < texts.size).map(([line]) => line));
  return new Map([...lines].map(([id, found]) => [id, { lines: found, marked }]));
}

/** The texts of a file that is small in each run (size in bytes, by its id), once they are read; else undefined. */
export function useLines(path: string, sizes: ReadonlyMap<string, number>): ReadonlyMap<string, Lines> | undefined {
  const kind = kindOf(path);
  const fits = (kind === "text" || kind === "json") && sizes.size > 1 && sizes.size <= RUNS_MAX && [...sizes.values()].every((size) => size <= BYTES_MAX);
  const { value } = useLoaded(
    async (signal) => {
      if (!fits) return undefined;
      const read = [...sizes].map(async ([runId, size]) => [runId, await beginning(address({ runId }, path), size, BYTES_MAX, signal)] as const);
      const found = await Promise.all(read);
      if (found.some(([, text]) => text === null)) return undefined;
      return compared(new Map(found.map(([id, text]) => [id, kind === "json" ? indented(text?.text ?? "") : (text?.text ?? "")])));
    },
    [path, fits, JSON.stringify([...sizes])],
  );
  return value;
}

export function MarkedText({ label, text: { lines, marked } }: { label: string; text: Lines }) {
  return (
    <pre class="scroll plain-text marked-text" tabIndex={0} role="region" aria-label={label}>
      {lines.map((line, at) => (marked.has(line) ? <mark key={at}>{line || " "}</mark> : <span key={at}>{line || " "}</span>))}
    </pre>
  );
}
