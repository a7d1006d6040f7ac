// Lists of names as the address holds them.

/** A list in the address: commas between, those within and percent signs escaped. */
export function listed(names: Iterable<string>): string {
  return [...names].map((name) => name.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");
}

export function unlisted(text: string | null): string[] {
  return (text ?? "").split(",").filter(Boolean).map((name) => name.replaceAll("%2C", ",").replaceAll("%25", "%"));
}

/** Numbers by name, as `name:120`. */
export function numbered(text: string | null): Map<string, number> {
  return new Map(
    unlisted(text).flatMap((part) => {
      const at = part.lastIndexOf(":");
      const value = Number(part.slice(at + 1));
      return at > 0 && Number.isFinite(value) ? [[part.slice(0, at), value] as const] : [];
    }),
  );
}

/** The text of numbers by name. */
export function pairs(numbers: ReadonlyMap<string, number>): string {
  return listed([...numbers].map(([name, value]) => `${name}:${value}`));
}
