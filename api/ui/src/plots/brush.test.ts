import assert from "node:assert/strict";
import { test } from "node:test";
import { axisOf } from "./axis.ts";
import { chosenRows, placesOf, rangeBetween, readBrushes, readNames, written, writtenNames } from "./brush.ts";

const loss = axisOf({ name: "metrics.loss", kind: "number", values: Float64Array.from([0, 5, 10, NaN]) }, undefined);
const net = axisOf({ name: "params.net", kind: "text", values: ["a", "b", "c", null] }, undefined);

test("ranges and names come back from the address as they were, whatever is in them", () => {
  const brushes = new Map([["params.a,b:c", { lo: "-1e-5", hi: "0.1" }], ["tags.x..y", { lo: "..", hi: "a..b, <img>" }]]);
  assert.deepEqual(readBrushes(written(brushes)), brushes);
  assert.deepEqual(readNames(writtenNames(["a,b", "%", "c"])), ["a,b", "%", "c"]);
  assert.deepEqual(readBrushes("nonsense,a:,b:1:,%ZZ:1:2"), new Map([["%ZZ", { lo: "1", hi: "2" }]]));
});

test("a range holds both its ends; runs without a place are in none", () => {
  const within = (lo: string, hi: string) => [...(chosenRows([loss], new Map([["metrics.loss", { lo, hi }]]), 4) ?? [])];
  assert.deepEqual(within("0", "5"), [1, 1, 0, 0]);
  assert.deepEqual(within("-100", "100"), [1, 1, 1, 0]);
});

test("runs are chosen that lie in all ranges", () => {
  const brushes = new Map([["metrics.loss", { lo: "4", hi: "10" }], ["params.net", { lo: "a", hi: "b" }]]);
  assert.deepEqual([...(chosenRows([loss, net], brushes, 4) ?? [])], [0, 1, 0, 0]);
  assert.equal(chosenRows([loss, net], new Map(), 4), null);
});

test("a range of categories that are no more chooses nothing and filters nothing", () => {
  assert.equal(chosenRows([net], new Map([["params.net", { lo: "gone", hi: "b" }]]), 4), null);
});

test("what is dragged over an axis becomes a range; the whole axis is none", () => {
  assert.deepEqual(rangeBetween(loss, 0.8, 0.2), { lo: "2", hi: "8" });
  assert.deepEqual(rangeBetween(loss, -1, 0.5), { lo: "0", hi: "5" });
  assert.equal(rangeBetween(loss, -0.1, 1.1), null);
  assert.deepEqual(rangeBetween(net, 0, 0.5), { lo: "a", hi: "b" });
  assert.equal(rangeBetween(net, 0.3, 0.36), null);
  const places = placesOf(net, { lo: "b", hi: "b" }) ?? [0, 0];
  assert.ok(places[0] > 1 / 3 && places[1] < 2 / 3);
});
