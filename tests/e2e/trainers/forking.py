"""Logs from many threads and processes at once. forking.py HOW, one of:

fork: os.fork in an active run; the child logs to it and leaves as a script does. fork-exit: the child leaves by
os._exit after a flush. pool-fork, pool-spawn: a multiprocessing pool of 3, each task a run of its own and a point to
the parent's. threads: 8 threads, each a run of its own and points to the parent's. storm: forks while threads log.
Prints, as JSON, how many points each (run, key) must have; values are the steps, from 0.
"""

import json
import multiprocessing
import os
import sys
import threading

import headrace

N = 2000


def log(key, run_id=None, n=N):
    for step in range(n):
        headrace.log_metric(key, float(step), step, run_id=run_id)


def task(job):
    number, parent_id = job
    headrace.log_metric(f"job-{number}", 0.0, 0, run_id=parent_id)
    with headrace.start_run(run_name=f"job {number}", nested=True) as run:
        log("m")
    return run.info.run_id


def in_thread(number, parent_id, found):
    with headrace.start_run(run_name=f"thread {number}") as run:
        log("m")
        log(f"thread-{number}", parent_id)
    found.append((run.info.run_id, "m", N))
    found.append((parent_id, f"thread-{number}", N))


def main(how):
    expected = []
    with headrace.start_run() as run:
        run_id = run.info.run_id
        log("before")
        expected.append((run_id, "before", N))
        if how in ("fork", "fork-exit"):
            child = os.fork()
            log("child" if child == 0 else "parent")
            if child == 0:
                if how == "fork-exit":
                    flushed = headrace.flush(30)
                    os._exit(0 if flushed else 3)
                sys.exit(0)  # leaves the with statement too: the run is its parent's to end
            assert os.waitpid(child, 0)[1] == 0
            expected += [(run_id, "child", N), (run_id, "parent", N)]
        elif how.startswith("pool"):
            context = multiprocessing.get_context(how.removeprefix("pool-"))
            with context.Pool(3) as pool:
                ids = pool.map(task, [(number, run_id) for number in range(6)], chunksize=1)
                pool.close()
                pool.join()
            expected += [(one, "m", N) for one in ids] + [(run_id, f"job-{number}", 1) for number in range(6)]
        elif how == "threads":
            threads = [threading.Thread(target=in_thread, args=(n, run_id, expected)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        elif how == "storm":
            threads = [threading.Thread(target=log, args=(f"thread-{n}", run_id, 20 * N)) for n in range(3)]
            for thread in threads:
                thread.start()
            for number in range(8):
                child = os.fork()
                if child == 0:
                    log(f"child-{number}", run_id)
                    sys.exit(0)
                assert os.waitpid(child, 0)[1] == 0
                expected.append((run_id, f"child-{number}", N))
            for thread in threads:
                thread.join()
            expected += [(run_id, f"thread-{n}", 20 * N) for n in range(3)]
        log("after")
        expected.append((run_id, "after", N))
    print(json.dumps(expected), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
