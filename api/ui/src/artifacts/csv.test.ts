import assert from "node:assert/strict";
import { test } from "node:test";
import { isNumeric, parsed, separatorOf } from "./csv.ts";

test("quotes hold separators, line ends and quotes", () => {
  const { header, rows } = parsed('a,"b ""x"""\r\n"1,\n2",3\n');
  assert.deepEqual(header, ["a", 'b "x"']);
  assert.deepEqual(rows, [["1,\n2", "3"]]);
});

test("a row that is cut is left out, wherever it is cut", () => {
  const text = 'a,b\n1,2\n3,"4\n5",6\n';
  for (let end = 9; end < 17; end++) assert.deepEqual(parsed(text.slice(0, end), { whole: false }).rows.slice(0, 1), [["1", "2"]]);
  assert.equal(parsed("a,b\n1,2\n3,4", { whole: false }).rows.length, 1);
  assert.equal(parsed("a,b\n1,2\n3,4", { whole: true }).rows.length, 2);
});

test("empty values stay, empty lines do not", () => {
  assert.deepEqual(parsed("a,b,c\n\n,,\n1,,\n").rows, [["", "", ""], ["1", "", ""]]);
  assert.deepEqual(parsed("a,b\n1,").rows, [["1", ""]]);
});

test("no more rows than wanted are read", () => {
  assert.equal(parsed("a\n" + "1\n".repeat(1000), { rowsMax: 10 }).rows.length, 10);
});

test("a byte order mark is no part of the first name", () => {
  assert.deepEqual(parsed("\ufeffa,b\n1,2").header, ["a", "b"]);
});

test("the separator is what the first line has most of", () => {
  assert.equal(separatorOf("x.csv", "a;b;c\n1,2"), ";");
  assert.equal(separatorOf("x.tsv", "a,b"), "\t");
  assert.equal(separatorOf("x.csv", "one"), ",");
});

test("a column is of numbers where all that is there is one", () => {
  assert.ok(isNumeric(["1", "-2.5e-3", "", "nan", ".5"]));
  assert.ok(!isNumeric(["1", "1-2"]));
  assert.ok(!isNumeric(["", ""]));
});
