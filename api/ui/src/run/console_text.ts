// Text of a terminal as lines: colors become classes, and a line that was written over shows what it said last.

export interface Span {
  text: string;
  /** Classes: `bold`, `dim`, and a color, `red` to `white`. */
  style: string;
}

export interface Line {
  stream: string;
  timeMs: number;
  spans: readonly Span[];
}

const COLORS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
// All control sequences: those of colors (ending in m) and those that are left out.
const ESCAPES = /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/g;

interface Written {
  stream: string;
  time_ms: number;
  text: string;
}

/** Lines of pieces in the order they were printed. A piece that does not end a line is gone on with by the next one of its stream. */
export function lines(pieces: readonly Written[]): Line[] {
  const found: Line[] = [];
  const open = new Map<string, { text: string; at: number }>();
  for (const { stream, time_ms, text } of pieces) {
    const begun = open.get(stream);
    const parts = ((begun?.text ?? "") + text).split("\n");
    open.delete(stream);
    parts.forEach((part, place) => {
      const last = place === parts.length - 1;
      if (last && part === "") return;
      const line = { stream, timeMs: time_ms, spans: spans(overwritten(part)) };
      let at = found.length;
      if (place === 0 && begun) {
        at = begun.at;
        found[at] = { ...line, timeMs: found[at]?.timeMs ?? time_ms };
      } else found.push(line);
      if (last) open.set(stream, { text: part, at });
    });
  }
  return found;
}

/** What a terminal shows of a line in which the carriage went back. */
function overwritten(text: string): string {
  const parts = text.replace(/\r+$/, "").split("\r");
  return parts[parts.length - 1] ?? "";
}

function spans(text: string): Span[] {
  const found: Span[] = [];
  let [from, color, weight] = [0, "", ""];
  const push = (to: number) => {
    if (to > from) found.push({ text: text.slice(from, to), style: [weight, color].filter(Boolean).join(" ") });
  };
  for (const match of text.matchAll(ESCAPES)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] !== "m") continue;
    const codes = (match[1] || "0").split(";").map(Number);
    for (let place = 0; place < codes.length; place++) {
      const code = codes[place] ?? 0;
      if (code === 0) [color, weight] = ["", ""];
      else if (code === 1) weight = "bold";
      else if (code === 2) weight = "dim";
      else if (code === 22) weight = "";
      else if (code === 39) color = "";
      else if (code >= 30 && code <= 37) color = COLORS[code - 30] ?? "";
      else if (code >= 90 && code <= 97) color = COLORS[code - 90] ?? "";
      else if (code === 38 || code === 48) place += codes[place + 1] === 5 ? 2 : 4;
    }
  }
  push(text.length);
  return found;
}

/** A line without its colors. */
export function plain(line: Line): string {
  return line.spans.map(({ text }) => text).join("");
}
