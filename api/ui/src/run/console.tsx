// What a run printed: its end first, earlier text on demand, and what comes as it comes.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { moment } from "../format";
import { route, setQuery } from "../router";
import { isAborted } from "../server";
import { Button } from "../ui/button";
import { Empty, Failed, Loading } from "../ui/states";
import { Segments } from "../ui/tabs";
import { toastFault } from "../ui/toast";
import { type Line, lines, plain } from "./console_text";
import { type Piece, readConsole, type Run } from "./data";
import { useFollowed } from "./following";
import { Filter } from "./tables";

type Stream = "" | "stdout" | "stderr";

const LINES_MAX = 20_000;
const PIECES_MAX = 10_000;
const EVERY_MS = 250;
const NEAR_END_PX = 40;

interface Held {
  pieces: readonly Piece[];
  /** There is earlier text. */
  earlier: boolean;
}

export function Console({ run }: { run: Run }) {
  const runId = run.info.run_id;
  const stream = (route.value.query.get("stream") ?? "") as Stream;
  const wanted = (route.value.query.get("find") ?? "").toLowerCase();
  const [wrapped, setWrapped] = useState(true);
  const [timed, setTimed] = useState(false);
  const { held, error, again, earlier } = useText(runId);
  const all = useMemo(() => lines((held?.pieces ?? []).filter((piece) => !stream || piece.stream === stream)), [held, stream]);
  const shown = useMemo(() => all.map((line, at) => ({ line, at })).filter(({ line }) => !wanted || plain(line).toLowerCase().includes(wanted)).slice(-LINES_MAX), [all, wanted]);
  if (error !== undefined && !held) return <Failed title="The console cannot be shown" error={error} again={again} />;
  if (!held) return <Loading label="Loading the console" />;
  if (!held.pieces.length) {
    return (
      <Empty title="Nothing was printed" icon="table">
        <p>
          What a process prints is kept with <code>headrace.start_run(capture_console=True)</code>, or <code>HEADRACE_CAPTURE_CONSOLE=true</code>.
        </p>
      </Empty>
    );
  }
  return (
    <section class="card run-console" aria-label="Console">
      <header>
        <Segments
          label="Stream"
          choices={[
            { value: "", label: "All" },
            { value: "stdout", label: "stdout" },
            { value: "stderr", label: "stderr" },
          ]}
          chosen={stream}
          choose={(value) => setQuery({ stream: value })}
        />
        <Filter label="Find in the console" typed={route.value.query.get("find") ?? ""} type={(find) => setQuery({ find })} />
        {wanted && <span class="quiet">{shown.length.toLocaleString("en-US")} of {all.length.toLocaleString("en-US")} lines</span>}
        <span class="grow" />
        <label class="check-box">
          <input type="checkbox" checked={timed} onChange={() => setTimed(!timed)} /> Times
        </label>
        <label class="check-box">
          <input type="checkbox" checked={wrapped} onChange={() => setWrapped(!wrapped)} /> Wrap
        </label>
        <Button icon="download" onClick={() => void download(runId, stream)}>Download</Button>
      </header>
      <Text lines={shown} wrapped={wrapped} timed={timed} earlier={held.earlier ? earlier : undefined} follows={!wanted} />
    </section>
  );
}

