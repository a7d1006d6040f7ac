// @ts-check
// What is shown, as the address bar keeps it: a link shows the same to a colleague.

/** @typedef {"step" | "relative" | "time"} Axis */
/**
 * @typedef {object} View
 * @property {string} experiment
 * @property {string} metric
 * @property {string} filter
 * @property {string} sort column, with a leading - for descending
 * @property {Axis} x
 * @property {boolean} log
 * @property {number} smooth 0 to 0.99
 * @property {[number, number] | null} zoom
 * @property {boolean} hideAll only those in show are drawn
 * @property {Set<string>} hide runs that are not drawn
 * @property {Set<string>} show runs that are drawn even beyond the limit
 * @property {string} run the run in the side panel
 */

/** @param {string} search @returns {View} */
export function read(search) {
  const query = new URLSearchParams(search);
  const x = query.get("x");
  const zoom = (query.get("zoom") ?? "").split("~").map(Number);
  const hide = list(query.get("hide"));
  return {
    experiment: query.get("experiment") ?? "",
    metric: query.get("metric") ?? "",
    filter: query.get("filter") ?? "",
    sort: query.get("sort") || "-start",
    x: x === "time" || x === "relative" ? x : "step",
    log: query.get("log") === "1",
    smooth: Math.min(0.99, Math.max(0, Number(query.get("smooth")) || 0)),
    zoom: zoom.length === 2 && zoom.every(Number.isFinite) && zoom[0] < zoom[1] ? [zoom[0], zoom[1]] : null,
    hideAll: hide.includes("*"),
    hide: new Set(hide.filter((id) => id !== "*")),
    show: new Set(list(query.get("show"))),
    run: query.get("run") ?? "",
  };
}

/** @param {View} view @returns {string} */
export function write(view) {
  const query = new URLSearchParams();
  if (view.experiment) query.set("experiment", view.experiment);
  if (view.metric) query.set("metric", view.metric);
  if (view.filter) query.set("filter", view.filter);
  if (view.sort !== "-start") query.set("sort", view.sort);
  if (view.x !== "step") query.set("x", view.x);
  if (view.log) query.set("log", "1");
  if (view.smooth) query.set("smooth", String(view.smooth));
  if (view.zoom) query.set("zoom", view.zoom.join("~"));
  if (view.hideAll) query.set("hide", "*");
  else if (view.hide.size) query.set("hide", [...view.hide].join(","));
  if (view.show.size) query.set("show", [...view.show].join(","));
  if (view.run) query.set("run", view.run);
  const text = query.toString();
  return text ? `?${text}` : location.pathname;
}

/** @param {string | null} text */
function list(text) {
  return (text ?? "").split(",").filter(Boolean);
}
