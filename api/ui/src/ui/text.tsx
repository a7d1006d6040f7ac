// Texts that are more than texts: times, states, Markdown.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ago, moment } from "../format";
import { Icon, type IconName } from "./icon";
import type { ImageAddress } from "./markdown";

const clock = signal(Date.now());
let watchers = 0;
let timer: ReturnType<typeof setInterval> | undefined;
const TICK_MS = 15_000;

/** One clock for the page, which stands still while nothing shows it or the tab is hidden. */
function tick(): void {
  clearInterval(timer);
  if (watchers && !document.hidden) {
    clock.value = Date.now();
    timer = setInterval(() => (clock.value = Date.now()), TICK_MS);
  }
}
document.addEventListener("visibilitychange", tick);

/** Now, in milliseconds since the epoch; moves every 15 s. */
export function useNow(): number {
  useEffect(() => {
    if (!watchers++) tick();
    return () => {
      if (!--watchers) tick();
    };
  }, []);
  return clock.value;
}

/** How long ago a time is (milliseconds since the epoch), in full where the pointer rests. */
export function Ago({ ms }: { ms: number | null | undefined }) {
  const now = useNow();
  if (!ms) return <span class="none">–</span>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={moment(ms)}>
      {ago(ms, Math.max(now, Date.now()))}
    </time>
  );
}

const STATUS: Readonly<Record<string, [string, IconName]>> = {
  RUNNING: ["Running", "running"],
  FINISHED: ["Finished", "finished"],
  FAILED: ["Failed", "failed"],
  KILLED: ["Killed", "killed"],
  SCHEDULED: ["Scheduled", "scheduled"],
};

/** The state of a run. reason: why it ended so, if that is known. */
export function StatusBadge({ status, reason }: { status: string; reason?: string | undefined }) {
  const [label, icon] = STATUS[status] ?? [status, "scheduled" as const];
  return (
    <span class={`status ${status.toLowerCase()}`} title={reason ? `${label}: ${reason}` : label}>
      <Icon name={icon} />
      {label}
      {reason && <span class="sr">: {reason}</span>}
    </span>
  );
}

/**
 * Markdown of a user's, made safe: no script, no style, no forms; links open in a tab of their own. image: where images
 * are; without it those that are named by the address of an artifact are shown, and no others.
 */
export function Markdown({ text, image }: { text: string; image?: ImageAddress | undefined }) {
  const [html, setHtml] = useState<string | null>(null);
  useEffect(() => {
    let gone = false;
    void import("./markdown").then(({ rendered }) => {
      if (!gone) setHtml(rendered(text, image));
    });
    return () => {
      gone = true;
    };
  }, [text]);
  return html === null ? <div class="markdown">{text}</div> : <div class="markdown" dangerouslySetInnerHTML={{ __html: html }} />;
}
