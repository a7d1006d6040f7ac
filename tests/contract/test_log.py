"""What every log promises, on each log there is."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from headrace.ingest.clock import ManualClock
from headrace.ingest.codec import decode_event
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.erasing import ErasableLog, Held
from headrace.ingest.events import EventRejected
from headrace.ingest.log import Follower, Log, LogError, Partition, Position, Record
from headrace.ingest.memory import MemoryLog
from headrace.ingest.opening import open_log
from headrace.ingest.partitioning import partition_of
from headrace.ingest.sqlite import SqliteLog

RUNS, METRICS, REGISTRY = Partition("runs", 0), Partition("metrics", 0), Partition("registry", 0)
EVERYTHING = (10**6, 2**40)
NOW_MS = 1_000


def event(number: int, data: bytes = b"{}", kind: str = "headrace.run.heartbeat") -> Envelope:
    return Envelope(str(number), kind, "test", f"r{number}", number, data)


def ids(log: Log, partition: Partition = RUNS) -> list[str]:
    return [record.envelope.id for record in log.read(partition, 0, *EVERYTHING)]


@pytest.fixture(params=["memory", "sqlite", "kafka", "kafka_container"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """Each log there is, with one partition a topic."""
    made = make_log(request, tmp_path, partitions=1)
    yield made
    made.close()


@pytest.fixture(params=["memory", "kafka", "kafka_container"])
def wide_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """Each log that may have several partitions a topic, with five."""
    made = make_log(request, tmp_path, partitions=5)
    yield made
    made.close()


def make_log(request: pytest.FixtureRequest, tmp_path: Path, partitions: int) -> Log:
    clock = ManualClock(NOW_MS)
    if request.param == "memory":
        return MemoryLog(clock, {"runs": partitions, "metrics": partitions})
    if request.param == "sqlite":
        return SqliteLog(tmp_path / "log.db", clock)
    pytest.importorskip("confluent_kafka")
    return open_log(request.getfixturevalue(request.param).new_log(partitions))


def test_an_empty_log_ends_at_zero_everywhere_and_has_nothing_to_read(log: Log) -> None:
    assert log.end() == dict.fromkeys(log.partitions(), 0)
    assert log.read(RUNS, 0, *EVERYTHING) == []


def test_offsets_count_from_zero_without_gaps_in_the_order_of_appends(log: Log) -> None:
    for number in range(0, 20, 2):
        log.append([event(number), event(number + 1)])
    records = log.read(RUNS, 0, *EVERYTHING)
    assert [record.position.offset for record in records] == list(range(20))
    assert [record.envelope.id for record in records] == [str(number) for number in range(20)]
    assert log.end()[RUNS] == 20


def test_positions_come_in_the_order_given_across_topics(log: Log) -> None:
    kinds = ["headrace.run.deleted", "headrace.metrics.logged", "headrace.experiment.deleted", "headrace.run.restored"]
    positions = log.append([event(i, kind=kind) for i, kind in enumerate(kinds)])
    assert positions == [
        Position("runs", 0, 0),
        Position("metrics", 0, 0),
        Position("registry", 0, 0),
        Position("runs", 0, 1),
    ]


def test_an_event_of_a_future_kind_goes_to_the_registry(log: Log) -> None:
    assert log.append([event(1, kind="headrace.endpoint.created")]) == [Position("registry", 0, 0)]
    assert log.append([event(1, kind="nonsense")]) == [Position("registry", 0, 1)]


def test_an_envelope_comes_back_as_it_went_in(log: Log) -> None:
    sent = Envelope(
        "id", "headrace.metrics.logged", "sdk/ü", "r\0\n😀", -5, bytes(range(256)), ARROW, 7, "я", "w/1", 2**63 - 1
    )
    log.append([sent])
    [record] = log.read(METRICS, 0, *EVERYTHING)
    assert record.envelope == sent
    if log.remote:  # the clock is the broker's
        assert abs(record.timestamp_ms - time.time() * 1000) < 60_000
    else:
        assert record.timestamp_ms == NOW_MS


def test_empty_data_and_an_empty_batch_are_fine(log: Log) -> None:
    assert log.append([]) == []
    log.append([event(1, b"")])
    assert log.read(RUNS, 0, *EVERYTHING)[0].envelope.data == b""


def test_a_read_gives_no_more_records_than_asked(log: Log) -> None:
    log.append([event(i) for i in range(10)])
    assert [r.position.offset for r in log.read(RUNS, 3, 4, 2**40)] == [3, 4, 5, 6]


def test_a_read_stops_once_it_has_the_bytes_but_gives_at_least_one(log: Log) -> None:
    log.append([event(i, b"x" * 1000) for i in range(10)])
    assert len(log.read(RUNS, 0, 100, 1)) == 1
    assert len(log.read(RUNS, 0, 100, 3500)) in (3, 4)


def test_a_read_beyond_the_end_is_empty(log: Log) -> None:
    log.append([event(1)])
    assert log.read(RUNS, 1, *EVERYTHING) == []
    assert log.read(RUNS, 99, *EVERYTHING) == []


@pytest.mark.parametrize("partition", [Partition("nope", 0), Partition("runs", 1), Partition("runs", -1)])
def test_an_unknown_partition_is_an_error(log: Log, partition: Partition) -> None:
    with pytest.raises(LogError, match="no partition"):
        log.read(partition, 0, *EVERYTHING)


def test_a_batch_with_an_envelope_that_cannot_be_kept_appends_nothing(log: Log) -> None:
    log.append([event(0)])
    with pytest.raises(Exception, match=r"surrogate|NoneType|type"):
        log.append([event(1), None])  # type: ignore[list-item]
    assert ids(log) == ["0"]
    assert log.append([event(2)]) == [Position("runs", 0, 1)]


def test_waiting_is_over_at_once_where_there_is_more(log: Log) -> None:
    log.append([event(1)])
    assert log.wait({}, 0)
    assert not log.wait(log.end(), 0)


def test_an_append_wakes_who_waits(log: Log) -> None:
    end = log.end()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(log.wait(end, 60)))
    thread.start()
    log.append([event(1, kind="headrace.experiment.deleted")])
    thread.join(60)
    assert found == [True]


def test_threads_that_append_at_once_lose_nothing_and_keep_their_batches_whole(log: Log) -> None:
    def append(name: int) -> None:
        for batch in range(20):
            log.append([event(name * 1000 + batch * 10 + i) for i in range(5)])

    threads = [threading.Thread(target=append, args=(name,)) for name in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_batches([int(number) for number in ids(log)], writers=4, batches=20)


def check_batches(numbers: list[int], writers: int, batches: int) -> None:
    """Numbers are writer * 1000 + batch * 10 + 0…4."""
    assert len(numbers) == len(set(numbers)) == writers * batches * 5
    whole = [numbers[i : i + 5] for i in range(0, len(numbers), 5)]
    assert all(batch == list(range(batch[0], batch[0] + 5)) and batch[0] % 10 == 0 for batch in whole)
    for writer in range(1, writers + 1):
        own = [batch[0] for batch in whole if batch[0] // 1000 == writer]
        assert own == sorted(own)


# --- following --------------------------------------------------------------------------------------------------------


def follow_all(follower: Follower, count: int, records_max: int = 10**6) -> list[Record]:
    """So many records of a follower, in the order they came."""
    records: list[Record] = []
    while len(records) < count:
        found = follower.poll(records_max, 2**40, 30)
        assert found, f"{len(records)} of {count} came"
        assert len({record.position[:2] for record in found}) == 1, "a poll gives records of one partition"
        records += found
    return records


def test_a_follower_gives_what_is_there_from_its_offset_on_and_then_what_comes(log: Log) -> None:
    log.append([event(i) for i in range(5)])
    with contextlib.closing(log.follow({RUNS: 2})) as follower:
        assert [r.envelope.id for r in follow_all(follower, 3)] == ["2", "3", "4"]
        log.append([event(5)])
        assert [r.envelope.id for r in follow_all(follower, 1)] == ["5"]
        assert follower.poll(*EVERYTHING, 0) == []


def test_a_follower_gives_records_as_reading_does(log: Log) -> None:
    log.append([event(i, bytes([i]) * i) for i in range(5)])
    with contextlib.closing(log.follow({RUNS: 0})) as follower:
        assert follow_all(follower, 5) == log.read(RUNS, 0, *EVERYTHING)


def test_a_follower_gives_only_its_partitions(log: Log) -> None:
    log.append([event(1, kind="headrace.experiment.deleted"), event(2)])
    with contextlib.closing(log.follow({RUNS: 0})) as follower:
        assert [r.envelope.id for r in follow_all(follower, 1)] == ["2"]
        log.append([event(3, kind="headrace.experiment.deleted")])
        assert follower.poll(*EVERYTHING, 0.05) == []


def thirds(log: Log) -> list[Record]:
    """Twenty records of each topic, as a follower gives them that is asked for a few at a time."""
    kinds = ("headrace.run.heartbeat", "headrace.metrics.logged", "headrace.experiment.deleted")
    log.append([event(i, kind=kinds[i % 3]) for i in range(60)])
    with contextlib.closing(log.follow(dict.fromkeys((RUNS, METRICS, REGISTRY), 0))) as follower:
        records = follow_all(follower, 60, records_max=7)
        assert follower.poll(*EVERYTHING, 0) == []
    return records


def test_a_follower_gives_each_partition_whole_and_in_order(log: Log) -> None:
    records = thirds(log)
    for partition in (RUNS, METRICS, REGISTRY):
        offsets = [r.position.offset for r in records if r.position[:2] == partition]
        assert offsets == list(range(20))


@pytest.mark.parametrize("log", ["memory", "sqlite"], indirect=True)
def test_a_follower_takes_partitions_in_turn(log: Log) -> None:
    """A broker sends what it has of a partition when it pleases: over Kafka this holds for what has arrived."""
    assert [r.position.topic for r in thirds(log)][::7][:3] == ["metrics", "registry", "runs"]


def test_a_poll_is_bounded_as_a_read_is(log: Log) -> None:
    log.append([event(i, b"x" * 1000) for i in range(20)])
    with contextlib.closing(log.follow({RUNS: 0})) as follower:
        assert len(follower.poll(4, 2**40, 30)) <= 4
        assert len(follower.poll(100, 1, 30)) == 1
        assert len(follower.poll(100, 3500, 30)) <= 4


def test_an_append_wakes_a_follower(log: Log) -> None:
    with contextlib.closing(log.follow({RUNS: 0})) as follower:
        found: list[Record] = []
        thread = threading.Thread(target=lambda: found.extend(follower.poll(*EVERYTHING, 60)))
        thread.start()
        log.append([event(1)])
        thread.join(60)
        assert [record.envelope.id for record in found] == ["1"]


def test_a_poll_of_nothing_new_ends_when_its_time_is_over(log: Log) -> None:
    with contextlib.closing(log.follow({RUNS: 0})) as follower:
        started_s = time.monotonic()
        assert follower.poll(*EVERYTHING, 0.2) == []
        assert 0.15 < time.monotonic() - started_s < 5


def test_an_unknown_partition_cannot_be_followed(log: Log) -> None:
    with pytest.raises(LogError, match="no partition"):
        log.follow({Partition("runs", 7): 0}).poll(*EVERYTHING, 0)


# --- several partitions -----------------------------------------------------------------------------------------------


def test_a_subjects_records_lie_in_the_partition_that_its_murmur2_names(wide_log: Log) -> None:
    subjects = ["", "r", "я", "😀\0", "0" * 32, *(f"run-{i}" for i in range(40))]
    positions = wide_log.append([Envelope(s, "headrace.run.heartbeat", "test", s, 0, b"{}") for s in subjects])
    assert [position.partition for position in positions] == [partition_of(subject, 5) for subject in subjects]
    for position, subject in zip(positions, subjects, strict=True):
        [record] = wide_log.read(Partition(*position[:2]), position.offset, 1, 1)
        assert (record.position, record.envelope.subject) == (position, subject)


def test_each_subject_keeps_its_order_over_several_partitions(wide_log: Log) -> None:
    for start in range(0, 300, 50):
        wide_log.append(
            [Envelope(str(i), "headrace.run.heartbeat", "t", f"r{i % 11}", i, b"") for i in range(start, start + 50)]
        )
    runs = [partition for partition in wide_log.partitions() if partition.topic == "runs"]
    assert len(runs) == 5
    with contextlib.closing(wide_log.follow(dict.fromkeys(runs, 0))) as follower:
        records = follow_all(follower, 300, records_max=13)
    assert sorted(int(r.envelope.id) for r in records) == list(range(300))
    for subject in range(11):
        own = [int(r.envelope.id) for r in records if r.envelope.subject == f"r{subject}"]
        assert own == list(range(subject, 300, 11))


# --- SQLite: several processes, files, disks --------------------------------------------------------------------------

APPEND = """
import sys
from pathlib import Path
from headrace.ingest.envelope import Envelope
from headrace.ingest.sqlite import SqliteLog
path, writer, batches = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
log = SqliteLog(path)
for batch in range(batches):
    numbers = range(writer * 1000 + batch * 10, writer * 1000 + batch * 10 + 5)
    log.append([Envelope(str(n), "headrace.run.heartbeat", "test", "r", n, b"{}") for n in numbers])
