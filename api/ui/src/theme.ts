// Light or dark: the system's choice until the user makes another. static/theme.js sets it before the first paint.

import { signal } from "@preact/signals";

const dark = matchMedia("(prefers-color-scheme: dark)");
const KEY = "headrace-theme";

function now(): "light" | "dark" {
  const chosen = document.documentElement.dataset["theme"];
  return chosen === "light" || chosen === "dark" ? chosen : dark.matches ? "dark" : "light";
}

/** The theme that is shown; canvases draw anew when it changes. */
export const theme = signal(now());
dark.addEventListener("change", () => (theme.value = now()));

export function toggleTheme(): void {
  const next = theme.peek() === "dark" ? "light" : "dark";
  document.documentElement.dataset["theme"] = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Storage is forbidden: the choice lasts until the page is closed.
  }
  theme.value = next;
}
