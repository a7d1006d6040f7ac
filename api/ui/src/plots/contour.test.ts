import assert from "node:assert/strict";
import { test } from "node:test";
import { levels, lineAt, surface } from "./contour.ts";

const grid = Array.from({ length: 400 }, (_, at) => [(at % 20) / 19, Math.floor(at / 20) / 19] as const);
const x = grid.map(([px]) => px);
const y = grid.map(([, py]) => py);

test("the surface follows the runs", () => {
  const found = surface(x, y, x.map((px) => 10 * px), 50, 40);
  const middle = found.heights[20 * 50 + 25] ?? NaN;
  assert.ok(Math.abs(middle - 5.1) < 0.2, String(middle));
  assert.ok(found.lo >= 0 && found.hi <= 10);
});

test("where no runs are near there is no surface", () => {
  const found = surface([0, 0.02], [0, 0.02], [1, 2], 50, 50);
  assert.ok(Number.isNaN(found.heights[49 * 50 + 49]));
  assert.ok(!Number.isNaN(found.heights[0]));
});

test("runs without a place or a height take no part", () => {
  const found = surface([0.5, NaN, 0.5], [0.5, 0.5, 0.5], [3, 9, NaN], 10, 10);
  assert.ok(Math.abs(found.lo - 3) < 1e-9 && Math.abs(found.hi - 3) < 1e-9);
  assert.deepEqual(levels(found, 5), []);
});

test("a line lies where the surface has its height", () => {
  const found = surface(x, y, x.map((px) => 10 * px), 50, 40);
  const { pieces } = lineAt(found, 5);
  assert.ok(pieces.length > 100);
  for (let at = 0; at < pieces.length; at += 2) assert.ok(Math.abs((pieces[at] ?? 0) - 0.5) < 0.05);
});
