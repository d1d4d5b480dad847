"""Signals after OpenVINO has run: its processor plugin leaves an alternate stack behind, which must stay mapped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from edgekit.backends import openvino

seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
graph, folder = sys.argv[1:]
made = openvino.compile(Path(graph), Path(folder), "fp32")
picture = np.zeros((1, 8, 8, 3), np.uint8)


def one():
    loaded = openvino.load(made)
    loaded.__enter__().infer(picture)
    return loaded  # left when it is dropped


first, second = one(), one()
kept = [first]
del first
one_more = one()
thread = threading.Thread(target=kept.clear)
thread.start()
thread.join()
del one_more, second
for _ in range(3):
    os.kill(os.getpid(), signal.SIGUSR1)
print(len(seen))
"""


def test_a_signal_after_networks_were_dropped_in_another_order_does_no_harm(tmp_path: Path) -> None:
    """Seen before there was one openvino.Core a process: a segmentation fault in the middle of a build."""
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    mean = helper.make_node("ReduceMean", ["y"], ["z"], axes=[1, 2], keepdims=0)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [cast, mean],
        "mean",
        [value("x", TensorProto.UINT8, [1, 8, 8, 3])],
        [value("z", TensorProto.FLOAT, [1, 3])],
    )
    path = tmp_path / "mean.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"ended by {done.returncode}: {done.stderr}"
    assert done.stdout.split() == ["3"]
