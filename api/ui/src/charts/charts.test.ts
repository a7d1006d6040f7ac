import assert from "node:assert/strict";
import { test } from "node:test";
import { type Buckets, lineOf, nearest, pointNear, smoothed } from "./line";
import { clock, compact, padded, reach } from "./scale";
import { moved, readMoves, sectionsOf, writeMoves } from "./sections";

function buckets(rows: [x: number, xLast: number, first: number, last: number, min: number, max: number, count: number, nan: number][]): Buckets {
  const column = (at: number) => Float64Array.from(rows, (row) => row[at]!);
  return { x: column(0), xLast: column(1), first: column(2), last: column(3), min: column(4), max: column(5), count: column(6), nan: column(7) };
}

test("a bucket is drawn through its first, least, greatest and last value", () => {
  const line = lineOf("r", buckets([[0, 9, 5, 6, 1, 8, 10, 0]]));
  assert.deepEqual([...line.px], [0, 4.5, 4.5, 9]);
  assert.deepEqual([...line.py], [5, 1, 8, 6]);
  assert.deepEqual([line.points, line.bucketed], [10, true]);
});

test("what is no number lifts the pen and is kept as a mark", () => {
  const line = lineOf("r", buckets([[0, 0, NaN, NaN, NaN, NaN, 1, 1], [1, 1, Infinity, Infinity, Infinity, Infinity, 1, 0], [2, 2, -Infinity, -Infinity, -Infinity, -Infinity, 1, 0], [3, 3, 7, 7, 7, 7, 1, 0]]));
  assert.deepEqual([...line.py], [NaN, NaN, NaN, 7]);
  assert.deepEqual([line.nan, line.over, line.under], [[0], [1], [2]]);
});

test("the crosshair finds the logged point that is nearest", () => {
  const line = lineOf("r", buckets([[0, 9, 5, 6, 1, 8, 10, 0], [20, 29, 3, 4, 2, 9, 10, 0]]));
  assert.deepEqual(pointNear(line, 1), { bucket: 0, x: 0, value: 5 });
  assert.deepEqual(pointNear(line, 12), { bucket: 0, x: 9, value: 6 });
  assert.deepEqual(pointNear(line, 18), { bucket: 1, x: 20, value: 3 });
  assert.equal(nearest(new Float64Array(), 1), -1);
});

test("smoothing begins at the first value and passes over what is no number", () => {
  assert.deepEqual([...smoothed(Float64Array.of(4, NaN, 4), 0.9)], [4, NaN, 4]);
  const same = Float64Array.of(1, 2);
  assert.equal(smoothed(same, 0), same);
});

test("an axis leaves out outliers only where it is asked to", () => {
  const values = Float64Array.from({ length: 100 }, (_, i) => (i === 50 ? 1e6 : i % 10));
  assert.deepEqual(reach([values]), [0, 1e6]);
  const safe = reach([values], { safe: true })!;
  assert.ok(safe[1] < 40 && safe[1] >= 9);
  assert.equal(reach([Float64Array.of(NaN, Infinity)]), undefined);
  assert.deepEqual(reach([Float64Array.of(-1, 0, 2)], { log: true }), [2, 2]);
});

test("an axis always has a length", () => {
  for (const log of [false, true]) {
    for (const span of [undefined, [3, 3], [1, 5]] as const) {
      const [low, high] = padded(span, log);
      assert.ok(low < high && (!log || low > 0));
    }
  }
  assert.ok(padded([0, 0], false)[0] < 0);
});

test("ticks are short", () => {
  assert.deepEqual([0, 250, 25_000, 3e6, -2e9].map(compact), ["0", "250", "25k", "3M", "−2G"]);
  assert.deepEqual([0, 90_000, 3_600_000, 90_000_000].map(clock), ["0s", "1m 30s", "1h", "1d 1h"]);
});

test("metrics stand in sections by prefix, those of the system last", () => {
  const found = sectionsOf(["system/cpu", "loss", "train/b10", "train/b9", "acc", "eval/x/y"]);
  assert.deepEqual(
    found.map(({ name, keys }) => [name, ...keys]),
    [["", "acc", "loss"], ["eval/x", "eval/x/y"], ["train", "train/b9", "train/b10"], ["system", "system/cpu"]],
  );
});

test("moves are kept in an address, the last one of a panel counting", () => {
  const moves = moved(moved([], { key: "c", to: "a", after: false }), { key: "c", to: "b", after: true });
  assert.deepEqual(moves.length, 1);
  assert.deepEqual(readMoves(writeMoves(moves)), moves);
  assert.deepEqual(sectionsOf(["a", "b", "c"], [{ key: "c", to: "a", after: false }])[0]!.keys, ["c", "a", "b"]);
  assert.deepEqual(sectionsOf(["a", "t/b"], [{ key: "a", to: "t/b", after: true }]), [{ name: "t", keys: ["t/b", "a"] }]);
  assert.deepEqual(readMoves("{broken"), []);
});
