// Lineage on a page of its own: of anything that `kind` and `id` in the address name, now or at a moment.

import "../registry/registry.css";
import { useEffect } from "preact/hooks";
import { useLoaded } from "../loaded";
import { getHistory, type Entry } from "../registry/api";
import { AsOf } from "../registry/asof";
import { href, route } from "../router";
import { Empty } from "../ui/states";
import { Lineage } from "./lineage";

const HISTORIES: readonly string[] = ["run", "logged_model", "registered_model", "model_version", "endpoint"];

export default function LineagePage() {
  const { query } = route.value;
  const [kind, id, asOf] = [query.get("kind") ?? "", query.get("id") ?? "", query.get("as_of") ?? ""];
  const history = useLoaded(async (signal): Promise<Entry[]> => (HISTORIES.includes(kind) ? getHistory(kind, id, { signal }) : []), [kind, id]);
  useEffect(() => void (document.title = `Lineage of ${id} · Headrace`), [id]);
  if (!kind || !id) {
    return (
      <Empty icon="branch" title="Lineage of what?">
        <p>
          Open a model, a version or a run, and its tab Lineage. <a href={href(["models"])}>All models</a>
        </p>
      </Empty>
    );
  }
  return (
    <div class="page registry">
      <div class="page-head">
        <h1>Lineage of {kind.replaceAll("_", " ")} {id}</h1>
      </div>
      <AsOf entries={kind === "run" ? [] : (history.value ?? [])} asOf={asOf} what="the lineage" />
      <Lineage kind={kind} id={id} asOf={asOf} />
    </div>
  );
}
