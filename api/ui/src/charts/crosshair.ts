// What all charts show together: where the crosshair stands, and which run is brought out.

import { signal } from "@preact/signals";

/** Where the crosshair stands on x, and in which panel it is moved; byKey: with the arrow keys. */
export interface Crosshair {
  x: number;
  key: string;
  byKey: boolean;
}

export const crosshair = signal<Crosshair | null>(null);

/** The run that is brought out on all charts, by its id; empty for none. */
export const focused = signal("");
