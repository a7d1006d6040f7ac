// A bar between two panes that is dragged, or moved by the arrow keys.

interface SplitterProps {
  label: string;
  /** Of the whole, from 0 to 1, that the first pane has. */
  share: number;
  move: (share: number) => void;
  /** Whether the panes stand one above the other. */
  stacked?: boolean;
}

export function Splitter({ label, share, move, stacked }: SplitterProps) {
  const bounded = (value: number) => move(Math.min(0.9, Math.max(0.1, value)));
  const drag = (event: PointerEvent) => {
    const bar = event.currentTarget as HTMLElement;
    const whole = bar.parentElement?.getBoundingClientRect();
    if (!whole || !bar.hasPointerCapture(event.pointerId)) return;
    bounded(stacked ? (event.clientY - whole.top) / whole.height : (event.clientX - whole.left) / whole.width);
  };
  const key = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -0.02, ArrowUp: -0.02, ArrowRight: 0.02, ArrowDown: 0.02 }[event.key];
    if (!step) return;
    event.preventDefault();
    bounded(share + step);
  };
  return (
    <div
      class={`splitter ${stacked ? "stacked" : ""}`}
      role="separator"
      tabIndex={0}
      aria-label={label}
      aria-orientation={stacked ? "horizontal" : "vertical"}
      aria-valuenow={Math.round(share * 100)}
      aria-valuemin={10}
      aria-valuemax={90}
      onPointerDown={(event) => (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId)}
      onPointerMove={drag}
      onKeyDown={key}
    />
  );
}
