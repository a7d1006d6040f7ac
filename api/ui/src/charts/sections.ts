// Which panels there are and where: metrics in sections by the beginning of their names, and what has been dragged.

export interface Section {
  /** Empty for metrics without a prefix. */
  name: string;
  keys: readonly string[];
}

/** A panel that was put before or after another one. */
export interface Move {
  key: string;
  to: string;
  after: boolean;
}

const natural = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const byName = (a: string, b: string) => natural.compare(a, b) || (a < b ? -1 : 1);

/** What a metric's section is called: what stands before its last slash. */
export function prefix(key: string): string {
  return key.includes("/") ? key.slice(0, key.lastIndexOf("/")) : "";
}

/** Sections in order: those without a prefix, then by name, the system's own last. */
export function sectionsOf(keys: Iterable<string>, moves: readonly Move[] = []): Section[] {
  const found = new Map<string, string[]>();
  for (const key of [...keys].sort(byName)) {
    const name = prefix(key);
    const list = found.get(name);
    if (list) list.push(key);
    else found.set(name, [key]);
  }
  for (const { key, to, after } of moves) {
    const from = [...found.values()].find((list) => list.includes(key));
    const into = [...found.values()].find((list) => list.includes(to));
    if (!from || !into || key === to) continue;
    from.splice(from.indexOf(key), 1);
    into.splice(into.indexOf(to) + (after ? 1 : 0), 0, key);
  }
  const last = (name: string) => Number(isSystem(name));
  return [...found]
    .filter(([, list]) => list.length)
    .map(([name, list]) => ({ name, keys: list }))
    .sort((a, b) => last(a.name) - last(b.name) || byName(a.name, b.name));
}

/** Whether a section holds what the machine was measured by. */
export function isSystem(name: string): boolean {
  return name === "system" || name.startsWith("system/");
}

/** One more move; an earlier one of the same panel has no effect any more. */
export function moved(moves: readonly Move[], next: Move): Move[] {
  return [...moves.filter((move) => move.key !== next.key), next];
}

/** Moves as an address holds them. */
export function writeMoves(moves: readonly Move[]): string {
  return moves.length ? JSON.stringify(moves.map(({ key, to, after }) => (after ? [key, to, 1] : [key, to]))) : "";
}

/** Moves of an address; none where it cannot be read. */
export function readMoves(text: string | null): Move[] {
  const told = parsed(text);
  if (!Array.isArray(told)) return [];
  return told.flatMap((one: unknown) =>
    Array.isArray(one) && typeof one[0] === "string" && typeof one[1] === "string" ? [{ key: one[0], to: one[1], after: Boolean(one[2]) }] : [],
  );
}

/** JSON of an address; undefined where it is none. */
export function parsed(text: string | null): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
