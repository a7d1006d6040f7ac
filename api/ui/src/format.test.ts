import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, counted, duration, number, size } from "./format.ts";

test("numbers keep four digits that count", () => {
  assert.deepEqual([0, 0.1, 0.12345, 12.3456, 1234.56, -5, 1e-5, 12345678].map(number), ["0", "0.1", "0.1235", "12.35", "1,234.6", "−5", "1e−5", "1.235e7"]);
});

test("what is no number is shown as what it is", () => {
  assert.deepEqual([NaN, Infinity, -Infinity].map(number), ["NaN", "∞", "−∞"]);
});

test("times and sizes are short", () => {
  assert.deepEqual([5, 1500, 65_000, 3_700_000].map(duration), ["5 ms", "1.5 s", "1 m 05 s", "1 h 01 m"]);
  assert.deepEqual([12, 1500, 2_000_000].map(size), ["12 B", "1.5 kB", "2.0 MB"]);
  assert.equal(ago(0, 90_000), "1 min ago");
  assert.deepEqual([counted(1, "run"), counted(2000, "run")], ["1 run", "2,000 runs"]);
});
