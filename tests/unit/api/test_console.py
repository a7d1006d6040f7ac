"""What a run printed is told from its end backwards, and from any place on."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.api.console import CHARS_MAX
from headrace.ingest import codec, events
from headrace.ingest.envelope import Envelope

from tests.unit.api.conftest import Server


def printed(server: Server, run_id: str, *texts: str, stream: str = "stdout") -> None:
    written = [events.ConsoleWritten(stream, text) for text in texts]
    server.log.append([Envelope("c", codec.type_of(x), "test", run_id, 5, codec.encode_event(x)) for x in written])


def console(server: Server, run_id: str, status: int = 200, **query: Any) -> Any:
    response = server.call("GET", f"/api/headrace/v1/runs/{run_id}/console", params=query)
    assert response.status_code == status, response.text
    return response.json()


def texts(told: Any) -> list[str]:
    return [piece["text"] for piece in told["pieces"]]


def test_a_run_that_printed_nothing_has_an_empty_console(server: Server) -> None:
    assert console(server, server.new_run()) == {"pieces": [], "more": False}


def test_the_end_comes_first_and_each_page_before_it_joins_on(server: Server) -> None:
    run_id = server.new_run()
    printed(server, run_id, *"abcde")
    last = console(server, run_id, max_results=2)
    assert (texts(last), last["more"]) == (["d", "e"], True)
    middle = console(server, run_id, max_results=2, before=last["pieces"][0]["offset"])
    assert (texts(middle), middle["more"]) == (["b", "c"], True)
    first = console(server, run_id, max_results=2, before=middle["pieces"][0]["offset"])
    assert (texts(first), first["more"]) == (["a"], False)


def test_what_comes_is_read_after_what_is_known(server: Server) -> None:
    run_id = server.new_run()
    printed(server, run_id, "a", "b")
    known = console(server, run_id)["pieces"][-1]["offset"]
    assert texts(console(server, run_id, after=known)) == []
    printed(server, run_id, "c", "d", "e")
    told = console(server, run_id, after=known, max_results=2)
    assert (texts(told), told["more"]) == (["c", "d"], True)
    assert texts(console(server, run_id, after=-1)) == list("abcde")


def test_each_stream_can_be_read_alone(server: Server) -> None:
    run_id = server.new_run()
    printed(server, run_id, "out")
    printed(server, run_id, "warning", stream="stderr")
    assert texts(console(server, run_id, stream="stderr")) == ["warning"]
    assert [x["stream"] for x in console(server, run_id)["pieces"]] == ["stdout", "stderr"]


def test_an_answer_is_bounded_but_a_page_is_never_empty(server: Server) -> None:
    run_id = server.new_run()
    printed(server, run_id, "x" * CHARS_MAX, "y" * CHARS_MAX, "z")
    last = console(server, run_id)
    assert [text[0] for text in texts(last)] == ["y", "z"]
    assert last["more"]
    before = console(server, run_id, before=last["pieces"][0]["offset"])
    assert ([text[0] for text in texts(before)], before["more"]) == (["x"], False)


@pytest.mark.parametrize("query", [{"after": "-2"}, {"before": "x"}, {"stream": "stdin"}, {"max_results": 0}])
def test_what_makes_no_sense_is_refused(server: Server, query: dict[str, Any]) -> None:
    console(server, server.new_run(), 400, **query)


def test_a_run_that_is_not_there_has_no_console(server: Server) -> None:
    console(server, "nobody", 404)
