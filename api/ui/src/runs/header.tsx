// The head of a column: its name sorts, its edge is dragged, and its menu does the rest.

import { useRef } from "preact/hooks";
import { Menu, type MenuItem } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { AGGREGATES, atBest, described } from "./columns";
import type { Sort } from "./order";
import type { Actions, Laid } from "./table";

interface HeaderProps {
  spec: Laid;
  /** Its place in the grid, from 1. */
  at: number;
  pinned: boolean;
  sort: Sort | undefined;
  /** Which of several orders it is, from 1; 0 where there is one. */
  place: number;
  before: string | undefined;
  after: string | undefined;
  /** The column behind the one after; empty at the end. */
  further: string;
  act: Actions;
  /** The width while it is dragged; null at the end. */
  dragged: (width: number | null) => void;
}

const BESTS_MAX = 8;
const WIDER = 24;

export function ColumnHeader({ spec, at, pinned, sort, place, before, after, further, act, dragged }: HeaderProps) {
  const { name, label, kind, key, aggregate, width, numeric } = spec;
  const from = useRef<{ x: number; width: number } | null>(null);
  const isName = name === "run_name";
  const items: MenuItem[] = [
    { label: "Sort ascending", icon: "up", act: () => act.sortBy(name, false) },
    { label: "Sort descending", icon: "down", act: () => act.sortBy(name, true) },
  ];
  if (kind === "metric") {
    items.push({ label: "Value of the metric" });
    for (const [of, text] of Object.entries(AGGREGATES)) items.push({ label: text, checked: of === aggregate, act: () => act.aggregate(name, of) });
    const others = act.metrics.filter((other) => other !== key && !other.startsWith("system/")).slice(0, BESTS_MAX);
    for (const other of others) items.push({ label: `at best ${other}`, checked: aggregate === atBest(other), act: () => act.aggregate(name, atBest(other)) });
  }
  items.push({ label: "Column" });
  if (!isName) {
    items.push({ label: pinned ? "Unpin" : "Pin", icon: "pin", act: () => act.pin(name) });
    if (kind !== "metric") items.push({ label: "Group by this", icon: "group", act: () => act.group(name) });
    if (before && before !== "run_name") items.push({ label: "Move left", icon: "back", act: () => act.move(name, before) });
    if (after) items.push({ label: "Move right", icon: "right", act: () => act.move(name, further) });
  }
  items.push({ label: "Wider", icon: "plus", act: () => act.resize(name, width + WIDER) }, { label: "Narrower", icon: "minus", act: () => act.resize(name, width - WIDER) });
  if (!isName) items.push({ label: "Hide column", icon: "eyeOff", act: () => act.hide(name) });

  const of = AGGREGATES[aggregate] ?? aggregate.replace(/^at_best\((.*)\)$/, "at best $1");
  return (
    <div
      role="columnheader"
      aria-colindex={at}
      aria-sort={sort ? (sort.descending ? "descending" : "ascending") : undefined}
      class={`runs-title ${numeric ? "number" : ""}`}
      style={{ width: `${width}px` }}
      onDragOver={(event) => {
        if (event.dataTransfer?.types.includes("text/x-column") && !isName) event.preventDefault();
      }}
      onDrop={(event) => {
        const moved = event.dataTransfer?.getData("text/x-column");
        if (!moved || isName) return;
        event.preventDefault();
        if (moved !== name) act.move(moved, name);
      }}
    >
      <button
        type="button"
        class="runs-sort"
        title={`${described(spec)}. Click to sort, Shift and click to sort by several`}
        draggable={!isName}
        onDragStart={(event) => event.dataTransfer?.setData("text/x-column", name)}
        onClick={(event) => act.sort(name, event.shiftKey)}
      >
        <span class="clip">{label}</span>
        {kind === "metric" && aggregate && <span class="runs-of">{of}</span>}
        {sort && (
          <span class="runs-arrow">
            <Icon name={sort.descending ? "down" : "up"} />
            {place > 0 && place}
          </span>
        )}
      </button>
      <Menu label={`Column ${label}${aggregate ? ` ${of}` : ""}`} small items={items} />
      <span
        class="runs-edge"
        aria-hidden="true"
        onPointerDown={(event) => {
          event.preventDefault();
          event.currentTarget.setPointerCapture(event.pointerId);
          from.current = { x: event.clientX, width };
        }}
        onPointerMove={(event) => from.current && dragged(Math.max(50, from.current.width + event.clientX - from.current.x))}
        onPointerUp={(event) => {
          if (!from.current) return;
          act.resize(name, Math.max(50, from.current.width + event.clientX - from.current.x));
          from.current = null;
          dragged(null);
        }}
      />
    </div>
  );
}
