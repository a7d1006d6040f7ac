import assert from "node:assert/strict";
import { test } from "node:test";
import { indented, tableOf } from "./json.ts";

test("numbers keep their digits", () => {
  assert.equal(indented('{"id":12345678901234567890,"x":1.10}'), '{\n  "id": 12345678901234567890,\n  "x": 1.10\n}');
});

test("what is empty stays on its line, and texts stay as they are", () => {
  assert.equal(indented('{"a":{},"b":[ ],"c":"{\\",[x"}'), '{\n  "a": {},\n  "b": [],\n  "c": "{\\",[x"\n}');
});

test("the same value is said, however deep", () => {
  const value = { a: [1, { b: [[], {}, "x,:y"] }, null, true], "": -1.5e-7 };
  assert.deepEqual(JSON.parse(indented(JSON.stringify(value))), value);
});

test("text that is no JSON does no harm", () => {
  assert.equal(indented('}}]{"open'), '\n}\n}\n]{\n  "open');
});

test("a logged table is one, with NaN in it", () => {
  assert.deepEqual(tableOf('{"columns": ["a", "NaN"], "data": [[1, NaN], ["NaN,", -Infinity]]}'), { columns: ["a", "NaN"], data: [[1, "NaN"], ["NaN,", "-Infinity"]] });
  assert.equal(tableOf('{"columns": 1, "data": []}'), undefined);
  assert.equal(tableOf('{"rows": []}'), undefined);
});
