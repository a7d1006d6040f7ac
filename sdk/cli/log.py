"""`headrace log`: copies a log from one driver to another, checks every record, follows what comes."""

from __future__ import annotations

import dataclasses
import os
import select
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import click
import msgspec
from headrace.ingest import copying, moments, tailing, verifying
from headrace.ingest.log import HistoryLog, LogError, LogUnavailable, Offsets, Partition, Record
from headrace.ingest.merging import BYTES_MAX, RECORDS_MAX, in_order
from headrace.ingest.opening import open_log
from headrace.ingest.topics import TOPICS
from headrace.sdk.cli.log_lines import json_line, text_line
from headrace.sdk.cli.log_progress import progress
from headrace.sdk.cli.output import Failed, moment, print_json, print_rows, say, size
from headrace.sdk.cli.target import json_option

LAST = 10
POLL_S = 1.0
UNAVAILABLE_S_MAX = 60.0
"""So long `tail` waits for a log that does not answer to come back."""


@click.group()
def log() -> None:
    """Copy, check and follow a log.

    A log is a data folder, file:///folder, or kafka://host:9092[/prefix].
    """


@contextmanager
def opened(uri: str, must_exist: bool = True) -> Iterator[HistoryLog]:
    """A log for as long as the block lasts; what fails in it is one line."""
    try:
        with closing(open_log(uri, must_exist)) as found:
            yield found
    except LogError as error:
        raise Failed(str(error)) from error


def parsed(texts: Sequence[str], flag: str) -> moments.Moment:
    """A moment from a flag's values."""
    try:
        return moments.parse(texts)
    except moments.BadMoment as error:
        raise click.BadParameter(str(error), param_hint=flag) from error


@log.command()
@click.argument("from_", metavar="FROM")
@click.argument("to", metavar="TO")
@click.option(
    "--until",
    multiple=True,
    metavar="TIME|POSITION",
    help="Only what was logged until then: a time (ISO 8601 or ms), or topic/partition/offset; may be repeated.",
)
@json_option
def copy(from_: str, to: str, until: tuple[str, ...], as_json: bool) -> None:
    """Copy the whole history of the log FROM into the log TO.

    Envelopes stay byte for byte, each subject's events in order, and each the time at which it was logged. TO must be
    empty, or an unfinished copy: run it again after a stop or a kill, or when FROM has grown, and it goes on exactly
    where TO ends. Let nothing else write to TO meanwhile.
    """
    cut = parsed(until, "--until") if until else None
    started_s = time.monotonic()
    with opened(from_) as source, opened(to, must_exist=False) as target, progress() as told:

        def tell(now: copying.Progress) -> None:
            all_ = now.sum()
            what = "copying" if all_.copied else "comparing what is there"
            told(what, all_.found + all_.copied, all_.total)

        done = copying.Progress()
        try:
            ends = cut.resolve(source) if cut is not None else None
            done = copying.copy(source, target, ends, tell)
        except KeyboardInterrupt:
            raise Failed("stopped; run the same command again, and it goes on where it was") from None
    seconds = time.monotonic() - started_s
    if as_json:
        topics = {name: dataclasses.asdict(one) for name, one in done.topics.items()}
        print_json({**dataclasses.asdict(done.sum()), "seconds": round(seconds, 3), "topics": topics})
        return
    rows = [(name, one.total, one.found, one.copied, size(one.bytes)) for name, one in done.topics.items()]
    print_rows(("topic", "records", "there before", "copied", "data"), rows)
    copied = done.sum().copied
    say(f"{copied:,} records copied in {seconds:.1f} s, {copied / max(seconds, 1e-3):,.0f} a second")


@log.command()
@click.argument("log_", metavar="LOG")
@json_option
def verify(log_: str, as_json: bool) -> None:
    """Check every record of a log.

    That attributes and data can be read, that it lies in the topic and partition of its type and subject, that times
    and offsets rise, and that no writer's sequence has a gap. Types of the future are listed and are no fault. Exit
    code 1 when something is wrong.
    """
    started_s = time.monotonic()
    with opened(log_) as found, progress() as told:
        begins, ends = found.begin(), found.end()
        total = sum(end - begins[one] for one, end in ends.items())
        report = verifying.verify(found, lambda now: told("checking", now.records(), total))
    seconds = time.monotonic() - started_s
    faults = report.fault_count()
    if as_json:
        summary = {"ok": not faults, "records": report.records(), "fault_count": faults, "seconds": round(seconds, 3)}
        print_json({**summary, **msgspec.to_builtins(report)})
    else:
        _tell_report(report, seconds)
    if faults:
        raise click.exceptions.Exit(1)


