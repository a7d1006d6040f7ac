// @ts-check
// Wires the page: what the address bar says is asked of the server and shown; what the live feed tells is asked anew.

import { Chart } from "./chart.js";
import { byId, el, icon } from "./dom.js";
import { counted } from "./format.js";
import { line, smoothed } from "./line.js";
import { Panel } from "./panel.js";
import * as runs from "./runs.js";
import * as server from "./server.js";
import { Table } from "./table.js";
import * as address from "./view.js";

/** @typedef {import("./runs.js").Run} Run */
/** @typedef {import("./line.js").Line} Line */
/** @typedef {import("./table.js").Look} Look */

const LINES_MAX = 20;
const COLORS = 10;
const CHANGED_MAX = 100;
const PAUSE_MS = 100;
const CLOCK_MS = 15_000;

const view = address.read(location.search);
/** @type {server.Experiment[]} */
let experiments = [];
/** @type {Map<string, Run>} */
let known = new Map();
let nextPage = "";
/** @type {Map<string, number>} places in the palette, kept for as long as the page is open */
const colors = new Map();
/** @type {Map<string, {line: Line, key: string}>} */
const lines = new Map();
let loading = new AbortController();
let ready = false;
let endFollowing = () => {};

const pickExperiment = byId("experiment", HTMLSelectElement);
const pickMetric = byId("metric", HTMLSelectElement);
const filter = byId("filter", HTMLInputElement);
const filterError = byId("filter-error", HTMLElement);
const count = byId("count", HTMLElement);
const note = byId("chart-note", HTMLElement);
/** So many events the views may be behind the log before the page says so: less is gone within a moment. */
const BEHIND_SHOWN = 1000;
const CURRENT = "Changes are shown as they are logged";
const live = byId("live", HTMLElement);
const state = byId("state", HTMLElement);
const resetZoom = byId("reset-zoom", HTMLButtonElement);
const smooth = byId("smooth", HTMLInputElement);
const log = byId("log", HTMLInputElement);
const chartBox = byId("chart", HTMLElement);

const chart = new Chart(chartBox, byId("legend", HTMLElement), {
  zoom: (range) => change({ zoom: range }),
  hover: focus,
  pick: (runId) => openRun(runId),
});
const table = new Table(byId("table", HTMLElement), { sort: sortBy, toggle, toggleAll, open: openRun, hover: focus, more: () => void loadMore() });
const panel = new Panel(byId("panel", HTMLElement), { close: () => openRun(""), metric: (key) => change({ metric: key, zoom: null }) });

// --- what is shown ----------------------------------------------------------------------------------------------------

/** @param {Partial<address.View>} changes @param {boolean} [page] a new entry in the browser's history */
function change(changes, page = false) {
  const before = seriesKey();
  Object.assign(view, changes);
  history[page ? "pushState" : "replaceState"](null, "", address.write(view));
  if (seriesKey() !== before) void loadSeries();
  show();
}

/** What a series depends on, beside its run. */
function seriesKey() {
  return JSON.stringify([view.experiment, view.metric, view.x, view.zoom]);
}

/** Runs in the order of the table. */
function ordered() {
  return runs.sorted([...known.values()], view.sort, Date.now());
}

/** How each run looks: its colour for good, and whether it is drawn. @param {Run[]} inOrder @returns {Map<string, Look>} */
function looks(inOrder) {
  for (const run of [...inOrder].sort((a, b) => a.start - b.start || (a.id < b.id ? -1 : 1))) {
    if (!colors.has(run.id)) colors.set(run.id, colors.size);
  }
  let left = LINES_MAX;
  /** @param {Run} run @returns {[string, Look]} */
  const looked = (run) => {
    const place = colors.get(run.id) ?? 0;
    const look = { color: place % COLORS, dashed: Math.floor(place / COLORS) % 2 === 1 };
    if (!run.metrics.has(view.metric)) return [run.id, { ...look, shown: "none" }];
    if (view.show.has(run.id)) return [run.id, { ...look, shown: "drawn" }];
    if (view.hideAll || view.hide.has(run.id)) return [run.id, { ...look, shown: "hidden" }];
    return [run.id, { ...look, shown: left-- > 0 ? "drawn" : "beyond" }];
  };
  return new Map(inOrder.map(looked));
}

