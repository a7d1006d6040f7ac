// Which view shows a place, by the first part of its path. Each is loaded when it is first gone to.

import type { ComponentType } from "preact";

type Page = () => Promise<{ default: ComponentType }>;

const PAGES: Readonly<Record<string, Page>> = {
  "": () => import("./home/page"),
  experiments: () => import("./runs/page"),
  runs: () => import("./run/page"),
  compare: () => import("./compare/page"),
  models: () => import("./registry/page"),
  endpoints: () => import("./endpoints/page"),
  lineage: () => import("./lineage/page"),
  system: () => import("./system/page"),
};

/** The view of a path, and a name for it; undefined where there is none. */
export function viewOf(path: readonly string[]): { name: string; load: Page } | undefined {
  const [first = "", , third] = path;
  const name = first === "experiments" && third === "runs" && path[3] ? "runs" : first;
  const load = PAGES[name];
  return load && { name, load };
}
