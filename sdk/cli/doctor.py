"""`headrace doctor`: what is installed, what is reachable, how far each view is behind, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from headrace.ingest.kafka_settings import is_kafka, parse
from headrace.ingest.log import LogError
from headrace.sdk.artifacts import Stage
from headrace.sdk.cli.output import Failed, print_json, print_rows, say, size
from headrace.sdk.cli.server import SERVER_PACKAGES
from headrace.sdk.cli.target import Target, json_option, pass_target
from headrace.sdk.reader import Reader, ReadFailed
from headrace.sdk.settings import BadSetting, config_path
from headrace.sdk.spool import Spool
from headrace.sdk.sync import writer_directories
from headrace.sdk.transport import is_http, shown
from headrace.sdk.version import VERSION

DISTRIBUTIONS = (
    "click", "httpx", "msgspec", "pandas", "psutil", "pyarrow", "rich", "clickhouse-connect", "chdb", "fastapi",
    "uvicorn", "prometheus-client", "scikit-learn", "nvidia-ml-py", "mlflow",
)  # fmt: skip
EXTRAS = {"server": SERVER_PACKAGES, "demo": (*SERVER_PACKAGES, "sklearn"), "gpu": ("pynvml",)}
DISK_FREE_BYTES_MIN = 1_000_000_000


@dataclass(slots=True)
class Findings:
    """What was found. problems: what is wrong, each with what to do."""

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)

    def wrong(self, what: str, remedy: str) -> None:
        """Note something wrong."""
        self.problems.append({"what": what, "remedy": remedy})


@click.command()
@json_option
@pass_target
def doctor(target: Target, as_json: bool) -> None:
    """Say what is installed, what is reachable, how far each view is behind, and what waits to be shipped.

    Exit code 1 when something is wrong; each finding says what to do about it.
    """
    found = Findings()
    found.facts["python"] = platform.python_version()
    found.facts["headrace"] = VERSION
    found.facts["packages"] = {name: _version(name) for name in DISTRIBUTIONS}
    found.facts["extras"] = {name: all(map(find_spec, packages)) for name, packages in EXTRAS.items()}
    try:
        settings = target.settings()
        uri = target.uri()
    except BadSetting as error:
        found.facts |= {"tracking_uri": None, "tracking_uri_from": None, "server": None, "spool": None, "disk": []}
        found.wrong(str(error), "correct the flag, the variable or the settings file that it names")
    else:
        found.facts["tracking_uri"] = shown(uri)
        found.facts["tracking_uri_from"] = target.origin()
        found.facts["settings_file"] = str(config_path()) if config_path().exists() else None
        server_uri = settings.artifacts_uri if is_kafka(uri) else uri
        if is_kafka(uri):
            _log(found, uri)
        found.facts["server"] = _server(found, target, server_uri) if server_uri else None
        found.facts["spool"] = _spool(found, Path(settings.spool_dir))
        data_dir = (found.facts["server"] or {}).get("data_dir")
        found.facts["disk"] = _disks(found, [settings.spool_dir, *([data_dir] if data_dir else [])])
    if as_json:
        print_json({"ok": not found.problems, **found.facts, "problems": found.problems})
    else:
        _tell(found)
    if found.problems:
        raise click.exceptions.Exit(1)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _log(found: Findings, uri: str) -> None:
    """What is wrong with the topics that events go to."""
    from headrace.ingest.kafka_admin import KafkaAdmin  # an optional extra
    from headrace.ingest.kafka_topics import Wanted

    try:
        for one in KafkaAdmin(parse(uri)).check(Wanted()):
            found.wrong(one.advice, f"see it with `headrace topics check --log {shown(uri)}`")
    except LogError as error:
        found.wrong(str(error), "events wait in the spool until it is corrected")


def _server(found: Findings, target: Target, uri: str) -> dict[str, Any] | None:
    """What the server says of itself, after a read that had it bring its views up to date."""
    try:
        reader = target.reader()
        start_s = time.monotonic()
        reader.ready()
        latency_ms = round((time.monotonic() - start_s) * 1000, 1)
    except (ReadFailed, Failed) as error:
        message = error.format_message() if isinstance(error, Failed) else str(error)
        remedy = "start one with `headrace server`, or name another with --tracking-uri or HEADRACE_TRACKING_URI"
        found.wrong(f"no answer from {uri}: {message}", remedy)
        return None
    try:
        behind_at_first = _behind(reader.call("GET", "/api/headrace/v1/status"))
        _catch_up(found, reader)
        status = reader.call("GET", "/api/headrace/v1/status")
        views = _behind(status)
        server = {
            "version": str(status["version"]),
            "latency_ms": latency_ms,
            "data_dir": status.get("data_dir") if is_local(uri) else None,
            "stored_by": status.get("stored_by"),
            "fault": status.get("fault"),
            "views": views,
            "behind_when_asked": sum(view["behind"] for view in behind_at_first),
            "counters": status.get("counters", {}),
        }
    except (ReadFailed, KeyError, TypeError, ValueError) as error:
        found.wrong(
            f"{uri} answers, but not as a Headrace server ({error})",
            "it may be an MLflow server, or another program: name a Headrace server with --tracking-uri",
        )
        return {"version": None, "latency_ms": latency_ms}
    if server["fault"]:
        found.wrong(
            f"the server cannot write its views: {server['fault']}",
            "nothing is lost, the log has it; make room on the server's disk or restart it, and it catches up",
        )
    behind = sum(view["behind"] for view in views)
    if behind and server["stored_by"] == "workers":
        found.wrong(
            f"the views are {behind:,} events behind the log",
            "nothing is lost; see that `headrace worker` runs, and what it prints: it reads the same log",
        )
    if server["version"] != VERSION:
        say(f"the server is version {server['version']}, this is {VERSION}")
    return server


def _catch_up(found: Findings, reader: Reader) -> None:
    try:
        reader.call("POST", "/api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"], "max_results": 1})
    except ReadFailed as error:
        found.wrong(
            f"the server does not answer a search: {error}",
            "its views may be behind for long: ask again in a minute, then look at what the server prints",
        )


def _behind(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "topic": str(one["topic"]),
            "partition": int(one["partition"]),
            "end": int(one["end"]),
            "viewed": int(one["viewed"]),
            "behind": max(0, int(one["end"]) - int(one["viewed"])),
        }
        for one in status["partitions"]
    ]


def is_local(uri: str) -> bool:
    """Whether the server's folder is on this machine."""
    return not is_http(uri) or uri.split("://", 1)[1].startswith(("127.", "localhost", "[::1]"))


