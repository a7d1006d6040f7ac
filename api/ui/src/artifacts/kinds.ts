// What a file is, by its name, and so how it is shown.

import { nameOf } from "./files";

export type Kind = "text" | "markdown" | "json" | "table" | "parquet" | "image" | "audio" | "video" | "html" | "binary" | "unknown";

const ENDINGS: Readonly<Record<Exclude<Kind, "unknown">, string>> = {
  text: "txt log py pyi js mjs ts tsx jsx css sh bash bat ps1 sql yaml yml toml ini cfg conf env r c h cc cpp hpp rs go java kt scala rb pl lua xml xsl xhtml tex rst diff patch lock jsonl ndjson properties dockerfile makefile gitignore MLmodel",
  markdown: "md markdown",
  json: "json geojson ipynb webmanifest",
  table: "csv tsv",
  parquet: "parquet pq",
  image: "png jpg jpeg gif webp avif bmp ico svg",
  audio: "wav mp3 ogg oga opus flac m4a aac",
  video: "mp4 webm mov m4v ogv",
  html: "html htm",
  binary: "pkl pickle joblib pt pth bin onnx h5 keras npy npz safetensors ckpt pb zip gz tar tgz bz2 xz zst whl so dll exe pdf doc docx xls xlsx ppt pptx arrow feather tfrecords",
};

const BY_ENDING = new Map(Object.entries(ENDINGS).flatMap(([kind, endings]) => endings.toLowerCase().split(" ").map((ending) => [ending, kind as Kind])));

/** By the ending of the name, or the name where it has none; unknown ones are looked into. */
export function kindOf(path: string): Kind {
  const name = nameOf(path).toLowerCase();
  return BY_ENDING.get(name.slice(name.lastIndexOf(".") + 1)) ?? "unknown";
}

/** One of a series of images, as MLflow's and our log_image(key=…, step=…) name their files. */
export interface Shot {
  key: string;
  step: number;
  time: number;
  path: string;
}

const SHOT = /^images\/(.+)([%+])step\2(-?\d+)\2timestamp\2(\d+)\2[^/]*\.(?:png|webp|jpe?g)$/;

/** The image of a series that a path is, if it is one. Thumbnails are left out: the image itself is there as well. */
export function shotOf(path: string): Shot | undefined {
  const found = SHOT.exec(path);
  if (!found || path.includes(`${found[2]}compressed`)) return undefined;
  return { key: found[1]!.replaceAll("#", "/"), step: Number(found[3]), time: Number(found[4]), path };
}

/** Images of series by key, each by step; of one step the latest counts. */
export function seriesOf(paths: readonly string[]): Map<string, Shot[]> {
  const found = new Map<string, Map<number, Shot>>();
  for (const path of paths) {
    const shot = shotOf(path);
    if (!shot) continue;
    const steps = found.get(shot.key) ?? new Map<number, Shot>();
    const before = steps.get(shot.step);
    if (!before || before.time <= shot.time) steps.set(shot.step, shot);
    found.set(shot.key, steps);
  }
  return new Map([...found].map(([key, steps]) => [key, [...steps.values()].sort((a, b) => a.step - b.step)]));
}
