// The table: only the rows and columns in sight are there, whatever the number of runs. A grid for the keyboard.

import { Component, type ComponentChildren } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { counted } from "../format";
import type { RunTable } from "../model";
import { href } from "../router";
import { Icon } from "../ui/icon";
import { type Content, content, groupContent, isNumeric } from "./cells";
import { ColumnHeader } from "./header";
import { EditCell } from "./edit";
import type { Spec } from "./columns";
import type { Items, Node, Sort } from "./order";
import { nameAt, textAt } from "./store";

export const ROW = 30;
const HEAD = 34;
const CHECK = 34;
const EYE = 34;
const OVERSCAN = 10;
const STEP = 5;

export interface Laid extends Spec {
  width: number;
  numeric: boolean;
}

export interface TableProps {
  table: RunTable;
  lines: Items;
  /** The first is the name; so many are pinned. */
  columns: readonly Spec[];
  pinned: number;
  widths: ReadonlyMap<string, number>;
  sorts: readonly Sort[];
  selected: ReadonlySet<string>;
  open: ReadonlySet<string>;
  /** Marks of what is drawn, by run or path of a group. */
  drawn: ReadonlyMap<string, { color: number; dashed: boolean }>;
  experiments: ReadonlyMap<string, string>;
  act: Actions;
}

/** What the table can be told to do. */
export interface Actions {
  sort: (column: string, more: boolean) => void;
  sortBy: (column: string, descending: boolean) => void;
  resize: (column: string, width: number) => void;
  pin: (column: string) => void;
  hide: (column: string) => void;
  group: (column: string) => void;
  move: (column: string, before: string) => void;
  aggregate: (column: string, aggregate: string) => void;
  select: (ids: readonly string[], on: boolean) => void;
  /** All that the table shows, or none. */
  selectAll: (on: boolean) => void;
  eye: (name: string, on: boolean) => void;
  toggle: (path: string) => void;
  goTo: (table: RunTable, row: number) => void;
  saved: (id: string) => void;
  metrics: readonly string[];
}

export const NAME_WIDTH = 210;

export function widthOf({ name, kind, aggregate }: Spec, widths: ReadonlyMap<string, number>, narrow: boolean): number {
  const chosen = widths.get(name);
  if (chosen) return Math.min(900, Math.max(50, chosen));
  if (name === "run_name") return narrow ? 130 : NAME_WIDTH;
  if (name === "status") return 100;
  if (kind === "metric") return aggregate ? 136 : 108;
  if (name === "duration") return 96;
  if (name === "start_time" || name === "end_time") return 124;
  return 120;
}

/** Whether a cell can be changed where it stands. */
export function isEditable({ kind, name }: Spec): boolean {
  return name === "run_name" || (kind === "tag" && (!name.startsWith("tags.mlflow.") || name === "tags.mlflow.note.content"));
}

