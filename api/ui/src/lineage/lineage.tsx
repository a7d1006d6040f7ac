// Lineage as a picture: data and code on the left, what serves on the right; what belongs to a node lights up.

import "./lineage.css";
import { useMemo, useState } from "preact/hooks";
import { useLoaded } from "../loaded";
import { useFollowed } from "../registry/api";
import { href } from "../router";
import { Icon, type IconName } from "../ui/icon";
import { Failed, Loading } from "../ui/states";
import { getLineage, type Graph, type LineageNode } from "./api";
import { HEIGHT, layout, WIDTH } from "./layout";

const KINDS: Readonly<Record<string, [string, IconName]>> = {
  dataset: ["Data set", "table"],
  code: ["Code", "file"],
  run: ["Run", "chart"],
  logged_model: ["Logged model", "folder"],
  model_version: ["Version", "box"],
  endpoint: ["Endpoint", "bolt"],
};

export function Lineage({ kind, id, asOf }: { kind: string; id: string; asOf: string }) {
  const { value, error, again } = useLoaded((signal) => getLineage(kind, id, asOf, { signal }), [kind, id, asOf]);
  useFollowed(again);
  if (error) return <Failed title="The lineage could not be read" error={error} again={again} />;
  if (!value) return <Loading />;
  if (!value.nodes.length) return <p class="none">There is no version yet, so there is nothing that led to one.</p>;
  return <Picture graph={value} asOf={asOf} />;
}

/** The page of a node; that of a data set is its own lineage. */
function pageOf(node: LineageNode, asOf: string): string | undefined {
  if (node.missing) return undefined;
  const query = { as_of: asOf };
  switch (node.kind) {
    case "run":
      return href(["runs", node.id]);
    case "model_version": {
      const at = node.id.lastIndexOf("/");
      return href(["models", node.id.slice(0, at), "versions", node.id.slice(at + 1)], query);
    }
    case "endpoint":
      return href(["endpoints", node.id], query);
    case "code":
      return undefined;
    default:
      return href(["lineage"], { kind: node.kind, id: node.id, ...query });
  }
}

function detail(node: LineageNode): string {
  if (node.missing) return node.missing;
  const aliases = (node.aliases ?? []).map((alias) => `@${alias}`);
  const stage = node.stage && node.stage !== "None" ? [node.stage] : [];
  if (node.kind === "model_version") return [...stage, ...aliases].join(" · ") || "No stage";
  if (node.kind === "dataset") return node.source || node.id.slice(node.name.length + 1);
  return node.status ? node.status.charAt(0) + node.status.slice(1).toLowerCase() : "";
}

/** The label of an edge, short: of a route the alias, for its model stands beside it. */
function said(label: string): string {
  const short = label.replace(/^[^@]*(?=@)/, "");
  return short.length > 14 ? `${short.slice(0, 13)}…` : short;
}

/** All that leads to a node and all that came of it. */
function related(graph: Graph, key: string): Set<string> {
  const found = new Set([key]);
  for (const [from, to] of [["from", "to"], ["to", "from"]] as const) {
    let level = [key];
    while (level.length) {
      level = graph.edges.filter((edge) => level.includes(edge[from]) && !found.has(edge[to])).map((edge) => edge[to]);
      level.forEach((one) => found.add(one));
    }
  }
  return found;
}

function Picture({ graph, asOf }: { graph: Graph; asOf: string }) {
  const { places, width, height } = useMemo(() => layout(graph.nodes, graph.edges), [graph]);
  const [over, setOver] = useState("");
  const lit = useMemo(() => (over ? related(graph, over) : null), [graph, over]);
  const dim = (...keys: string[]) => (lit && !keys.every((key) => lit.has(key)) ? "dim" : "");
  return (
    <figure class="lineage card">
      <div class="lineage-scroll scroll" tabIndex={0} role="group" aria-label="Lineage">
        <div class="lineage-sheet" style={{ width: `${width}px`, height: `${height}px` }}>
          <svg width={width} height={height} aria-hidden="true">
            {graph.edges.map(({ from, to, label }) => {
              const a = places.get(from);
              const b = places.get(to);
              if (!a || !b) return null;
              const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
              const bend = Math.max(30, Math.abs(x2 - x1) / 2);
              return (
                <g key={`${from}\n${to}`} class={dim(from, to)}>
                  <path d={`M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`} />
                  <circle cx={x2} cy={y2} r="3" />
                  {label && lit?.has(from) && lit.has(to) && (
                    <text x={(x1 + x2) / 2} y={(y1 + y2) / 2 - 5} text-anchor="middle">
                      {said(label)}
                    </text>
                  )}
                </g>
              );
            })}
          </svg>
          <ul>
            {[...places.values()].map(({ node, x, y }) => {
              const [label, icon] = KINDS[node.kind] ?? [node.kind, "box" as const];
              const page = pageOf(node, asOf);
              const text = detail(node);
              const inside = (
                <>
                  <span class="lineage-kind">
                    <Icon name={icon} />
                  </span>
                  <span class="lineage-text">
                    <span class="sr">{label} </span>
                    <b class="clip">{node.name}</b>
                    <span class="clip quiet">{text || label}</span>
                  </span>
                </>
              );
              return (
                <li
                  key={node.key}
                  class={`lineage-node ${node.kind} ${graph.start.includes(node.key) ? "start" : ""} ${node.missing ? "missing" : ""} ${dim(node.key)}`}
                  style={{ left: `${x}px`, top: `${y}px`, width: `${WIDTH}px`, height: `${HEIGHT}px` }}
                  title={[`${label}: ${node.name}`, text, ...graph.edges.filter(({ to, label: how }) => to === node.key && how).map(({ from, label: how }) => `${how}: ${places.get(from)?.node.name ?? from}`)].filter(Boolean).join("\n")}
                  onMouseEnter={() => setOver(node.key)}
                  onMouseLeave={() => setOver("")}
                  onFocusIn={() => setOver(node.key)}
                  onFocusOut={() => setOver("")}
                >
                  {page ? <a href={page}>{inside}</a> : <div>{inside}</div>}
                </li>
              );
            })}
          </ul>
        </div>
      </div>
      {graph.truncated && <figcaption class="quiet">These are the {graph.nodes.length} nearest; there are more.</figcaption>}
    </figure>
  );
}
