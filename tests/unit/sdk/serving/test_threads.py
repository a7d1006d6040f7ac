"""The threads of frameworks in a process that serves."""

from __future__ import annotations

from headrace.sdk.serving.threads import THREADS_MAX, modest


def test_a_serving_process_gives_frameworks_few_threads() -> None:
    environ: dict[str, str] = {}

    modest(environ)

    assert 1 <= int(environ["TF_NUM_INTRAOP_THREADS"]) <= THREADS_MAX
    assert environ["OMP_NUM_THREADS"] == environ["TF_NUM_INTRAOP_THREADS"]
    assert environ["TF_NUM_INTEROP_THREADS"] == "1"


def test_what_the_user_says_of_threads_stands() -> None:
    environ = {"OMP_NUM_THREADS": "16", "TF_NUM_INTEROP_THREADS": "8"}

    modest(environ)

    assert (environ["OMP_NUM_THREADS"], environ["TF_NUM_INTEROP_THREADS"]) == ("16", "8")
