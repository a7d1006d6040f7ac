import assert from "node:assert/strict";
import { test } from "node:test";
import type { Column } from "../model.ts";
import { axisOf, placeOf, textOf, ticksOf, valueAt } from "./axis.ts";

const texts = (name: string, ...values: (string | null)[]): Column => ({ name, kind: "text", values });
const numbers = (name: string, ...values: number[]): Column => ({ name, kind: "number", values: Float64Array.from(values) });

test("params that are all numbers make an axis of numbers, others one of categories in natural order", () => {
  assert.equal(axisOf(texts("params.depth", "2", null, "1e1"), undefined).kind, "number");
  assert.deepEqual(axisOf(texts("params.net", "res50", "res101", "res50"), undefined).categories, ["res50", "res101"]);
  assert.equal(axisOf(texts("params.flag", "1", "true"), undefined).kind, "text");
});

test("a learning rate is logarithmic by itself, a dropout is not, and both can be made otherwise", () => {
  const rates = texts("params.lr", "1e-5", "1e-4", "1e-4", "1e-3", "1e-1");
  assert.equal(axisOf(rates, undefined).log, true);
  assert.equal(axisOf(rates, false).log, false);
  assert.equal(axisOf(texts("params.dropout", "0.001", "0.2", "0.4", "0.5"), undefined).log, false);
  assert.equal(axisOf(numbers("metrics.loss", 1e-5, 1e-4, 1e-1), undefined).log, false);
});

test("what cannot be placed is counted and has no place", () => {
  const axis = axisOf(numbers("metrics.loss", 1, -1, NaN, Infinity, 100), true);
  assert.equal(axis.unplaced, 3);
  assert.deepEqual([...axis.values].map(Number.isNaN), [false, true, true, true, false]);
  assert.deepEqual([axis.lo, axis.hi], [1, 100]);
});

test("a place and its value belong together", () => {
  const axis = axisOf(numbers("metrics.loss", 0.01, 100), true);
  assert.ok(Math.abs(placeOf(axis, 1) - 0.5) < 1e-12);
  assert.ok(Math.abs(valueAt(axis, 0.5) - 1) < 1e-12);
});

test("ticks are round and inside, and an axis of one value still has room", () => {
  assert.deepEqual(ticksOf(axisOf(numbers("m", 0, 0.93), undefined), 5).map(({ label }) => label), ["0", "0.2", "0.4", "0.6", "0.8"]);
  assert.deepEqual(ticksOf(axisOf(numbers("m", 1e-5, 0.5), true), 5).map(({ value }) => value), [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]);
  const single = axisOf(numbers("m", 3, 3), undefined);
  assert.ok(single.lo < 3 && single.hi > 3);
  assert.equal(axisOf(numbers("m", NaN), undefined).unplaced, 1);
});

test("values are told in the axis's words", () => {
  const axis = axisOf(texts("params.optimizer", "sgd", "adam", null), undefined);
  assert.deepEqual([...axis.values].map((value) => textOf(axis, value)), ["sgd", "adam", "–"]);
});
