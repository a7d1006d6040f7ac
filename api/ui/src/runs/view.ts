// What the workspace shows, as the address says it: filter, order, columns, groups, what is hidden, how the page is cut.

import { route, setQuery } from "../router";
import { listed, numbered, pairs, unlisted } from "./lists";
import type { Sort } from "./order";

export type Stage = "ACTIVE_ONLY" | "DELETED_ONLY" | "ALL";
export type Side = "charts" | "plots" | "off";

export interface View {
  experiments: readonly string[];
  filter: string;
  stage: Stage;
  sorts: readonly Sort[];
  /** Columns behind the name; null where nobody has chosen. */
  columns: readonly string[] | null;
  pinned: readonly string[];
  widths: ReadonlyMap<string, number>;
  groupBy: readonly string[];
  /** Paths of the groups that are open. */
  open: ReadonlySet<string>;
  /** So many runs from the top are drawn, without those hidden and with those added. */
  drawn: number;
  hidden: ReadonlySet<string>;
  added: ReadonlySet<string>;
  /** Colors that were chosen, by run. */
  colors: ReadonlyMap<string, number>;
  /** What stands beside the table; null where nobody has chosen: charts where there is room. */
  side: Side | null;
  /** The share of the table in the width. */
  split: number;
}

export const DRAWN = 10;
export const SPLIT = 0.55;
const STAGES: Readonly<Record<string, Stage>> = { deleted: "DELETED_ONLY", all: "ALL" };

/** The view that the address names. */
export function viewOf(path: readonly string[], query: URLSearchParams): View {
  const drawn = Number(query.get("n") ?? DRAWN);
  const split = Number(query.get("split") ?? SPLIT);
  const side = query.get("side");
  return {
    experiments: (path[1] ?? "").split(",").filter(Boolean),
    filter: query.get("filter") ?? "",
    stage: STAGES[query.get("stage") ?? ""] ?? "ACTIVE_ONLY",
    sorts: unlisted(query.get("sort")).map((name) => ({ column: name.replace(/^-/, ""), descending: name.startsWith("-") })),
    columns: query.has("cols") ? unlisted(query.get("cols")) : null,
    pinned: unlisted(query.get("pin")),
    widths: numbered(query.get("w")),
    groupBy: unlisted(query.get("group")),
    open: new Set(unlisted(query.get("open"))),
    drawn: Number.isFinite(drawn) ? Math.min(200, Math.max(0, drawn)) : DRAWN,
    hidden: new Set(unlisted(query.get("hide"))),
    added: new Set(unlisted(query.get("show"))),
    colors: numbered(query.get("colors")),
    side: side === "charts" || side === "plots" || side === "off" ? side : null,
    split: split >= 0.1 && split <= 0.9 ? split : SPLIT,
  };
}

/** Put changes into the address. */
export function changeView(change: Partial<Omit<View, "experiments">>): void {
  const texts: Record<string, string | number | null> = {};
  if (change.filter !== undefined) texts["filter"] = change.filter;
  if (change.stage) texts["stage"] = { ACTIVE_ONLY: "", DELETED_ONLY: "deleted", ALL: "all" }[change.stage];
  if (change.sorts) texts["sort"] = listed(change.sorts.map(({ column, descending }) => (descending ? `-${column}` : column)));
  if (change.columns !== undefined) texts["cols"] = change.columns && listed(change.columns);
  if (change.pinned) texts["pin"] = listed(change.pinned);
  if (change.widths) texts["w"] = pairs(change.widths);
  if (change.groupBy) texts["group"] = listed(change.groupBy);
  if (change.open) texts["open"] = listed(change.open);
  if (change.drawn !== undefined) texts["n"] = change.drawn === DRAWN ? null : change.drawn;
  if (change.hidden) texts["hide"] = listed(change.hidden);
  if (change.added) texts["show"] = listed(change.added);
  if (change.colors) texts["colors"] = pairs(change.colors);
  if (change.side) texts["side"] = change.side;
  if (change.split !== undefined) texts["split"] = change.split === SPLIT ? null : change.split.toFixed(3);
  setQuery(texts, { replace: change.filter === undefined && !change.groupBy && !change.stage });
}

/** The view now, read when something is done rather than when it was drawn. */
export function viewNow(): View {
  const { path, query } = route.peek();
  return viewOf(path, query);
}

/** The order after a click on a header: up, down, none; with `more` behind the others rather than instead of them. */
export function nextSorts(sorts: readonly Sort[], column: string, more: boolean): Sort[] {
  const held = sorts.find((one) => one.column === column);
  const next: Sort | undefined = !held ? { column, descending: false } : held.descending ? undefined : { column, descending: true };
  if (!more) return next ? [next] : [];
  if (!held) return next ? [...sorts, next] : [...sorts];
  return sorts.flatMap((one) => (one.column === column ? (next ? [next] : []) : [one]));
}

/** A set with or without one. */
export function toggled<T>(set: ReadonlySet<T>, one: T, on = !set.has(one)): Set<T> {
  const next = new Set(set);
  if (on) next.add(one);
  else next.delete(one);
  return next;
}