export function RunGrid({ table, lines, columns, pinned, widths, sorts, selected, open, drawn, experiments, act }: TableProps) {
  const box = useRef<HTMLDivElement>(null);
  const [sight, setSight] = useState({ top: 0, bottom: 40, left: 0, right: 2000, narrow: false });
  const [active, setActive] = useState({ line: 0, column: 2 });
  const [editing, setEditing] = useState<{ id: string; name: string } | null>(null);
  const [drag, setDrag] = useState<{ name: string; width: number } | null>(null);
  const moved = useRef(false);
  const anchor = useRef(0);

  const look = useCallback(() => {
    const grid = box.current;
    if (!grid) return;
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = grid;
    // What sticks is a layer of its own in each row; there are none where nothing has been scrolled aside.
    grid.classList.toggle("aside", scrollLeft > 0);
    const top = Math.max(0, Math.floor(scrollTop / ROW / STEP) * STEP - OVERSCAN);
    const bottom = Math.ceil((scrollTop + clientHeight) / ROW / STEP) * STEP + OVERSCAN;
    const left = Math.floor(scrollLeft / 200) * 200;
    const right = Math.ceil((scrollLeft + clientWidth) / 200) * 200 + 200;
    const narrow = clientWidth < 560;
    setSight((before) =>
      before.top === top && before.bottom === bottom && before.left === left && before.right === right && before.narrow === narrow ? before : { top, bottom, left, right, narrow },
    );
  }, []);
  useLayoutEffect(() => {
    look();
    const watched = new ResizeObserver(look);
    if (box.current) watched.observe(box.current);
    return () => watched.disconnect();
  }, []);

  const laid = useMemo<Laid[]>(
    () => columns.map((spec) => ({ ...spec, width: drag?.name === spec.name ? drag.width : widthOf(spec, widths, sight.narrow), numeric: isNumeric(table, spec.name) })),
    [columns, widths, drag, sight.narrow, table],
  );
  const held = sight.narrow ? 1 : pinned;
  const pins = useMemo(() => laid.slice(0, held), [laid, held]);
  const pinWidth = CHECK + EYE + pins.reduce((sum, { width }) => sum + width, 0);
  const { cells, first, pad, whole } = useMemo(() => {
    let [x, from, padded] = [0, -1, 0];
    const seen: Laid[] = [];
    for (const [at, one] of laid.slice(held).entries()) {
      if (x + one.width + pinWidth > sight.left && x < sight.right) {
        if (from < 0) [from, padded] = [at, x];
        seen.push(one);
      }
      x += one.width;
    }
    return { cells: seen, first: Math.max(0, from) + held, pad: padded, whole: pinWidth + x };
  }, [laid, held, pinWidth, sight.left, sight.right]);

  const count = lines.items.length;
  const last = { line: Math.min(active.line, Math.max(0, count - 1)), column: Math.min(active.column, laid.length + 1) };

  /** The ids of the runs of a line. */
  const idsOf = (line: number): string[] => {
    const item = lines.items[line];
    if (item === undefined) return [];
    const rows = item >= 0 ? [item] : [...((lines.groups[-1 - item] as Node).rows ?? [])];
    return rows.map((row) => table.ids[row] as string);
  };
  const go = (line: number, column: number) => {
    const next = { line: Math.max(0, Math.min(count - 1, line)), column: Math.max(0, Math.min(laid.length + 1, column)) };
    moved.current = true;
    setActive(next);
    const grid = box.current;
    if (!grid) return;
    const [top, bottom] = [next.line * ROW, (next.line + 1) * ROW];
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (bottom > grid.scrollTop + grid.clientHeight - HEAD) grid.scrollTop = bottom - grid.clientHeight + HEAD;
    const at = next.column - 2;
    if (at < held) return;
    const x = laid.slice(held, at).reduce((sum, { width }) => sum + width, 0);
    if (x < grid.scrollLeft) grid.scrollLeft = x;
    const right = x + (laid[at]?.width ?? 0) + pinWidth;
    if (right > grid.scrollLeft + grid.clientWidth) grid.scrollLeft = right - grid.clientWidth;
  };
  useLayoutEffect(() => {
    if (!moved.current) return;
    const cell = box.current?.querySelector<HTMLElement>(`[data-at="${last.line}:${last.column}"]`);
    if (!cell) return;
    moved.current = false;
    cell.focus({ preventScroll: true });
  });

  const check = (line: number, on: boolean, range: boolean) => {
    const [from, to] = range ? [Math.min(anchor.current, line), Math.max(anchor.current, line)] : [line, line];
    anchor.current = line;
    act.select(Array.from({ length: to - from + 1 }, (_, i) => idsOf(from + i)).flat(), on);
  };
  const checking = useRef(check);
  checking.current = check;
  const checked = useCallback((line: number, on: boolean, range: boolean) => checking.current(line, on, range), []);
  const begin = (line: number, column: number): boolean => {
    const item = lines.items[line];
    const spec = laid[column - 2];
    if (item === undefined || item < 0 || !spec || !isEditable(spec)) return false;
    setEditing({ id: table.ids[item] as string, name: spec.name });
    return true;
  };
  const key = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    const place = target.dataset["at"];
    if (!place || event.altKey) return;
    const [line = 0, column = 0] = place.split(":").map(Number);
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / ROW) - 2);
    const whole = event.ctrlKey || event.metaKey;
    const item = lines.items[line] ?? 0;
    const steps: Record<string, () => unknown> = {
      ArrowDown: () => go(line + 1, column),
      ArrowUp: () => go(line - 1, column),
      ArrowRight: () => go(line, column + 1),
      ArrowLeft: () => go(line, column - 1),
      PageDown: () => go(line + page, column),
      PageUp: () => go(line - page, column),
      Home: () => go(whole ? 0 : line, whole ? column : 0),
      End: () => go(whole ? count - 1 : line, whole ? column : laid.length + 1),
      " ": () => check(line, !idsOf(line).every((id) => selected.has(id)), event.shiftKey),
      F2: () => begin(line, column),
      Escape: () => act.selectAll(false),
      Enter: () => {
        if (item < 0) act.toggle((lines.groups[-1 - item] as Node).path);
        else if (column === 0) check(line, !selected.has(table.ids[item] as string), false);
        else if (column === 1 && !lines.groups.length) act.eye(table.ids[item] as string, !drawn.has(table.ids[item] as string));
        else if (column === 2 || !begin(line, column)) act.goTo(table, item);
      },
    };
    if (whole && event.key === "a") act.select([...Array(count).keys()].flatMap(idsOf), true);
    else if (!steps[event.key] || (whole && !["Home", "End"].includes(event.key))) return;
    else {
      if (event.shiftKey && event.key === "ArrowDown") check(line + 1, true, true);
      if (event.shiftKey && event.key === "ArrowUp") check(line - 1, true, true);
      steps[event.key]?.();
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const focused = (event: FocusEvent) => {
    const place = (event.target as HTMLElement).closest<HTMLElement>("[data-at]")?.dataset["at"];
    if (!place) return;
    const [line = 0, column = 0] = place.split(":").map(Number);
    setActive((before) => (before.line === line && before.column === column ? before : { line, column }));
  };
  const edited = useCallback(
    (id: string | null) => {
      setEditing(null);
      moved.current = true;
      if (id) act.saved(id);
    },
    [act],
  );
  const doubled = (event: MouseEvent) => {
    const [line, column] = ((event.target as HTMLElement).closest<HTMLElement>("[data-at]")?.dataset["at"] ?? "").split(":").map(Number);
    if (line !== undefined && column !== undefined && column > 2) begin(line, column);
  };

  const bottom = Math.min(count, sight.bottom);
  const depth = lines.groups.reduce((most, { level }) => Math.max(most, level + 1), 0);
  const rows: ComponentChildren[] = [];
  for (let line = Math.min(sight.top, Math.max(0, count - 1)); line < bottom; line++) {
    const item = lines.items[line] as number;
    const node = item < 0 ? (lines.groups[-1 - item] as Node) : null;
    const id = node ? node.path : (table.ids[item] as string);
    const mark = drawn.get(id);
    rows.push(
      <Line
        key={node ? `g ${id}` : id}
        table={table}
        line={line}
        row={item}
        node={node}
        id={id}
        pins={pins}
        cells={cells}
        first={first}
        pad={pad}
        total={whole}
        pinWidth={pinWidth}
        active={last.line === line ? last.column : -1}
        picked={node ? (node.rows.length <= 5000 && node.rows.every((row) => selected.has(table.ids[row] as string)) ? 2 : 0) : selected.has(id) ? 2 : 0}
        color={mark ? mark.color : -1}
        dashed={mark?.dashed ?? false}
        open={node ? open.has(node.path) : false}
        indent={depth}
        editing={!node && editing?.id === id ? editing.name : ""}
        edited={edited}
        experiments={experiments}
        act={act}
        check={checked}
      />,
    );
  }
  const all = count > 0 && selected.size > 0 && selected.size >= table.length;
  const header = (spec: Laid, at: number) => (
    <ColumnHeader
      key={spec.name}
      spec={spec}
      at={at + 3}
      pinned={at < pinned}
      sort={sorts.find(({ column }) => column === spec.name)}
      place={sorts.length > 1 ? sorts.findIndex(({ column }) => column === spec.name) + 1 : 0}
      before={laid[at - 1]?.name}
      after={laid[at + 1]?.name}
      further={laid[at + 2]?.name ?? ""}
      act={act}
      dragged={(width) => setDrag(width === null ? null : { name: spec.name, width })}
    />
  );
  return (
    <div
      ref={box}
      class="runs-grid"
      role="grid"
      aria-label="Runs"
      aria-multiselectable="true"
      aria-rowcount={count + 1}
      aria-colcount={laid.length + 2}
      onScroll={look}
      onKeyDown={key}
      onFocusIn={focused}
      onDblClick={doubled}
    >
      <div class="runs-head" role="row" aria-rowindex={1} style={{ width: `${whole}px` }}>
        <div class="runs-pins" role="presentation" style={{ width: `${pinWidth}px` }}>
          <div role="columnheader" aria-colindex={1} class="runs-check">
            <input
              type="checkbox"
              aria-label="Select all runs"
              checked={all}
              ref={(input) => {
                if (input) input.indeterminate = !all && selected.size > 0;
              }}
              onChange={() => act.selectAll(selected.size === 0)}
            />
          </div>
          <div role="columnheader" aria-colindex={2} class="runs-eye" title="Drawn on charts">
            <Icon name="eye" label="Drawn on charts" />
          </div>
          {pins.map((spec, at) => header(spec, at))}
        </div>
        <div role="presentation" class="runs-pad" style={{ width: `${pad}px` }} />
        {cells.map((spec, at) => header(spec, first + at))}
      </div>
      <div class="runs-body" role="rowgroup" style={{ height: `${count * ROW}px`, width: `${whole}px` }}>
        {rows}
      </div>
    </div>
  );
}

