// What happened to a model, version or endpoint: who changed what, when, and what was said with it.

import { useState } from "preact/hooks";
import { setQuery } from "../router";
import { Button } from "../ui/button";
import { Icon, type IconName } from "../ui/icon";
import { Ago } from "../ui/text";
import type { Change, Entry } from "./api";
import { behind } from "./asof";

const ICONS: readonly [RegExp, IconName][] = [
  [/stage|transition/, "sort"],
  [/alias/, "star"],
  [/tags/, "tag"],
  [/comment|described/, "edit"],
  [/deleted|erased/, "trash"],
  [/created/, "plus"],
];

const SHOWN_MAX = 12;
const ENTRIES_STEP = 200;

/** An entry in words: what happened, and to which version. */
export function told(entry: Entry): { title: string; icon: IconName; changes: readonly Change[] } {
  const type = entry.type.replace(/^headrace\./, "");
  const [kind = "", what = ""] = type.split(/\.(?=[^.]*$)/);
  const verb = what.replaceAll("-", " ");
  const version = kind === "model-version" ? /^versions\.(\d+)\./.exec(entry.changes[0]?.field ?? "")?.[1] : undefined;
  const subject = kind === "model-version" ? `Version ${version ?? ""}`.trim() : "";
  const stage = entry.changes.filter(({ field }) => /(^|\.)stage$/.test(field));
  const alias = entry.changes.find(({ field }) => field.startsWith("aliases."));
  let title = `${subject} ${verb}`.trim();
  if (what === "stage-transitioned" || what === "transition-approved") {
    const own = stage.find(({ to }) => to !== "Archived") ?? stage[0];
    const number = /^versions\.(\d+)\./.exec(own?.field ?? "")?.[1];
    if (own) title = `${number ? `Version ${number}` : "Version"} moved from ${text(own.from ?? "None")} to ${text(own.to ?? "None")}`;
  } else if (alias) {
    const name = alias.field.slice("aliases.".length);
    title = alias.to === null ? `Alias ${name} taken away` : alias.to === true ? `Alias ${name} set` : `Alias ${name} set to version ${text(alias.to)}`;
  }
  title = title.charAt(0).toUpperCase() + title.slice(1);
  return { title, icon: ICONS.find(([pattern]) => pattern.test(what))?.[1] ?? "pulse", changes: entry.changes.filter(({ field }) => !/(^|\.)(comments|requests)\.|stage_comment$/.test(field)) };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function short(value: unknown): string {
  const whole = text(value);
  return whole.length > 120 ? `${whole.slice(0, 117)}…` : whole;
}

export function HistoryList({ entries, canGoBack = true }: { entries: readonly Entry[]; canGoBack?: boolean }) {
  const [most, setMost] = useState(ENTRIES_STEP);
  return (
    <>
      <ol class="history" aria-label="History">
        {entries.slice(-most).toReversed().map((entry) => {
          const { title, icon, changes } = told(entry);
          return (
            <li key={entry.position}>
              <span class="history-icon">
                <Icon name={icon} />
              </span>
              <div>
                <p class="history-head">
                  <strong>{title}</strong>
                  {entry.outcome !== "applied" && (
                    <span class="fault" title={entry.reason}>
                      {entry.outcome}: {entry.reason}
                    </span>
                  )}
                  <span class="quiet">
                    {entry.actor && <>by {entry.actor} · </>}
                    <Ago ms={entry.logged_ms} />
                    {entry.source && <> · {entry.source}</>}
                  </span>
                  {canGoBack && (
                    <button type="button" class="link" aria-label={`Show as of then: ${title}`} onClick={() => setQuery({ as_of: behind(entry), tab: null })}>
                      Show as of then
                    </button>
                  )}
                </p>
                {entry.comment && <blockquote>{entry.comment}</blockquote>}
                {changes.length > 0 && (
                  <ul class="history-changes">
                    {changes.slice(0, SHOWN_MAX).map(({ field, from, to }) => (
                      <li key={field}>
                        <code>{field}</code>{" "}
                        {from !== null && (
                          <>
                            <del>{short(from)}</del>{" "}
                          </>
                        )}
                        {to === null ? <span class="quiet">taken away</span> : <ins>{short(to)}</ins>}
                      </li>
                    ))}
                    {changes.length > SHOWN_MAX && <li class="quiet">and {changes.length - SHOWN_MAX} more</li>}
                  </ul>
                )}
              </div>
            </li>
          );
        })}
      </ol>
      {entries.length > most && (
        <p class="centered">
          <Button onClick={() => setMost(most + ENTRIES_STEP)}>Show more</Button>
        </p>
      )}
    </>
  );
}