log.close()
"""


@contextlib.contextmanager
def appenders(path: Path, writers: int, batches: int) -> Iterator[Callable[[], None]]:
    """Processes that append once the returned function is called."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(path), str(writer), str(batches)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in range(1, writers + 1)
    ]
    with contextlib.ExitStack() as stack:
        for process in processes:
            stack.enter_context(process)
            assert process.stdout is not None
            process.stdout.readline()

        def go() -> None:
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()

        yield go
        assert [process.wait(60) for process in processes] == [0] * writers


def test_processes_that_make_and_fill_one_log_at_once_lose_nothing(tmp_path: Path) -> None:
    with appenders(tmp_path / "log.db", writers=4, batches=30) as go:
        go()
    with contextlib.closing(SqliteLog(tmp_path / "log.db")) as log:
        check_batches([int(number) for number in ids(log)], writers=4, batches=30)


def test_an_append_in_another_process_wakes_who_waits(tmp_path: Path) -> None:
    with contextlib.closing(SqliteLog(tmp_path / "log.db")) as log:
        with appenders(tmp_path / "log.db", writers=1, batches=1) as go:
            end = log.end()
            go()
            assert log.wait(end, 60)
        assert len(ids(log)) == 5


def test_a_reopened_log_holds_everything_and_counts_on(tmp_path: Path) -> None:
    with contextlib.closing(SqliteLog(tmp_path / "log.db")) as log:
        log.append([event(0), event(1)])
    with contextlib.closing(SqliteLog(tmp_path / "log.db")) as log:
        assert log.append([event(2)]) == [Position("runs", 0, 2)]
        assert ids(log) == ["0", "1", "2"]


