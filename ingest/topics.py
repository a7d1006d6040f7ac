"""The topics of the log: one table, and the rule that sends an event type to its topic."""

from __future__ import annotations

from dataclasses import dataclass

RUNS = "runs"
METRICS = "metrics"
REGISTRY = "registry"
DEAD_LETTERS = "dead_letters"
FOLDED = (REGISTRY, RUNS, METRICS)
"""The topics that are folded into views."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its name, what its records are keyed by, and what travels in it.

    partitions is the count on Kafka unless `headrace topics create` is told another; the embedded log has one partition
    of each. one_partition: it is one there too, and readers rely on its order. retention_days: how long Kafka keeps
    records, forever if it is None; the embedded log keeps all.
    """

    name: str
    key: str
    partitions: int
    content: str
    one_partition: bool = False
    retention_days: float | None = None


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic(RUNS, "run id", 12, "a run's life cycle, params, tags, inputs, outputs and artifacts, as JSON"),
        Topic(METRICS, "run id", 12, "metric points, as Arrow IPC record batches"),
        Topic(
            REGISTRY,
            "entity id",
            1,
            "experiments and, later, registered models; totally ordered, as JSON",
            one_partition=True,
        ),
        Topic(DEAD_LETTERS, "as it came", 1, "events no fold could read, each with the reason", True, 90),
    )
}

_TOPIC_OF_KIND = {"run": RUNS, "prediction": RUNS, "metrics": METRICS, "event": DEAD_LETTERS}
_OF_NO_RUN = "headrace.prediction."


def topic_of(event_type: str) -> str:
    """The topic of a type: `headrace.run.*` and `headrace.prediction.*` in runs, `headrace.metrics.*` in metrics, all
    others in registry.

    The rule holds for types of the future too, so an old server files a new type where a new server will look for it.
    """
    parts = event_type.split(".")
    return _TOPIC_OF_KIND.get(parts[1] if len(parts) > 1 else "", REGISTRY)


def is_of_run(event_type: str) -> bool:
    """Whether an event of the topics of runs or metrics is about a run. Predictions are about an endpoint."""
    return not event_type.startswith(_OF_NO_RUN)
