import assert from "node:assert/strict";
import { test } from "node:test";
import { kindOf, seriesOf, shotOf } from "./kinds.ts";

test("the ending says what a file is", () => {
  const named = { "a/b.PNG": "image", "model/MLmodel": "text", "x.tar.gz": "binary", "README.md": "markdown", "t.parquet": "parquet", LICENSE: "unknown", "rows.csv": "table", "x.svg": "image" };
  for (const [path, kind] of Object.entries(named)) assert.equal(kindOf(path), kind, path);
});

test("images with key and step are a series, in order of steps, thumbnails left out", () => {
  const name = (step: number, time: number, end = "u.png") => `images/val#cat%step%${step}%timestamp%${time}%${end}`;
  const found = seriesOf([name(10, 5), name(2, 3), name(2, 4, "v.png"), name(2, 4, "v%compressed.webp"), "images/other.png", "x/val%step%1%timestamp%1%u.png"]);
  assert.deepEqual([...found.keys()], ["val/cat"]);
  assert.deepEqual(found.get("val/cat")!.map(({ step, time }) => [step, time]), [[2, 4], [10, 5]]);
  assert.equal(shotOf("images/plain.png"), undefined);
});
