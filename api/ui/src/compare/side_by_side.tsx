// A file of each run beside the others'; of a series of images, all at one step.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { address, type Entry, nameOf } from "../artifacts/files";
import { ImagePreview, StepSlider } from "../artifacts/media";
import { seriesOf, shotOf } from "../artifacts/kinds";
import { FileBody } from "../artifacts/preview";
import { above, Tree } from "../artifacts/tree";
import type { RunRef } from "../model";
import { href, route, setQuery } from "../router";
import { Empty, Failed, Loading } from "../ui/states";
import { Segments } from "../ui/tabs";
import { MarkedText, useLines } from "./lines";
import { useUnion } from "./union";

const NO_LINES = { lines: [], marked: new Set<string>() };

const SIZES = [
  { value: "small", label: "Small" },
  { value: "medium", label: "Medium" },
  { value: "large", label: "Large" },
] as const;

export function SideBySide({ runs }: { runs: readonly RunRef[] }) {
  const path = route.value.query.get("file") ?? "";
  const ids = useMemo(() => runs.map(({ id }) => id), [runs]);
  const { tree, contents } = useUnion(ids, path);
  const top = tree.folders.get("");
  if (top?.error) return <Failed title="The artifacts could not be listed" error={top.error} again={tree.reload} />;
  if (!top?.entries) return <Loading />;
  if (!top.entries.length) return <Empty title="None of these runs has artifacts" icon="folder"><p>What they log with <code>log_artifact</code>, <code>log_image</code> or <code>log_table</code> stands side by side here.</p></Empty>;
  return (
    <div class={`beside ${path ? "chosen" : ""}`}>
      <div class="beside-tree card">
        <Tree tree={tree} chosen={path} choose={(file) => setQuery({ file }, { replace: false })} />
      </div>
      <div class="beside-files">
        {path ? <Files runs={runs} path={path} entries={contents.get(above(path).at(-1) ?? "")} /> : <Empty title="Choose a file" icon="file"><p>It is shown of each run that has it.</p></Empty>}
      </div>
    </div>
  );
}

function Files({ runs, path, entries }: { runs: readonly RunRef[]; path: string; entries: ReadonlyMap<string, readonly Entry[]> | undefined }) {
  const query = route.value.query;
  const size = SIZES.find(({ value }) => value === query.get("size"))?.value ?? "medium";
  const shot = shotOf(path);
  const series = useMemo(() => shot && entries && new Map([...entries].map(([id, found]) => [id, seriesOf(found.map((entry) => entry.path)).get(shot.key) ?? []])), [shot?.key, entries]);
  const steps = useMemo(() => [...new Set([...(series?.values() ?? [])].flatMap((shots) => shots.map(({ step }) => step)))].sort((a, b) => a - b), [series]);
  const sizes = useMemo(() => new Map([...(entries ?? [])].flatMap(([id, found]) => found.filter((entry) => entry.path === path && entry.size !== null).map((entry) => [id, entry.size ?? 0] as const))), [path, entries]);
  const lines = useLines(path, sizes);
  if (!entries) return <Loading />;
  const asked = query.get("step");
  const step = asked !== null && steps.includes(Number(asked)) ? Number(asked) : (shot?.step ?? 0);
  return (
    <section aria-label={shot ? shot.key : nameOf(path)}>
      <header class="beside-bar">
        <h3 class="clip">{shot ? shot.key : path}</h3>
        {shot && <StepSlider label={`Step of ${shot.key}`} steps={steps} step={step} choose={(step) => setQuery({ step })} />}
        {lines && <span class="quiet">{[...lines.values()][0]?.marked.size ? "Marked: lines that not all of them have" : "The same in all that have it"}</span>}
        <span class="grow" />
        <Segments label="Size" choices={SIZES} chosen={size} choose={(size) => setQuery({ size: size === "medium" ? null : size })} />
      </header>
      <div class={`beside-grid ${size}`}>
        {runs.map((run) => {
          const at = series?.get(run.id)?.findLast((one) => one.step <= step);
          const entry = entries.get(run.id)?.find((one) => one.path === (series ? at?.path : path));
          return (
            <figure key={run.id} class={`card ${entry ? "" : "none"}`}>
              <figcaption>
                <i class={`swatch c${run.color}${run.dashed ? " dashed" : ""}`} />
                <a class="clip" href={href(["experiments", run.experiment, "runs", run.id], { tab: "artifacts", file: entry?.path ?? null })} title={run.name}>
                  {run.name}
                </a>
                {at && at.step !== step && <span class="quiet numbers">step {at.step.toLocaleString("en-US")}</span>}
              </figcaption>
              {entry && entry.size !== null ? (
                <Seen>
                  {series ? (
                    <ImagePreview key={entry.path} url={address({ runId: run.id }, entry.path)} name={`${shot?.key} of ${run.name} at step ${at?.step}`} />
                  ) : lines?.has(run.id) ? (
                    <MarkedText label={`${nameOf(path)} of ${run.name}`} text={lines.get(run.id) ?? NO_LINES} />
                  ) : (
                    <FileBody source={{ runId: run.id }} path={path} size={entry.size} choose={(file) => setQuery({ file })} />
                  )}
                </Seen>
              ) : (
                <p class="preview-note quiet">{series ? "No image up to this step" : "This run has no such file"}</p>
              )}
            </figure>
          );
        })}
      </div>
    </section>
  );
}

/** What is in it is loaded once it comes into sight. */
function Seen({ children }: { children: preact.ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        setSeen(true);
        watch.disconnect();
      },
      { rootMargin: "200px" },
    );
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return (
    <div ref={box} class="beside-file">
      {seen && children}
    </div>
  );
}
