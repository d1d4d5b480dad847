"""TensorRT's rules on real graphs, its real parser and builder (TensorRT for RTX, which needs no GPU to build)."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cpp_fuzzing import manifest
from onnx import TensorProto, helper, numpy_helper
from protos import on_protos

from edgekit.backends.tensorrt_library import installed
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError, UnavailableError
from edgekit.models import onnx_graph, opset
from edgekit.quantize import half as halves
from edgekit.quantize import rules
from edgekit.quantize import signed as signed_form
from edgekit.quantize.graph_format import GraphFormat, format_for
from edgekit.quantize.graphs import write_dla, write_graph
from edgekit.quantize.ptq import Pictures, quantize
from edgekit.runtime import tensorrt_engine
from edgekit.runtime.errors import BundleError
from edgekit.runtime.settings import Settings
from edgekit.targets import find, release_of

TOLD = Preprocessing(size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
RTX = pytest.mark.skipif(installed("tensorrt-rtx") is None, reason="TensorRT for RTX is not installed")

with_fixed_input, lower, to_signed = map(on_protos, (onnx_graph.with_fixed_input, opset.lower, signed_form.to_signed))
fits_half, to_half = map(on_protos, (halves.fits_half, halves.to_half))
check, faults = map(on_protos, (rules.check, rules.faults))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.Generator(np.random.PCG64(3)).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def concats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of what Inception is made of: branches, a concat, pools, a residual sum."""
    dice = np.random.Generator(np.random.PCG64(0))
    constants, nodes = [], []

    def conv(name: str, source: str, inputs: int, outputs: int, size: int = 3) -> str:
        values = dice.normal(0, (2 / (inputs * size * size)) ** 0.5, (outputs, inputs, size, size)).astype(np.float32)
        constants.append(numpy_helper.from_array(values, f"{name}.w"))
        constants.append(numpy_helper.from_array(dice.normal(0, 0.1, outputs).astype(np.float32), f"{name}.b"))
        pads = [size // 2] * 4
        nodes.append(helper.make_node("Conv", [source, f"{name}.w", f"{name}.b"], [f"{name}.c"], name, pads=pads))
        nodes.append(helper.make_node("Relu", [f"{name}.c"], [name], f"{name}.relu"))
        return name

    stem = conv("stem", "x", 3, 8)
    branches = [conv("left", stem, 8, 8), conv("right", stem, 8, 16, 1)]
    nodes.append(helper.make_node("AveragePool", [stem], ["pooled"], "pool", kernel_shape=[3, 3], pads=[1] * 4))
    branches.append(conv("after", "pooled", 8, 8, 1))
    nodes.append(helper.make_node("Concat", branches, ["joined"], "concat", axis=1))
    wide = conv("wide", "joined", 32, 32)
    nodes.append(helper.make_node("Add", [wide, "joined"], ["sum"], "residual"))
    nodes.append(helper.make_node("MaxPool", ["sum"], ["small"], "max", kernel_shape=[2, 2], strides=[2, 2]))
    last = conv("last", "small", 32, 16)
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["mean"], "mean"))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"], "flatten"))
    constants.append(numpy_helper.from_array(dice.normal(0, 0.3, (5, 16)).astype(np.float32), "head.w"))
    nodes.append(helper.make_node("Gemm", ["flat", "head.w"], ["logits"], "head", transB=1))
    graph = helper.make_graph(
        nodes,
        "concats",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("concats") / "net.onnx"
    onnx.save(with_fixed_input(model, (32, 32)), str(path))
    return path


@pytest.fixture(scope="module")
def quantized(concats: Path, pictures: np.ndarray) -> Path:
    path = concats.with_name("quantized.onnx")
    quantize(concats, path, Pictures(lambda: (p[None] for p in pictures[:16]), 16), TOLD, signed=True)
    return path


def logits(path: Path, pictures: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: p[None]})[0] for p in pictures])


