// Texts, Markdown, JSON and tables of text: the first part of a file is read, and more where it is asked for.

import { useState } from "preact/hooks";
import { size as sized } from "../format";
import { useLoaded } from "../loaded";
import { Button } from "../ui/button";
import { Failed, Loading } from "../ui/states";
import { Segments } from "../ui/tabs";
import { Markdown } from "../ui/text";
import { parsed, separatorOf } from "./csv";
import { address, type Beginning, beginning, part, type Source } from "./files";
import { indented, tableOf } from "./json";
import type { Kind } from "./kinds";
import { PagedRows } from "./rows";

const FIRST_BYTES = 256 * 1024;
const FIRST_TABLE_BYTES = 1024 * 1024;
const BYTES_MAX = 8 * 1024 * 1024;
const ROWS_MAX = 50_000;

interface TextProps {
  source: Source;
  url: string;
  path: string;
  size: number;
  kind: Kind;
  /** What is shown of a file that is no text. */
  binary: preact.ComponentChildren;
}

/** A text of any kind. */
export function TextPreview({ source, url, path, size, kind, binary }: TextProps) {
  const [bytesMax, setBytesMax] = useState(kind === "table" || kind === "json" ? FIRST_TABLE_BYTES : FIRST_BYTES);
  const [tail, setTail] = useState(false);
  const { value, error, loading, again } = useLoaded((signal) => (tail ? ending(url, size, bytesMax, signal) : beginning(url, size, bytesMax, signal)), [url, size, bytesMax, tail]);
  if (error) return <Failed title="The file could not be read" error={error} again={again} />;
  if (value === undefined) return <Loading />;
  if (value === null) return <>{binary}</>;
  const more = !value.whole && (
    <span class="part">
      <span class="quiet">
        {tail ? "The last" : "The first"} {sized(value.bytes)} of {sized(size)}
      </span>
      {bytesMax < BYTES_MAX && (
        <Button kind="quiet" disabled={loading} onClick={() => setBytesMax(Math.min(BYTES_MAX, bytesMax * 4))}>
          Read more
        </Button>
      )}
    </span>
  );
  if (kind === "table") return <Table value={value} path={path} more={more} />;
  if (kind === "markdown") return <Rendered value={value} image={(src) => beside(source, path, src)} more={more} />;
  if (kind === "json" && value.whole) return <Json value={value} path={path} />;
  return (
    <>
      {more && (
        <div class="preview-bar">
          <Segments label="Which part" choices={PARTS} chosen={tail ? "end" : "start"} choose={(which) => setTail(which === "end")} />
          {more}
        </div>
      )}
      <Plain text={value.text} />
    </>
  );
}

const PARTS = [
  { value: "start", label: "Beginning" },
  { value: "end", label: "End" },
] as const;

/** The last bytes of a text, from the beginning of a line. */
async function ending(url: string, size: number, bytesMax: number, signal: AbortSignal): Promise<Beginning> {
  const bytes = await part(url, Math.max(0, size - bytesMax), size, signal);
  const text = new TextDecoder().decode(bytes);
  return { text: text.slice(text.indexOf("\n") + 1), bytes: bytes.length, whole: bytes.length >= size };
}

function Plain({ text }: { text: string }) {
  return text ? (
    <pre class="scroll plain-text" tabIndex={0} aria-label="Text">
      {text}
    </pre>
  ) : (
    <p class="preview-note quiet">The file is empty.</p>
  );
}

/** The address of an image that a Markdown file names: one of the same run, by its path from the file's folder. */
function beside(source: Source, path: string, src: string): string | null {
  if (/^([a-z][a-z0-9+.-]*:|[/\\#?])/i.test(src)) return null;
  let name: string;
  try {
    name = decodeURIComponent(src);
  } catch {
    return null;
  }
  const parts = path.split("/").slice(0, -1);
  for (const part of name.split("/")) {
    if (part === "..") {
      if (parts.pop() === undefined) return null;
    } else if (part && part !== ".") parts.push(part);
  }
  return parts.length ? address(source, parts.join("/")) : null;
}

function Rendered({ value, image, more }: { value: Beginning; image: (src: string) => string | null; more: preact.ComponentChildren }) {
  const [view, setView] = useState<"shown" | "source">("shown");
  return (
    <>
      <div class="preview-bar">
        <Segments
          label="How"
          choices={[
            { value: "shown", label: "Shown" },
            { value: "source", label: "Source" },
          ]}
          chosen={view}
          choose={setView}
        />
        {more}
      </div>
      {view === "shown" ? (
        <div class="scroll document" role="region" aria-label="Markdown" tabIndex={0}>
          <Markdown text={value.text} image={image} />
        </div>
      ) : (
        <Plain text={value.text} />
      )}
    </>
  );
}

function Json({ value, path }: { value: Beginning; path: string }) {
  const table = tableOf(value.text);
  const [view, setView] = useState<"table" | "text">("table");
  const choice = (
    <Segments
      label="How"
      choices={[
        { value: "table", label: "Table" },
        { value: "text", label: "Text" },
      ]}
      chosen={view}
      choose={setView}
    />
  );
  if (!table) return <Plain text={indented(value.text)} />;
  if (view === "table") {
    return (
      <PagedRows label={`Rows of ${path}`} head={table.columns.map((name) => ({ name }))} rows={table.data}>
        {choice}
      </PagedRows>
    );
  }
  return (
    <>
      <div class="preview-bar">{choice}</div>
      <Plain text={indented(value.text)} />
    </>
  );
}

function Table({ value, path, more }: { value: Beginning; path: string; more: preact.ComponentChildren }) {
  const separator = separatorOf(path, value.text);
  const { header, rows } = parsed(value.text, { separator, whole: value.whole, rowsMax: ROWS_MAX });
  if (!header.length) return <p class="preview-note quiet">The table is empty.</p>;
  return (
    <PagedRows label={`Rows of ${path}`} head={header.map((name) => ({ name }))} rows={rows} more={!value.whole}>
      {more}
    </PagedRows>
  );
}
