"""Single rules of a run's fold."""

from __future__ import annotations

from headrace.ingest import codec, events
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Position, Record
from headrace.processors.runs import RunState, apply


def folded(*happened: events.Event) -> RunState:
    state = None
    for offset, event in enumerate(happened):
        envelope = Envelope(str(offset), codec.type_of(event), "t", "r", 5, codec.encode_event(event))
        state, _ = apply(state, Record(Position("runs", 0, offset), 7, envelope), event)
    assert state is not None
    return state


def used(name: str, context: str) -> events.DatasetInput:
    return events.DatasetInput(events.Dataset(name, "1"), {"mlflow.data.context": context})


def test_a_data_set_keeps_the_tags_it_was_first_logged_with() -> None:
    state = folded(
        events.InputsLogged([used("a", "train")]), events.InputsLogged([used("a", "eval"), used("b", "eval")])
    )
    assert state.inputs.datasets == [used("a", "train"), used("b", "eval")]


def test_what_came_before_a_runs_creation_stays() -> None:
    state = folded(
        events.AttributesLogged({"lr": "1"}, {"t": "x"}), events.RunCreated("9", 3, params={"lr": "2", "n": "4"})
    )
    assert (state.created, state.experiment_id, state.params, state.tags["t"]) == (
        True,
        "9",
        {"lr": "1", "n": "4"},
        "x",
    )