@pytest.mark.parametrize("target", ["rtx", "gpu", "jetson", "jetson-xavier-nx", "jetson-thor"])
def test_the_graph_of_every_target_keeps_the_rules_and_the_answers(
    target: str, concats: Path, quantized: Path, pictures: np.ndarray, tmp_path: Path
) -> None:
    release = release_of(find(target))
    assert release is not None
    form = format_for(release)
    for precision in ("fp32", "fp16", "int8"):
        write_graph(concats, quantized, tmp_path / f"{precision}.onnx", precision, TOLD, form)
    made = onnx.load(str(tmp_path / "int8.onnx"))
    assert faults(made, release.opset) == []
    onnx.checker.check_model(made, full_check=True)
    zero_points = [
        numpy_helper.to_array(tensor)
        for tensor in made.graph.initializer
        if any(node.op_type.endswith("eLinear") and tensor.name == node.input[2] for node in made.graph.node)
    ]
    assert zero_points
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zero_points)
    half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in made.graph.initializer)
    assert half is release.typed
    base = logits(tmp_path / "fp32.onnx", pictures)
    for precision, least in (("fp16", 0.9999), ("int8", 0.98)):
        other = logits(tmp_path / f"{precision}.onnx", pictures)
        assert np.corrcoef(base.ravel(), other.ravel())[0, 1] > least
        assert other.dtype == np.float32


def test_concat_inputs_share_a_scale(concats: Path, quantized: Path, tmp_path: Path) -> None:
    model = to_signed(onnx.load(str(quantized)))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    concat = next(node for node in model.graph.node if node.op_type == "Concat")
    scales = {float(constants[made_by[name].input[1]]) for name in concat.input}
    assert len(scales) == 1


def test_rescaling_covers_the_same_range(quantized: Path) -> None:
    before, after = onnx.load(str(quantized)), to_signed(onnx.load(str(quantized)))

    def ranges(model: onnx.ModelProto) -> dict[str, float]:
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        return {
            node.input[0]: float(constants[node.input[1]]) * np.iinfo(constants[node.input[2]].dtype).max
            for node in model.graph.node
            if node.op_type == "QuantizeLinear"
        }

    assert ranges(after) == pytest.approx(ranges(before), rel=1e-6)


def broken(model: onnx.ModelProto, how: str) -> tuple[onnx.ModelProto, str]:
    """The graph with one thing that TensorRT rejects, and the node that has it."""
    quantizer = next(n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "stem")
    weight = next(n for n in model.graph.node if n.op_type == "DequantizeLinear" and "wide" in n.output[0])
    constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def put(node: onnx.NodeProto, place: int, value: np.ndarray) -> None:
        name = f"broken_{place}"
        model.graph.initializer.append(numpy_helper.from_array(value, name))
        node.input[place] = name

    if how == "unsigned":
        put(quantizer, 2, np.zeros((), np.uint8))
    elif how == "zero point":
        put(quantizer, 2, np.array(3, np.int8))
    elif how == "scale":
        put(quantizer, 1, np.array(-1.0, np.float32))
    elif how == "activation scales":
        put(quantizer, 1, np.full(8, 0.1, np.float32))
    elif how == "weight axis":
        count = numpy_helper.to_array(constants[weight.input[1]]).size
        assert count > 1
        del weight.attribute[:]
        weight.attribute.append(helper.make_attribute("axis", 1))
        return model, weight.name
    elif how == "bias":
        conv = next(n for n in model.graph.node if n.name == "wide")
        scale = numpy_helper.from_array(np.array(0.1, np.float32), "bias.s")
        values = numpy_helper.from_array(np.zeros(32, np.int8), "bias.q")
        zero = numpy_helper.from_array(np.array(0, np.int8), "bias.z")
        model.graph.initializer.extend([scale, values, zero])
        model.graph.node.insert(
            0, helper.make_node("DequantizeLinear", ["bias.q", "bias.s", "bias.z"], ["bias.f"], "dq")
        )
        conv.input[2] = "bias.f"
        return model, "wide"
    elif how == "no dequantizer":
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if node.op_type == "DequantizeLinear" and name == quantizer.output[0]:
                    node.input[place] = "nothing"
    elif how == "integer operator":
        model.graph.node.append(helper.make_node("ConvInteger", ["a", "b"], ["c"], "whole"))
        return model, "whole"
    return model, quantizer.name


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("unsigned", "uint8"),
        ("zero point", "zero point is not 0"),
        ("scale", "negative"),
        ("activation scales", "8 scales"),
        ("weight axis", "axis 1"),
        ("bias", "bias is quantized"),
        ("no dequantizer", "not followed by DequantizeLinear"),
        ("integer operator", "not explicit Q/DQ"),
    ],
)
def test_what_tensorrt_would_reject_is_refused_by_name(how: str, why: str, quantized: Path) -> None:
    good = to_signed(onnx.load(str(quantized)))
    check(good)
    bad, node = broken(good, how)
    with pytest.raises(InputError) as raised:
        check(bad)
    assert why in raised.value.what
    assert node in raised.value.what


