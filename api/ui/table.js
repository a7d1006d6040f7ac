// @ts-check
// The table of runs: rows are kept between updates, so that focus, selection and scrolling stay where they were.

import { el, icon, setText } from "./dom.js";
import { ago, duration, moment, number } from "./format.js";
import { valueOf } from "./runs.js";

/** @typedef {import("./runs.js").Run} Run */
/** @typedef {import("./runs.js").Column} Column */
/** @typedef {"drawn" | "hidden" | "beyond" | "none"} Shown drawn; hidden by the user; beyond the limit of lines; without points */
/** @typedef {{color: number, dashed: boolean, shown: Shown}} Look */
/** @typedef {{row: HTMLTableRowElement, toggle: HTMLButtonElement, swatch: HTMLElement, link: HTMLButtonElement, cells: Map<string, HTMLElement>}} Row */

const STATUS = { RUNNING: "Running", FINISHED: "Finished", FAILED: "Failed", KILLED: "Killed", SCHEDULED: "Scheduled" };

export class Table {
  /**
   * @param {HTMLElement} box
   * @param {{sort: (column: string) => void, toggle: (runId: string) => void, toggleAll: () => void, open: (runId: string) => void, hover: (runId: string) => void, more: () => void}} on
   */
  constructor(box, on) {
    this.on = on;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.columns = "";
    this.head = el("tr");
    this.body = el("tbody");
    this.more = el("button", { class: "ghost more", type: "button", hidden: true, onclick: () => on.more() }, "Load more runs");
    box.replaceChildren(el("table", {}, el("caption", { class: "sr" }, "Runs of the experiment"), el("thead", {}, this.head), this.body), this.more);
  }

  /**
   * @param {{runs: Run[], columns: Column[], sort: string, looks: Map<string, Look>, opened: string, more: boolean, now: number}} view
   */
  show({ runs, columns, sort, looks, opened, more, now }) {
    this.#header(columns, sort, looks);
    const key = JSON.stringify(columns);
    if (key !== this.columns) {
      this.columns = key;
      for (const { row } of this.rows.values()) row.remove();
      this.rows.clear();
    }
    const kept = new Set(runs.map((run) => run.id));
    for (const [id, { row }] of this.rows) {
      if (kept.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    runs.forEach((run, place) => {
      const found = this.#row(run, columns);
      this.#fill(found, run, columns, looks.get(run.id), opened === run.id, now);
      if (this.body.children[place] !== found.row) this.body.insertBefore(found.row, this.body.children[place] ?? null);
    });
    this.more.hidden = !more;
  }

  /** @param {string} runId empty for none */
  focus(runId) {
    for (const [id, { row }] of this.rows) row.classList.toggle("focused", id === runId);
  }

  /** @param {Column[]} columns @param {string} sort @param {Map<string, Look>} looks */
  #header(columns, sort, looks) {
    const drawn = [...looks.values()].some((look) => look.shown === "drawn");
    const state = JSON.stringify([columns, sort, drawn]);
    if (this.head.dataset.state === state) return;
    const focused = this.head.contains(document.activeElement) ? document.activeElement?.getAttribute("data-column") : null;
    this.head.dataset.state = state;
    const down = sort.startsWith("-");
    const by = down ? sort.slice(1) : sort;
    const all = el("button", { class: "eye", type: "button", "data-column": "*", "aria-label": drawn ? "Hide all runs on the chart" : "Show runs on the chart", title: drawn ? "Hide all" : "Show", onclick: () => this.on.toggleAll() }, icon("eye"));
    this.head.replaceChildren(
      el("th", { scope: "col", class: "toggle" }, all),
      ...columns.map((column) => {
        const chosen = column.id === by;
        const button = el("button", { type: "button", title: column.title ?? column.label, "data-column": column.id, onclick: () => this.on.sort(column.id) }, el("span", {}, column.label), el("i", { class: chosen ? (down ? "down" : "up") : "", "aria-hidden": "true" }));
        return el("th", { scope: "col", class: `${column.kind} col-${column.id.split(":")[0]}`, "aria-sort": chosen ? (down ? "descending" : "ascending") : "none" }, button);
      }),
    );
    if (focused) [...this.head.querySelectorAll("button")].find((button) => button.getAttribute("data-column") === focused)?.focus();
  }

  /** @param {Run} run @param {Column[]} columns @returns {Row} */
  #row(run, columns) {
    const known = this.rows.get(run.id);
    if (known) return known;
    const swatch = el("i", { class: "swatch" });
    const toggle = el("button", { class: "toggle", type: "button", onclick: () => this.on.toggle(run.id) }, swatch);
    const link = el("button", { class: "link", type: "button", "data-run": run.id, onclick: () => this.on.open(run.id) });
    /** @type {Map<string, HTMLElement>} */
    const cells = new Map();
    const row = el("tr", { onmouseenter: () => this.on.hover(run.id), onmouseleave: () => this.on.hover("") }, el("td", { class: "toggle" }, toggle));
    for (const column of columns) {
      const cell = el(column.id === "name" ? "th" : "td", { class: `${column.kind} col-${column.id.split(":")[0]}`, scope: column.id === "name" ? "row" : null });
      if (column.id === "name") cell.append(link);
      cells.set(column.id, cell);
      row.append(cell);
    }
    const made = { row, toggle, swatch, link, cells };
    this.rows.set(run.id, made);
    return made;
  }

