// A small line of the last minutes.

const WIDTH = 200;
const HEIGHT = 36;

export function Spark({ label, times, values }: { label: string; times: readonly number[]; values: readonly number[] }) {
  const first = times[0] ?? 0;
  const span = Math.max(1, (times[times.length - 1] ?? 0) - first);
  const most = Math.max(1e-9, ...values);
  const at = (i: number) => `${((((times[i] ?? 0) - first) / span) * WIDTH).toFixed(1)} ${(HEIGHT - 1 - ((values[i] ?? 0) / most) * (HEIGHT - 4)).toFixed(1)}`;
  const line = values.map((_, i) => `${i ? "L" : "M"}${at(i)}`).join("");
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="spark-area" d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />
      <path class="spark-line" d={line} />
    </svg>
  );
}