def _tell_report(report: verifying.Report, seconds: float) -> None:
    columns = (
        "partition", "records", "data", "points", "writers", "sent again", "missing", "first (UTC)", "last (UTC)",
        "faults",
    )  # fmt: skip
    rows = [
        (
            f"{one.topic}/{one.partition}", one.records, size(one.bytes), one.points, one.writers, one.repeats,
            one.missing, moment(one.first_ms), moment(one.last_ms), sum(one.faults.values()),
        )
        for one in report.partitions
    ]  # fmt: skip
    print_rows(columns, rows)
    for one in report.partitions:
        for name, count in sorted(one.unknown.items()):
            say(f"{one.topic}/{one.partition}: {count:,} of {name}, which this version does not know")
    for fault in report.faults:
        say(f"fault: {fault.place}: {fault.reason}")
    faults = report.fault_count()
    if faults > len(report.faults):
        say(f"… and {faults - len(report.faults):,} more")
    for kind, count in sorted(_by_kind(report).items()):
        say(f"{count:,} {verifying.FAULTS[kind]}")
    records = report.records()
    rate = f"{records:,} records in {seconds:.1f} s, {records / max(seconds, 1e-3):,.0f} a second"
    say(f"{'all is well' if not faults else f'{faults:,} faults'}: {rate}")


def _by_kind(report: verifying.Report) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in report.partitions:
        for kind, count in one.faults.items():
            counts[kind] = counts.get(kind, 0) + count
    return counts


@log.command()
@click.argument("log_", metavar="LOG")
@click.option(
    "--from",
    "from_",
    multiple=True,
    metavar="MOMENT",
    help="Begin there: beginning, end, a time (ISO 8601 or ms), or topic/partition/offset; may be repeated.",
)
@click.option("-n", "--lines", type=click.IntRange(0), help=f"Begin with the last so many.  [default: {LAST}]")
@click.option("--topic", multiple=True, type=click.Choice([*TOPICS]), help="Only of this topic; may be repeated.")
@click.option("--subject", "--run", multiple=True, help="Only of this run, experiment or model; may be repeated.")
@click.option("--type", "type_", multiple=True, help="Only of this type, such as 'run.*'; may be repeated.")
@click.option("--no-follow", is_flag=True, help="End at the log's end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line.")
def tail(
    log_: str,
    from_: tuple[str, ...],
    lines: int | None,
    topic: tuple[str, ...],
    subject: tuple[str, ...],
    type_: tuple[str, ...],
    no_follow: bool,
    as_json: bool,
) -> None:
    """Print the last events of a log, and then those that come, until Ctrl-C.

    A line each: when it was logged (UTC), its position, its type, its subject, what it says; for metric points, how
    many, and each metric's last value.
    """
    if from_ and lines is not None:
        raise click.UsageError("--from and -n say both where to begin; give one")
    wanted = tailing.Wanted(topic, subject, type_)
    try:
        with opened(log_) as found:
            partitions = wanted.partitions(found)
            ends = {one: end for one, end in found.end().items() if one in partitions}
            if from_:
                _print(wanted.of(in_order(found, _starts(found, partitions, from_), ends)), as_json)
            else:
                _print(tailing.last(found, wanted, ends, LAST if lines is None else lines), as_json)
            if not no_follow and ends:
                _follow(found, wanted, ends, as_json)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Python would write to it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _starts(found: HistoryLog, partitions: Sequence[Partition], from_: Sequence[str]) -> Offsets:
    texts = [text for text in from_ if text not in ("beginning", "end")]
    given = parsed(texts, "--from") if texts else moments.Moment()
    starts = tailing.starts_of(found, partitions, given)
    if "beginning" in from_:
        begins = found.begin()
        return {one: given.offsets.get(one, begins[one]) for one in partitions}
    return starts


def _follow(found: HistoryLog, wanted: tailing.Wanted, starts: Offsets, as_json: bool) -> None:
    heard_s = time.monotonic()
    with closing(found.follow(starts)) as follower:
        while True:
            try:
                records = follower.poll(RECORDS_MAX, BYTES_MAX, POLL_S)
            except LogUnavailable as error:
                if time.monotonic() - heard_s > UNAVAILABLE_S_MAX:
                    raise
                say(f"{error}; trying again")
                time.sleep(POLL_S)
                continue
            heard_s = time.monotonic()
            _print(wanted.of(records), as_json)


def _print(records: Iterable[Record], as_json: bool) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for record in records:
        click.echo(json_line(record) if as_json else text_line(record, width))
    if _is_closed(sys.stdout):
        raise BrokenPipeError


def _is_closed(stream: Any) -> bool:
    """Whether nobody reads a pipe any more."""
    if not hasattr(select, "poll"):
        return False
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))
