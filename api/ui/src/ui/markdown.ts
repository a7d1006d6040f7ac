// Markdown to HTML that cannot run anything.

import DOMPurify from "dompurify";
import { marked } from "marked";

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

/** The HTML of a text in GitHub's Markdown. Images are artifacts of this server or none. */
export function rendered(text: string, image: ImageAddress = ours): string {
  const html = marked.parse(text, { async: false, gfm: true, breaks: true });
  addressOf = image;
  return DOMPurify.sanitize(html, { FORBID_TAGS: TAGS, FORBID_ATTR: ATTRIBUTES });
}
