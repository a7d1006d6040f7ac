"""What the commands print: valid JSON, one line a row, figures people can read."""

from __future__ import annotations

import json
import math

import pytest
from headrace.sdk.cli import output


def test_json_has_what_json_lacks_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"nan": math.nan, "list": (math.inf, -math.inf, 1.5), 3: "é"})
    printed = capsys.readouterr().out
    assert json.loads(printed, parse_constant=pytest.fail) == {
        "nan": "NaN", "list": ["Infinity", "-Infinity", 1.5], "3": "é"
    }  # fmt: skip


def test_a_row_is_a_line_whatever_its_values_hold(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows(("a", "b", "c"), [("x" * 500, "tab\tline\nescape\x1b[2J", None), (1, 0.1 + 0.2, True)])
    assert capsys.readouterr().out.splitlines() == [
        "a\tb\tc",
        "x" * 500 + "\ttab\\tline\\nescape\\x1b[2J\t",
        "1\t0.3\tyes",
    ]


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "text"),
    [
        (0, 1500, "1.5s"), (0, 65_000, "1m 05s"), (0, 3_720_000, "1h 02m"), (10, 0, "0.0s"), (None, 1, None),
        (1, None, None),
    ],
)  # fmt: skip
def test_durations(start_ms: int | None, end_ms: int | None, text: str | None) -> None:
    assert output.duration(start_ms, end_ms) == text


def test_moments_are_utc_and_a_time_no_calendar_has_is_shown_as_it_is() -> None:
    assert output.moment(1_700_000_000_000) == "2023-11-14 22:13:20"
    assert output.moment(2**62) == str(2**62)
    assert output.moment(None) is None


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (3_200_000, "3.2 MB"), (5 * 10**15, "5000.0 TB")]
)
def test_sizes(count: int, text: str) -> None:
    assert output.size(count) == text
