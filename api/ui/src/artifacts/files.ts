// Where the files of a run or of a logged model are, and parts of them: no file is ever loaded whole that is not small.

import { ask, Fault, get } from "../server";

/** Whose files. */
export type Source = { runId: string } | { modelId: string };

/** A file or folder. path: from the top. size: in bytes, null for a folder. */
export interface Entry {
  path: string;
  size: number | null;
  /** Said beside its name, in place of the size. */
  note?: string;
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What is in a folder, folders first; "" is the top. */
export async function list(source: Source, path: string, signal?: AbortSignal): Promise<Entry[]> {
  const answer = await ("runId" in source
    ? get<Listing>("/api/2.0/mlflow/artifacts/list", { run_id: source.runId, path }, { signal })
    : get<Listing>(`/api/2.0/mlflow/logged-models/${encodeURIComponent(source.modelId)}/artifacts/directories`, { artifact_directory_path: path }, { signal }));
  const found = (answer.files ?? []).map(({ path, is_dir, file_size }) => ({ path, size: is_dir ? null : Number(file_size ?? 0) }));
  const order = new Intl.Collator("en", { numeric: true }).compare;
  return found.sort((a, b) => Number(a.size !== null) - Number(b.size !== null) || order(nameOf(a.path), nameOf(b.path)));
}

interface Listing {
  files?: { path: string; is_dir?: boolean; file_size?: number | string }[];
}

/** A file's address. Opened by itself it is saved; inline, it is shown in a sandbox without script. */
export function address(source: Source, path: string, { inline = false } = {}): string {
  const [kind, id] = "runId" in source ? ["runs", source.runId] : ["logged-models", source.modelId];
  const parts = path.split("/").map(encodeURIComponent).join("/");
  return `/api/headrace/v1/${kind}/${encodeURIComponent(id)}/artifacts/${parts}${inline ? "?inline=true" : ""}`;
}

/** The bytes of a file from `start` to before `end`, fewer where it ends, none where it is that short. */
export async function part(url: string, start: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  if (end <= start) return new Uint8Array();
  const headers = { Range: `bytes=${start}-${end - 1}` };
  let answer: Response;
  try {
    answer = await fetch(url, { headers, signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Fault(0, "UNREACHABLE", "The server cannot be reached. Check that it runs, then try again.");
  }
  if (answer.status === 416) return new Uint8Array();
  if (answer.status === 206) return new Uint8Array(await answer.arrayBuffer());
  await answer.body?.cancel();
  if (answer.ok) throw new Fault(answer.status, "NO_RANGES", "What is between this page and the server answers with whole files only.");
  return new Uint8Array(await (await ask("GET", url, undefined, { signal })).arrayBuffer()); // throws what the server says
}

/** The beginning of a text. bytes: how many were read. whole: whether that is all of it. */
export interface Beginning {
  text: string;
  bytes: number;
  whole: boolean;
}

/** The first bytes of a text of `size` bytes, as text; null where it is no text. */
export async function beginning(url: string, size: number, bytesMax: number, signal?: AbortSignal): Promise<Beginning | null> {
  const bytes = await part(url, 0, Math.min(size, bytesMax), signal);
  if (bytes.subarray(0, 8192).includes(0)) return null;
  const whole = bytes.length >= size;
  // A character that is cut at the end waits in the decoder and is left out.
  return { text: new TextDecoder().decode(bytes, { stream: !whole }), bytes: bytes.length, whole };
}