def test_scales_that_fp16_cannot_hold_stay_float32(quantized: Path) -> None:
    model = to_signed(onnx.load(str(quantized)))
    assert fits_half(model)
    name = next(node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear")
    tensor = next(each for each in model.graph.initializer if each.name == name)
    tiny = np.full_like(numpy_helper.to_array(tensor), 8e-6)
    tensor.CopyFrom(numpy_helper.from_array(tiny, name))
    assert not fits_half(model)


def test_an_asymmetric_range_has_no_signed_form(quantized: Path) -> None:
    model = onnx.load(str(quantized))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.UINT8:
            tensor.CopyFrom(numpy_helper.from_array(np.array(12, np.uint8), tensor.name))
    with pytest.raises(InputError, match="unsigned zero point 12"):
        to_signed(model)


def test_older_opsets_compute_the_same_and_newer_operators_are_named(
    concats: Path, quantized: Path, pictures: np.ndarray, tmp_path: Path
) -> None:
    write_graph(concats, quantized, tmp_path / "new.onnx", "int8", TOLD, GraphFormat(True, False, 17))
    onnx.save(lower(onnx.load(str(tmp_path / "new.onnx")), 13), str(tmp_path / "old.onnx"))
    np.testing.assert_array_equal(logits(tmp_path / "old.onnx", pictures), logits(tmp_path / "new.onnx", pictures))
    assert "opset 17 is newer than 13" in faults(onnx.load(str(tmp_path / "new.onnx")), 13)[0].why
    ends = {"x": [1, 3, 4, 4], "grid": [1, 2, 2, 2], "y": [1, 3, 2, 2]}
    told = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends.items()}
    nodes = [helper.make_node("GridSample", ["x", "grid"], ["y"])]
    sampled = helper.make_model(
        helper.make_graph(nodes, "sampled", [told["x"], told["grid"]], [told["y"]]),
        opset_imports=[helper.make_opsetid("", 20)],
    )
    with pytest.raises(InputError, match="GridSample"):
        lower(sampled, 13)


def test_the_plain_graph_and_the_scales_that_a_dla_takes(
    concats: Path, quantized: Path, pictures: np.ndarray, tmp_path: Path
) -> None:
    release = release_of(find("jetson-xavier-nx"))
    write_dla(quantized, tmp_path, TOLD, format_for(release))
    write_graph(concats, quantized, tmp_path / "int8.onnx", "int8", TOLD, format_for(release))
    made = onnx.load(str(tmp_path / "model.dla.onnx"))
    onnx.checker.check_model(made, full_check=True)
    assert not [node for node in made.graph.node if node.op_type.endswith("eLinear")]
    with_scales, without = (logits(tmp_path / name, pictures) for name in ("int8.onnx", "model.dla.onnx"))
    assert np.corrcoef(with_scales.ravel(), without.ravel())[0, 1] > 0.98
    lines = (tmp_path / "model.dla.cache").read_text().splitlines()
    told = {line.split(": ")[0]: struct.unpack(">f", bytes.fromhex(line.split(": ")[1]))[0] for line in lines}
    tensors = {name for node in made.graph.node for name in [*node.input, *node.output]}
    assert set(told) <= tensors
    assert {"stem", "stem.c", "joined", "sum", "small"} <= set(told)  # and what fuses, joins and pools between
    assert told["small"] == told["sum"]
    assert min(told.values()) > 0


@RTX
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_real_engine_for_three_gpus(precision: str, concats: Path, quantized: Path, tmp_path: Path) -> None:
    from edgekit.backends import CompileSettings
    from edgekit.backends.tensorrt_builder import build, preflight

    graph = tmp_path / "graph.onnx"
    write_graph(concats, quantized, graph, precision, TOLD, format_for(release_of(find("rtx"))))
    assert preflight(graph, "tensorrt-rtx") > 10
    shares: list[float] = []
    settings = CompileSettings(compute_capabilities=("8.6", "8.9", "12.0"))
    made = build(graph, tmp_path, precision, "tensorrt-rtx", settings, on_progress=shares.append)
    assert made.size_bytes == (tmp_path / "model.engine").stat().st_size > 1000
    assert shares == sorted(shares)
    assert shares


