"""The tree that the engine's parser makes of a statement, read from what `EXPLAIN QUERY TREE run_passes = 0` prints.

That is a purely syntactic answer: no name is resolved, no function called, no file or address touched. Every node has a
line `KIND id: N, ...` and every part of a node a line of its own words, each indented below what it belongs to:

    QUERY id: 0
      PROJECTION
        LIST id: 1, nodes: 1
          FUNCTION id: 2, function_name: count, function_type: ordinary
      JOIN TREE
        IDENTIFIER id: 3, alias: r, identifier: runs
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from headrace.api.sql.refusal import Refusal

NODES_MAX = 20_000

KINDS = frozenset(
    {
        *("QUERY", "UNION", "LIST", "IDENTIFIER", "FUNCTION", "CONSTANT", "LAMBDA", "MATCHER", "SORT", "WINDOW"),
        *("JOIN", "CROSS JOIN", "ARRAY_JOIN", "TABLE_FUNCTION", "INTERPOLATE"),
        *("APPLY COLUMN TRANSFORMER", "EXCEPT COLUMN TRANSFORMER", "REPLACE COLUMN TRANSFORMER"),
    }
)
"""Nodes that a statement may have."""

PARTS = frozenset(
    {
        *("WITH", "PROJECTION", "JOIN TREE", "PREWHERE", "WHERE", "GROUP BY", "HAVING", "QUALIFY", "ORDER BY"),
        *("INTERPOLATE", "LIMIT BY LIMIT", "LIMIT BY OFFSET", "LIMIT BY", "LIMIT", "OFFSET", "QUERIES", "WINDOW"),
        *("ARGUMENTS", "PARAMETERS", "EXPRESSION", "TABLE EXPRESSION", "LEFT TABLE EXPRESSION"),
        *("RIGHT TABLE EXPRESSION", "JOIN EXPRESSION", "JOIN EXPRESSIONS", "PARTITION BY", "FRAME BEGIN OFFSET"),
        *("FRAME END OFFSET", "FILL FROM", "FILL TO", "FILL STEP", "FILL STALENESS", "INTERPOLATE_EXPRESSION"),
    }
)
"""Parts of nodes that a statement may have."""

_NODE = re.compile(r"([A-Z][A-Z_]*(?: [A-Z]+)*) id: (\d+)(?:, (.*))?$", re.DOTALL)
_LAMBDA_ARGUMENTS = re.compile(r"ARGUMENTS id: (\d+)$")
_LAMBDA_ARGUMENT = re.compile(r"ARGUMENT id: \d+, name: ")
_SORTED_BY = re.compile(r"EXPRESSION \S")
_REPLACEMENTS = re.compile(r"REPLACEMENTS \d+$|REPLACEMENT NAME .* EXPRESSION$")
_ATTRIBUTE = re.compile(r"(?:^|, )([a-z_]+) ?: ")


@dataclass(slots=True)
class Node:
    """A node or a part of one. attributes: what its line says, by name; a part has none."""

    kind: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    @property
    def is_part(self) -> bool:
        """Whether this is a part of a node, and no node."""
        return self.kind in PARTS and not self.attributes.get("id")

    def walk(self) -> Iterator[Node]:
        """This and all below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


def parse(lines: Sequence[str]) -> Node:
    """The tree of the lines. Raises Refusal for anything that is not known to be harmless, or is not understood."""
    root = Node("", {})
    path: list[tuple[int, Node]] = [(-1, root)]
    expected_id = 0
    for line in lines:
        words = line.lstrip(" ")
        if not words:
            continue
        depth = len(line) - len(words)
        node, own_id = _node(words)
        if own_id is not None:
            # Ids rise line by line: a line that a name or a text has slipped in would break the row.
            if own_id != expected_id:
                raise _not_understood(words)
            expected_id += 1
            if expected_id > NODES_MAX:
                raise Refusal(f"the statement has more than {NODES_MAX:,} parts; shorten it")
        while path[-1][0] >= depth:
            path.pop()
        path[-1][1].children.append(node)
        path.append((depth, node))
    if len(root.children) != 1:
        raise _not_understood("more than one statement")
    return root.children[0]


def _node(words: str) -> tuple[Node, int | None]:
    found = _NODE.match(words)
    if found is not None and found.group(1) in KINDS:
        attributes = _attributes(found.group(1), found.group(3) or "")
        return Node(found.group(1), {"id": found.group(2), **attributes}), int(found.group(2))
    stripped = words.rstrip(" ")
    if stripped in PARTS:
        return Node(stripped), None
    arguments = _LAMBDA_ARGUMENTS.match(words)
    if arguments is not None:
        return Node("ARGUMENTS"), int(arguments.group(1))
    if _LAMBDA_ARGUMENT.match(words) or _SORTED_BY.match(words) or _REPLACEMENTS.match(words):
        return Node("EXPRESSION"), None
    if words.startswith("SETTINGS "):
        raise Refusal("SETTINGS are not taken; limits are fields of the request")
    raise _not_understood(words)


def _attributes(kind: str, text: str) -> dict[str, str]:
    if kind == "CONSTANT":  # whatever its value holds
        alias = re.match(r"alias: (.*?), constant_value: ", text, re.DOTALL)
        return {"value": text, **({"alias": alias.group(1)} if alias else {})}
    marks = list(_ATTRIBUTE.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)][: len(marks)]
    return {mark.group(1): text[mark.end() : end] for mark, end in zip(marks, ends, strict=True)}


def _not_understood(words: str) -> Refusal:
    return Refusal(f"the statement uses something that is not known to be harmless: {words[:100]!r}")