def _spool(found: Findings, folder: Path) -> dict[str, Any]:
    """What the writers in the spool have not shipped. A dead writer's lock is held for a moment to look."""
    writers = []
    for directory in writer_directories(folder):
        spool = Spool(directory)
        target = shown(str(spool.meta().get("target", "")))
        if not spool.adopt():
            writers.append({"writer": directory.name, "alive": True, "target": target})
            continue
        try:
            waiting = Stage(directory).waiting()
            unsent = spool.bytes_left() + sum(one.size for one in waiting)
            told = {"writer": directory.name, "alive": False, "target": target, "unsent_bytes": unsent}
            writers.append({**told, "artifacts": len(waiting), "refused": spool.has_rejected()})
        except OSError as error:
            found.wrong(f"the spool {directory} cannot be read: {error}", "correct its owner and permissions")
            continue
        finally:
            spool.release()
        if unsent:
            found.wrong(
                f"a trainer that is gone left {size(unsent)} for {target or 'no known target'} in {directory}",
                f"run `headrace sync {folder}`" + ("" if target else " --to URI"),
            )
        elif spool.has_rejected():
            found.wrong(
                f"the target refused a part of what {directory.name} sent",
                f"look at the reasons in {directory}/rejected, then delete {directory}",
            )
    return {"directory": str(folder), "writers": writers}


def _disks(found: Findings, folders: list[str]) -> list[dict[str, Any]]:
    disks = []
    for folder in folders:
        path = Path(folder)
        while not path.exists() and path != path.parent:
            path = path.parent
        usage = shutil.disk_usage(path)
        disks.append({"directory": folder, "free_bytes": usage.free, "total_bytes": usage.total})
        if usage.free < DISK_FREE_BYTES_MIN:
            found.wrong(f"only {size(usage.free)} are free for {folder}", "make room on that disk, or move the folder")
    return disks


def _tell(found: Findings) -> None:
    """The facts as rows, the problems below them."""
    facts = found.facts
    rows: list[tuple[str, Any]] = [("headrace", facts["headrace"]), ("Python", facts["python"])]
    rows += [(name, installed or "not installed") for name, installed in facts["packages"].items()]
    for name, installed in facts["extras"].items():
        rows.append((f"headrace[{name}]", "installed" if installed else f'pip install "headrace[{name}]"'))
    rows.append(("tracking URI", f"{facts['tracking_uri']} (from {facts['tracking_uri_from']})"))
    server = facts["server"]
    if server is not None and server["version"] is not None:
        rows.append(("server", f"version {server['version']}, answers in {server['latency_ms']} ms"))
        rows.append(("views written by", server["stored_by"] or "this server"))
        rows.append(("fault", server["fault"] or "none"))
        for view in server["views"]:
            name = f"view of {view['topic']}/{view['partition']}"
            rows.append((name, f"at {view['viewed']:,} of {view['end']:,}, {view['behind']:,} behind"))
    if facts["spool"] is not None:
        writers = facts["spool"]["writers"]
        alive = sum(writer["alive"] for writer in writers)
        rows.append(("spool", f"{facts['spool']['directory']}: {alive} living writers, {len(writers) - alive} dead"))
    for disk in facts["disk"]:
        rows.append(("disk", f"{size(disk['free_bytes'])} free for {disk['directory']}"))
    print_rows(("what", "found"), rows)
    for problem in found.problems:
        say(f"problem: {problem['what']}\n  to do: {problem['remedy']}")
    say("all is well" if not found.problems else f"{len(found.problems)} problems")
