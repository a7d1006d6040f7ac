// Images, sounds, films and HTML. HTML and SVG are shown so that they can run nothing and ask for nothing.

import { useState } from "preact/hooks";
import { moment } from "../format";
import { useLoaded } from "../loaded";
import { IconButton } from "../ui/button";
import { Empty } from "../ui/states";
import { address, list, type Source } from "./files";
import { seriesOf, type Shot } from "./kinds";

/** An image, as large as there is room for; a click shows it in its own size. An SVG image runs no script in a browser. */
export function ImagePreview({ url, name }: { url: string; name: string }) {
  const [whole, setWhole] = useState(false);
  const [told, setTold] = useState("");
  const [failed, setFailed] = useState(false);
  if (failed) return <Empty title="This image could not be shown" icon="warning"><p>It may be damaged. Download it to look closer.</p></Empty>;
  return (
    <figure class={`image-preview ${whole ? "whole" : ""}`}>
      <div class="scroll" tabIndex={0} role="region" aria-label={`Image ${name}`}>
        <img
          src={url}
          alt={name}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => setTold(`${naturalWidth} × ${naturalHeight}`)}
          onError={() => setFailed(true)}
        />
      </div>
      <figcaption class="quiet numbers">
        {told}
        <IconButton small icon="expand" label={whole ? "Fit to the window" : "Show in its own size"} aria-pressed={whole} onClick={() => setWhole(!whole)} />
      </figcaption>
    </figure>
  );
}

/** One of a series of images, and a slider over its steps. */
export function SeriesPreview({ source, shot, choose }: { source: Source; shot: Shot; choose: (path: string) => void }) {
  const { value } = useLoaded((signal) => list(source, "images", signal), [JSON.stringify(source), shot.path]);
  const steps = (value && seriesOf(value.map(({ path }) => path)).get(shot.key)) ?? [shot];
  const at = Math.max(0, steps.findIndex(({ path }) => path === shot.path));
  return (
    <>
      <div class="preview-bar numbers">
        <StepSlider label={`Step of ${shot.key}`} steps={steps.map(({ step }) => step)} step={shot.step} choose={(_, index) => choose(steps[index]?.path ?? shot.path)} />
        <span class="quiet">{moment(steps[at]?.time ?? shot.time)}</span>
      </div>
      <ImagePreview key={shot.path} url={address(source, shot.path)} name={`${shot.key} at step ${shot.step}`} />
    </>
  );
}

/** A slider over steps that are there, which need not be evenly apart. choose: given a step and its place. */
export function StepSlider({ label, steps, step, choose }: { label: string; steps: readonly number[]; step: number; choose: (step: number, index: number) => void }) {
  const at = Math.max(0, steps.indexOf(step));
  return (
    <label class="check-box step-slider">
      <input
        type="range"
        aria-label={label}
        aria-valuetext={`Step ${step}`}
        min={0}
        max={Math.max(0, steps.length - 1)}
        value={at}
        disabled={steps.length < 2}
        onInput={(event) => {
          const index = Number(event.currentTarget.value);
          choose(steps[index] ?? step, index);
        }}
      />
      Step {step.toLocaleString("en-US")}
      <span class="quiet">
        {at + 1} of {steps.length}
      </span>
    </label>
  );
}

export function AudioPreview({ url, name }: { url: string; name: string }) {
  return (
    <div class="media-preview">
      <audio controls preload="metadata" src={url} aria-label={name} />
    </div>
  );
}

export function VideoPreview({ url, name }: { url: string; name: string }) {
  return (
    <div class="media-preview">
      <video controls preload="metadata" src={url} aria-label={name} />
    </div>
  );
}

/** An HTML file, in a frame that is an origin of its own: no script, no form, no request, by the frame and by the server. */
export function HtmlPreview({ url, name }: { url: string; name: string }) {
  return (
    <>
      <p class="preview-bar quiet">Shown without its scripts and without what it would load from elsewhere. Download it to see it whole.</p>
      <iframe class="html-preview" sandbox="" src={url} title={`Preview of ${name}`} referrerpolicy="no-referrer" loading="lazy" />
    </>
  );
}
