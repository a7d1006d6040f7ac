// Tabs, segments and other choices of one among a few.

import { useId } from "preact/hooks";

export interface Choice<T extends string = string> {
  value: T;
  label: string;
  /** A number beside the label. */
  count?: number | undefined;
}

interface TabsProps<T extends string> {
  label: string;
  choices: readonly Choice<T>[];
  chosen: T;
  choose: (value: T) => void;
}

/** A row of tabs; what they show stands elsewhere, in an element with role tabpanel. Arrows move between them. */
export function Tabs<T extends string>({ label, choices, chosen, choose }: TabsProps<T>) {
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = choices.findIndex(({ value }) => value === chosen);
    const next = choices[(at + step + choices.length) % choices.length];
    if (!next) return;
    choose(next.value);
    const list = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => list.querySelector<HTMLElement>("[aria-selected=true]")?.focus());
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {choices.map(({ value, label, count }) => (
        <button
          key={value}
          type="button"
          role="tab"
          aria-selected={value === chosen}
          tabIndex={value === chosen ? 0 : -1}
          onClick={() => choose(value)}
        >
          {label}
          {count !== undefined && <span class="count">{count.toLocaleString("en-US")}</span>}
        </button>
      ))}
    </div>
  );
}

/** A few choices side by side. */
export function Segments<T extends string>({ label, choices, chosen, choose }: TabsProps<T>) {
  const name = useId();
  return (
    <fieldset class="segments">
      <legend class="sr">{label}</legend>
      {choices.map(({ value, label }) => (
        <label key={value}>
          <input type="radio" name={name} value={value} checked={value === chosen} onChange={() => choose(value)} />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** A drop-down list. */
export function Select<T extends string>({ label, choices, chosen, choose }: TabsProps<T>) {
  return (
    <select class="select" aria-label={label} value={chosen} onChange={(event) => choose(event.currentTarget.value as T)}>
      {choices.map(({ value, label }) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}
