"""Every backend keeps the one protocol, and those that run here compile, load and profile real graphs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends import BACKENDS, DEFAULTS, Backend, backend
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import EdgekitError, InputError
from edgekit.quantize.graphs import write_graph
from edgekit.targets import TARGETS, this_machine

HERE = ("openvino", "onnxruntime")
HOW = Preprocessing(32, 1.0)


@pytest.fixture
def pixels(tiny_onnx: Callable[..., Path], tmp_path: Path) -> Path:
    """A small real graph that takes pixels."""
    path = tmp_path / "fp32.onnx"
    write_graph(tiny_onnx(), None, path, "fp32", HOW, backend("openvino").graph_format(None))
    return path


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_has_all_of_the_protocol(name: str) -> None:
    made = backend(name)
    wanted = {each for each in vars(Backend) if not each.startswith("_")}
    assert wanted == {
        *("RUNTIME", "PRECISIONS", "available", "identity", "compile", "load", "profile", "kernels", "files"),
        "graph_format",
    }
    for each in wanted - {"RUNTIME", "PRECISIONS"}:
        theirs = list(inspect.signature(getattr(made, each)).parameters)
        assert theirs == list(inspect.signature(getattr(Backend, each)).parameters)[1:], each
    assert made.PRECISIONS
    assert made.identity(this_machine()).versions


def test_every_target_names_backends_that_there_are() -> None:
    for target in TARGETS.values():
        assert target.runtime in target.backends
        for runtime, name in target.backends.items():
            assert runtime == backend(name).RUNTIME


@pytest.mark.parametrize("name", HERE)
def test_a_graph_is_compiled_loaded_timed_and_freed(name: str, pixels: Path, tmp_path: Path) -> None:
    here, folder = backend(name), tmp_path / "compiled"
    folder.mkdir()
    compiled = here.compile(pixels, folder, "fp32", DEFAULTS)
    assert compiled.backend == name
    assert compiled.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert set(here.files(compiled).values()) <= set(folder.iterdir())
    pictures = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    with here.load(compiled, "latency") as one, here.load(compiled, "throughput") as many:
        alone = np.concatenate([one.infer(pictures[place : place + 1]) for place in range(5)])
        np.testing.assert_allclose(many.infer_many(pictures), alone, rtol=1e-4, atol=1e-5)
        assert alone.shape == (5, 4)
    assert [each.precision for each in here.kernels(compiled)] == ["f32"] * 3
    layers = here.profile(compiled, 5)
    assert sum("Conv" in layer.kind or "onv" in layer.name or "jit" in layer.kind for layer in layers) >= 2
    assert [each.microseconds for each in layers] == sorted((each.microseconds for each in layers), reverse=True)


def test_backends_answer_alike(pixels: Path, tmp_path: Path) -> None:
    answers = []
    picture = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    for name in HERE:
        (tmp_path / name).mkdir()
        with backend(name).load(backend(name).compile(pixels, tmp_path / name, "fp32", DEFAULTS)) as session:
            answers.append(session.infer(picture))
    np.testing.assert_allclose(*answers, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", HERE)
def test_what_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"bad\.onnx|model\.onnx"):
        backend(name).compile(bad, tmp_path, "fp32", DEFAULTS)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx", "tensorrt-on-device", "torch"])
def test_layers_that_cannot_be_timed_are_said_so(name: str, pixels: Path) -> None:
    from edgekit.backends import Compiled

    with pytest.raises(EdgekitError, match="not timed"):
        backend(name).profile(Compiled(name, str(pixels), "fp32", 0), 1)
    assert backend(name).kernels(Compiled(name, str(pixels), "fp32", 0)) == ()


@pytest.mark.parametrize("name", HERE)
def test_single_layers_are_timed_by_name(name: str) -> None:
    from edgekit.prune.channels import Geometry
    from edgekit.prune.probes import Probe
    from edgekit.prune.timing import layer_timer

    geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1), 17, 17)
    for precision in ("int8", "fp32"):
        rounds = layer_timer(name, precision)([Probe(geometry, 16, 16), Probe(geometry, 64, 256)])
        assert rounds.layers.shape == (len(rounds.reference), 2)
        assert (rounds.reference > 0).all(), "the reference is timed in each of them"
        assert all(each > 0 for each in rounds.ratios()), f"{precision}: every probe is found by its name"
