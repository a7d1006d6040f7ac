// Shapes that several views share.

/** A run as charts and legends show it. color: a place in the palette, 0 to 9. */
export interface RunRef {
  id: string;
  name: string;
  experiment: string;
  color: number;
  /** Colors come again after ten runs, dashed. */
  dashed: boolean;
}

/** Runs that charts draw as one band. */
export interface Group {
  name: string;
  color: number;
  runIds: readonly string[];
}

/** One column of a table of runs. NaN stands for a number that is NaN or missing; `missing` tells which. */
export type Column =
  | { name: string; kind: "number" | "time"; values: Float64Array; missing?: Uint8Array | undefined }
  | { name: string; kind: "text"; values: readonly (string | null)[] };

/** Runs as columns, by names such as `run_name`, `metrics.loss`, `metrics.loss.min`, `params.lr`, `tags.team`. */
export interface RunTable {
  length: number;
  ids: readonly string[];
  columns: ReadonlyMap<string, Column>;
}

/** The tag that holds a note in Markdown. */
export const NOTE_TAG = "mlflow.note.content";

/** The CSS variable of a place in the palette. */
export function paint(color: number): string {
  return `var(--c${((color % 10) + 10) % 10})`;
}

/** A color of the theme as a canvas takes it; read anew where the theme changes. */
export function resolved(variable: string, element: Element = document.documentElement): string {
  const probe = document.createElement("i");
  probe.style.color = variable.startsWith("var(") ? variable : `var(${variable})`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
