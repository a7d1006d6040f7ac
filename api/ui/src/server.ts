// What the page asks of the server: the public API and nothing else.

import type { Table } from "apache-arrow";

/** A number as JSON has it: NaN and infinities are strings. */
export type Wire = number | string | null;

/** What the server said is wrong. */
export class Fault extends Error {
  /** 0 when the server could not be reached. */
  readonly status: number;
  /** MLflow's error code, such as INVALID_PARAMETER_VALUE. */
  readonly code: string;
  /** The whole answer. */
  readonly body: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, message: string, body: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.body = body;
  }

  /** Where in a filter or statement the fault lies, from 0; undefined where the server did not say. */
  get position(): number | undefined {
    const told = this.body["position"];
    return typeof told === "number" ? told : undefined;
  }
}

export interface Options {
  signal?: AbortSignal | undefined;
}

type Params = Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>;

/** A path with a query; null, undefined and "" are left out, lists are repeated. */
export function withParams(path: string, params: Params): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** The answer to a request. Throws Fault where it is an error, and AbortError where it was aborted. */
export async function ask(method: string, path: string, body?: unknown, { signal }: Options = {}): Promise<Response> {
  const request: RequestInit = { method, signal: signal ?? null };
  if (body !== undefined) {
    request.headers = { "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Fault(0, "UNREACHABLE", "The server cannot be reached. Check that it runs, then try again.");
  }
  if (answer.ok) return answer;
  const told = (await answer.json().catch(() => ({}))) as { error_code?: string; message?: string };
  throw new Fault(answer.status, told.error_code ?? "ERROR", told.message ?? `The server answered ${answer.status}.`, told);
}

async function json<T>(method: string, path: string, body?: unknown, options?: Options): Promise<T> {
  const answer = await ask(method, path, body, options);
  const text = await answer.text();
  return (text ? JSON.parse(text) : {}) as T;
}

/** Read JSON. */
export function get<T>(path: string, params: Params = {}, options?: Options): Promise<T> {
  return json("GET", withParams(path, params), undefined, options);
}

export function post<T>(path: string, body: unknown = {}, options?: Options): Promise<T> {
  return json("POST", path, body, options);
}

export function patch<T>(path: string, body: unknown, options?: Options): Promise<T> {
  return json("PATCH", path, body, options);
}

export function put<T>(path: string, body: unknown, options?: Options): Promise<T> {
  return json("PUT", path, body, options);
}

export function del<T>(path: string, body?: unknown, options?: Options): Promise<T> {
  return json("DELETE", path, body, options);
}

/** An answer in Arrow's stream format. */
export async function arrow(path: string, body: unknown, options?: Options): Promise<Table> {
  const [answer, { tableFromIPC }] = await Promise.all([ask("POST", path, body, options), import("apache-arrow")]);
  return tableFromIPC(new Uint8Array(await answer.arrayBuffer()));
}

/** A number of JSON as a number; NaN for what is missing. */
export function decode(value: Wire | undefined): number {
  return value === null || value === undefined ? NaN : Number(value);
}

/** What an error says to a person. */
export function says(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether a request was ended by who asked. */
export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
