import assert from "node:assert/strict";
import { test } from "node:test";
import { compared } from "./lines.tsx";

test("lines that not all texts have are marked, wherever they stand", () => {
  const found = compared(new Map([["a", "lr: 1\nsize: 2\n"], ["b", "size: 2\r\nlr: 3"], ["c", "lr: 1\nsize: 2"]]));
  assert.deepEqual([...found.get("a")!.marked].sort(), ["lr: 1", "lr: 3"]);
  assert.deepEqual(found.get("b")!.lines, ["size: 2", "lr: 3"]);
  assert.equal(compared(new Map([["a", "x\n"], ["b", "x"]])).get("a")!.marked.size, 0);
});
