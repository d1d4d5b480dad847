"""Small real things that tests share: networks, image folders, a store of their own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from fork_server import BEFORE_TESTS
from hypothesis import settings
from once import common
from order import longest_first
from PIL import Image
from skips import judged

from edgekit.runtime.quiet import no_telemetry

settings.register_profile("edgekit", deadline=None)  # how long anything takes is never a reason to fail
settings.load_profile("edgekit")
NUMBERS = itertools.count()
no_telemetry()  # tests import OpenVINO, NNCF and ONNX Runtime themselves, too


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first."""
    longest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests that are skipped for want of what the lock brings fail: nobody would see that they are left out."""
    return judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same of whole files."""
    return judged((yield))


@pytest.fixture(scope="session", autouse=True)
def signals_reach_children() -> None:
    """Who starts pytest in the background, or with nohup, has Ctrl-C, or SIGHUP, ignored by every child too; tests send
    them both.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)  # children do not inherit it; the tests go on


@pytest.fixture(scope="session", autouse=True)
def environment_is_known() -> None:
    """What the fork server is started with, whenever a test first needs it."""
    BEFORE_TESTS.update(os.environ)


@pytest.fixture(scope="module", autouse=True)
def environment_stays() -> Iterator[None]:
    """What libraries set where a file's tests run them (Ray: PYTHONBREAKPOINT) is gone with it: with one variable more,
    no command of a later file would be a fork of the fork server.
    """
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Two processes test on two cores: with two threads for torch in each, those of an operator wait for each other
    after every one, and tests that train take ten times as long. Commands in processes of their own see to it.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a stage store of its own, so that none sees what another or the user has built."""
    root = tmp_path_factory.mktemp(f"store-{next(NUMBERS)}", numbered=False)  # to number them it would list them all
    monkeypatch.setenv("EDGEKIT_CACHE", str(root))
    monkeypatch.setenv("EDGEKIT_ENGINES", str(root / "engines"))
    return root


@pytest.fixture(scope="session")
def common_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage store for tests of all processes that build the shipped network and do not ask what is cached."""
    folder = common(tmp_path_factory) / "common-store"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def shared_store(own_store: Path, common_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a test's builds use the common store."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(common_store))
    return common_store


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a small real classifier: two convolutions, pooling, a linear layer; written node by node."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("onnx")

    def make(
        classes: int = 4,
        size: int | str = 32,
        batch: int | str = 1,
        layout: str = "NCHW",
        opset: int = 17,
        seed: int = 0,
        poison: bool = False,
    ) -> Path:
        dice = np.random.Generator(np.random.PCG64(seed))

        def weight(name: str, *shape: int) -> onnx.TensorProto:
            values = dice.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
            if poison:
                values.flat[0] = np.nan
            return numpy_helper.from_array(values, name)

        first = [] if layout == "NCHW" else [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])]
        nodes = [
            *first,
            helper.make_node("Conv", ["t" if first else "x", "w1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c1"], ["r1"]),
            helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c2"], ["r2"]),
            helper.make_node("GlobalAveragePool", ["r2"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "w3"], ["logits"], transB=1),
        ]
        shape = [batch, 3, size, size] if layout == "NCHW" else [batch, size, size, 3]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes])],
            [weight("w1", 8, 3, 3, 3), weight("w2", 16, 8, 3, 3), weight("w3", classes, 16)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        path = folder / f"tiny-{len(list(folder.iterdir()))}.onnx"
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of small pictures, `count` for each of the classes a, b, c ..."""

    def make(name: str = "photos", classes: int = 2, count: int = 4, seed: int = 0) -> Path:
        dice = np.random.Generator(np.random.PCG64(seed))
        for label in range(classes):
            folder = tmp_path / name / chr(ord("a") + label)
            folder.mkdir(parents=True)
            for index in range(count):
                base = dice.integers(0, 256, (6, 8, 3), dtype=np.uint8)
                Image.fromarray(base).resize((48, 40), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
        return tmp_path / name

    return make


@pytest.fixture
def edgekit() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command as users do, in a process of its own."""
    import command

    return command.run_edgekit
