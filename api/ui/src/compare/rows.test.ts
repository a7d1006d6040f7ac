import assert from "node:assert/strict";
import { test } from "node:test";
import { csvOf, difference, linesOf, place, type Row, told } from "./rows.ts";

const row = (section: string, key: string, values: Row["values"], aggregate = "", spread: Row["spread"] = null): Row => ({ section, key, aggregate, differs: true, values, spread });
const loss = (aggregate: string) => row("metrics", "loss", [1, 3, "NaN", null], aggregate, { runs: 2, min: 1, max: 3, mean: 2, std: 1 });

test("metrics come first, by one aggregate, and what is searched for stays", () => {
  const rows = [row("params", "lr", ["1", "2"]), loss("last"), loss("min")];
  const shown = (find: string, folded: string[] = []) => linesOf(rows, { find, aggregate: "min", folded: new Set(folded) }).map((line) => ("row" in line ? `${line.row.key} ${line.row.aggregate}` : line.heading));
  assert.deepEqual(shown(""), ["Metrics", "loss min", "Params", "lr "]);
  assert.deepEqual(shown("LR"), ["Params", "lr "]);
  assert.deepEqual(shown("", ["metrics"]), ["Metrics", "Params", "lr "]);
});

test("values lie between the least and the greatest, where they are numbers", () => {
  assert.deepEqual(loss("last").values.map((value) => place(loss("last"), value)), [0, 1, undefined, undefined]);
  assert.equal(place(row("metrics", "x", [1, 1], "last", { runs: 2, min: 1, max: 1, mean: 1, std: 0 }), 1), undefined);
});

test("differences have a sign, and there are none of what is no number", () => {
  assert.deepEqual(loss("last").values.map((value) => difference(loss("last"), value, 1)), ["", "+2", "", ""]);
  assert.equal(difference(row("params", "lr", ["1"]), "1", "2"), "");
});

test("what a run lacks is told apart from what is empty", () => {
  assert.equal(told(row("params", "x", []), null), null);
  assert.equal(told(row("params", "x", []), ""), "");
  assert.equal(told(row("attributes", "duration_ms", []), 1500), "1.5 s");
  assert.equal(told(loss("last"), "NaN"), "NaN");
});

test("a comparison is CSV with its texts quoted", () => {
  const rows = [row("params", 'a,"b"', ["1\n2", null])];
  const runs = [{ run_id: "1", run_name: "one", experiment_id: "0" }, { run_id: "2", run_name: "two", experiment_id: "0" }];
  assert.equal(csvOf({ runs, missing: [], rows, equal: 0 }, rows), 'section,key,aggregate,one (1),two (2)\nparams,"a,""b""",,"1\n2",\n');
});
