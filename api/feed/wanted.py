"""Which events a reader of the feed wants, and in which partitions such events can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Partition
from headrace.ingest.partitioning import partition_of
from headrace.ingest.topics import METRICS, REGISTRY, RUNS, topic_of
from headrace.processors.model_registry import Models

GIVEN_MAX = 1000
"""So many experiments, runs or types can be named."""
_PREFIX = "headrace."


class BadFilter(ValueError):
    """This filter names nothing that could be; the message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter: events of these experiments, runs, registered models, of these types; each of all where it is empty.

    types and prefixes: whole types, and what types begin with. Experiments are for `Experiments` to look into.
    model_of: the id of the registered model that events of a subject are about.
    """

    experiment_ids: frozenset[str] = frozenset()
    run_ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    model_ids: frozenset[str] = frozenset()
    model_of: Callable[[str], str] = str

    def takes(self, envelope: Envelope) -> bool:
        """Whether an event is wanted, by its type, run and registered model."""
        if self.model_ids and self.model_of(envelope.subject) not in self.model_ids:
            return False
        if self.run_ids and envelope.subject not in self.run_ids:
            return False
        if not self.types and not self.prefixes:
            return True
        return envelope.type in self.types or envelope.type.startswith(self.prefixes)

    def partitions(self, there: Sequence[Partition]) -> list[Partition]:
        """Those of the partitions that can hold such events."""
        topics = self._topics()
        counts = {one.topic: sum(other.topic == one.topic for other in there) for one in there}
        return [
            one
            for one in there
            if (topics is None or one.topic in topics)
            and (not self.model_ids or one.topic == REGISTRY)
            and (
                not self.run_ids
                or (
                    one.topic in (RUNS, METRICS)
                    and one.partition in {partition_of(run_id, counts[one.topic]) for run_id in self.run_ids}
                )
            )
        ]

    def _topics(self) -> set[str] | None:
        """The topics that such types go to; None for any."""
        if not self.types and not self.prefixes:
            return None
        if any(prefix.count(".") < 2 for prefix in self.prefixes):
            return None
        return {topic_of(one) for one in (*self.types, *self.prefixes)}


def wanted(experiment_ids: Iterable[str], run_ids: Iterable[str], types: Iterable[str]) -> Wanted:
    """A filter from what was given: each item a value, or several with commas between.

    types: whole (`headrace.run.created`) or with a `*` at the end (`headrace.run.*`); `headrace.` may be left out.
    Raises BadFilter.
    """
    whole, prefixes = set(), set()
    for name in _parts(types, "types"):
        if "*" in name[:-1]:
            raise BadFilter(f"types: {name!r} has a * before its end; say such as 'headrace.run.*'")
        named = name if name.startswith(_PREFIX) or name == "*" else _PREFIX + name
        if named.endswith("*"):
            prefixes.add(named[:-1])
        else:
            whole.add(named)
    experiments, runs = _parts(experiment_ids, "experiment_ids"), _parts(run_ids, "run_ids")
    return Wanted(frozenset(experiments), frozenset(runs), frozenset(whole), tuple(sorted(prefixes)))


def of_models(which: Wanted, models: Iterable[str], models_there: Models) -> Wanted:
    """The filter, of these registered models only, which are named by name or id. Raises BadFilter."""
    ids = set()
    for named in _parts(models, "models"):
        found = models_there.by_name.get(named) or models_there.of_subject(named)
        if found is None:
            raise BadFilter(f"models: there is no registered model {named!r}")
        ids.add(found.registered_model_id)

    def model_of(subject: str) -> str:
        found = models_there.of_subject(subject)
        return subject if found is None else found.registered_model_id

    return replace(which, model_ids=frozenset(ids), model_of=model_of)


def _parts(given: Iterable[str], name: str) -> list[str]:
    found = [part for text in given for one in text.split(",") if (part := one.strip())]
    if len(found) > GIVEN_MAX:
        raise BadFilter(f"{name}: {len(found)} are named, and at most {GIVEN_MAX} can be; leave it out for all")
    return found
