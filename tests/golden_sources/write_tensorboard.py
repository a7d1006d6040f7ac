"""Writes the event files beside it, by tensorboardX and tensorboard: `write_tensorboard.py FOLDER`."""

import os
import sys

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto
from tensorboardX import SummaryWriter

root = sys.argv[1]
w = SummaryWriter(os.path.join(root, "x/run1"))
for step in range(3):
    w.add_scalar("loss", 1 / (step + 1), step, walltime=1700000000 + step)
w.add_scalar("odd (train)", float("nan"), -5, walltime=1700000003)
w.add_text("note", "hello", 1, walltime=1700000004)
w.add_image("img", np.zeros((1, 2, 2), dtype=np.uint8), 1, walltime=1700000005)
w.add_histogram("weights", np.arange(4.0), 1, walltime=1700000006)
w.close()
h = SummaryWriter(os.path.join(root, "hp"))
h.add_hparams({"lr": 0.1, "layers": 3, "opt": "adam", "bias": True}, {"acc": 0.5}, name="trial")
h.close()
t = EventFileWriter(os.path.join(root, "tf2"))
for step in range(3):
    value = Summary.Value(tag="epoch_loss", tensor=make_tensor_proto(np.float32(0.1 * step)))
    if step == 0:
        value.metadata.plugin_data.plugin_name = "scalars"
    t.add_event(Event(wall_time=1700000000.25 + step, step=step, summary=Summary(value=[value])))
for k, a in enumerate((np.float64(1.5), np.int64(-7), np.float16(0.5))):
    t.add_event(
        Event(
            wall_time=1700000010,
            step=k,
            summary=Summary(value=[Summary.Value(tag=f"kind{k}", tensor=make_tensor_proto(a))]),
        )
    )
v = Summary.Value(tag="pr", tensor=make_tensor_proto(np.zeros((2, 3), np.float32)))
v.metadata.plugin_data.plugin_name = "pr_curves"
t.add_event(Event(wall_time=1700000011, step=1, summary=Summary(value=[v])))
t.close()
