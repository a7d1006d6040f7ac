// Where the nodes of a lineage graph stand: a column for each step, in it near to what they belong to.

import type { LineageEdge, LineageNode } from "./api";

export const WIDTH = 208;
export const HEIGHT = 54;
const GAP_X = 72;
const GAP_Y = 16;
const MARGIN = 16;
const SWEEPS = 6;

export interface Place {
  node: LineageNode;
  x: number;
  y: number;
}

export interface Layout {
  places: ReadonlyMap<string, Place>;
  width: number;
  height: number;
}

/** Places of all nodes, in pixels. A cycle, which broken data could have, is cut where it is met. */
export function layout(nodes: readonly LineageNode[], edges: readonly LineageEdge[]): Layout {
  const before = new Map<string, string[]>(nodes.map(({ key }) => [key, []]));
  const behind = new Map<string, string[]>(nodes.map(({ key }) => [key, []]));
  for (const { from, to } of edges) {
    before.get(to)?.push(from);
    behind.get(from)?.push(to);
  }
  const depth = depths(nodes, before);
  // What only leads somewhere stands right before that, not at the far left.
  for (const { key } of nodes) {
    if (before.get(key)?.length) continue;
    const next = (behind.get(key) ?? []).map((one) => depth.get(one) ?? 0);
    if (next.length) depth.set(key, Math.max(0, Math.min(...next) - 1));
  }
  const columns: string[][] = [];
  for (const { key } of nodes) (columns[depth.get(key) ?? 0] ??= []).push(key);
  const used = columns.filter(Boolean);
  order(used, before, behind);
  const tallest = Math.max(1, ...used.map((column) => column.length));
  const height = 2 * MARGIN + tallest * (HEIGHT + GAP_Y) - GAP_Y;
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const places = new Map<string, Place>();
  used.forEach((column, index) => {
    const whole = column.length * (HEIGHT + GAP_Y) - GAP_Y;
    column.forEach((key, at) => {
      const node = byKey.get(key);
      if (node) places.set(key, { node, x: MARGIN + index * (WIDTH + GAP_X), y: (height - whole) / 2 + at * (HEIGHT + GAP_Y) });
    });
  });
  return { places, width: 2 * MARGIN + used.length * (WIDTH + GAP_X) - GAP_X, height };
}

/** How many steps lead to each node, the longest way. */
function depths(nodes: readonly LineageNode[], before: ReadonlyMap<string, readonly string[]>): Map<string, number> {
  const depth = new Map<string, number>();
  const open = new Set<string>();
  const of = (key: string): number => {
    const known = depth.get(key);
    if (known !== undefined || open.has(key)) return known ?? 0;
    open.add(key);
    const found = Math.max(0, ...(before.get(key) ?? []).map((one) => of(one) + 1));
    open.delete(key);
    depth.set(key, found);
    return found;
  };
  for (const { key } of nodes) of(key);
  return depth;
}

/** Order each column by the middle of what its nodes belong to, forth and back, so that few edges cross. */
function order(columns: string[][], before: ReadonlyMap<string, readonly string[]>, behind: ReadonlyMap<string, readonly string[]>): void {
  const at = new Map<string, number>();
  const number = (column: readonly string[]) => column.forEach((key, index) => at.set(key, (index + 0.5) / column.length));
  columns.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0;
    for (const column of forth ? columns : columns.toReversed()) {
      const middle = (key: string) => {
        const beside = ((forth ? before : behind).get(key) ?? []).map((one) => at.get(one) ?? 0.5);
        return beside.length ? beside.reduce((sum, one) => sum + one, 0) / beside.length : (at.get(key) ?? 0.5);
      };
      const middles = new Map(column.map((key) => [key, middle(key)]));
      column.sort((a, b) => (middles.get(a) ?? 0) - (middles.get(b) ?? 0));
      number(column);
    }
  }
}