let scheduled = 0;

/** Show the state of things in the next frame. */
function show() {
  if (!scheduled) scheduled = requestAnimationFrame(render);
}

function render() {
  scheduled = 0;
  if (!ready) return;
  const inOrder = ordered();
  const keys = runs.metricKeys(inOrder);
  view.metric ||= runs.firstMetric(keys);
  const look = looks(inOrder);
  controls(keys);
  table.show({ runs: inOrder, columns: runs.columns(inOrder, view.metric), sort: view.sort, looks: look, opened: view.run, more: Boolean(nextPage), now: Date.now() });
  const drawn = inOrder.filter((run) => look.get(run.id)?.shown === "drawn");
  const traces = drawn.flatMap((run) => {
    const found = lines.get(run.id);
    const { color, dashed } = /** @type {Look} */ (look.get(run.id));
    return found ? [{ line: found.line, name: run.name, color, dashed }] : [];
  });
  chart.show(traces, { metric: view.metric, x: view.x, log: view.log, smooth: view.smooth, zoom: view.zoom });
  if (drawn.some((run) => lines.get(run.id)?.key !== seriesKey())) void loadSeries();
  messages(inOrder, drawn.length, look, traces.map((trace) => trace.line));
}

/** @param {Map<string, number>} keys */
function controls(keys) {
  const names = [...new Set([...keys.keys(), ...(view.metric ? [view.metric] : [])])];
  options(pickMetric, names.map((key) => ({ value: key, label: key, group: key.startsWith("system/") ? "System" : "Metrics" })), view.metric, "No metrics yet");
  for (const radio of document.querySelectorAll("input[name=axis]")) {
    if (radio instanceof HTMLInputElement) radio.checked = radio.value === view.x;
  }
  log.checked = view.log;
  if (document.activeElement !== smooth) smooth.value = String(view.smooth);
  byId("smooth-value", HTMLOutputElement).textContent = view.smooth ? view.smooth.toFixed(2) : "0";
  resetZoom.hidden = !view.zoom;
  document.title = experimentName() ? `${experimentName()} – Headrace` : "Headrace";
}

/**
 * Fill a select, only where it differs.
 * @param {HTMLSelectElement} select @param {{value: string, label: string, group?: string}[]} items @param {string} chosen @param {string} none
 */
function options(select, items, chosen, none) {
  const key = JSON.stringify(items);
  if (select.dataset.items !== key) {
    select.dataset.items = key;
    const groups = [...new Set(items.map((item) => item.group ?? ""))];
    const option = (/** @type {{value: string, label: string}} */ item) => el("option", { value: item.value }, item.label);
    select.replaceChildren(
      ...(items.length === 0
        ? [el("option", { value: "" }, none)]
        : groups.length < 2
          ? items.map(option)
          : groups.map((group) => el("optgroup", { label: group }, ...items.filter((item) => item.group === group).map(option)))),
    );
  }
  select.disabled = items.length === 0;
  select.value = chosen;
}

function experimentName() {
  return experiments.find((experiment) => experiment.experiment_id === view.experiment)?.name ?? "";
}

/** @param {Run[]} inOrder @param {number} drawn @param {Map<string, Look>} look @param {Line[]} shown */
function messages(inOrder, drawn, look, shown) {
  const running = inOrder.filter((run) => run.status === "RUNNING").length;
  count.textContent = `${counted(inOrder.length, "run")}${nextPage ? " so far" : ""}${running ? ` · ${running} running` : ""}${drawn ? ` · ${drawn} on the chart` : ""}`;
  const beyond = [...look.values()].filter((one) => one.shown === "beyond").length;
  const parts = [];
  if (beyond) parts.push(`first ${LINES_MAX} of ${drawn + beyond} runs`);
  if (shown.some((one) => one.bucketed)) parts.push("min and max of each bucket drawn");
  const nan = shown.filter((one) => one.nan.length).length;
  if (nan) parts.push(`× NaN in ${counted(nan, "run")}`);
  if (view.log && shown.some((one) => one.low <= 0)) parts.push("values ≤ 0 have no place on a log axis");
  note.textContent = parts.join(" · ");
  chartBox.classList.toggle("empty", drawn === 0);
  chartBox.dataset.empty = !inOrder.length ? "" : view.metric ? "No run is shown: choose some in the table" : "No metrics have been logged yet";
  if (inOrder.length || view.filter) {
    state.hidden = true;
    document.body.classList.remove("blank");
    if (!inOrder.length) count.textContent = "No run matches the filter";
  } else blank();
}

