"""What the libraries would report home, they do not: a build wants no network, and no process is forked to report.

Threads and processes that Python sees nothing of are watched below libc (tests/no_network.py), in one build here and in
every verb in test_verbs_send_nothing.py; the kernel is asked too, where it can be. ONNX Runtime keeps files for its
reports, which tell of it.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from no_network import NoNetwork

import edgekit

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


TEACHES = """
import torch
from edgekit.prune.teacher import OpenVinoTeacher, Teaching, teacher_for
network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
assert isinstance(teacher_for(Teaching(network.eval(), {}), torch.zeros(8, 3, 32, 32), 1), OpenVinoTeacher)
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
    (tmp_path / "quick.yaml").write_text("latency: {runs: 10, max_seconds: 0.1}\nprune: none\n")
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


JOINS = """
import time
from edgekit.cluster.connection import ClusterSettings
from edgekit.cluster.starting import started
with started(ClusterSettings()) as ray:
    assert ray.get(ray.remote(lambda: 5).remote()) == 5
    time.sleep(3)  # what Ray's own processes begin with
"""


def test_a_cluster_on_this_machine_wants_no_network(tmp_path: Path) -> None:
    """Ray's dashboard asks three clouds where it is, also where reports and dashboard are off."""
    machine = NoNetwork(tmp_path, loopback=True)
    subprocess.run([sys.executable, "-c", JOINS], check=True, timeout=180, env=machine.environment)
    assert machine.wanted() == []


@pytest.mark.parametrize("what", ["runtime", "quantization", "teacher"])
def test_nothing_is_sent(what: str, tiny_onnx: object, tmp_path: Path) -> None:
    graph = tiny_onnx()  # type: ignore[operator]  # a factory
    if what == "teacher":
        work = TEACHES
    elif what == "runtime":
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


REPORTS: Final = ("openvino", "nncf", "onnxruntime")
SWITCHES_OFF: Final = ("no_telemetry", "core", "_core")


def imported_before_reports_are_off(source: str) -> list[int]:
    """Lines that import a library that reports home, where nothing in the same function has switched that off."""
    found: list[int] = []

    def visit(node: ast.AST, off: bool) -> bool:
        for child in ast.iter_child_nodes(node):
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef))
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in SWITCHES_OFF:
                off = True
            names = [each.name for each in child.names] if isinstance(child, ast.Import) else []
            names += [child.module or ""] if isinstance(child, ast.ImportFrom) and not child.level else []
            if not off and any(each.partition(".")[0] in REPORTS for each in names):
                found.append(child.lineno)  # type: ignore[attr-defined]  # both kinds of import have it
            now = visit(child, False if inside else off)
            off = off if inside else now
        return off

    visit(ast.parse(source), False)
    return found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import openvino", [1]),
        ("def f():\n    from nncf.quantization import a", [2]),
        ("def f():\n    import onnxruntime\n    no_telemetry()", [2]),
        ("def f():\n    no_telemetry()\ndef g():\n    import nncf", [4]),
        ("def f():\n    no_telemetry()\n    def g():\n        import nncf", [4]),
        ("def f():\n    no_telemetry()\n    with a:\n        import nncf, onnx\n    import openvino.runtime", []),
        ("def f():\n    with a:\n        known = core()\n    import openvino", []),
        ("from . import openvino_network\nfrom edgekit.backends import onnxruntime\nimport onnx", []),
        ("if TYPE_CHECKING:\n    import nncf", []),
    ],
)
def test_an_import_before_reports_are_off_is_seen(source: str, lines: list[int]) -> None:
    assert imported_before_reports_are_off(source) == lines


def test_reports_are_off_before_any_import() -> None:
    package = Path(edgekit.__file__).parent
    sources = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    found = {name: lines for name, source in sources.items() if (lines := imported_before_reports_are_off(source))}
    assert found == {}
    assert sum(bool(re.search(rf"\bimport ({'|'.join(REPORTS)})\b", each)) for each in sources.values()) > 5
