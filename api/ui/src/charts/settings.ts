// How charts are shown, as the address holds it.

import { route, setQuery } from "../router";
import { type Move, parsed, readMoves, writeMoves } from "./sections";
import type { Span } from "./scale";

export type Axis = "step" | "time" | "relative";

export interface Settings {
  x: Axis;
  logX: boolean;
  logY: boolean;
  /** 0 for none, up to 0.99. */
  smooth: number;
  /** Whether outliers are left out of what the axes span. */
  safe: boolean;
  /** Panels whose y axis differs from logY. */
  flipped: ReadonlySet<string>;
  /** What panels are zoomed to, by metric; `*` for all others. */
  zoom: Readonly<Record<string, Span>>;
  moves: readonly Move[];
  /** Sections that are not as they are at first. */
  toggled: ReadonlySet<string>;
  /** The panel that fills the window. */
  full: string;
  /** What names of metrics hold. */
  find: string;
}

export const ALL = "*";

/** What a query says. */
export function readSettings(query: URLSearchParams): Settings {
  const x = query.get("x");
  const smooth = Number(query.get("smooth"));
  return {
    x: x === "time" || x === "relative" ? x : "step",
    logX: query.get("xlog") === "1",
    logY: query.get("ylog") === "1",
    smooth: smooth > 0 && smooth < 1 ? Math.min(0.99, smooth) : 0,
    safe: query.get("safe") === "1",
    flipped: new Set(texts(query.get("flip"))),
    zoom: readZoom(query.get("zoom")),
    moves: readMoves(query.get("order")),
    toggled: new Set(texts(query.get("sections"))),
    full: query.get("panel") ?? "",
    find: query.get("metric") ?? "",
  };
}

/** The settings of the present address. */
export function settingsNow(): Settings {
  return readSettings(route.peek().query);
}

/** Change some of the settings. */
export function changeSettings(changes: Partial<Settings>): void {
  const query: Record<string, string | number | null> = {};
  if (changes.x) query["x"] = changes.x === "step" ? null : changes.x;
  if (changes.logX !== undefined) query["xlog"] = changes.logX ? 1 : null;
  if (changes.logY !== undefined) query["ylog"] = changes.logY ? 1 : null;
  if (changes.smooth !== undefined) query["smooth"] = changes.smooth || null;
  if (changes.safe !== undefined) query["safe"] = changes.safe ? 1 : null;
  if (changes.flipped) query["flip"] = list(changes.flipped);
  if (changes.zoom) query["zoom"] = Object.keys(changes.zoom).length ? JSON.stringify(changes.zoom) : null;
  if (changes.moves) query["order"] = writeMoves(changes.moves);
  if (changes.toggled) query["sections"] = list(changes.toggled);
  if (changes.full !== undefined) query["panel"] = changes.full;
  if (changes.find !== undefined) query["metric"] = changes.find;
  setQuery(query);
}

/** A set with a member put in, or taken out. */
export function toggledIn(set: ReadonlySet<string>, member: string): Set<string> {
  const next = new Set(set);
  if (!next.delete(member)) next.add(member);
  return next;
}

function list(set: ReadonlySet<string>): string | null {
  return set.size ? JSON.stringify([...set]) : null;
}

function texts(text: string | null): string[] {
  const told = parsed(text);
  return Array.isArray(told) ? told.filter((one): one is string => typeof one === "string") : [];
}

function readZoom(text: string | null): Record<string, Span> {
  const told = parsed(text);
  const found: Record<string, Span> = Object.create(null) as Record<string, Span>;
  if (!told || typeof told !== "object" || Array.isArray(told)) return found;
  for (const [key, span] of Object.entries(told)) {
    if (!Array.isArray(span)) continue;
    const [low, high] = span.map(Number);
    if (low !== undefined && high !== undefined && low < high) found[key] = [low, high];
  }
  return found;
}