/** What to do when there is nothing yet. */
function blank() {
  if (!state.hidden && state.dataset.kind === "empty") return;
  const name = experimentName();
  const code = [
    "import headrace",
    `headrace.set_tracking_uri(${JSON.stringify(location.origin)})`,
    ...(name && name !== "Default" ? [`headrace.set_experiment(${JSON.stringify(name)})`] : []),
    'with headrace.start_run(): headrace.log_metric("loss", 0.25, step=1)',
  ].join("\n");
  const copy = el("button", { class: "ghost", type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(code);
    copy.textContent = "Copied";
  });
  state.dataset.kind = "empty";
  state.replaceChildren(el("h2", {}, "No runs yet"), el("p", {}, "Log the first one from Python; it appears here as it runs."), el("pre", {}, el("code", {}, code)), copy);
  state.hidden = false;
  document.body.classList.add("blank");
}

/** @param {unknown} error */
function failed(error) {
  state.dataset.kind = "failed";
  state.replaceChildren(
    el("h2", {}, "The runs cannot be shown"),
    el("p", {}, error instanceof Error ? error.message : String(error)),
    el("button", { class: "ghost", type: "button", onclick: () => void begin() }, "Try again"),
  );
  state.hidden = false;
  document.body.classList.add("blank");
}

/** Emphasize a run everywhere. @param {string} runId */
function focus(runId) {
  chart.focus(runId);
  table.focus(runId);
}

// --- what the server is asked -----------------------------------------------------------------------------------------

/** So long the first look waits for the feed, so that nothing falls between the two. */
const FEED_MS = 2000;
let beginning = false;

async function begin() {
  beginning = true;
  document.body.classList.add("loading");
  endFollowing();
  // The feed is of an experiment, which a first look at the address may not name.
  try {
    if (!view.experiment) await loadExperiments();
    view.experiment ||= experiments[0]?.experiment_id ?? "0";
    await following(view.experiment);
    await loadExperiments();
    if (!experiments.some((experiment) => experiment.experiment_id === view.experiment)) {
      view.experiment = experiments[0]?.experiment_id ?? "0";
      await following(view.experiment);
    }
    pickExperiment.value = view.experiment;
    await loadRuns();
    if (view.run) openRun(view.run);
  } catch (error) {
    failed(error);
  }
  beginning = false;
  void pump();
}

/** Follow an experiment; done when the feed has begun, or when that takes long. @param {string} experiment @returns {Promise<void>} */
function following(experiment) {
  endFollowing();
  return new Promise((resolve) => {
    setTimeout(resolve, FEED_MS);
    endFollowing = server.follow(experiment, {
      begun: resolve,
      changed,
      state: (now) => showLive(now, { connecting: "Connecting", live: "Live", lost: "Reconnecting" }[now], now === "lost" ? "The server does not answer; what is shown may be old" : CURRENT),
      views: ({ behind, fault }) => {
        const events = `${behind.toLocaleString("en-US")} event${behind === 1 ? "" : "s"} behind`;
        if (fault) showLive("behind", events, `Nothing is lost, but what is shown is old: ${fault}`);
        else if (behind > BEHIND_SHOWN) showLive("behind", events, "The log has more than the views hold yet; they are catching up");
        else showLive("live", "Live", CURRENT);
        void pump();
      },
    });
  });
}

/** @param {string} state @param {string} text @param {string} title */
function showLive(state, text, title) {
  live.dataset.state = state;
  const label = live.querySelector("span");
  if (label) label.textContent = text;
  live.title = title;
}

async function loadExperiments() {
  experiments = await server.experiments();
  options(pickExperiment, experiments.map((experiment) => ({ value: experiment.experiment_id, label: experiment.name })), view.experiment, "No experiments");
}

