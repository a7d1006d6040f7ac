// What an endpoint is asked, as it happens: rate, failures and times of the last minutes.

import { useEffect, useState } from "preact/hooks";
import { number } from "../format";
import { useNow } from "../ui/text";
import { trafficOf, type Slot, type Told } from "./api";

const WINDOW_MS = 600_000;
const MINUTE_MS = 60_000;
const WIDTH = 600;
const HEIGHT = 120;

/** The slots of an endpoint by their beginning, as the server tells them; let go of while the tab is hidden. */
function useTraffic(name: string): { slots: readonly Slot[]; slotMs: number; skew: number } | undefined {
  const [state, setState] = useState<{ slots: readonly Slot[]; slotMs: number; skew: number }>();
  useEffect(() => {
    let source: EventSource | null = null;
    const open = () => {
      source = new EventSource(trafficOf(name));
      source.onmessage = (event: MessageEvent<string>) => {
        const told = JSON.parse(event.data) as Told;
        setState((before) => {
          const first = told.slots[0]?.start_ms ?? Infinity;
          const kept = (before?.slots ?? []).filter((slot) => slot.start_ms < first && slot.start_ms > told.now_ms - 2 * WINDOW_MS);
          return { slots: [...kept, ...told.slots], slotMs: told.slot_s * 1000, skew: told.now_ms - Date.now() };
        });
      };
    };
    const shown = () => {
      source?.close();
      source = null;
      if (!document.hidden) open();
    };
    document.addEventListener("visibilitychange", shown);
    shown();
    return () => {
      document.removeEventListener("visibilitychange", shown);
      source?.close();
    };
  }, [name]);
  return state;
}

interface Sum {
  start: number;
  requests: number;
  failed: number;
  refused: number;
  p50: number;
  p99: number;
}

/** The versions of each slot together; the times are those of the slowest. */
function summed(slots: readonly Slot[]): Sum[] {
  const sums = new Map<number, Sum>();
  for (const slot of slots) {
    const sum = sums.get(slot.start_ms) ?? { start: slot.start_ms, requests: 0, failed: 0, refused: 0, p50: 0, p99: 0 };
    sum.requests += slot.requests;
    sum.failed += slot.failed;
    sum.refused += slot.refused;
    sum.p50 = Math.max(sum.p50, slot.p50_ms);
    sum.p99 = Math.max(sum.p99, slot.p99_ms);
    sums.set(slot.start_ms, sum);
  }
  return [...sums.values()];
}

export function Traffic({ name }: { name: string }) {
  const traffic = useTraffic(name);
  useNow();
  const now = Date.now() + (traffic?.skew ?? 0);
  const slotMs = traffic?.slotMs ?? 5000;
  const sums = summed(traffic?.slots ?? []).filter(({ start }) => start + slotMs > now - WINDOW_MS);
  const lately = sums.filter(({ start }) => start + slotMs > now - MINUTE_MS);
  const requests = lately.reduce((sum, one) => sum + one.requests, 0);
  const failed = lately.reduce((sum, one) => sum + one.failed, 0);
  const refused = lately.reduce((sum, one) => sum + one.refused, 0);
  const most = (field: "p50" | "p99") => (lately.length ? `${number(Math.max(...lately.map((one) => one[field])))} ms` : "–");
  const percent = (count: number) => (requests ? `${Number(((100 * count) / requests).toFixed(2))} %` : "–");
  return (
    <section class="card part traffic" aria-label="Traffic">
      <header>
        <h2>Traffic</h2>
        <span class="quiet">the last minute, and the last ten below</span>
      </header>
      <dl class="tiles">
        <Tile label="Requests per second" value={traffic ? number(requests / (MINUTE_MS / 1000)) : "–"} />
        <Tile label="Failed" value={percent(failed)} bad={failed > 0} />
        <Tile label="Refused" value={percent(refused)} />
        <Tile label="Median" value={most("p50")} />
        <Tile label="99th percentile" value={most("p99")} />
      </dl>
      <div class="strips">
        <Rates sums={sums} now={now} slotMs={slotMs} />
        <Times sums={sums} now={now} slotMs={slotMs} />
      </div>
      <Versions slots={traffic?.slots ?? []} />
    </section>
  );
}