def test_a_record_with_unreadable_attributes_is_told_as_rejected_and_reading_goes_on(tmp_path: Path) -> None:
    with contextlib.closing(SqliteLog(tmp_path / "log.db")) as log:
        log.append([event(0)])
        with contextlib.closing(sqlite3.connect(tmp_path / "log.db")) as database:
            database.execute("INSERT INTO topic_runs VALUES (1, 5, 'r', ?, ?)", (b'{"id": \xff', b"kept"))
            database.commit()
        log.append([event(2)])
        records = log.read(RUNS, 0, *EVERYTHING)
        assert [record.position.offset for record in records] == [0, 1, 2]
        rejected = decode_event(records[1].envelope)
        assert isinstance(rejected, EventRejected)
        assert rejected.data == b"kept"
        assert rejected.record == "runs/0/1"
        assert records[1].envelope.id == "rejected:runs/0/1"


def test_a_file_of_another_kind_is_refused_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"this is a text file, not a database" * 100)
    with pytest.raises(LogError, match="is not a Headrace log"):
        SqliteLog(tmp_path / "log.db")


def test_another_programs_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db")) as database:
        database.execute("CREATE TABLE runs (x)")
        database.commit()
        with pytest.raises(LogError, match="another SQLite database"):
            SqliteLog(tmp_path / "log.db")
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]


