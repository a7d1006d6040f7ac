"""Several processes log at once, 20,000 points each, and every point is counted afterwards: `python many_trainers.py`.

Events go where HEADRACE_TRACKING_URI says, or else to http://127.0.0.1:5000.
"""

import math
import multiprocessing
import time

import headrace

TRAINERS = 4
STEPS = 10_000


def train(number: int) -> tuple[str, float]:
    """One trainer: a run with two metrics. Returns its id and how long the log calls took, seconds."""
    headrace.set_experiment("many trainers")
    with headrace.start_run(run_name=f"trainer {number}") as run:
        headrace.log_param("number", number)
        start_s = time.perf_counter()
        for step in range(STEPS):
            headrace.log_metric("loss", math.exp(-step / 1000 / (number + 1)), step)
            headrace.log_metric("wave", math.sin(step / 300 + number), step)
        took_s = time.perf_counter() - start_s
    return run.info.run_id, took_s


def main() -> None:
    """Train in processes, then read everything back."""
    # The pool is closed and joined, not terminated: a process that is ended by force ships nothing more itself.
    pool = multiprocessing.get_context("spawn").Pool(TRAINERS)
    trained = pool.map(train, range(TRAINERS))
    pool.close()
    pool.join()
    points = 0
    for run_id, took_s in trained:
        points += sum(headrace.get_metric_history(run_id, key).num_rows for key in ("loss", "wave"))
        print(f"{run_id}: {took_s / STEPS / 2 * 1e6:.1f} µs a call")
    print(f"{points:,} of {TRAINERS * STEPS * 2:,} points read back")


if __name__ == "__main__":
    main()
