// One file: what it is, how to get it, and what is in it as far as a browser shows that.

import { lazyView } from "./lazy";
import { size as sized } from "../format";
import { Copy } from "../ui/button";
import { Icon } from "../ui/icon";
import { Empty } from "../ui/states";
import { address, nameOf, type Source } from "./files";
import { kindOf, shotOf } from "./kinds";
import { AudioPreview, HtmlPreview, ImagePreview, SeriesPreview, VideoPreview } from "./media";
import { TextPreview } from "./texts";

const ParquetView = lazyView(() => import("./parquet_view"));
const IMAGE_BYTES_MAX = 64 * 1024 * 1024;
const HTML_BYTES_MAX = 32 * 1024 * 1024;

interface PreviewProps {
  source: Source;
  path: string;
  /** In bytes. */
  size: number;
  /** To look at another file. */
  choose: (path: string) => void;
}

export function Preview(props: PreviewProps) {
  const { source, path, size } = props;
  const name = nameOf(path);
  return (
    <section class="preview" aria-label={`File ${name}`}>
      <header>
        <h3 class="clip" title={path}>
          {name}
        </h3>
        <Copy text={path} label="Copy the path" />
        <span class="quiet numbers">{sized(size)}</span>
        <span class="grow" />
        <a class="button" href={address(source, path, { inline: true })} target="_blank" rel="noopener noreferrer">
          <Icon name="external" />
          Open
        </a>
        <a class="button" href={address(source, path)} download={name}>
          <Icon name="download" />
          Download
        </a>
      </header>
      <FileBody key={path} {...props} />
    </section>
  );
}

/** What is in a file, as far as it is shown. */
export function FileBody({ source, path, size, choose }: PreviewProps) {
  const kind = kindOf(path);
  const url = address(source, path);
  const name = nameOf(path);
  const shot = shotOf(path);
  const binary = (
    <Empty title="No preview" icon="file">
      <p>This file is of {sized(size)} and no kind that is shown here. Download it to use it.</p>
    </Empty>
  );
  if (!size && kind !== "text" && kind !== "unknown") return <p class="preview-note quiet">The file is empty.</p>;
  if (kind === "image" && size > IMAGE_BYTES_MAX) return <TooLarge what="image" size={size} />;
  if (kind === "html" && size > HTML_BYTES_MAX) return <TooLarge what="page" size={size} />;
  if (shot) return <SeriesPreview source={source} shot={shot} choose={choose} />;
  if (kind === "image") return <ImagePreview url={url} name={name} />;
  if (kind === "audio") return <AudioPreview url={url} name={name} />;
  if (kind === "video") return <VideoPreview url={url} name={name} />;
  if (kind === "html") return <HtmlPreview url={address(source, path, { inline: true })} name={name} />;
  if (kind === "parquet") return <ParquetView url={url} path={path} size={size} />;
  if (kind === "binary") return binary;
  return <TextPreview source={source} url={url} path={path} size={size} kind={kind} binary={binary} />;
}

function TooLarge({ what, size }: { what: string; size: number }) {
  return (
    <Empty title={`This ${what} is too large to be shown`} icon="file">
      <p>It is of {sized(size)}. Download it to look at it.</p>
    </Empty>
  );
}
