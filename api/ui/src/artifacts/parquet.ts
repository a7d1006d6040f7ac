// Rows of a Parquet file, of which only what they need is read: its end, then the pages or column chunks they lie in.

import { decompress as decompressZstd } from "fzstd";
import { type AsyncBuffer, type Compressors, type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import { decompressBrotli } from "hyparquet-compressors/src/brotli.js";
import { gunzip } from "hyparquet-compressors/src/gzip.js";
import { decompressLz4, decompressLz4Raw } from "hyparquet-compressors/src/lz4.js";
import { part } from "./files";

/** Most bytes that one look at rows reads; of wider files the first columns that fit are shown. */
const READ_BYTES_MAX = 32 * 1024 * 1024;
const FOOTER_BYTES_MAX = 32 * 1024 * 1024;
const COLUMNS_MAX = 200;
const PARTS_KEPT = 64;

/** Without hysnappy, which is WebAssembly and so not allowed by the page's policy; hyparquet has its own Snappy. */
const compressors: Compressors = {
  GZIP: (input, length) => gunzip(input, new Uint8Array(length)),
  BROTLI: decompressBrotli,
  ZSTD: (input) => decompressZstd(input),
  LZ4: decompressLz4,
  LZ4_RAW: decompressLz4Raw,
};

export interface ParquetColumn {
  name: string;
  type: string;
}

/** A file whose end was read. columns: all that there are. shown: those that a look at rows reads. */
export interface ParquetFile {
  rows: number;
  columns: ParquetColumn[];
  shown: ParquetColumn[];
  rowGroups: number;
  read: (start: number, end: number) => Promise<unknown[][]>;
}

/** Reads the end of a file of `size` bytes. Throws where it is no Parquet file. */
export async function opened(url: string, size: number, signal?: AbortSignal): Promise<ParquetFile> {
  if (size < 12) throw new Error("This is no Parquet file: it is too short.");
  const end = new DataView((await part(url, size - 8, size, signal)).buffer);
  const magic = end.byteLength === 8 ? String.fromCharCode(...new Uint8Array(end.buffer, 4)) : "";
  if (magic === "PARE") throw new Error("This Parquet file is encrypted.");
  if (magic !== "PAR1") throw new Error("This is no Parquet file, or it was not written to its end.");
  const footer = end.getUint32(0, true) + 8;
  if (footer > size) throw new Error("This is no Parquet file: its end is damaged.");
  if (footer > FOOTER_BYTES_MAX) throw new Error("The description at this file's end is too large to be read here.");
  const metadata = await parquetMetadataAsync(buffer(url, size, signal), { initialFetchSize: footer });
  const columns = parquetSchema(metadata).children.map(({ element }) => ({ name: element.name, type: typeOf(element) }));
  const shown = fitting(metadata, columns);
  const names = shown.map(({ name }) => name);
  const file = kept(buffer(url, size));
  const read = async (rowStart: number, rowEnd: number) => {
    if (!names.length) return [];
    const found = await parquetReadObjects({ file, metadata, columns: names, rowStart, rowEnd, compressors, useOffsetIndex: true });
    return found.map((row) => names.map((name) => row[name] as unknown));
  };
  return { rows: Number(metadata.num_rows), columns, shown, rowGroups: metadata.row_groups.length, read };
}

/** A file that is read by ranges. */
function buffer(url: string, size: number, signal?: AbortSignal): AsyncBuffer {
  return { byteLength: size, slice: async (start, end = size) => (await part(url, start < 0 ? size + start : start, end, signal)).buffer };
}

/** The same, which keeps what was read last: the next rows often lie in the same chunks. */
function kept(file: AsyncBuffer): AsyncBuffer {
  const parts = new Map<string, Promise<ArrayBuffer>>();
  return {
    byteLength: file.byteLength,
    slice(start, end) {
      const key = `${start}-${end}`;
      const found = parts.get(key) ?? Promise.resolve(file.slice(start, end));
      parts.delete(key);
      parts.set(key, found);
      found.catch(() => parts.delete(key));
      for (const oldest of [...parts.keys()].slice(0, -PARTS_KEPT)) parts.delete(oldest);
      return found;
    },
  };
}

interface Element {
  type?: string | undefined;
  converted_type?: string | undefined;
  logical_type?: { type?: string } | undefined;
}

function typeOf({ type, converted_type, logical_type }: Element): string {
  return (logical_type?.type ?? converted_type ?? type ?? "group").toLowerCase().replaceAll("_", " ");
}

/** The first columns of which one row group's chunks fit into what may be read; all with an offset index, which has pages. */
function fitting(metadata: FileMetaData, columns: readonly ParquetColumn[]): ParquetColumn[] {
  const sizes = new Map<string, number>();
  for (const group of metadata.row_groups) {
    const here = new Map<string, number>();
    for (const { meta_data, offset_index_offset } of group.columns) {
      if (!meta_data) continue;
      const name = meta_data.path_in_schema[0] ?? "";
      // A page is a megabyte by default, and rows may lie in two.
      const bytes = offset_index_offset ? Math.min(Number(meta_data.total_compressed_size), 2 ** 21) : Number(meta_data.total_compressed_size);
      here.set(name, (here.get(name) ?? 0) + bytes);
    }
    for (const [name, bytes] of here) sizes.set(name, Math.max(sizes.get(name) ?? 0, bytes));
  }
  let left = READ_BYTES_MAX;
  const found = columns.filter(({ name }) => {
    const bytes = sizes.get(name) ?? 0;
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
  return found.slice(0, COLUMNS_MAX);
}
