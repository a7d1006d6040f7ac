// @ts-check
// The side panel: everything about one run, without leaving the table.

import { el, icon } from "./dom.js";
import { counted, duration, moment, number, size } from "./format.js";
import * as server from "./server.js";
import { REASON_TAG, fromRest } from "./runs.js";
import { statusBadge } from "./table.js";

/** @typedef {import("./server.js").RestRun} RestRun */

export class Panel {
  /** @param {HTMLElement} box @param {{close: () => void, metric: (key: string) => void}} on */
  constructor(box, on) {
    this.box = box;
    this.on = on;
    this.runId = "";
    this.path = "";
    this.asked = 0;
    this.shown = "";
    /** @type {Element | null} */
    this.before = null;
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") on.close();
    });
  }

  /** @param {string} runId @param {string} color class of the run's swatch */
  async open(runId, color) {
    if (!this.runId) this.before = document.activeElement;
    const other = runId !== this.runId;
    this.runId = runId;
    this.color = color;
    this.box.hidden = false;
    document.body.classList.add("with-panel");
    if (other) {
      this.path = "";
      this.shown = "";
      this.box.replaceChildren(this.#top("Loading…", null), el("div", { class: "skeleton" }));
      this.#button()?.focus();
    }
    await this.refresh();
  }

  close() {
    if (!this.runId) return;
    this.runId = "";
    this.box.hidden = true;
    document.body.classList.remove("with-panel");
    if (this.before instanceof HTMLElement && this.before.isConnected) this.before.focus();
  }

  /** Ask again; what has not changed stays as it is. */
  async refresh() {
    const runId = this.runId;
    if (!runId) return;
    const asked = ++this.asked;
    try {
      const [run, metrics, files] = await Promise.all([server.run(runId), server.summary(runId), server.artifacts(runId, this.path).catch(() => null)]);
      if (asked !== this.asked) return;
      const key = JSON.stringify([run, metrics, files, this.path]);
      if (key === this.shown) return;
      this.shown = key;
      this.#render(run, metrics, files);
    } catch (error) {
      if (asked !== this.asked) return;
      this.shown = "";
      this.box.replaceChildren(this.#top("Run", null), el("p", { class: "fault" }, error instanceof Error ? error.message : String(error)));
    }
  }

  /** @param {RestRun} rest @param {server.Summary[]} metrics @param {server.Artifact[] | null} files */
  #render(rest, metrics, files) {
    const run = fromRest(rest);
    const scrolled = this.box.scrollTop;
    const focused = this.box.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
    const open = new Map([...this.box.querySelectorAll("details")].map((part) => [part.id, part.open]));
    const tags = new Map((rest.data.tags ?? []).map((tag) => [tag.key, tag.value]));
    const own = [...tags].filter(([key]) => !key.startsWith("mlflow.") && key !== REASON_TAG);
    const inner = [...tags].filter(([key]) => key.startsWith("mlflow.") && key !== "mlflow.note.content");
    const note = tags.get("mlflow.note.content");
    const commit = tags.get("mlflow.source.git.commit");
    /** @type {[string, Node | string][]} */
    const facts = [["Status", statusBadge(run.status, run.reason)]];
    if (run.reason) facts.push(["Reason", run.reason]);
    facts.push(["Started", run.start ? moment(run.start) : "–"]);
    facts.push(["Duration", run.start ? duration((run.end || Date.now()) - run.start) : "–"]);
    if (run.user) facts.push(["User", run.user]);
    if (tags.get("mlflow.source.name")) facts.push(["Source", tags.get("mlflow.source.name") ?? ""]);
    if (commit) facts.push(["Commit", el("code", { title: commit }, commit.slice(0, 12))]);
    facts.push(["Run id", el("span", { class: "copy" }, el("code", {}, run.id), this.#copy(run.id))]);
    const sections = [
      note ? el("p", { class: "description" }, note) : null,
      el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      section("metrics", "Metrics", metrics.length, this.#metrics(metrics), open),
      section("params", "Params", run.params.size, pairs([...run.params]), open),
      section("tags", "Tags", own.length, pairs(own), open),
      section("datasets", "Datasets", rest.inputs?.dataset_inputs?.length ?? 0, this.#datasets(rest), open),
      section("artifacts", "Artifacts", files?.length ?? 0, this.#artifacts(files), open, true),
      section("inner", "System tags", inner.length, pairs(inner), open, false, false),
    ];
    this.box.replaceChildren(this.#top(run.name, run.id), el("div", { class: "panel-body" }, ...sections));
    this.box.scrollTop = scrolled;
    const again = focused && [...this.box.querySelectorAll("[data-key]")].find((one) => one.getAttribute("data-key") === focused);
    if (again instanceof HTMLElement) again.focus();
    else if (document.activeElement === document.body) this.#button()?.focus();
  }

  /** @param {string} name @param {string | null} runId */
  #top(name, runId) {
    return el(
      "header",
      {},
      runId ? el("i", { class: this.color ?? "" }) : null,
      el("h2", { id: "panel-title", title: name }, name),
      el("button", { class: "icon", type: "button", "data-key": "close", "aria-label": "Close the run", onclick: () => this.on.close() }, icon("close")),
    );
  }

  #button() {
    const found = this.box.querySelector("header button");
    return found instanceof HTMLElement ? found : null;
  }

  /** @param {string} text */
  #copy(text) {
    const button = el("button", { class: "icon small", type: "button", "data-key": "copy", "aria-label": "Copy the run's id", title: "Copy" }, icon("copy"));
    button.addEventListener("click", async () => {
      await navigator.clipboard?.writeText(text);
      button.replaceChildren(icon("finished"));
      setTimeout(() => button.replaceChildren(icon("copy")), 1200);
    });
    return button;
  }

  /** @param {server.Summary[]} metrics */
  #metrics(metrics) {
    const cell = (/** @type {server.Wire} */ value) => el("td", { title: value === null ? "" : String(value) }, value === null ? "–" : number(server.decode(value)));
    return el(
      "table",
      { class: "numbers" },
      el("thead", {}, el("tr", {}, ...["Metric", "Latest", "Min", "Max", "Points"].map((name) => el("th", { scope: "col" }, name)))),
      el(
        "tbody",
        {},
        ...metrics.map((metric) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, el("button", { class: "link", type: "button", "data-key": `metric:${metric.key}`, title: `Draw ${metric.key}`, onclick: () => this.on.metric(metric.key) }, metric.key)),
            cell(metric.last),
            cell(metric.min),
            cell(metric.max),
            el("td", { title: metric.nan ? `${counted(metric.nan, "point is", "points are")} NaN` : "" }, metric.points.toLocaleString("en-US") + (metric.nan ? "*" : "")),
          ),
        ),
      ),
    );
  }

  /** @param {RestRun} rest */
  #datasets(rest) {
    return el(
      "ul",
      { class: "files" },
      ...(rest.inputs?.dataset_inputs ?? []).map(({ dataset, tags }) => {
        const context = tags?.find((tag) => tag.key === "mlflow.data.context")?.value;
        return el("li", {}, el("span", { class: "name" }, dataset.name), el("code", {}, dataset.digest), context ? el("span", { class: "chip" }, context) : null);
      }),
    );
  }

  /** @param {server.Artifact[] | null} files */
  #artifacts(files) {
    if (!files) return el("p", { class: "quiet" }, "They cannot be listed now.");
    const up = this.path ? el("li", {}, el("button", { class: "link", type: "button", "data-key": "up", onclick: () => this.#enter(this.path.split("/").slice(0, -1).join("/")) }, icon("back"), this.path)) : null;
    return el(
      "ul",
      { class: "files" },
      up,
      ...files.map((file) => {
        const name = file.path.split("/").pop() ?? file.path;
        if (file.is_dir) return el("li", {}, el("button", { class: "link", type: "button", "data-key": `dir:${file.path}`, onclick: () => this.#enter(file.path) }, icon("folder"), name));
        const address = `/api/headrace/v1/runs/${encodeURIComponent(this.runId)}/artifacts/${file.path.split("/").map(encodeURIComponent).join("/")}`;
        return el("li", {}, el("a", { class: "link", href: address, download: name, "data-key": `file:${file.path}` }, icon("file"), name), el("span", { class: "quiet" }, file.file_size === undefined ? "" : size(Number(file.file_size))));
      }),
    );
  }

  /** @param {string} path */
  #enter(path) {
    this.path = path;
    void this.refresh();
  }
}

/**
 * @param {string} id @param {string} title @param {number} count @param {Node} content @param {Map<string, boolean>} open
 * @param {boolean} [always] shown when empty, too @param {boolean} [first] open at first
 */
function section(id, title, count, content, open, always = false, first = true) {
  if (!count && !always) return null;
  const part = el("details", { id: `panel-${id}`, open: open.get(`panel-${id}`) ?? first }, el("summary", { "data-key": `section:${id}` }, title, el("span", { class: "count" }, String(count))));
  part.append(count || id === "artifacts" ? content : "");
  if (!count && id === "artifacts" && content.childNodes.length === 0) part.append(el("p", { class: "quiet" }, "None yet."));
  return part;
}

/** @param {[string, string][]} values */
function pairs(values) {
  const ordered = [...values].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  return el("table", { class: "pairs" }, el("tbody", {}, ...ordered.map(([key, value]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, value)))));
}