@RTX
@pytest.mark.parametrize("target", ["jetson-nano", "jetson-xavier-nx", "jetson-agx-orin"])
def test_the_forms_for_older_releases_are_read_and_built_by_the_real_library(
    target: str, concats: Path, quantized: Path, tmp_path: Path
) -> None:
    """Float pixels, float weights that are quantized, old opsets: the newest library takes them all the same."""
    from edgekit.backends import CompileSettings
    from edgekit.backends.tensorrt_builder import build

    form = format_for(find(target).releases[0])
    assert not form.int8_weights
    write_graph(concats, quantized, tmp_path / "graph.onnx", "int8", TOLD, form)
    made = build(tmp_path / "graph.onnx", tmp_path, "int8", "tensorrt-rtx", CompileSettings(("8.6",)))
    assert made.size_bytes > 1000


@RTX
def test_what_the_parser_refuses_is_told_with_the_node(tmp_path: Path) -> None:
    from edgekit.backends import CompileSettings
    from edgekit.backends.tensorrt_builder import build, preflight

    strange = helper.make_model(
        helper.make_graph(
            [helper.make_node("NoSuchThing", ["x"], ["y"], "odd", domain="com.example")],
            "strange",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)],
    )
    onnx.save(strange, str(tmp_path / "strange.onnx"))
    with pytest.raises(InputError, match="odd"):
        preflight(tmp_path / "strange.onnx", "tensorrt-rtx")
    onnx.save(to_half(small()), str(tmp_path / "small.onnx"))
    with pytest.raises(InputError, match=r"compute capability 5\.3"):
        build(tmp_path / "small.onnx", tmp_path, "fp16", "tensorrt-rtx", CompileSettings(("5.3",)))


def small() -> onnx.ModelProto:
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"], "relu")],
            "small",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


@RTX
def test_the_devices_own_builder_makes_engines_too(concats: Path, quantized: Path, tmp_path: Path) -> None:
    """The code that builds on a Jetson, on the one TensorRT that builds without a GPU."""
    from edgekit.backends.tensorrt_library import load_library

    trt = load_library("tensorrt-rtx")
    write_graph(concats, quantized, tmp_path / "model.onnx", "int8", TOLD, format_for(release_of(find("rtx"))))
    settings = Settings(typed=True, compute_capabilities=("SM86",))
    made = tensorrt_engine.build(trt, str(tmp_path / "model.onnx"), "int8", settings)
    assert len(made.content) > 1000
    assert made.timings is None
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match="cannot read the graph"):
        tensorrt_engine.build(trt, str(tmp_path / "model.onnx"), "int8", settings)


def test_an_engine_is_kept_for_its_device_and_built_again_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_ENGINES", str(tmp_path / "engines"))
    (tmp_path / "model.onnx").write_bytes(b"graph")
    orin = {"gpu": "Orin NX", "compute_capability": "8.7", "tensorrt": "10.3.0", "cuda": "12.6", "jetpack": "36.4.3"}

    def path(facts: dict[str, str], **settings: Any) -> str:
        return tensorrt_engine.engine_path([str(tmp_path / "model.onnx")], facts, "int8", Settings(**settings))

    first = path(orin)
    assert Path(first).name.startswith("Orin-NX-sm87-trt10.3.0-cuda12.6-l4t36.4.3-")
    assert tensorrt_engine.kept(first, orin) is None
    tensorrt_engine.keep(first, b"engine", orin)
    assert tensorrt_engine.kept(first, orin) == b"engine"
    updated = {**orin, "jetpack": "36.5.0"}
    assert path(updated) != first
    assert tensorrt_engine.kept(first, updated) is None
    assert path(orin, dla_core=0) != first
    Path(first).write_bytes(b"engin")
    assert tensorrt_engine.kept(first, orin) is None
    (tmp_path / "model.onnx").write_bytes(b"another graph")
    assert path(orin) != first


def test_an_engine_is_refused_where_it_does_not_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = {"compute_capabilities": ["8.6", "8.9"], "tensorrt": "1.7.1.116"}
    told = manifest() | {"engine": engine}
    (tmp_path / "manifest.json").write_text(json.dumps(told))
    monkeypatch.setattr(tensorrt_engine.cuda, "describe_gpu", lambda: ("7.5", "13.0"))
    monkeypatch.setitem(__import__("sys").modules, "tensorrt_rtx", type("Module", (), {"__version__": "1.8"}))
    with pytest.raises(BundleError, match=r"for compute capability 8\.6, 8\.9, this GPU has 7\.5"):
        tensorrt_engine.open_ahead_of_time(str(tmp_path))
    monkeypatch.setattr(tensorrt_engine.cuda, "describe_gpu", lambda: ("8.9", "13.0"))
    with pytest.raises(BundleError, match=r"RTX 1\.7\.1\.116, here is 1\.8"):
        tensorrt_engine.open_ahead_of_time(str(tmp_path))


