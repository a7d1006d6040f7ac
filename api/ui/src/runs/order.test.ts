import assert from "node:assert/strict";
import { test } from "node:test";
import type { Column, RunTable } from "../model.ts";
import { grouped, leaves, lines, ordered, summary } from "./order.ts";

const MISSING = Uint8Array.of(0, 0, 0, 1, 0);

/** Five runs: a loss that is NaN, missing or a number, texts that are numbers, and texts. */
function table(): RunTable {
  const columns: Column[] = [
    { name: "run_id", kind: "text", values: ["a", "b", "c", "d", "e"] },
    { name: "start_time", kind: "time", values: Float64Array.of(5, 4, 3, 2, 1) },
    { name: "metrics.loss", kind: "number", values: Float64Array.of(2, NaN, -Infinity, NaN, 0.5), missing: MISSING },
    { name: "params.lr", kind: "text", values: ["1e-3", "0.1", null, "0.01", "0.1"] },
    { name: "params.model", kind: "text", values: ["net10", "net9", "net9", null, "net10"] },
  ];
  return { length: 5, ids: ["a", "b", "c", "d", "e"], columns: new Map(columns.map((column) => [column.name, column])) };
}

function ids(rows: Iterable<number>): string {
  return [...rows].map((row) => table().ids[row]).join("");
}

test("NaN comes after the numbers and what is missing last, in both directions", () => {
  assert.equal(ids(ordered(table(), [{ column: "metrics.loss", descending: false }])), "ceabd");
  assert.equal(ids(ordered(table(), [{ column: "metrics.loss", descending: true }])), "aecbd");
});

test("texts that are numbers are ordered as numbers, others with the numbers within them", () => {
  assert.equal(ids(ordered(table(), [{ column: "params.lr", descending: false }])), "adbec");
  assert.equal(ids(ordered(table(), [{ column: "params.model", descending: false }])), "bcaed");
});

test("the next column decides where the first ones are equal, and then the newest start", () => {
  const sorts = [{ column: "params.model", descending: true }, { column: "metrics.loss", descending: false }];
  assert.equal(ids(ordered(table(), sorts)), "eacbd");
  assert.equal(ids(ordered(table(), [])), "abcde");
  assert.equal(ids(ordered(table(), [{ column: "none", descending: true }])), "abcde");
});

test("groups come in the order of their first run, and show their runs where they are open", () => {
  const found = grouped(table(), ordered(table(), []), ["params.model", "params.lr"]);
  assert.deepEqual(found.map(({ path, label, rows }) => [path, label, ids(rows)]), [["net10", "net10", "ae"], ["net9", "net9", "bc"], ["~", "–", "d"]]);
  assert.deepEqual(leaves(found).map(({ path }) => path), ["net10/1e-3", "net10/0.1", "net9/0.1", "net9/~", "~/0.01"]);
  const shown = lines(found, new Set(["net9", "net9/0.1"]));
  assert.deepEqual([...shown.items].map((item) => (item < 0 ? shown.groups[-1 - item]?.label : table().ids[item])), ["net10", "net9", "0.1", "b", "–", "–"]);
});

test("a group tells the mean of what is finite, or what its runs have in common", () => {
  const [group] = grouped(table(), ordered(table(), []), ["params.model"]);
  assert.ok(group);
  assert.equal(summary(table(), group, "metrics.loss", "").value, 1.25);
  assert.equal(summary(table(), group, "metrics.loss", "min").value, 0.5);
  assert.equal(summary(table(), group, "params.model", "").text, "net10");
  assert.equal(summary(table(), group, "params.lr", "").text, "2 values");
});

test("a hundred thousand runs are ordered by two columns in less than a second", () => {
  const length = 100_000;
  const ids = Array.from({ length }, (_, i) => `r${i}`);
  const columns = new Map<string, Column>([
    ["metrics.loss", { name: "metrics.loss", kind: "number", values: Float64Array.from({ length }, (_, i) => (i * 7919) % 101) }],
    ["params.seed", { name: "params.seed", kind: "text", values: ids.map((_, i) => String((i * 31) % length)) }],
  ]);
  const before = process.cpuUsage();
  const rows = ordered({ length, ids, columns }, [{ column: "metrics.loss", descending: false }, { column: "params.seed", descending: true }]);
  assert.ok(process.cpuUsage(before).user < 1e6);
  assert.equal(rows.length, length);
});
