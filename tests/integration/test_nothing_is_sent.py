"""What the libraries would report home, they do not: a build wants no network, and no process is forked to report.

Threads and processes that Python sees nothing of are watched below libc (tests/no_network.py), in one build here and in
every verb in test_verbs_send_nothing.py; the kernel is asked too, where it can be. ONNX Runtime keeps files for its
reports, which tell of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from no_network import NoNetwork

WATCHED = """
import json, sys, threading, time
seen = []
def watch(event, arguments):
    if event in ("os.fork", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
        seen.append([event, str(arguments)[:200]])
sys.addaudithook(watch)
{work}
time.sleep(1)
print(json.dumps(seen))
"""

LOADS = "from edgekit.runtime.engines import load; load('openvino', {folder!r}, 'int8')"
QUANTIZES = """
from pathlib import Path
import numpy as np
from edgekit.backends import openvino
from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.ptq import Pictures, quantize
told = Preprocessing(size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
pictures = Pictures(lambda: iter([np.zeros((1, 32, 32, 3), np.uint8)] * 2), 2)
quantize(Path({graph!r}), Path({out!r}), pictures, told)
"""


def seen_by(work: str) -> list[list[str]]:
    done = subprocess.run([sys.executable, "-c", WATCHED.format(work=work)], capture_output=True, text=True, check=True)
    told: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_watch_sees_what_it_should() -> None:
    assert [event for event, _ in seen_by("import os\nif os.fork() == 0: os._exit(0)")] == ["os.fork"]


WANTS = """
import socket, subprocess, sys
def tried(*work):
    for each in work:
        try:
            each()
        except OSError:
            continue
        raise SystemExit("it was not refused")
def datagram(to):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", to)
tried(
    lambda: socket.create_connection(("192.0.2.1", 443), 1),
    lambda: socket.getaddrinfo("example.org", 443),
    lambda: datagram(("192.0.2.2", 53)),
)
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", "import socket; socket.gethostbyname('child.example.org')"], stderr=-3)
"""
"""Sends to addresses that are kept for documentation and belong to nobody, and so does a child of it."""


def test_what_would_be_sent_is_refused_and_written_down(tmp_path: Path) -> None:
    machine = NoNetwork(tmp_path)
    subprocess.run([sys.executable, "-c", WANTS, "child"], check=True, timeout=60, env=machine.environment)
    assert [line.rpartition(" by ")[0] for line in machine.wanted()] == [
        "connect family 2 192.0.2.1 port 443",
        "getaddrinfo example.org",
        "sendto family 2 192.0.2.2 port 53",
        "getaddrinfo child.example.org",
    ]


def test_a_build_wants_no_network(tiny_onnx: Callable[..., Path], photos: Callable[..., Path], tmp_path: Path) -> None:
    """To a checked bundle with its report, with torch, NNCF, OpenVINO and ONNX Runtime at work."""
    (tmp_path / "quick.yaml").write_text("latency: {runs: 10, max_seconds: 0.3}\nprune: none\n")
    machine, out = NoNetwork(tmp_path / "machine"), tmp_path / "out"
    words = ["build", "--model", str(tiny_onnx()), "--data", str(photos()), "--recipe", str(tmp_path / "quick.yaml")]
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", *words, "--max-drop", "100", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=200,
        env=machine.environment,
    )
    assert done.returncode == 0, done.stderr
    assert (out / "report.html").stat().st_size > 0
    assert machine.wanted() == []


@pytest.mark.parametrize("what", ["runtime", "quantization"])
def test_nothing_is_sent(what: str, tiny_onnx: object, tmp_path: Path) -> None:
    graph = tiny_onnx()  # type: ignore[operator]  # a factory
    if what == "runtime":
        from edgekit.backends import openvino
        from edgekit.data.preprocessing import Preprocessing
        from edgekit.quantize.graph_format import format_for
        from edgekit.quantize.graphs import write_graph

        told = Preprocessing(size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
        write_graph(graph, None, tmp_path / "g.onnx", "fp32", told, format_for(None))
        openvino.compile(tmp_path / "g.onnx", tmp_path, "fp32")
        work = LOADS.format(folder=str(tmp_path))
    else:
        work = QUANTIZES.format(graph=str(graph), out=str(tmp_path / "q.onnx"))
    assert seen_by(work) == []


RUNS = """
from edgekit.backends import Compiled, onnxruntime
with onnxruntime.load(Compiled("onnxruntime", {graph!r}, "fp32", 0)):
    pass
"""
LOADS_ONNX = "from edgekit.runtime.engines import load; load('onnxruntime', {folder!r}, 'fp32')"
HALVES = """
from pathlib import Path
from edgekit.models.onnx_graph import load
from edgekit.quantize.half import to_half
to_half(load(Path({graph!r})))
"""


@pytest.mark.parametrize(
    "work", [RUNS, LOADS_ONNX, QUANTIZES, HALVES], ids=["backend", "runtime", "quantization", "half"]
)
def test_onnxruntime_keeps_nothing_to_report(work: str, tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    """By itself it writes a device id and a data base below the home, and a file among the temporary ones."""
    graph = tmp_path / "model.onnx"
    graph.write_bytes(tiny_onnx().read_bytes())
    code = work.format(graph=str(graph), out=str(tmp_path / "q.onnx"), folder=str(tmp_path))
    for name in ("home", "t"):
        (tmp_path / name).mkdir()
    # Without the variables that switch it off by themselves, as on a user's machine.
    off = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    plain = {name: value for name, value in os.environ.items() if name not in off}
    environment = plain | {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "t")}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)
    left = [str(path) for name in ("home", "t") for path in (tmp_path / name).rglob("*")]
    assert [path for path in left if "Microsoft" in path or path.endswith(".ses")] == []