/** The runs of the experiment that match the filter. */
async function loadRuns() {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  document.body.classList.add("loading");
  try {
    const answer = await server.searchRuns({ experiment: view.experiment, filter: view.filter, orderBy: runs.orderBy(view.sort) }, signal);
    known = new Map(answer.runs.map((rest) => [rest.info.run_id, runs.fromRest(rest)]));
    nextPage = answer.next;
    filterFault("");
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof server.Fault && error.status === 400 && view.filter) filterFault(error.message);
    else throw error;
  } finally {
    if (!signal.aborted) document.body.classList.remove("loading");
  }
  ready = true;
  view.metric ||= runs.firstMetric(runs.metricKeys(known.values()));
  show();
}

async function loadMore() {
  const { signal } = loading;
  const answer = await server.searchRuns({ experiment: view.experiment, filter: view.filter, orderBy: runs.orderBy(view.sort), pageToken: nextPage }, signal);
  for (const rest of answer.runs) known.set(rest.info.run_id, runs.fromRest(rest));
  nextPage = answer.next;
  show();
}

let asking = "";

/** The series of the drawn runs that are not here yet; or of some that have changed. @param {Set<string>} [only] */
async function loadSeries(only) {
  const key = seriesKey();
  const look = looks(ordered());
  const wanted = [...look].filter(([id, one]) => one.shown === "drawn" && (only ? only.has(id) : lines.get(id)?.key !== key)).map(([id]) => id);
  const request = JSON.stringify([key, wanted]);
  if (!wanted.length || (!only && request === asking)) return;
  if (!only) asking = request;
  const { metric, x, zoom } = view;
  const buckets = Math.min(2000, Math.max(200, Math.round(chartBox.clientWidth || 800)));
  try {
    const answer = await server.series({ run_ids: wanted, key: metric, x, buckets, range: zoom && widened(zoom) });
    if (seriesKey() !== key) return;
    for (const one of answer) lines.set(one.run_id, { line: line(one, view.smooth), key });
    show();
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
    if (only) throw error;
  } finally {
    if (asking === request) asking = "";
  }
}

/** A little beyond the edges, so that lines run out of the picture. @param {[number, number]} range @returns {[number, number]} */
function widened([low, high]) {
  const margin = (high - low) * 0.05;
  return [low - margin, high + margin];
}

// --- the live feed ----------------------------------------------------------------------------------------------------

/** @type {Set<string>} */
let pending = new Set();
let pendingAll = false;
let pendingExperiments = false;
let pumping = false;
let failing = 0;
let retrying = 0;

/** @param {server.Changes} changes */
function changed(changes) {
  if (!ready && !beginning) return void begin();
  if (changes === "all") pendingAll = true;
  else {
    for (const id of changes.runIds) pending.add(id);
    if (changes.experimentIds.length) pendingExperiments = true;
  }
  if (pendingAll || pending.size > CHANGED_MAX) {
    pendingAll = true;
    pending.clear();
  }
  void pump();
}

/** Ask for what has changed, one request at a time, and rest in between as long as the answer took. */
async function pump() {
  if (pumping || document.hidden || !ready) return;
  pumping = true;
  clearTimeout(retrying);
  while ((pendingAll || pendingExperiments || pending.size) && !document.hidden) {
    const began = performance.now();
    const [all, ids, list] = [pendingAll, pending, pendingExperiments || pendingAll];
    pending = new Set();
    pendingAll = pendingExperiments = false;
    try {
      if (list) await loadExperiments();
      if (all) {
        await loadRuns();
        await loadSeries(new Set(known.keys()));
      } else if (ids.size) await Promise.all([refresh([...ids]), loadSeries(ids)]);
      if (all || ids.has(panel.runId)) void panel.refresh();
      failing = 0;
    } catch {
      // It is asked again when the feed tells something, which it does when the server is back; or else after a while.
      pendingAll = true;
      retrying = setTimeout(() => void pump(), Math.min(30_000, 1000 * 2 ** failing++));
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(PAUSE_MS, performance.now() - began)));
  }
  pumping = false;
}

