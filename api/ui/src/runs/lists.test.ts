import assert from "node:assert/strict";
import { test } from "node:test";
import { listed, numbered, pairs, unlisted } from "./lists.ts";

test("names with any signs come back as they were", () => {
  const names = ["metrics.loss.at_best(val, min)", "params.50%", "tags.a%2Cb", 'metrics."a b"', "größe"];
  assert.deepEqual(unlisted(listed(names)), names);
  assert.deepEqual(unlisted(null), []);
  assert.deepEqual(unlisted(listed([])), []);
});

test("numbers come back by their names, and what is no number is left out", () => {
  const widths = new Map([["metrics.a:b", 120], ["params.x,y", 80]]);
  assert.deepEqual(numbered(pairs(widths)), widths);
  assert.deepEqual(numbered("a:x,:5,b:7"), new Map([["b", 7]]));
});