  /** @param {Row} found @param {Run} run @param {Column[]} columns @param {Look | undefined} look @param {boolean} opened @param {number} now */
  #fill(found, run, columns, look, opened, now) {
    const shown = look?.shown ?? "none";
    found.row.classList.toggle("opened", opened);
    found.swatch.className = `swatch c${look?.color ?? 0} ${shown}${look?.dashed ? " dashed" : ""}`;
    found.toggle.setAttribute("aria-pressed", String(shown === "drawn"));
    found.toggle.setAttribute("aria-label", `${shown === "drawn" ? "Hide" : "Show"} ${run.name} on the chart`);
    found.toggle.title = { drawn: "Hide on the chart", hidden: "Show on the chart", beyond: "Not among the first lines: show on the chart", none: "Has no points of this metric" }[shown];
    setText(found.link, run.name);
    found.link.title = run.name;
    for (const column of columns) {
      const cell = found.cells.get(column.id);
      if (!cell || column.id === "name") continue;
      if (column.id === "status") {
        const state = `${run.status}|${run.reason}`;
        if (cell.dataset.state !== state) {
          cell.dataset.state = state;
          cell.replaceChildren(statusBadge(run.status, run.reason));
        }
        continue;
      }
      const { text, title } = content(run, column, now);
      setText(cell, text);
      cell.classList.toggle("none", text === "–");
      if (cell.title !== title) cell.title = title;
    }
  }
}

/** @param {Run} run @param {Column} column @param {number} now @returns {{text: string, title: string}} */
function content(run, column, now) {
  if (column.id === "start") return run.start ? { text: ago(run.start, now), title: moment(run.start) } : { text: "–", title: "" };
  const value = valueOf(run, column.id, now);
  if (value === undefined || value === "") return { text: "–", title: "" };
  if (column.id === "duration") return { text: duration(Number(value)), title: run.end ? `Ended ${moment(run.end)}` : "Still running" };
  if (column.id.startsWith("param:")) {
    const text = run.params.get(column.id.slice(6)) ?? "";
    return { text, title: text };
  }
  return typeof value === "number" ? { text: number(value), title: String(value) } : { text: value, title: value };
}

/** @param {string} status @param {string} reason */
export function statusBadge(status, reason) {
  const label = STATUS[/** @type {keyof typeof STATUS} */ (status)] ?? status;
  const name = status.toLowerCase();
  const known = name in { running: 1, finished: 1, failed: 1, killed: 1, scheduled: 1 };
  return el("span", { class: `status ${known ? name : ""}`, title: reason ? `${label}: ${reason}` : label }, icon(/** @type {any} */ (known ? name : "scheduled")), label, reason ? el("span", { class: "sr" }, `: ${reason}`) : null);
}
