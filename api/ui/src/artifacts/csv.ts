// Rows of comma-separated values (RFC 4180), of which only the beginning may be there.

export interface Rows {
  header: string[];
  rows: string[][];
}

/**
 * The rows of a text, the first as header. whole: whether the text ends where the file does; else its last row is cut
 * and left out. Quotes that nobody closes take the rest as one value; short rows stay short.
 */
export function parsed(text: string, { separator = ",", whole = true, rowsMax = Infinity } = {}): Rows {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  const end = text.length;
  while (at < end && rows.length <= rowsMax) {
    let value = "";
    if (text[at] === '"') {
      at++;
      while (at < end) {
        const quote = text.indexOf('"', at);
        value += text.slice(at, quote < 0 ? end : quote);
        at = quote < 0 ? end : quote + 1;
        if (quote < 0) break;
        if (text[at] !== '"') break;
        value += '"';
        at++;
      }
    }
    let stop = at;
    while (stop < end && text[stop] !== separator && text[stop] !== "\n" && text[stop] !== "\r") stop++;
    row.push(value + text.slice(at, stop));
    at = stop;
    if (at >= end) break;
    if (text[at] === separator) {
      at++;
      if (at >= end) row.push("");
      continue;
    }
    at += text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1;
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  }
  if (row.length && whole && (row.length > 1 || row[0] !== "")) rows.push(row);
  const [header = [], ...rest] = rows;
  return { header, rows: rest.slice(0, rowsMax) };
}

/** The separator that a text's first line has most of. */
export function separatorOf(path: string, text: string): string {
  if (path.toLowerCase().endsWith(".tsv")) return "\t";
  const line = text.slice(0, Math.max(0, text.search(/[\r\n]|$/)));
  const counts = [",", ";", "\t", "|"].map((separator) => [line.split(separator).length, separator] as const);
  return counts.reduce((best, one) => (one[0] > best[0] ? one : best))[1];
}

/** Whether each value that is there is a number, so that a column is one of figures. */
export function isNumeric(values: readonly unknown[]): boolean {
  let some = false;
  for (const value of values) {
    if (value === "" || value === null || value === undefined) continue;
    if (typeof value !== "number" && typeof value !== "bigint" && !(typeof value === "string" && /^[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?|nan|inf(?:inity)?)$/i.test(value.trim()))) return false;
    some = true;
  }
  return some;
}
