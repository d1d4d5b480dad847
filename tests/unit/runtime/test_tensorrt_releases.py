"""Building and running an engine by the API of every release, on doubles with the members of its own bindings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cuda_double
import numpy as np
import pytest
import tensorrt_double
from tensorrt_double import RELEASES, Device, module

from edgekit.runtime import cuda, tensorrt_engine
from edgekit.runtime.errors import BundleError
from edgekit.runtime.forms import choose_form, chosen_form
from edgekit.runtime.settings import Settings
from edgekit.runtime.tensorrt_build import build, workspace_for
from edgekit.runtime.tensorrt_engine import _words, chosen_core, give, open_or_build, take
from edgekit.runtime.tensorrt_runner import Engine
from edgekit.targets import TARGETS

KNOWN = {release.tensorrt: release for target in TARGETS.values() for release in target.releases}
UNTYPED = ("8.2", "8.4", "8.5", "8.6")
WITH_DLA = ("8.2", "8.4", "8.5", "8.6", "10.3")
DICE = np.random.Generator(np.random.PCG64(4))


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> cuda_double.Cudart:
    made = cuda_double.Cudart()
    monkeypatch.setattr(cuda, "_library", lambda: made)
    return made


def is_right(engine: Engine, count: int = 1) -> bool:
    pictures = DICE.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.allclose(engine(pictures), pictures.sum((1, 2)) / 100, rtol=1e-5)


def test_the_doubles_are_of_the_releases_in_the_table() -> None:
    assert {"11.4" if each == "11.1" else each for each in RELEASES} == set(KNOWN) - {"1.7"}  # 11.1: the newest public


@pytest.mark.parametrize(
    ("release", "kind", "name"),
    [
        ("8.2", "IBuilderConfig", "set_memory_pool_limit"),
        ("8.2", "DataType", "UINT8"),
        ("8.4", "DataType", "UINT8"),
        ("8.4", "IExecutionContext", "execute_async_v3"),
        ("10.3", "IExecutionContext", "execute_async_v2"),
        ("10.3", "ICudaEngine", "num_bindings"),
        ("10.3", "IBuilderConfig", "max_workspace_size"),
        ("11.1", "BuilderFlag", "INT8"),
        ("11.1", "BuilderFlag", "FP16"),
        ("11.1", "IBuilderConfig", "int8_calibrator"),
        ("11.1", "NetworkDefinitionCreationFlag", "EXPLICIT_BATCH"),
        ("8.6", "NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
    ],
)
def test_what_a_release_lacks_cannot_be_touched(release: str, kind: str, name: str) -> None:
    assert name not in tensorrt_double.members(release, kind)
    assert name in {each for other in RELEASES for each in tensorrt_double.members(other, kind)}
    with pytest.raises(AttributeError, match=f"{kind} of TensorRT {release} has no {name}"):
        getattr(tensorrt_double.Strict(release, kind, None), name)
    with pytest.raises(AttributeError, match=f"has no {name}"):
        setattr(tensorrt_double.Strict(release, kind, None), name, 1)


@pytest.mark.parametrize("precision", ["int8", "mixed", "fp16", "fp32"])
@pytest.mark.parametrize("release", RELEASES)
def test_a_network_is_built_and_run(release: str, precision: str, cudart: cuda_double.Cudart) -> None:
    device = Device(release, cudart)
    library = module(device)
    typed = release not in UNTYPED
    told: list[str] = []
    made = build(library, "graph", precision, Settings(typed=typed, workspace_bytes=99), b"", told.append)
    assert (made.content, made.timings, made.on_gpu) == (b"engine", b"timed", [])
    flags = library.BuilderFlag
    wanted = {"int8": ("INT8", "FP16"), "mixed": ("INT8", "FP16"), "fp16": ("FP16",), "fp32": ()}[precision]
    asked = [each for each in device.asked if each[0] == "set_flag"]
    assert asked == ([] if typed else [("set_flag", getattr(flags, name)) for name in wanted])
    pool = ("max_workspace_size", 99)
    assert (
        pool if release == "8.2" else ("set_memory_pool_limit", library.MemoryPoolType.WORKSPACE, 99)
    ) in device.asked
    creation = library.NetworkDefinitionCreationFlag
    assert device.flags == sum(
        1 << getattr(creation, name)
        for name in ("EXPLICIT_BATCH", *(("STRONGLY_TYPED",) if typed else ()))
        if hasattr(creation, name)
    )
    assert told == ([] if release in UNTYPED else ["building: 50 %"])
    engine = Engine(library, made.content)
    assert (engine.batches, is_right(engine), is_right(engine, 3)) == ((1,), True, True)
    assert cudart.launches == 4


@pytest.mark.parametrize("release", RELEASES)
def test_one_profile_for_each_batch_and_any_number_of_pictures(release: str, cudart: cuda_double.Cudart) -> None:
    device = Device(release, cudart, open_batch=True)
    library = module(device)
    made = build(library, "graph", "fp32", Settings(typed=release not in UNTYPED, batches=(1, 4, 8)))
    assert device.profiles == (1, 4, 8)
    engine = Engine(library, made.content)
    assert engine.batches == (1, 4, 8)
    assert all(is_right(engine, count) for count in range(1, 18))
    assert len(cudart.live["executable"]) == 3  # a graph for each
    engine.close()
    assert not any(cudart.live.values())


@pytest.mark.parametrize("release", RELEASES)
def test_without_a_batch_of_one_fewer_pictures_are_filled_up(release: str, cudart: cuda_double.Cudart) -> None:
    device = Device(release, cudart, open_batch=True)
    library = module(device)
    build(library, "graph", "fp32", Settings(typed=release not in UNTYPED, batches=(4,)))
    engine = Engine(library, b"engine")
    assert all(is_right(engine, count) for count in (1, 3, 4, 5))


@pytest.mark.parametrize("release", WITH_DLA)
def test_a_dla_gets_scales_and_the_runtime_its_core(release: str, cudart: cuda_double.Cudart) -> None:
    device = Device(release, cudart, dla_cores=2)
    library = module(device)
    told: list[str] = []
    settings = Settings(dla_core=1, calibration_cache="x: 3f800000\n")
    made = build(library, "graph", "int8", settings, on_progress=told.append)
    assert made.on_gpu == ["softmax"]
    assert told[0] == "1 of 2 layers fall back to the GPU: softmax"
    assert {("default_device_type", library.DeviceType.DLA), ("DLA_core", 1)} <= set(device.asked)
    assert ("set_flag", library.BuilderFlag.GPU_FALLBACK) in device.asked
    scales = dict(each for each in device.asked if each[0] == "scales")["scales"]
    number = "100300" if release == "10.3" else f"{release.replace('.', '')}00"
    assert scales.decode().splitlines() == [f"TRT-{number}-EntropyCalibration2", "x: 3f800000"]
    assert is_right(Engine(library, made.content, 1))
    assert device.loaded_for == 1  # before it loaded the engine


def test_a_dla_of_tensorrt_11_takes_the_typed_graph(cudart: cuda_double.Cudart) -> None:
    device = Device("11.1", cudart, dla_cores=2)
    made = build(module(device), "graph", "int8", Settings(typed=True, dla_core=0))
    assert made.on_gpu == ["softmax"]
    assert ("scales", None) in device.asked


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("cores", "words"), [(0, "finds no DLA on this device"), (1, "DLA cores 0 to 0, no core 1")])
def test_a_dla_that_is_not_there_is_told_before_anything_is_built(
    cores: int, words: str, release: str, cudart: cuda_double.Cudart
) -> None:
    device = Device(release, cudart, dla_cores=cores)
    with pytest.raises(BundleError, match=words):
        build(module(device), "graph", "int8", Settings(typed=release not in UNTYPED, dla_core=1))
    assert device.built == 0


@pytest.mark.parametrize("release", RELEASES)
def test_all_that_a_parser_says_is_told(release: str, cudart: cuda_double.Cudart) -> None:
    device = Device(release, cudart, words=("no such\noperator", "nor this"))
    with pytest.raises(BundleError, match="node 0: no such operator; node 1: nor this"):
        build(module(device), "graph", "fp32", Settings(typed=release not in UNTYPED))


def test_timings_of_another_tensorrt_are_put_away(cudart: cuda_double.Cudart) -> None:
    device = Device("10.3", cudart)
    for given, taken in ((b"of another", b""), (b"timed", b"timed"), (None, b"")):
        build(module(device), "graph", "fp32", Settings(typed=True), given)
        assert device.timings == taken


@pytest.mark.parametrize(("free_mb", "wanted_mb"), [(400, 100), (2048, 512), (64 << 10, 1024), (1, 16)])
def test_the_workspace_goes_by_the_memory_that_is_free(free_mb: int, wanted_mb: int) -> None:
    assert workspace_for(free_mb << 20) == wanted_mb << 20


FACTS = {"gpu": "Nano", "compute_capability": "5.3", "tensorrt": "8.2.0", "cuda": "10.2", "jetpack": "32.7.1"}


@pytest.fixture
def opened(cudart: cuda_double.Cudart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens the bundle in a folder on a device; the device is `opened.device`."""
    cudart.free_bytes = 1 << 30
    device = Device("8.2", cudart, dla_cores=2)
    monkeypatch.setenv("EDGEKIT_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setitem(sys.modules, "tensorrt", module(device))
    monkeypatch.setattr(tensorrt_engine, "identity", lambda library: FACTS)
    for name in ("model.onnx", "model.dla.onnx", "model.dla.cache"):
        (tmp_path / name).write_text(f"x: {name}\n")

    def now(**asked: Any) -> Engine:
        return open_or_build(str(tmp_path), "int8", Settings(**asked))

    now.device, now.folder = device, tmp_path  # type: ignore[attr-defined]
    return now


def test_an_engine_is_built_once_with_what_memory_there_is(opened: Any) -> None:
    assert is_right(opened())
    assert ("max_workspace_size", 256 << 20) in opened.device.asked
    assert is_right(opened())
    assert opened.device.built == 1
    opened(workspace_bytes=5 << 20)
    assert ("max_workspace_size", 5 << 20) in opened.device.asked
    assert (opened.device.built, opened.device.timings) == (2, b"timed")  # those of the first time


@pytest.mark.parametrize("name", ["model.dla.onnx", "model.dla.cache"])
def test_a_change_in_any_file_of_a_dla_makes_another_engine(name: str, opened: Any) -> None:
    opened(dla_core=0)
    opened(dla_core=0)
    assert opened.device.built == 1
    (opened.folder / name).write_text("y: other\n")
    opened(dla_core=0)
    assert opened.device.built == 2
    opened(dla_core=1)
    assert opened.device.built == 3


def test_layers_that_fall_back_are_written_beside_the_engine(opened: Any) -> None:
    opened(dla_core=0)
    notes = [path.read_text() for path in (opened.folder / "engines").glob("*.engine.json")]
    assert ['"layers on the GPU": ["softmax"]' in each for each in notes] == [True]


def test_a_process_chooses_its_core_or_the_gpu_beside(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, core in (("1", 1), ("gpu", 0)):
        monkeypatch.setenv("EDGEKIT_DLA_CORE", asked)
        opened(dla_core=0)
        assert opened.device.loaded_for == core
    assert ("DLA_core", 1) in opened.device.asked
    assert chosen_core(Settings(), "1") == Settings()  # of a bundle that is for the GPU
    with pytest.raises(BundleError, match="EDGEKIT_DLA_CORE is 'two'"):
        chosen_core(Settings(dla_core=0), "two")


def test_fp16_is_run_where_it_was_found_faster(opened: Any) -> None:
    folder = str(opened.folder)
    with pytest.raises(BundleError, match="has no FP16 form"):
        choose_form("tensorrt", folder, "fp16", "measured")
    (opened.folder / "model.fp16.onnx").write_text("half\n")
    opened()
    assert chosen_form(folder, _words(FACTS), FACTS) is None
    for taken, flags in (("fp16", ["FP16"]), ("int8", ["INT8", "FP16"])):
        choose_form("tensorrt", folder, taken, "measured")
        opened.device.asked.clear()
        opened(workspace_bytes=len(flags))  # another engine, so that it is built
        names = {place: name for name, place in vars(sys.modules["tensorrt"].BuilderFlag).items()}
        assert [names[flag] for kind, flag in opened.device.asked if kind == "set_flag"] == flags
    choose_form("tensorrt", folder, "fp16", "measured")
    other = {**FACTS, "jetpack": "32.7.2"}
    assert chosen_form(folder, _words(other), other) is None  # of another system nothing is known
    opened(dla_core=0)
    assert ("DLA_core", 0) in opened.device.asked  # which has no choice


def test_an_engine_is_taken_by_a_board_like_the_one_that_built_it(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = str(opened.folder), Settings()
    with pytest.raises(BundleError, match="keeps no engine"):
        give(folder, "int8", asked)
    opened()
    facts, content = give(folder, "int8", asked)
    monkeypatch.setenv("EDGEKIT_ENGINES", str(tmp_path / "another board"))
    take(folder, "int8", asked, facts, content)
    assert is_right(opened())
    assert opened.device.built == 1
    with pytest.raises(BundleError) as refused:
        take(folder, "int8", asked, {**facts, "gpu": "Xavier", "compute_capability": "7.2"}, content)
    assert "built on compute capability 7.2, cuda 10.2, gpu Xavier" in str(refused.value)
    assert "this is compute capability 5.3, cuda 10.2, gpu Nano" in str(refused.value)
