// The files of a run or of a logged model: a tree, and beside it what is in the file that is chosen. The address holds which.

import "./artifacts.css";
import { useState } from "preact/hooks";
import { route, setQuery } from "../router";
import { IconButton } from "../ui/button";
import { Splitter } from "../ui/splitter";
import { Empty, Failed, Loading } from "../ui/states";
import type { Source } from "./files";
import { Preview } from "./preview";
import { above, Tree, useFolders } from "./tree";

export interface ArtifactBrowserProps {
  /** The run; the address may name a logged model of it, whose files are shown then. Or, instead, */
  runId?: string;
  /** the logged model whose files they are. */
  modelId?: string;
}

export function ArtifactBrowser({ runId, modelId }: ArtifactBrowserProps) {
  const model = modelId ?? route.value.query.get("model") ?? "";
  const source: Source = model ? { modelId: model } : { runId: runId ?? "" };
  return (
    <>
      {model && runId && (
        <p class="files-whose">
          Files of the model <code>{model}</code>
          <button type="button" class="link" onClick={() => setQuery({ model: null, file: null }, { replace: false })}>
            Files of the run
          </button>
        </p>
      )}
      <Files key={model || runId} source={source} />
    </>
  );
}

function Files({ source }: { source: Source }) {
  const path = route.value.query.get("file") ?? "";
  const tree = useFolders(source, path);
  const [share, setShare] = useState(0.28);
  const top = tree.folders.get("");
  const choose = (file: string) => setQuery({ file }, { replace: false });
  if (top?.error) return <Failed title="The artifacts could not be listed" error={top.error} again={tree.reload} />;
  if (!top?.entries) return <Loading />;
  if (!top.entries.length) {
    return (
      <Empty title="No artifacts yet" icon="folder">
        {"runId" in source ? (
          <>
            <p>Log a file, an image or a table from the run:</p>
            <pre>{`headrace.log_artifact("report.html")\nheadrace.log_image(image, key="samples", step=10)\nheadrace.log_table({"truth": truth, "predicted": predicted}, "predictions.json")`}</pre>
          </>
        ) : (
          <p>The model has no files.</p>
        )}
      </Empty>
    );
  }
  return (
    <div class={`files card ${path ? "chosen" : ""}`} style={{ "--share": `${share * 100}%` }}>
      <div class="files-tree">
        <header>
          <h3>Files</h3>
          <span class="grow" />
          <IconButton small icon="refresh" label="Look for new files" onClick={tree.reload} />
        </header>
        <Tree tree={tree} chosen={path} choose={choose} />
      </div>
      <Splitter label="Width of the tree" share={share} move={setShare} />
      <div class="files-shown">
        {path && (
          <button type="button" class="link files-back" onClick={() => setQuery({ file: null }, { replace: false })}>
            All files
          </button>
        )}
        <Chosen source={source} path={path} tree={tree} choose={choose} />
      </div>
    </div>
  );
}

function Chosen({ source, path, tree, choose }: { source: Source; path: string; tree: ReturnType<typeof useFolders>; choose: (path: string) => void }) {
  if (!path) return <Empty title="Choose a file" icon="file"><p>Text, Markdown, JSON, CSV and Parquet tables, images, sound, HTML and SVG are shown here.</p></Empty>;
  const folder = tree.folders.get(above(path).at(-1) ?? "");
  if (folder?.error) return <Failed title="The folder could not be listed" error={folder.error} again={tree.reload} />;
  if (!folder?.entries) return <Loading />;
  const entry = folder.entries.find((entry) => entry.path === path);
  if (!entry || entry.size === null) return <Empty title="There is no such file" icon="search"><p>It may have been deleted, or the link is of another run.</p></Empty>;
  return <Preview source={source} path={path} size={entry.size} choose={choose} />;
}
