export interface SavedViewsProps {
  /** The experiments the views are of. */
  experiments: readonly string[];
}

export function SavedViews(_: SavedViewsProps) {
  return null;
}
