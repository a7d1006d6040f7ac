"""`headrace topics`: the topics of a log on Kafka, made, listed and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from headrace.ingest.kafka_settings import parse
from headrace.ingest.log import LogError
from headrace.ingest.opening import require_kafka
from headrace.sdk.cli.output import Failed, print_json, print_rows, say
from headrace.sdk.cli.target import json_option

if TYPE_CHECKING:
    from headrace.ingest.kafka_admin import KafkaAdmin
    from headrace.ingest.kafka_topics import Difference, Wanted

Command = TypeVar("Command", bound=Callable[..., Any])

_DAY_MS = 86_400_000

_log_option = click.option(
    "--log",
    "url",
    metavar="URL",
    envvar="HEADRACE_LOG",
    required=True,
    help="The log, kafka://host:9092[/prefix]; HEADRACE_LOG if left out.",
)


def _wanted_options(command: Command) -> Command:
    for option in (
        click.option(
            "--retention", type=click.FloatRange(0, min_open=True), help="Days that events are kept. [forever]"
        ),
        click.option(
            "--min-insync-replicas",
            type=click.IntRange(1),
            help="Replicas that must have an event before it is acknowledged. [all but one]",
        ),
        click.option(
            "--replication-factor",
            type=click.IntRange(1, 32767),
            help="Replicas of each partition. [3, or as many as there are brokers]",
        ),
        click.option("--partitions", type=click.IntRange(1, 10_000), help="Of runs and of metrics. [12]"),
        _log_option,
    ):
        command = option(command)
    return command


@click.group()
def topics() -> None:
    """Make, check or list the topics of a log on Kafka.

    URL is kafka://host:9092[,host2:9092][/prefix][?property=value]; properties of librdkafka may stand in the file that
    HEADRACE_KAFKA_CONFIG names, too. A log in a data folder needs none of this.
    """


@topics.command()
@_wanted_options
@json_option
def create(url: str, as_json: bool, **given: Any) -> None:
    """Make the topics that are not there, with the settings the log rests on.

    Those that are there are left as they are, so it is safe to repeat. Exit code 1 when one of them is not as it should
    be.
    """
    with _admin(url) as admin:
        wanted = _wanted(given)
        made = admin.create(wanted)
        found = admin.check(wanted)
    if as_json:
        print_json({"log": admin.settings.name, "created": [n for n, new in made.items() if new], **_as_json(found)})
    else:
        for name, new in made.items():
            say(f"{name}: {'made' if new else 'there already'}")
    _tell(found, as_json)


@topics.command()
@_wanted_options
@json_option
def check(url: str, as_json: bool, **given: Any) -> None:
    """See whether every topic is there and is as it should be.

    Without an option, the number of partitions and replicas may be any. Exit code 1, and what to do, if not.
    """
    with _admin(url) as admin:
        found = admin.check(_wanted(given))
    if as_json:
        print_json({"log": admin.settings.name, **_as_json(found)})
    elif not found:
        say(f"The topics of {admin.settings.name} are as they should be.")
    _tell(found, as_json)


@topics.command("list")
@_log_option
@json_option
def list_(url: str, as_json: bool) -> None:
    """List the topics with their partitions, replicas and number of events."""
    with _admin(url) as admin:
        found = admin.found()
        counts = {one.topic: one.partitions for one in found}
        begins, ends = (admin.begins(counts), admin.ends(counts)) if counts else ({}, {})
    rows = [
        {
            "topic": admin.settings.topic(one.topic),
            "partitions": one.partitions,
            "replicas": one.replicas,
            "in_sync": one.in_sync,
            "min_in_sync": int(one.settings.get("min.insync.replicas", 1)),
            "retention_days": _days(one.settings.get("retention.ms", "-1")),
            "events": sum(end - begins[place] for place, end in ends.items() if place.topic == one.topic),
        }
        for one in found
    ]
    if as_json:
        print_json({"log": admin.settings.name, "topics": rows})
        return
    columns = ("topic", "partitions", "replicas", "in sync", "min in sync", "kept", "events")
    print_rows(columns, [_row(row) for row in rows])
    if not rows:
        say(f"{admin.settings.name} has no topics; make them with `headrace topics create`")


@contextmanager
def _admin(url: str) -> Iterator[KafkaAdmin]:
    """The administration of a log; what fails in the block is one line."""
    try:
        settings = parse(url)
        require_kafka()
        from headrace.ingest.kafka_admin import KafkaAdmin  # an optional extra

        yield KafkaAdmin(settings)
    except LogError as error:
        raise Failed(str(error)) from error


def _wanted(given: dict[str, Any]) -> Wanted:
    from headrace.ingest.kafka_topics import Wanted

    return Wanted(given["partitions"], given["replication_factor"], given["min_insync_replicas"], given["retention"])


def _as_json(found: Sequence[Difference]) -> dict[str, Any]:
    keys = ("topic", "setting", "expected", "actual", "advice")
    return {"ok": not found, "differences": [{key: getattr(one, key) for key in keys} for one in found]}


def _tell(found: Sequence[Difference], as_json: bool) -> None:
    """Each difference as a line, and exit code 1, if there is one."""
    if not found:
        return
    if not as_json:
        for one in found:
            say(one.advice)
    raise click.exceptions.Exit(1)


def _days(retention_ms: str) -> float | None:
    """A retention in days; None for ever."""
    return None if retention_ms == "-1" else int(retention_ms) / _DAY_MS


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    days = row["retention_days"]
    kept = "forever" if days is None else f"{days:g} days"
    return tuple(kept if key == "retention_days" else value for key, value in row.items())
