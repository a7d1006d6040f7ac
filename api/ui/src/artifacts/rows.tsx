// Rows of a table file, a page at a time.

import { useState } from "preact/hooks";
import { counted } from "../format";
import { IconButton } from "../ui/button";
import { isNumeric } from "./csv";

export const PAGE_ROWS = 100;
const CHARS_MAX = 500;

export interface Head {
  name: string;
  type?: string | undefined;
}

/** A value as text. Times are in UTC, bytes in hex. */
export function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return clipped(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "invalid time" : value.toISOString().replace("T", " ").replace(/(\.000)?Z$/, "");
  if (value instanceof Uint8Array) return clipped(Array.from(value.subarray(0, 64), (byte) => byte.toString(16).padStart(2, "0")).join("")) + (value.length > 64 ? `… (${counted(value.length, "byte")})` : "");
  if (typeof value === "object") {
    return clipped(JSON.stringify(ArrayBuffer.isView(value) ? Array.from(value as unknown as ArrayLike<unknown>) : value, (_, inner: unknown) => (typeof inner === "bigint" ? plain(inner) : inner)) ?? "");
  }
  return String(value);
}

/** A number where it is exactly one, else its digits as text. */
function plain(value: bigint): number | string {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
}

function clipped(text: string): string {
  return text.length > CHARS_MAX ? `${text.slice(0, CHARS_MAX)}…` : text;
}

/** Rows; the first is the one numbered `first`, from 1. */
export function RowsTable({ label, head, rows, first }: { label: string; head: readonly Head[]; rows: readonly (readonly unknown[])[]; first: number }) {
  const numeric = head.map((_, at) => isNumeric(rows.map((row) => row[at])));
  return (
    <div class="scroll rows" role="region" aria-label={label} tabIndex={0}>
      <table class="plain">
        <thead>
          <tr>
            <th class="number">#</th>
            {head.map(({ name, type }, at) => (
              <th key={at} class={numeric[at] ? "number" : ""}>
                {name}
                {type && <small>{type}</small>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            <tr key={first + at}>
              <td class="number none">{(first + at).toLocaleString("en-US")}</td>
              {head.map((_, column) => {
                const value = row[column];
                return (
                  <td key={column} class={numeric[column] ? "number" : ""}>
                    {value === null || value === undefined ? <span class="none">–</span> : cell(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Which rows are shown, and a way to others. first: from 0. total: of all rows; more may follow where not known. */
export function Pager({ first, total, go, more }: { first: number; total: number; go: (first: number) => void; more?: boolean }) {
  const last = Math.min(first + PAGE_ROWS, total);
  return (
    <span class="pager numbers">
      <IconButton small icon="back" label="Earlier rows" disabled={first <= 0} onClick={() => go(Math.max(0, first - PAGE_ROWS))} />
      <span aria-live="polite">
        {total ? `Rows ${(first + 1).toLocaleString("en-US")}–${last.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}${more ? "+" : ""}` : "No rows"}
      </span>
      <IconButton small icon="right" label="Later rows" disabled={last >= total} onClick={() => go(first + PAGE_ROWS)} />
    </span>
  );
}

/** Rows that are all in memory, by pages. more: the file has more than these. */
export function PagedRows({ label, head, rows, more, children }: { label: string; head: readonly Head[]; rows: readonly (readonly unknown[])[]; more?: boolean; children?: preact.ComponentChildren }) {
  const [first, setFirst] = useState(0);
  return (
    <>
      <div class="preview-bar">
        <Pager first={first} total={rows.length} go={setFirst} more={more ?? false} />
        <span class="quiet">{counted(head.length, "column")}</span>
        {children}
      </div>
      <RowsTable label={label} head={head} rows={rows.slice(first, first + PAGE_ROWS)} first={first + 1} />
    </>
  );
}