def test_a_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    SqliteLog(tmp_path / "log.db").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db")) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(LogError, match="newer Headrace"):
        SqliteLog(tmp_path / "log.db")


def test_a_log_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot open the log"):
        SqliteLog(tmp_path / "file" / "log.db")
    (tmp_path / "log.db").mkdir()
    with pytest.raises(LogError, match="cannot open the log"):
        SqliteLog(tmp_path / "log.db")


def test_a_closed_log_says_that_it_cannot_be_read(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    log.close()
    for act in (log.end, lambda: log.wait({}, 0), lambda: ids(log), lambda: log.append([event(1)])):
        with pytest.raises(LogError):
            act()


FILL = """
import resource, sys
from pathlib import Path
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogUnavailable, Partition
from headrace.ingest.sqlite import SqliteLog
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = SqliteLog(Path(sys.argv[1]))
def batch(n, size):
    return [Envelope(f"{n}.{i}", "headrace.run.heartbeat", "test", "r", 0, b"x" * size) for i in range(4)]
kept = 0
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
try:
    while True:
        log.append(batch(kept, 20_000))
        kept += 1
        assert kept < 100
except LogUnavailable as error:
    print("refused:", error)
full = len(log.read(Partition("runs", 0), 0, 10**6, 2**40))
assert full == kept * 4, (full, kept)
assert log.end()[Partition("runs", 0)] == full
try:
    log.append(batch(kept, 20_000))
    raise SystemExit("a full disk took a batch")
except LogUnavailable:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
positions = log.append(batch(kept, 20_000))
assert [p.offset for p in positions] == list(range(full, full + 4)), positions
log.close()
print("kept", kept + 1)
"""


def test_a_full_disk_refuses_whole_batches_and_takes_them_again_once_there_is_space(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "log.db")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cannot append to the log" in done.stdout
    kept = int(done.stdout.split()[-1])
    with contextlib.closing(SqliteLog(tmp_path / "log.db")) as log:
        assert ids(log) == [f"{batch}.{i}" for batch in range(kept) for i in range(4)]


@pytest.fixture(params=["memory", "sqlite"])
def erasable_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ErasableLog]:
    """Each log that can take the data out of records."""
    made = make_log(request, tmp_path, partitions=1)
    assert isinstance(made, ErasableLog)
    yield made
    made.close()


