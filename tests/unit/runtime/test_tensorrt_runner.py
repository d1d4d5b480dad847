"""Running an engine, and what a CUDA graph that cannot be captured leaves behind, on a double of CUDA's runtime."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import cuda_double as double
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorrt_double import Strict

from edgekit.runtime import cuda
from edgekit.runtime.errors import BundleError
from edgekit.runtime.tensorrt_runner import Engine

PICTURE = double.Tensor("image", True, (1, 4, 4, 3), "UINT8")
LOGITS = double.Tensor("logits", False, (1, 3), "FLOAT")
DICE = np.random.Generator(np.random.PCG64(1))


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> double.Cudart:
    made = double.Cudart()
    monkeypatch.setattr(cuda, "_library", lambda: made)
    return made


def engine(
    cudart: double.Cudart,
    ends: list[double.Tensor] | None = None,
    in_capture: str = "",
    release: str = "10.3",
    context: type[double.Context] = double.Context,
) -> Engine:
    """An engine with the API of a release."""
    ends = ends or [PICTURE, LOGITS]
    made = double.Engine(ends, lambda: context(cudart, ends, in_capture))
    rtx = context is double.CautiousContext  # has members that no release has
    return Engine(only_loads(made if rtx else Strict(release, "ICudaEngine", made)), b"engine")


def only_loads(made: Any) -> Any:
    """A module whose runtime knows one engine."""
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda content: made if content == b"engine" else None)
    mode, logger = SimpleNamespace(INPUT="in"), type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    return SimpleNamespace(Logger=logger, Runtime=lambda logger: runtime, TensorIOMode=mode)


def is_right(made: Engine) -> bool:
    """Whether pictures, each another, give their own logits."""
    for _ in range(3):
        picture = DICE.integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
        out = made(picture)
        assert out.dtype == np.float32
        if not np.allclose(out, picture.sum((1, 2)) / 100, rtol=1e-2):
            return False
    return True


def left(cudart: double.Cudart) -> dict[str, int]:
    return {kind: len(each) for kind, each in cudart.live.items()}


@pytest.mark.parametrize("release", ["10.3", "8.4"])
def test_an_engine_is_run_by_its_graph_with_the_copies_outside(cudart: double.Cudart, release: str) -> None:
    made = engine(cudart, release=release)
    assert is_right(made)
    assert (cudart.begun, cudart.launches, cudart.copies_captured) == (1, 3, 0)
    assert left(cudart) == {"stream": 1, "memory": 2, "graph": 0, "executable": 1}
    del made
    assert set(left(cudart).values()) == {0}


@pytest.mark.parametrize("in_capture", ["", "fails", "waits", "raises"])
@pytest.mark.parametrize(
    "fails",
    [
        {},
        {"cudaStreamBeginCapture": double.ILLEGAL_STATE},
        {"cudaStreamEndCapture": double.UNJOINED},
        {"cudaGraphInstantiateWithFlags": double.NO_MEMORY},
        {"cudaGraphLaunch": double.LAUNCH_FAILED},
    ],
    ids=lambda each: next(iter(each), "nothing"),
)
def test_a_graph_that_fails_anywhere_leaves_the_stream_usable_and_nothing_behind(
    cudart: double.Cudart, fails: dict[str, int], in_capture: str
) -> None:
    cudart.fails = fails
    made = engine(cudart, in_capture=in_capture)
    assert cudart.state == "none"
    assert is_right(made)
    captured = not in_capture and not fails
    assert cudart.launches == (3 if captured else 0)
    assert left(cudart) == {"stream": 1, "memory": 2, "graph": 0, "executable": int(captured)}
    assert cudart.last_error == 0
    del made
    assert set(left(cudart).values()) == {0}


def test_without_the_function_of_cuda_11_4_there_is_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older(double.Cudart):
        def __getattribute__(self, name: str) -> Any:
            if name == "cudaGraphInstantiateWithFlags":
                raise AttributeError(name)
            return super().__getattribute__(name)

    older = Older()
    monkeypatch.setattr(cuda, "_library", lambda: older)
    made = engine(older)
    assert is_right(made)
    assert (older.launches, left(older)["graph"]) == (0, 0)


def test_what_tensorrt_for_rtx_cannot_capture_is_not_tried(cudart: double.Cudart) -> None:
    made = engine(cudart, context=double.CautiousContext)
    assert is_right(made)
    assert (cudart.begun, cudart.launches) == (0, 0)


def test_a_capture_can_be_repeated_and_the_graph_before_is_given_back(cudart: double.Cudart) -> None:
    device = cuda.Cuda()
    ran: list[int] = []
    for number in (1, 2):
        assert device.capture(lambda number=number: cudart.put(lambda: ran.append(number)) == 0)
        assert device.launch()
    assert ran == [1, 2]
    assert left(cudart)["executable"] == 1
    device.close()
    device.close()
    assert set(left(cudart).values()) == {0}


@pytest.mark.parametrize("release", ["10.3", "8.4"])
@pytest.mark.parametrize("order", [1, -1], ids=["input first", "output first"])
@given(kinds=st.tuples(st.sampled_from(["UINT8", "FLOAT"]), st.sampled_from(["FLOAT", "HALF"])))
def test_types_and_directions_are_those_of_the_engine(release: str, order: int, kinds: tuple[str, str]) -> None:
    cudart = double.Cudart()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "_library", lambda: cudart)
        ends = [double.Tensor("image", True, (1, 4, 4, 3), kinds[0]), double.Tensor("out", False, (1, 3), kinds[1])]
        assert is_right(engine(cudart, ends[::order], release=release))


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ([PICTURE], "not one input and one output, but input image, UINT8"),
        ([PICTURE, LOGITS, LOGITS], "not one input and one output"),
        ([double.Tensor("image", True, (1, 4, 4, 3), "INT8"), LOGITS], "input image, INT8"),
        (
            [PICTURE, double.Tensor("logits", False, (-1, 3), "FLOAT")],
            r"output logits, FLOAT \[-1, 3\] does not go with",
        ),
    ],
)
def test_an_engine_of_another_kind_is_refused(cudart: double.Cudart, ends: list[double.Tensor], why: str) -> None:
    with pytest.raises(BundleError, match=why):
        engine(cudart, ends, release="8.4")
    assert set(left(cudart).values()) == {0}


def test_errors_at_the_first_run_are_told_and_nothing_stays(cudart: double.Cudart) -> None:
    with pytest.raises(BundleError, match="cannot load the engine"):
        Engine(only_loads(None), b"engine")
    for name in ("cudaMemcpyAsync", "cudaMalloc", "cudaStreamSynchronize"):
        cudart.fails = {name: double.NO_MEMORY}
        with pytest.raises(BundleError, match=f"{name} failed: error 2"):
            engine(cudart)
        assert set(left(cudart).values()) == {0}


def test_the_double_refuses_what_cuda_refuses() -> None:
    """Else the tests above would pass with any order of calls."""
    cudart, stream = double.Cudart(), ctypes.c_void_p()
    assert cudart.cudaStreamCreate(ctypes.byref(stream)) == 0
    assert cudart.cudaStreamBeginCapture(stream, 1) == 0
    assert cudart.cudaStreamBeginCapture(stream, 1) == double.ILLEGAL_STATE
    assert cudart.cudaStreamSynchronize(stream) == double.UNSUPPORTED
    nothing = (ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t(0), 1, stream)
    assert cudart.cudaMemcpyAsync(*nothing) == double.INVALIDATED
    graph = ctypes.c_void_p()
    assert cudart.cudaStreamEndCapture(stream, ctypes.byref(graph)) == double.INVALIDATED
    assert graph.value is None
    assert cudart.cudaMemcpyAsync(*nothing) == 0
