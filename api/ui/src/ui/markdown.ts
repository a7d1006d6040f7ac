// Markdown to HTML that cannot run anything.

import DOMPurify from "dompurify";
import { Marked } from "marked";

/** Where an image is, by what the text says; null where it is not shown: its description stands there then. */
export type ImageAddress = (src: string) => string | null;

const ours: ImageAddress = (src) => (src.startsWith("/api/headrace/v1/") ? src : null);
let addressOf = ours;

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "IMG") {
    const found = addressOf(node.getAttribute("src") ?? "");
    if (found === null) node.removeAttribute("src");
    else node.setAttribute("src", found);
  }
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
});

const TAGS = ["style", "form", "input", "button", "textarea", "select", "iframe", "svg", "math", "picture", "source", "audio", "video", "track"];
const ATTRIBUTES = ["style", "id", "name", "srcset", "background", "poster", "class"];

const SIMPLE = /(<\/?(?:b|br|code|del|details|em|hr|i|ins|kbd|mark|p|pre|s|small|strong|sub|summary|sup|u)\s*\/?>)/i;

/** HTML within a text: simple tags without attributes stay, all else is shown as it was written. */
function html({ text }: { text: string }): string {
  const parts = text.replace(/<!--[\s\S]*?-->/g, "").split(SIMPLE);
  return parts.map((part, at) => (at % 2 ? part : part.replaceAll("<", "&lt;").replaceAll(">", "&gt;"))).join("");
}

const marked = new Marked({ gfm: true, breaks: true, async: false, renderer: { html } });

/** The HTML of a text in GitHub's Markdown. Images are artifacts of this server or none. */
export function rendered(text: string, image: ImageAddress = ours): string {
  addressOf = image;
  return DOMPurify.sanitize(marked.parse(text, { async: false }), { FORBID_TAGS: TAGS, FORBID_ATTR: ATTRIBUTES });
}