def test_without_tensorrt_or_a_gpu_it_says_so(tmp_path: Path) -> None:
    from edgekit.backends.tensorrt_library import load_library
    from edgekit.runtime import cuda

    if installed("tensorrt") is None:
        with pytest.raises(UnavailableError, match="tensorrt"):
            load_library("tensorrt")
    if not Path("/dev/nvidia0").exists():
        with pytest.raises(BundleError, match=r"CUDA|GPU"):
            cuda.describe_gpu()


Command = Callable[..., Any]


@RTX
@pytest.mark.usefixtures("shared_store")
def test_rtx_through_the_command_line(edgekit: Command, tmp_path: Path) -> None:
    few = ("--images", 60, "--calibration-images", 60)
    done = edgekit(
        "build", "--model", "inception_resnet_v1", "--target", "rtx", *few, "--out", tmp_path / "rtx", "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    manifest = json.loads((tmp_path / "rtx" / "manifest.json").read_text())
    assert manifest["engine"]["compute_capabilities"] == ["8.6", "8.9", "12.0"]
    assert "sm86_sm89_sm120_tensorrt-rtx-" in manifest["engine"]["name"]
    assert (tmp_path / "rtx" / "model.engine").stat().st_size > 1_000_000
    assert report["verdict"]["accuracy"]["drop"] is not None
    assert all(each["latency"]["p50"] is None and each["latency"]["why"] for each in report["variants"])
    graph = tmp_path / "rtx" / "model.onnx"
    again = edgekit(
        "compile", graph, "--target", "rtx", "--compute-capability", "8.9", "--out", tmp_path / "c", "--json"
    )
    assert json.loads(again.stdout)["files"] == ["model.engine"], again.stderr
    judged = edgekit("evaluate", tmp_path / "rtx", "--images", 20, "--json")
    assert json.loads(judged.stdout)["runtime"] == "onnxruntime", judged.stderr


@pytest.mark.usefixtures("shared_store")
def test_jetson_through_the_command_line(edgekit: Command, tmp_path: Path) -> None:
    few = ("--images", 200, "--calibration-images", 60)
    done = edgekit(
        "build", "--model", "inception_resnet_v1", "--target", "jetson", *few, "--out", tmp_path / "j", "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"]["accuracy"]["drop"] <= 1.0
    assert "--device ssh://" in report["verdict"]["latency"]["why"]
    assert not (tmp_path / "j" / "model.engine").exists()
    assert faults(onnx.load(str(tmp_path / "j" / "model.onnx"))) == []
    manifest = json.loads((tmp_path / "j" / "manifest.json").read_text())
    assert manifest["engine_settings"] == {"typed": True}
    assert manifest["target"]["runtime"] == "tensorrt"


@pytest.mark.usefixtures("shared_store")
def test_a_part_without_fast_int8_gets_fp16_and_a_line_that_says_so(edgekit: Command, tmp_path: Path) -> None:
    few = ("--model", "inception_resnet_v1", "--images", 40)
    done = edgekit("build", "--target", "jetson-nano", *few, "--out", tmp_path / "nano", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["chosen"] == "fp16"
    assert any("no fast INT8" in text for text in report["warnings"])
    model = onnx.load(str(tmp_path / "nano" / "model.onnx"))
    assert model.opset_import[0].version == 13
    more = ("--target", "jetson-xavier-nx", "--dla", "--calibration-images", 60, "--max-drop", 100)
    assert edgekit("build", *more, *few, "--out", tmp_path / "dla").returncode == 0
    assert {"model.dla.onnx", "model.dla.cache"} <= {file.name for file in (tmp_path / "dla").iterdir()}
    assert json.loads((tmp_path / "dla" / "manifest.json").read_text())["engine_settings"]["dla_core"] == 0
    refused = edgekit("build", "--target", "jetson-nano", "--dla", *few, "--out", tmp_path / "no")
    assert (refused.returncode, "has no DLA" in refused.stderr) == (2, True)
