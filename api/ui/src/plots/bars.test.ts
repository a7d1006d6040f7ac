import assert from "node:assert/strict";
import { test } from "node:test";
import { axisOf } from "./axis.ts";
import { barsOf } from "./bars.ts";

const loss = axisOf({ name: "metrics.loss", kind: "number", values: Float64Array.from([1, 3, 5, NaN]) }, undefined);
const net = axisOf({ name: "params.net", kind: "text", values: ["a", "a", "b", null] }, undefined);
const name = (row: number) => `run ${row}`;

test("a bar a run, the greatest first, those without a value last", () => {
  assert.deepEqual(barsOf(loss, null, name, false).map(({ label }) => label), ["run 2", "run 1", "run 0", "run 3"]);
  assert.deepEqual(barsOf(loss, null, name, true).map(({ label }) => label), ["run 0", "run 1", "run 2", "run 3"]);
});

test("groups have the mean and the range of what is finite", () => {
  const bars = barsOf(loss, net, name, true);
  assert.deepEqual(bars.map(({ label, value, lo, hi, counted }) => [label, value, lo, hi, counted]), [["a", 2, 1, 3, 2], ["b", 5, 5, 5, 1], ["none", NaN, NaN, NaN, 0]]);
});