const NAMED: Content = { shown: null };

interface LineProps {
  table: RunTable;
  line: number;
  row: number;
  node: Node | null;
  id: string;
  pins: readonly Laid[];
  cells: readonly Laid[];
  first: number;
  pad: number;
  total: number;
  pinWidth: number;
  active: number;
  picked: number;
  color: number;
  dashed: boolean;
  open: boolean;
  /** How deep in groups a run stands. */
  indent: number;
  editing: string;
  edited: (id: string | null) => void;
  experiments: ReadonlyMap<string, string>;
  act: Actions;
  check: (line: number, on: boolean, range: boolean) => void;
}

/** One line; drawn again only when something of it is another. */
class Line extends Component<LineProps> {
  override shouldComponentUpdate(next: LineProps): boolean {
    for (const name of Object.keys(next) as (keyof LineProps)[]) {
      if (next[name] !== this.props[name]) return true;
    }
    return false;
  }

  override render({ table, line, row, node, id, pins, cells, first, pad, total, pinWidth, active, picked, color, dashed, open, indent, editing, edited, experiments, act, check }: LineProps) {
    const name = node ? node.label : nameAt(table, row);
    const cell = (spec: Laid, at: number) => {
      const index = at + 2;
      const { shown, title, mark } = at === 0 ? NAMED : node ? groupContent(table, spec, node, experiments) : content(table, spec, row, experiments);
      return (
        <div
          key={spec.name}
          role="gridcell"
          aria-colindex={index + 1}
          class={`runs-cell ${spec.numeric ? "number" : ""} ${mark ?? ""} ${isEditable(spec) && !node ? "editable" : ""}`}
          title={title}
          style={{ width: `${spec.width}px` }}
          data-at={`${line}:${index}`}
          tabIndex={active === index ? 0 : -1}
        >
          {editing === spec.name ? (
            <EditCell id={id} spec={spec} value={textAt(table, spec.name, row)} done={(saved) => edited(saved ? id : null)} />
          ) : at === 0 ? (
            node ? (
              <button type="button" class="runs-group" tabIndex={-1} aria-expanded={open} onClick={() => act.toggle(node.path)} style={{ paddingLeft: `${node.level * 14}px` }}>
                <Icon name={open ? "down" : "right"} />
                <span class="clip" title={node.label}>
                  {node.column === "experiment_id" ? (experiments.get(node.label) ?? node.label) : node.label}
                </span>
                <span class="runs-count">{node.rows.length.toLocaleString("en-US")}</span>
              </button>
            ) : (
              <a class="runs-name" tabIndex={-1} style={{ marginLeft: `${indent * 14}px` }} href={href(["experiments", textAt(table, "experiment_id", row), "runs", id])} title={name}>
                {name}
              </a>
            )
          ) : (
            shown
          )}
        </div>
      );
    };
    const label = node ? `group ${name}, ${counted(node.rows.length, "run")}` : name;
    return (
      <div
        class={`runs-line ${node ? "of-group" : ""} ${picked ? "picked" : ""}`}
        role="row"
        aria-rowindex={line + 2}
        aria-selected={picked > 0}
        style={{ transform: `translateY(${line * ROW}px)`, width: `${total}px` }}
      >
        <div class="runs-pins" role="presentation" style={{ width: `${pinWidth}px` }}>
          <div role="gridcell" aria-colindex={1} class="runs-check" data-at={`${line}:0`} tabIndex={active === 0 ? 0 : -1}>
            <input
              type="checkbox"
              tabIndex={-1}
              aria-label={`Select ${label}`}
              checked={picked > 0}
              onClick={(event) => check(line, event.currentTarget.checked, event.shiftKey)}
            />
          </div>
          <div role="gridcell" aria-colindex={2} class="runs-eye" data-at={`${line}:1`} tabIndex={active === 1 ? 0 : -1}>
            {(node || !indent) && <button
              type="button"
              tabIndex={-1}
              class={`runs-mark ${color < 0 ? "off" : `c${color}`} ${dashed ? "dashed" : ""}`}
              aria-pressed={color >= 0}
              aria-label={`Draw ${label}`}
              title={color < 0 ? "Draw on charts" : "Take off the charts"}
              onClick={() => act.eye(id, color < 0)}
            >
              <i />
            </button>}
          </div>
          {pins.map((spec, at) => cell(spec, at))}
        </div>
        <div role="presentation" class="runs-pad" style={{ width: `${pad}px` }} />
        {cells.map((spec, at) => cell(spec, first + at))}
      </div>
    );
  }
}
