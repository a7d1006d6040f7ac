import assert from "node:assert/strict";
import { test } from "node:test";
import type { Field, Signature } from "../registry/api.ts";
import { bodyOf, columnsOf, exampleCells, json, template } from "./request.ts";

const columns: Field[] = [
  { type: "long", name: "tickets", required: true },
  { type: "string", name: "plan", required: true },
  { type: "boolean", name: "paperless", required: false },
];

function signature(inputs: Field[] | null, more: Partial<Signature> = {}): Signature {
  return { model: "m/1", inputs, outputs: null, params: null, flavors: [], example: "", unknown: "", ...more };
}

test("a long whole number reaches the model as it was typed", () => {
  const cells = { tickets: "9007199254740993", plan: 'a "b"' };
  assert.equal(
    bodyOf(columns, signature(columns), cells),
    '{"dataframe_split": {"columns": ["tickets","plan"], "data": [[9007199254740993, "a \\"b\\""]]}}',
  );
});

test("a cell that is not of its type is told by its name", () => {
  assert.throws(() => json(columns[0]!, "3.5"), /tickets: “3.5” is no whole number/);
  assert.throws(() => json({ type: "double", name: "x" }, "1,5"), /x: “1,5” is no number/);
});

test("the form begins with the example and the defaults of params", () => {
  const params = [{ type: "double", name: "threshold", default: 0.5 }];
  const example = '{"dataframe_split": {"columns": ["tickets", "plan"], "data": [[3, "basic"]]}}';
  assert.deepEqual(exampleCells(signature(columns, { params, example })), { tickets: "3", plan: "basic", "params.threshold": "0.5" });
});

test("tensors and columns without names have no form, but a text in their shape to begin with", () => {
  const tensor: Field = { type: "tensor", "tensor-spec": { dtype: "float32", shape: [-1, 2] } };
  assert.equal(columnsOf(signature([tensor])), undefined);
  assert.equal(template(signature([tensor])), '{"inputs":[[0,0]]}');
  assert.equal(template(signature([{ ...tensor, name: "a" }])), '{"inputs":{"a":[[0,0]]}}');
  assert.equal(template(signature([{ type: "double" }, { type: "string" }])), '{"inputs": [[0,""]]}');
  assert.equal(template(signature(null)), '{"inputs": []}');
});
