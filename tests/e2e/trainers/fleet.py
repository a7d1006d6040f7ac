"""Trainers that log as they are told to, each a process with a run of its own, forked from one.

fleet.py TRAINERS: each line of stdin, STEPS SECONDS, has every trainer log so many steps more, evenly over that time;
a step is one point of each of KEYS, its value the step's number. They end their runs when stdin ends.
Prints the id of each run.
"""

import os
import sys
import time

import headrace

KEYS = ("loss", "accuracy", "rate", "norm")
TICK_S = 0.05


def train(orders):
    with headrace.start_run() as run:
        os.write(1, f"{run.info.run_id}\n".encode())
        step = 0
        for order in orders:
            steps, seconds = int(order.split()[0]), float(order.split()[1])
            first, began_s = step, time.monotonic()
            while step < first + steps:
                due = first + min(steps, round(steps * (time.monotonic() - began_s + TICK_S) / seconds))
                while step < due:
                    headrace.log_metrics(dict.fromkeys(KEYS, float(step)), step=step)
                    step += 1
                time.sleep(TICK_S)


pipes, children = [], []
for _ in range(int(sys.argv[1])):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        for pipe in pipes:
            os.close(pipe)
        with os.fdopen(reading) as orders:
            train(orders)
        sys.exit(0)
    os.close(reading)
    pipes.append(writing)
    children.append(child)
while order := os.read(0, 1000):
    for pipe in pipes:
        os.write(pipe, order)
for pipe in pipes:
    os.close(pipe)
statuses = [os.waitpid(child, 0)[1] for child in children]
sys.exit(any(statuses))
