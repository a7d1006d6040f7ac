"""The page on search: its examples are of the grammar, and it leaves nothing of the grammar out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from headrace.api.filter import FilterError, parse, parse_order_by
from headrace.api.grammar import GRAMMARS, LOW_IS_BEST, LOW_IS_BEST_WORDS, SUMMARY_AGGREGATES
from headrace.api.quantities import UNITS_MS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "search.md").read_text("utf-8")


def examples(language: str) -> list[str]:
    """The lines of the page's blocks in a language."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("text", examples("filter"))
def test_a_filter_of_the_page_parses(text: str) -> None:
    assert parse(text, "runs") is not None


@pytest.mark.parametrize("text", examples("experiments"))
def test_a_filter_of_experiments_parses(text: str) -> None:
    assert parse(text, "experiments") is not None


@pytest.mark.parametrize("text", examples("model_versions"))
def test_a_filter_of_versions_parses(text: str) -> None:
    assert parse(text, "model_versions") is not None


def test_the_clauses_of_the_page_are_one_ordering() -> None:
    clauses = examples("order_by")
    assert len(parse_order_by(clauses, "runs")) == len(clauses) > 1


def test_the_fault_of_the_page_is_told_so() -> None:
    told = json.loads("".join(examples("json")))
    with pytest.raises(FilterError) as caught:
        parse("metrics.loss > 'a'", "runs")
    assert (str(caught.value), caught.value.position, caught.value.expected) == (
        told["message"],
        told["position"],
        told["expected"],
    )


def test_every_name_is_on_the_page() -> None:
    named = [*LOW_IS_BEST, *LOW_IS_BEST_WORDS, *UNITS_MS]
    for grammar in GRAMMARS.values():
        named += [x for x in grammar.attributes if x.islower() and " " not in x]
        named += [tag for tags in grammar.tags.values() for tag in tags.values()]
    assert [x for x in named if f"`{x}`" not in PAGE] == []
    grammar = GRAMMARS["runs"]
    dotted = [(prefix, key) for prefix, tags in grammar.tags.items() for key in tags]
    dotted += [(f"{entity}s", key) for entity, keys in grammar.keys.items() for key in keys]
    for prefix, key in dotted:
        assert re.search(rf"\| `{prefix}\.({key}`|[^|]*`\.{key}`)", PAGE), f"{prefix}.{key}"
    assert all(f"`metrics.loss.{name}`" in PAGE for name in SUMMARY_AGGREGATES)