function Tile({ label, value, bad }: { label: string; value: string; bad?: boolean }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd class={bad ? "fault" : ""}>{value}</dd>
    </div>
  );
}

interface StripProps {
  sums: readonly Sum[];
  now: number;
  slotMs: number;
}

const x = (ms: number, now: number) => WIDTH * (1 - (now - ms) / WINDOW_MS);

function Rates({ sums, now, slotMs }: StripProps) {
  const most = Math.max(1, ...sums.map(({ requests }) => requests));
  const y = (count: number) => (count / most) * (HEIGHT - 6);
  const width = Math.max(1, (WIDTH * slotMs) / WINDOW_MS - 1);
  return (
    <figure>
      <figcaption>
        Requests per second <span class="quiet">up to {number((1000 * most) / slotMs)}</span>
        <i class="key failed" /> failed
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Requests per second in the last ten minutes, up to ${number((1000 * most) / slotMs)}`}>
        {sums.map((sum) => (
          <g key={sum.start}>
            <title>{`${new Date(sum.start).toLocaleTimeString()}: ${number((1000 * sum.requests) / slotMs)} a second, ${sum.failed} failed`}</title>
            <rect x={x(sum.start, now)} width={width} y={HEIGHT - y(sum.requests)} height={y(sum.requests)} class="rate" />
            {sum.failed > 0 && <rect x={x(sum.start, now)} width={width} y={HEIGHT - Math.max(3, y(sum.failed))} height={Math.max(3, y(sum.failed))} class="failed" />}
          </g>
        ))}
      </svg>
      <Scale />
    </figure>
  );
}

/** Times on a log scale, from a millisecond to what was slowest. */
function Times({ sums, now, slotMs }: StripProps) {
  const most = Math.max(10, ...sums.map(({ p99 }) => p99));
  const y = (ms: number) => HEIGHT - 3 - (Math.log10(Math.max(1, ms)) / Math.log10(most)) * (HEIGHT - 8);
  const line = (field: "p50" | "p99") => {
    let path = "";
    let last = -Infinity;
    for (const sum of sums) {
      const [from, to] = [x(sum.start, now), x(sum.start + slotMs, now)];
      path += `${sum.start - last > slotMs ? "M" : "L"}${from.toFixed(1)} ${y(sum[field]).toFixed(1)}H${to.toFixed(1)}`;
      last = sum.start;
    }
    return path;
  };
  return (
    <figure>
      <figcaption>
        Time to answer <span class="quiet">1 ms to {number(most)} ms</span>
        <i class="key p50" /> median <i class="key p99" /> 99th percentile
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Time to answer in the last ten minutes, 99th percentile up to ${number(most)} ms`}>
        {[10, 100, 1000, 10_000].filter((ms) => ms < most).map((ms) => (
          <line key={ms} x1={0} x2={WIDTH} y1={y(ms)} y2={y(ms)} class="grid-line">
            <title>{ms} ms</title>
          </line>
        ))}
        <path d={line("p99")} class="p99" />
        <path d={line("p50")} class="p50" />
      </svg>
      <Scale />
    </figure>
  );
}

function Scale() {
  return (
    <div class="strip-scale" aria-hidden="true">
      <span>10 min ago</span>
      <span>5 min</span>
      <span>now</span>
    </div>
  );
}

function Versions({ slots }: { slots: readonly Slot[] }) {
  const counts = new Map<string, { requests: number; failed: number }>();
  for (const { version, requests, failed } of slots) {
    const count = counts.get(version) ?? { requests: 0, failed: 0 };
    counts.set(version, { requests: count.requests + requests, failed: count.failed + failed });
  }
  if (!counts.size) return <p class="none">No request yet, since the server started.</p>;
  return (
    <ul class="chips" aria-label="Requests by version">
      {[...counts].map(([version, { requests, failed }]) => (
        <li key={version} class="chip">
          <b>{version || "nothing served"}</b> {requests.toLocaleString("en-US")} {requests === 1 ? "request" : "requests"}
          {failed > 0 && <span class="fault">{failed.toLocaleString("en-US")} failed</span>}
        </li>
      ))}
    </ul>
  );
}