def test_an_erased_record_keeps_its_place_time_subject_writer_and_sequence_and_nothing_else(
    erasable_log: Any,
) -> None:
    erasable_log.append([event(0)])
    sent = Envelope("secret-id", "headrace.run.ended", "sdk/secret", "r7", 3, b"secret", actor="secret", writer="w",
                    sequence=4)  # fmt: skip
    erasable_log.append([sent, event(2)])
    before = erasable_log.read(RUNS, 0, *EVERYTHING)
    assert erasable_log.held(RUNS, {"r7", "r2"}, 0, 2) == [Held(1, "r7", "headrace.run.ended", 6)]
    erasable_log.erase(RUNS, [1])
    after = erasable_log.read(RUNS, 0, *EVERYTHING)
    assert (after[0], after[2]) == (before[0], before[2])
    assert (after[1].position, after[1].timestamp_ms) == (before[1].position, before[1].timestamp_ms)
    left = after[1].envelope
    assert (left.type, left.subject, left.time_ms) == ("headrace.run.record-erased", "r7", 3)
    assert (left.writer, left.sequence) == ("w", 4)
    assert "secret" not in repr(left)
    erasable_log.erase(RUNS, [1])
    assert erasable_log.read(RUNS, 0, *EVERYTHING) == after
    assert erasable_log.append([event(3)]) == [Position("runs", 0, 3)]


def test_no_byte_of_an_erased_record_is_left_in_any_file_of_the_log(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    secret = b"sEcReT-kq8x2v9z"
    large = b"x" * 30_000 + secret + b"y" * 30_000
    for round in range(100):
        log.append([event(n, secret if n % 9 == 0 else large if n == 5 else b"{}") for n in range(10)])
        if round == 50:
            log.settle(5)
    assert any(secret in file.read_bytes() for file in tmp_path.iterdir())
    offsets = [x.offset for x in log.held(RUNS, {"r0", "r9", "r5"}, 0, 10_000)]
    assert len(offsets) == 300
    for first in range(0, 300, 50):
        log.erase(RUNS, offsets[first : first + 50])
    log.settle(5)
    assert [file.name for file in tmp_path.iterdir() if secret in file.read_bytes()] == []
    assert log.end()[RUNS] == 1000
    log.close()


def test_appends_and_reads_go_on_while_records_are_erased(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    log.append([event(n, b"x" * 5_000) for n in range(2_000)])
    done, appended = threading.Event(), threading.Event()

    def erase() -> None:
        for first in range(0, 2_000, 100):
            log.erase(RUNS, range(first, first + 100))
        while not appended.is_set():
            log.erase(RUNS, range(100))
        log.settle(10)
        done.set()

    thread = threading.Thread(target=erase)
    thread.start()
    count = 0
    while not done.is_set():
        log.append([event(5_000 + count)])
        count += 1
        if count > 3:
            appended.set()
        log.read(RUNS, 0, 100, 2**30)
    thread.join()
    records = log.read(RUNS, 0, *EVERYTHING)
    assert [record.position.offset for record in records] == list(range(2_000 + count))
    assert {record.envelope.type for record in records[:2_000]} == {"headrace.run.record-erased"}
    log.close()
