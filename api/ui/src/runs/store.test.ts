import assert from "node:assert/strict";
import { test } from "node:test";
import { Float64, Table, TimestampMillisecond, Utf8, vectorFromArray } from "apache-arrow";
import { fromArrow, patched } from "./store.ts";

function answer(ids: string[], names: (string | null)[], loss: (number | null)[], end: (number | null)[]): Table {
  return new Table({
    run_id: vectorFromArray(ids, new Utf8()),
    run_name: vectorFromArray(names, new Utf8()),
    start_time: vectorFromArray(ids.map(() => 1000), new TimestampMillisecond()),
    end_time: vectorFromArray(end, new TimestampMillisecond()),
    "metrics.loss": vectorFromArray(loss, new Float64()),
  });
}

const FIRST = () => fromArrow(answer(["a", "b", "c"], ["grün", "", null], [1, NaN, null], [1500, null, null]), 4000);

test("columns hold what Arrow does: texts with any letters, and what is missing apart from NaN", () => {
  const table = FIRST();
  assert.deepEqual(table.ids, ["a", "b", "c"]);
  assert.deepEqual(table.columns.get("run_name")?.values, ["grün", "", null]);
  const loss = table.columns.get("metrics.loss");
  assert.ok(loss?.kind === "number");
  assert.deepEqual([...loss.values], [1, NaN, NaN]);
  assert.deepEqual([...(loss.missing ?? [])], [0, 0, 1]);
});

test("a run that goes on has lasted until now", () => {
  assert.deepEqual([...(FIRST().columns.get("duration")?.values ?? [])], [500, 3000, 3000]);
});

test("rows that changed take the place of the old ones, and those that are gone are taken away", () => {
  const rows = fromArrow(answer(["c", "d"], ["new", "d"], [3, 4], [2000, 2000]), 4000);
  const table = patched(FIRST(), rows, new Set(["b", "c", "d"]));
  assert.deepEqual(table.ids, ["a", "c", "d"]);
  assert.deepEqual(table.columns.get("run_name")?.values, ["grün", "new", "d"]);
  assert.deepEqual([...(table.columns.get("metrics.loss")?.values ?? [])], [1, 3, 4]);
});

test("a column that is new is missing in the rows that were there", () => {
  const rows = fromArrow(new Table({ run_id: vectorFromArray(["d"], new Utf8()), "metrics.acc": vectorFromArray([0.5], new Float64()) }), 4000);
  const acc = patched(FIRST(), rows, new Set(["d"])).columns.get("metrics.acc");
  assert.ok(acc?.kind === "number");
  assert.deepEqual([...(acc.missing ?? [])], [1, 1, 1, 0]);
});
