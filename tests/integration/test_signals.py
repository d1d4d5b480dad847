"""Signals: what stops a command leaves nothing behind, and after OpenVINO has run a signal still does no harm.

OpenVINO's processor plugin leaves an alternate stack behind, which must stay mapped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
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


Make = Callable[..., Path]
LEAST = "latency: {runs: 30, max_seconds: 20}\n"
TRAINING = """
model: inception_v4
width: 0.05
schedule: one-cycle
learning_rate: 0.02
stages:
  - {size: 75, images: 100000, batch: 8}
"""


def stopped(arguments: list[str], at: str, number: int, folder: Path) -> tuple[int, str, list[str]]:
    """Starts a command, sends it and its children a signal when it says `at` on stderr.

    Returns:
        exit code, the last line on stderr, and what it left: temporary files, work in the store and processes.
    """
    for name in ("t", "home"):
        (folder / name).mkdir()
    places = {"TMPDIR": str(folder / "t"), "HOME": str(folder / "home"), "EDGEKIT_CACHE": str(folder / "cache")}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | places
    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if at in line:
            break
    else:
        pytest.fail(f"it never said {at!r}: {''.join(said)}")
    os.kill(process.pid, number)  # as `timeout` does: to the command, then to the group that it leads
    os.killpg(process.pid, number)
    said += process.stderr.readlines()
    process.stderr.close()
    code = process.wait(timeout=60)
    left = [path.name for path in (folder / "t").iterdir()]
    left += [str(path) for path in (folder / "cache").glob("work/*")] + [str(path) for path in folder.glob(".out*")]
    return code, said[-1], left + processes_of(process.pid)


def processes_of(session: int) -> list[str]:
    """The processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        state, _, _, its_session = rest.split()[:4]
        if int(its_session) == session and state != "Z":
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("at", "number", "options"),
    [
        ("export: started", signal.SIGTERM, ["--no-cache"]),
        ("quantize: started", signal.SIGTERM, ["--no-cache"]),
        ("measure: started", signal.SIGTERM, ["--no-cache"]),
        ("measure: started", signal.SIGHUP, []),
    ],
)
def test_a_build_that_is_stopped_leaves_nothing(
    at: str,
    number: int,
    options: list[str],
    tiny_onnx: Callable[..., Path],
    photos: Callable[..., Path],
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "least.yaml"
    recipe.write_text(LEAST)
    arguments = ["build", "--model", str(tiny_onnx()), "--data", str(photos()), "--prune", "none"]
    arguments += ["--recipe", str(recipe), "--out", str(tmp_path / "out"), *options]
    code, last, left = stopped(arguments, at, number, tmp_path)
    assert (code, last) == (128 + number, f"edgekit: ended by {signal.Signals(number).name}\n")
    assert left == []
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_training_that_is_stopped_takes_its_workers_along(tmp_path: Path) -> None:
    recipe = tmp_path / "long.yaml"
    recipe.write_text(TRAINING)
    arguments = ["train", "--recipe", str(recipe), "--out", str(tmp_path / "run")]
    code, last, left = stopped(arguments, "images", signal.SIGTERM, tmp_path)
    assert (code, last) == (143, "edgekit: ended by SIGTERM\n")
    assert left == []


def test_what_ignores_hangups_still_does(tmp_path: Path) -> None:
    """As `nohup edgekit ...` asks for."""
    program = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from edgekit.cli.process import Ended, ended_by_signals
with ended_by_signals():
    os.kill(os.getpid(), signal.SIGHUP)
try:
    with ended_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)
except Ended as error:
    print(error.code, error.name)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("143 SIGTERM\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_what_cannot_raise_ends_it_all_the_same(number: int) -> None:
    """Python passes over what is raised in a finalizer, and in what libraries in C++ call."""
    program = f"""
import os, sys, time
from edgekit.cli.process import Ended, ended_by_signals
class Last:
    def __del__(self):
        os.kill(os.getpid(), {number})
        time.sleep(0.01)
class Other:
    def __del__(self):
        raise OSError("of another kind")
try:
    with ended_by_signals():
        Other()
        for each in range(3):
            Last()
        time.sleep(30)
except (Ended, KeyboardInterrupt) as error:
    print(type(error).__name__)
assert sys.unraisablehook is sys.__unraisablehook__
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=25, check=False)
    assert (done.returncode, done.stdout) == (0, "KeyboardInterrupt\n" if number == signal.SIGINT else "Ended\n")
    assert "OSError: of another kind" in done.stderr
    assert "Ended" not in done.stderr
    assert "KeyboardInterrupt" not in done.stderr
