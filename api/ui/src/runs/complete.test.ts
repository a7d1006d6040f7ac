import assert from "node:assert/strict";
import { test } from "node:test";
import { known } from "./columns.ts";
import { completions } from "./complete.ts";

const COLUMNS = known({
  runs: 3,
  columns: [
    { name: "metrics.loss", runs: 3, differs: true, examples: [] },
    { name: "metrics.val acc", runs: 2, differs: true, examples: [] },
    { name: "params.model", runs: 3, differs: true, examples: ["cnn", "it's"] },
  ],
});

function texts(filter: string): string[] {
  return completions(filter, filter.length, COLUMNS).map(({ text }) => text);
}

test("names come first where a comparison begins, with quotes where they need them", () => {
  assert.ok(texts("los").includes("metrics.loss"));
  assert.ok(texts("acc").includes('metrics."val acc"'));
  assert.equal(texts("mod")[1], "params.model");
  assert.ok(texts("metrics.loss < 1 AND (").includes("params.model"));
});

test("a word alone may be the name of a run", () => {
  assert.equal(texts("cnn")[0], "run_name ILIKE '%cnn%'");
});

test("aggregates come behind a metric and a dot", () => {
  assert.deepEqual(texts("metrics.loss.mi"), ["metrics.loss.min"]);
  assert.ok(texts("metrics.loss.at").includes('metrics.loss.at_best("val acc")'));
});

test("operators suit the name, and values are those that runs have", () => {
  assert.ok(texts("params.model ").includes("LIKE "));
  assert.ok(!texts("metrics.loss ").includes("LIKE "));
  assert.deepEqual(texts("params.model = c"), ["'cnn' "]);
  assert.deepEqual(texts("params.model = 'it"), ["'it''s' "]);
  assert.ok(texts("params.model IN ('cnn', ").includes("'it''s'"));
  assert.ok(texts("status = ").includes("'FAILED' "));
});

test("what joins comparisons follows one", () => {
  assert.deepEqual(texts("metrics.loss < 1 "), ["AND ", "OR "]);
  assert.deepEqual(texts("params.model IS NULL "), ["AND ", "OR "]);
});
