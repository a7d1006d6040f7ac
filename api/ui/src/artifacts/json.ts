// JSON as people read it, without changing what it says: numbers keep their digits, names their order.

const TOKEN = /"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^\s{}[\],:"]+/g;
const CLOSES: Readonly<Record<string, string>> = { "{": "}", "[": "]" };

/** The same text with each value on a line of its own. */
export function indented(text: string): string {
  const tokens = text.match(TOKEN) ?? [];
  const out: string[] = [];
  let depth = 0;
  const line = () => out.push("\n", "  ".repeat(Math.min(depth, 100)));
  tokens.forEach((token, at) => {
    if (token === "{" || token === "[") {
      out.push(token);
      if (tokens[at + 1] === CLOSES[token]) return;
      depth++;
      line();
    } else if (token === "}" || token === "]") {
      if (tokens[at - 1] !== (token === "}" ? "{" : "[")) {
        depth = Math.max(0, depth - 1);
        line();
      }
      out.push(token);
    } else if (token === ",") {
      out.push(token);
      line();
    } else out.push(token === ":" ? ": " : token);
  });
  return out.join("");
}

export interface JsonTable {
  columns: string[];
  data: unknown[][];
}

/** A table as log_table writes it: names of columns and rows; undefined for other JSON. NaN and infinities become texts. */
export function tableOf(text: string): JsonTable | undefined {
  if (!/^\s*\{\s*"columns"/.test(text)) return undefined;
  let found: unknown;
  try {
    found = JSON.parse(text.replace(TOKEN, (token) => (/^-?(?:NaN|Infinity)$/.test(token) ? `"${token}"` : token)));
  } catch {
    return undefined;
  }
  const { columns, data } = found as Partial<JsonTable>;
  const named = Array.isArray(columns) && columns.every((name) => typeof name === "string");
  return named && Array.isArray(data) && data.every(Array.isArray) ? { columns, data } : undefined;
}
