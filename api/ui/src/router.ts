// Where the page is: the hash of the address holds a path and a query, which hold all that a view shows.
// A link shows the same to a colleague, and the links that MLflow's clients print lead to the same places.

import { signal } from "@preact/signals";

export interface Route {
  /** The parts of the path, decoded: `#/experiments/1?x=2` is ["experiments", "1"]. */
  path: readonly string[];
  query: URLSearchParams;
}

/** Values to set in a query; null, undefined and "" take a name away. */
export type Changes = Readonly<Record<string, string | number | null | undefined>>;

function read(hash: string): Route {
  const text = hash.replace(/^#\/?/, "");
  const at = text.indexOf("?");
  const path = at < 0 ? text : text.slice(0, at);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(at < 0 ? "" : text.slice(at + 1)) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Where the page is now. */
export const route = signal<Route>(read(location.hash));

/** An address for a link. A comma in a part of the path stays one. */
export function href(path: readonly (string | number)[], query?: URLSearchParams | Changes): string {
  const parts = path.map((part) => encodeURIComponent(part).replaceAll("%2C", ","));
  const text = (query instanceof URLSearchParams ? query : changed(new URLSearchParams(), query ?? {})).toString();
  return `#/${parts.join("/")}${text ? `?${text}` : ""}`;
}

function changed(query: URLSearchParams, changes: Changes): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") next.delete(name);
    else next.set(name, String(value));
  }
  return next;
}

/** Go to another place; with `replace` the browser's Back skips where the page was. */
export function navigate(path: readonly (string | number)[], query?: URLSearchParams | Changes, { replace = false } = {}): void {
  show(href(path, query), replace);
}

/** Change the query of the present place; without `replace: false` Back does not come to it. */
export function setQuery(changes: Changes, { replace = true } = {}): void {
  const { path, query } = route.peek();
  show(href(path, changed(query, changes)), replace);
}

function show(address: string, replace: boolean): void {
  if (address === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  route.value = read(address);
}

const update = () => (route.value = read(location.hash));
addEventListener("popstate", update);
addEventListener("hashchange", update);

/** The addresses of earlier versions: `/?experiment=1&run=…`. */
const old = new URLSearchParams(location.search);
if (old.get("experiment") ?? old.get("run")) {
  const run = old.get("run");
  const address = run ? href(["runs", run]) : href(["experiments", old.get("experiment") ?? ""], { filter: old.get("filter") });
  history.replaceState(null, "", location.pathname + address);
  update();
}
