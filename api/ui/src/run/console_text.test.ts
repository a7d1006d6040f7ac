import assert from "node:assert/strict";
import { test } from "node:test";
import { lines, plain } from "./console_text";

const piece = (text: string, stream = "stdout") => ({ stream, time_ms: 1, text });
const shown = (...texts: string[]) => lines(texts.map((text) => piece(text))).map(plain);

test("text is cut into lines, and a piece goes on where the last one ended", () => {
  assert.deepEqual(shown("a\nb", "c\n", "\nd"), ["a", "bc", "", "d"]);
});

test("each stream goes on with its own line", () => {
  const told = lines([piece("a"), piece("E\n", "stderr"), piece("b\n")]);
  assert.deepEqual(told.map((line) => [line.stream, plain(line)]), [["stdout", "ab"], ["stderr", "E"]]);
});

test("a progress bar shows what it said last, also across pieces", () => {
  assert.deepEqual(shown("\r10%\r20%", "\r30%\n", "done\r\n"), ["30%", "done"]);
});

test("colors become classes and other control sequences nothing", () => {
  const [line] = lines([piece("\x1b[1;31mred\x1b[0m plain\x1b[K\x1b[38;5;200mx\x1b]0;title\x07")]);
  assert.deepEqual(line?.spans, [{ text: "red", style: "bold red" }, { text: " plain", style: "" }, { text: "x", style: "" }]);
});

test("markup stays text", () => {
  assert.deepEqual(shown("<img src=x onerror=alert(1)>\n"), ["<img src=x onerror=alert(1)>"]);
});
