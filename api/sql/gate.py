"""The gate: what a statement may name and call, judged on the tree that the engine's own parser made of it.

All is refused that is not allowed: tables are the documented views and the statement's own WITH names; functions are
those of functions.py; nodes and parts are those of tree.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from headrace.api.sql.functions import IN, TABLE_FUNCTIONS, TYPED, may_call
from headrace.api.sql.refusal import Refusal
from headrace.api.sql.tree import Node

EXPANDED_NODES_MAX = 50_000
"""How many nodes there may be once every WITH name and alias is put where it is used."""

TABLES_MAX = 200
"""How many tables a statement may name: the engine's plan of a join of thousands takes it very long."""

_OF_TABLES = frozenset({"JOIN TREE", "TABLE EXPRESSION", "LEFT TABLE EXPRESSION", "RIGHT TABLE EXPRESSION"})
_NO_TABLE = "system.one"
"""What the engine reads where there is no FROM."""
_STATES = "AggregateFunction"


@dataclass(frozen=True, slots=True)
class Physical:
    """What there is behind the views: the tables of the views' database, and all databases of the engine."""

    tables: Collection[str]
    databases: Collection[str]


def views_named(root: Node, documented: Collection[str], physical: Physical) -> frozenset[str]:
    """The documented views that a statement names. Raises Refusal for one that may not run."""
    ctes = frozenset(node.attributes["cte_name"] for node in root.walk() if "cte_name" in node.attributes)
    for name in ctes - set(documented):
        if name in physical.tables or "." in name:
            raise Refusal(f"a WITH name may not be {name!r}; choose another name")
    known = {*documented, *ctes}
    names: set[str] = set()
    tables = 0
    for node in root.walk():
        match node.kind:
            case "TABLE_FUNCTION":
                _check_table_function(node)
            case "FUNCTION":
                names |= _check_function(node, known)
            case "CONSTANT":
                if _STATES in node.attributes["value"]:
                    raise Refusal(f"{_STATES} may not be named: states of aggregates cannot be read or written here")
            case "IDENTIFIER":
                _check_name(node.attributes["identifier"], known, physical)
        if node.kind in _OF_TABLES:
            tables += 1
            for child in node.children:
                names |= _check_table(child, known)
    if tables > TABLES_MAX:
        raise Refusal(f"the statement has {tables:,} tables, and at most {TABLES_MAX} are taken")
    _check_expansion(root)
    return frozenset(names) & frozenset(documented)


def _check_table(node: Node, known: Collection[str]) -> set[str]:
    if node.kind != "IDENTIFIER":
        return set()
    name = node.attributes["identifier"]
    if name == _NO_TABLE:
        return set()
    if name not in known:
        raise _no_view(name, known)
    return {name}


def _check_table_function(node: Node) -> None:
    name = node.attributes.get("table_function_name", "")
    if name.lower() in TABLE_FUNCTIONS:
        return
    if name == "viewExplain":
        raise Refusal("EXPLAIN is not taken within a statement")
    if name == "SQLStandardValues" or name.lower() == "values":
        raise Refusal("VALUES is not taken as a table; use SELECT ... UNION ALL SELECT ...")
    allowed = ", ".join(sorted(TABLE_FUNCTIONS - {"generateseries"}))
    raise Refusal(f"the table function {name!r} is not taken: tables are the documented views (and {allowed})")


def _check_function(node: Node, known: Collection[str]) -> set[str]:
    name = node.attributes.get("function_name", "")
    if not may_call(name):
        raise Refusal(f"the function {name!r} may not be called here, or there is none of this name")
    arguments = next((part.children[0].children for part in node.children if part.kind == "ARGUMENTS"), [])
    lowered = name.lower()
    if lowered in TYPED and (len(arguments) < 2 or arguments[1].kind != "CONSTANT"):
        raise Refusal(f"the type that {name} makes must be written out as a text")
    if lowered in IN and len(arguments) == 2 and arguments[1].kind == "IDENTIFIER":
        right = arguments[1].attributes["identifier"]
        if right not in known:
            raise Refusal(
                f"to the right of IN stands {right!r}, which is no documented view;"
                " write a list (1, 2), a subquery, or has(array, value) for an array"
            )
        return {right}
    return set()


def _check_name(name: str, known: Collection[str], physical: Physical) -> None:
    """Refuse what could lead behind the views, wherever it stands."""
    first, _, rest = name.partition(".")
    if name == _NO_TABLE:
        return
    if rest and first in physical.databases:
        raise Refusal(f"{name!r} names a database; name documented views alone, and call a table or column otherwise")
    if not rest and name in physical.tables and name not in known:
        raise Refusal(f"{name!r} is not among the documented views; give a column or WITH name of yours another name")


def _no_view(name: str, known: Collection[str]) -> Refusal:
    return Refusal(f"there is no view {name!r}; the documented views are {', '.join(sorted(known))}")


def _check_expansion(root: Node) -> None:
    """Refuse what grows without end when names are put where they are used: WITH a AS (... b, b), b AS (... c, c)."""
    named: dict[str, list[Node]] = {}
    for node in root.walk():
        for attribute in ("cte_name", "alias"):
            if attribute in node.attributes:
                named.setdefault(node.attributes[attribute], []).append(node)
    sizes: dict[str, int] = {}
    for name in named:
        _size_of_name(name, named, sizes)
    total = sum(sizes.get(x.attributes.get("identifier", ""), 0) + 1 for x in root.walk())
    if total > EXPANDED_NODES_MAX:
        raise Refusal(
            f"with every WITH name and alias put where it is used, the statement has {total:,} parts,"
            f" and at most {EXPANDED_NODES_MAX:,} are taken"
        )


def _size_of_name(name: str, named: Mapping[str, list[Node]], sizes: dict[str, int]) -> int:
    """How many nodes a name stands for, the largest where several things have it. Iterative: chains may be long."""
    waiting = [name]
    entered: set[str] = set()
    while waiting:
        current = waiting[-1]
        if current in sizes:
            waiting.pop()
            continue
        used = [x.attributes["identifier"] for node in named[current] for x in node.walk() if x.kind == "IDENTIFIER"]
        missing = {x for x in used if x in named and x not in sizes and x not in entered}
        if current not in entered and missing:
            entered.add(current)
            waiting.extend(missing - entered)
            continue
        own = sum(1 for node in named[current] for _ in node.walk())
        sizes[current] = min(own + sum(sizes.get(x, 0) for x in used), 10**12)
        waiting.pop()
    return sizes[name]