/** The text that is held, which grows at its end as the run goes on, and at its beginning when asked. */
function useText(runId: string) {
  const [held, setHeld] = useState<Held | undefined>();
  const [error, setError] = useState<unknown>();
  const newest = useRef<number | undefined>(undefined);
  const turn = useRef<Promise<void>>(Promise.resolve());
  const read = async (signal?: AbortSignal) => {
    const options = { signal };
    try {
      if (newest.current === undefined) {
        const { pieces, more } = await readConsole(runId, {}, options);
        newest.current = pieces.at(-1)?.offset ?? -1;
        setHeld({ pieces, earlier: more });
      } else {
        for (let more = true; more; ) {
          const found = await readConsole(runId, { after: newest.current }, options);
          more = found.more;
          newest.current = found.pieces.at(-1)?.offset ?? newest.current;
          if (found.pieces.length) setHeld((before) => grown(before, found.pieces));
        }
      }
      setError(undefined);
    } catch (fault) {
      if (!isAborted(fault)) setError(fault);
    }
  };
  // One after the other: each goes on where the one before came to.
  const again = (signal?: AbortSignal) => (turn.current = turn.current.then(() => read(signal)));
  useEffect(() => {
    const controller = new AbortController();
    void again(controller.signal);
    return () => controller.abort();
  }, [runId]);
  useFollowed({ runs: [runId] }, EVERY_MS, () => again());
  const earlier = async () => {
    const before = held?.pieces[0]?.offset;
    if (before === undefined) return;
    try {
      const found = await readConsole(runId, { before });
      setHeld((now) => ({ pieces: [...found.pieces, ...(now?.pieces ?? [])], earlier: found.more }));
    } catch (fault) {
      toastFault(fault);
    }
  };
  return { held, error, again: () => void again(), earlier };
}

/** With what came; of a run that prints for days the oldest is let go, and can be asked for again. */
function grown(before: Held | undefined, found: readonly Piece[]): Held {
  const pieces = [...(before?.pieces ?? []), ...found];
  return { pieces: pieces.slice(-PIECES_MAX), earlier: (before?.earlier ?? false) || pieces.length > PIECES_MAX };
}

interface TextProps {
  lines: readonly { line: Line; at: number }[];
  wrapped: boolean;
  timed: boolean;
  earlier: (() => Promise<void>) | undefined;
  /** Whether it stays at its end while it is there. */
  follows: boolean;
}

function Text({ lines, wrapped, timed, earlier, follows }: TextProps) {
  const box = useRef<HTMLDivElement>(null);
  const text = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const top = useRef(0);
  const height = useRef(0);
  const following = useRef(follows);
  following.current = follows;
  const toEnd = () => {
    if (box.current && following.current && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  };
  // Lines are laid out when they come near, and then have another height than was thought.
  useEffect(() => {
    const observer = new ResizeObserver(toEnd);
    if (text.current) observer.observe(text.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    toEnd();
    if (!box.current || !height.current) return;
    box.current.scrollTop += box.current.scrollHeight - height.current;
    height.current = 0;
  }, [lines]);
  const scrolled = () => {
    const element = box.current;
    if (!element) return;
    const near = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
    // Only who scrolls up leaves the end.
    atEnd.current = near || (atEnd.current && element.scrollTop >= top.current);
    top.current = element.scrollTop;
  };
  const ask = async () => {
    height.current = box.current?.scrollHeight ?? 0;
    atEnd.current = false;
    await earlier?.();
  };
  return (
    <div ref={box} class={`run-text ${wrapped ? "wrapped" : ""}`} tabIndex={0} role="log" aria-live="off" aria-label="What the run printed" onScroll={scrolled}>
      {earlier && (
        <p class="earlier">
          <button type="button" class="link" onClick={() => void ask()}>Show earlier text</button>
        </p>
      )}
      <div ref={text}>
        {lines.map(({ line, at }) => (
          <div key={at} class={`line ${line.stream}`}>
            {timed && <time>{moment(line.timeMs)}</time>}
            {line.spans.length ? line.spans.map(({ text, style }) => (style ? <span class={style}>{text}</span> : text)) : "\n"}
          </div>
        ))}
      </div>
      {lines.length === 0 && <p class="earlier quiet">No line is like that.</p>}
    </div>
  );
}

/** All that was printed, as a file. */
async function download(runId: string, stream: Stream): Promise<void> {
  const texts: string[] = [];
  try {
    for (let [after, more] = [-1, true]; more; ) {
      const found = await readConsole(runId, { after, stream });
      texts.push(...found.pieces.map(({ text }) => text));
      after = found.pieces.at(-1)?.offset ?? after;
      more = found.more;
    }
  } catch (fault) {
    toastFault(fault);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(texts, { type: "text/plain" }));
  link.download = `${runId}-console.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
