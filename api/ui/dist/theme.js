// Set before the first paint, so that the page does not flash in the other theme.
try {
  const chosen = localStorage.getItem("headrace-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is forbidden: the system's theme holds.
}
