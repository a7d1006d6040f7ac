// Choosing a column, and making its axis logarithmic.

import { labelOf, type Axis } from "./axis.ts";
import type { Known } from "./source.ts";
import { setLog } from "./state.ts";

const KINDS = [["metrics.", "Metrics"], ["params.", "Params"], ["tags.", "Tags"]] as const;

interface ColumnSelectProps {
  label: string;
  known: readonly Known[];
  chosen: string;
  choose: (name: string) => void;
  /** Choices before all columns, by value. */
  first?: readonly (readonly [string, string])[];
  /** Whether a column may be chosen. */
  fits?: (column: Known) => boolean;
}

/** A list of columns by kind; one that is chosen and no more there stays in it. */
export function ColumnSelect({ label, known, chosen, choose, first = [], fits = () => true }: ColumnSelectProps) {
  const names = known.filter((one) => fits(one) || one.name === chosen).map(({ name }) => name);
  const lost = chosen && !names.includes(chosen) && !first.some(([value]) => value === chosen);
  return (
    <label class="plot-choice">
      <span>{label}</span>
      <select class="select" aria-label={label} value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
        {first.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
        {lost && <option value={chosen}>{labelOf(chosen)}</option>}
        {KINDS.map(([start, title]) => {
          const ofKind = names.filter((name) => name.startsWith(start));
          return ofKind.length > 0 && (
            <optgroup key={start} label={title}>
              {ofKind.map((name) => <option key={name} value={name}>{labelOf(name)}</option>)}
            </optgroup>
          );
        })}
      </select>
    </label>
  );
}

export function LogToggle({ axis }: { axis: Axis | null }) {
  if (!axis?.canLog) return null;
  return (
    <label class="check-box">
      <input type="checkbox" checked={axis.log} onChange={(event) => setLog(axis.name, event.currentTarget.checked)} aria-label={`Logarithmic ${axis.label}`} />
      Log
    </label>
  );
}