/** @param {string[]} ids */
async function refresh(ids) {
  const { signal } = loading;
  const these = `attributes.run_id IN (${ids.map((id) => `'${id}'`).join(", ")})`;
  const answer = await server.searchRuns({ experiment: view.experiment, filter: view.filter ? `(${view.filter}) AND ${these}` : these }, signal);
  if (signal.aborted) return;
  const found = new Set(answer.runs.map((rest) => rest.info.run_id));
  for (const id of ids) if (!found.has(id)) known.delete(id);
  for (const rest of answer.runs) known.set(rest.info.run_id, runs.fromRest(rest));
  show();
}

// --- what people do ---------------------------------------------------------------------------------------------------

/** @param {string} message */
function filterFault(message) {
  filterError.hidden = !message;
  filterError.textContent = message;
  filter.toggleAttribute("aria-invalid", Boolean(message));
  const place = /[Aa]t character (\d+)/.exec(message);
  if (place && document.activeElement === filter) filter.setSelectionRange(Number(place[1]) - 1, filter.value.length);
}

/** @param {string} column */
function sortBy(column) {
  const first = column === "start" || column === "duration" ? `-${column}` : column;
  const other = first.startsWith("-") ? column : `-${column}`;
  change({ sort: view.sort === first ? other : first });
  if (nextPage) void loadRuns().catch(failed);
}

/** @param {string} runId */
function toggle(runId) {
  const shown = looks(ordered()).get(runId)?.shown;
  const [hide, showing] = [new Set(view.hide), new Set(view.show)];
  if (shown === "drawn") {
    showing.delete(runId);
    hide.add(runId);
  } else {
    hide.delete(runId);
    if (shown === "beyond" || view.hideAll) showing.add(runId);
  }
  change({ hide, show: showing });
}

function toggleAll() {
  const any = [...looks(ordered()).values()].some((one) => one.shown === "drawn");
  change({ hideAll: any, hide: new Set(), show: new Set() });
}

/** @param {string} runId empty closes */
function openRun(runId) {
  const closing = !runId;
  change({ run: runId });
  if (closing) return panel.close();
  const look = looks(ordered()).get(runId);
  void panel.open(runId, look ? `swatch c${look.color} drawn${look.dashed ? " dashed" : ""}` : "");
}

/** @param {() => void} act @param {number} ms */
function delayed(act, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}

const applyFilter = () => {
  const text = filter.value.trim();
  if (text === view.filter) return;
  change({ filter: text });
  void loadRuns().catch(failed);
};
filter.value = view.filter;
filter.addEventListener("input", delayed(applyFilter, 350));
byId("filter-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  applyFilter();
});
pickExperiment.addEventListener("change", () => {
  const next = { ...address.read(""), experiment: pickExperiment.value, x: view.x, log: view.log, smooth: view.smooth };
  panel.close();
  lines.clear();
  colors.clear();
  known = new Map();
  filter.value = "";
  change(next, true);
  void begin();
});
pickMetric.addEventListener("change", () => change({ metric: pickMetric.value, zoom: null }));
byId("axis", HTMLFieldSetElement).addEventListener("change", (event) => {
  if (event.target instanceof HTMLInputElement) change({ x: /** @type {address.Axis} */ (event.target.value), zoom: null });
});
log.addEventListener("change", () => change({ log: log.checked }));
smooth.addEventListener("input", () => {
  change({ smooth: Number(smooth.value) });
  for (const found of lines.values()) found.line.smoothed = smoothed(found.line.value, view.smooth);
});
resetZoom.addEventListener("click", () => change({ zoom: null }));
addEventListener("popstate", () => location.reload());
document.addEventListener("visibilitychange", () => void pump());
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    filter.focus();
  }
});

// Times that pass are told anew while someone looks; an idle page does nothing else.
setInterval(() => {
  if (!document.hidden && known.size) show();
}, CLOCK_MS);

const themeButton = byId("theme", HTMLButtonElement);
const dark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

function showTheme() {
  themeButton.replaceChildren(icon(isDark() ? "sun" : "moon"));
  themeButton.title = isDark() ? "Light theme" : "Dark theme";
  chart.restyle();
}

themeButton.addEventListener("click", () => {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("headrace-theme", next);
  } catch {
    // Storage is forbidden: the choice holds until the page is left.
  }
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();
void begin();
