"""Which kernels runtimes took for the layers with weights, on the real libraries, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundles import make_bundle
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import DEFAULTS, Compiled, backend
from edgekit.runtime import verify
from edgekit.runtime.errors import BundleError
from edgekit.runtime.kernels import Kernel, KernelFindings, findings_of, of_onnxruntime, with_times
from edgekit.runtime.onnx_nodes import FLOAT16, read_graph

RUNTIMES = ("openvino", "onnxruntime")


def write(folder: Path, quantized_input: bool = True, op: str = "Conv", kind: Any = np.float32, **more: Any) -> Path:
    """One convolution of 6 channels with INT8 weights, or weights of another type, as an ONNX file."""
    dice, sides = np.random.Generator(np.random.PCG64(0)), (6, 6 // more.get("group", 1), 3, 3)
    weights = dice.integers(-127, 128, sides).astype(np.int8)
    constants = {"s": np.float32(0.02), "z": np.uint8(0), "w": weights, "ws": np.float32(0.01), "wz": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node(op, ["d" if quantized_input else "x", "wd"], ["c"], name="odd", **more),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["y"]),
    ]
    types = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16}
    if kind is np.float16:
        constants = {"wd": (weights * 0.01).astype(kind)}
        nodes = [helper.make_node(op, ["x", "wd"], ["y"], name="odd")]
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("x", types[kind], [1, 6, 12, 12])],
        [helper.make_tensor_value_info("y", types[kind], None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    path = folder / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def kernels(runtime: str, graph: Path) -> tuple[Kernel, ...]:
    folder = graph.parent / runtime
    folder.mkdir()
    return backend(runtime).kernels(backend(runtime).compile(graph, folder, "int8", DEFAULTS))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_quantized_convolution_is_an_integer_one(runtime: str, tmp_path: Path) -> None:
    (found,) = kernels(runtime, write(tmp_path))
    assert (found.layer, found.precision, found.quantized) == ("odd", "i8", True)
    told = findings_of([found], "int8")
    assert not told.wrong
    assert told.sentence() == f"INT8: 1 of 1 layers on integer kernels ({found.primitive})"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_convolution_whose_input_is_not_quantized_computes_in_floating_point(runtime: str, tmp_path: Path) -> None:
    (found,) = kernels(runtime, write(tmp_path, quantized_input=False))
    assert (found.precision, found.quantized) == ("f32", True)
    told = findings_of([found], "int8")
    assert told.wrong
    assert told.floating == (found,)
    assert "1 in floating point although quantized" in told.sentence()
    assert told.sentence().endswith("odd): INT8 is no gain here")


def test_what_openvino_has_no_integer_kernel_for(tmp_path: Path) -> None:
    (found,) = kernels("openvino", write(tmp_path, op="ConvTranspose", group=3, strides=[5, 5]))
    assert (found.precision, found.quantized) == ("f32", True)


def test_a_reference_kernel_is_named(tmp_path: Path) -> None:
    graph = write(tmp_path)
    compiled = backend("openvino").compile(graph, tmp_path, "int8", DEFAULTS)
    path = Path(compiled.path)
    words = path.read_text()
    layer = words.index('type="Convolution"')
    data = words.index("<data ", layer)  # OpenVINO takes the kernel that a layer asks for
    path.write_text(words[:data] + '<data PrimitivesPriority="cpu:ref_any" ' + words[data + 6 :])
    (found,) = backend("openvino").kernels(compiled)
    assert found.primitive == "ref_any_I8"
    told = findings_of([found], "int8")
    assert told.wrong
    assert told.sentence().startswith(
        "INT8: 0 of 1 layers on integer kernels; 1 on reference kernels (ref_any_I8: odd)"
    )


def test_fp16_that_is_computed_in_fp32_is_no_gain(tmp_path: Path) -> None:
    found = backend("onnxruntime").kernels(Compiled("onnxruntime", str(write(tmp_path, kind=np.float16)), "fp16", 0))
    told = findings_of(found, "fp16")
    assert told.layers == 1
    assert told.wrong is (found[0].precision == "f32")  # by the processor


def layers(count: int, primitive: str = "ref_any_f16", precision: str = "f16") -> list[Kernel]:
    return [Kernel(f"conv{place}", "Convolution", primitive, precision, True) for place in range(count)]


GOOD = Kernel("good", "Convolution", "jit_avx2_I8", "i8", True)


def test_openvino_on_arm_as_it_was_found() -> None:
    told = findings_of([*layers(131), *layers(17, "gemm_acl_f32", "f32"), GOOD], "int8")
    assert (told.layers, told.as_built, len(told.reference), len(told.floating)) == (149, 1, 131, 17)
    assert told.wrong
    assert "131 on reference kernels (ref_any_f16: conv0, conv1, conv2 and 128 more)" in told.sentence()
    assert told.sentence().endswith("INT8 is no gain for them here")


def test_few_layers_matter_where_they_are_hot() -> None:
    mixed = [*layers(1), *[GOOD._replace(layer=f"good{place}") for place in range(99)]]
    assert not findings_of(mixed, "int8").wrong
    times = {each.layer: 1.0 for each in mixed}
    assert not findings_of(with_times(mixed, times), "int8").wrong
    hot = findings_of(with_times(mixed, {**times, "conv0": 99.0, "pool": 2.0}), "int8")
    assert hot.wrong
    assert "1, 50 % of the time, on reference kernels" in hot.sentence()
    assert with_times(mixed, {}) == tuple(mixed)


def test_what_was_left_in_floating_point_on_purpose_is_not_wrong() -> None:
    left = [Kernel(f"left{place}", "Convolution", "jit_f32", "f32", False) for place in range(9)]
    told = findings_of([GOOD, *left], "mixed")
    assert not told.wrong
    assert told.sentence() == "INT8: 1 of 10 layers on integer kernels (jit_avx2_I8)"
    assert findings_of(left, "int8").sentence() == "INT8: 0 of 9 layers on integer kernels: INT8 is no gain here"
    assert findings_of([], "int8") == KernelFindings("int8", 0, 0, (), (), ())


def test_a_file_is_read_as_the_onnx_package_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    nodes, types = read_graph(str(path))
    model = onnx.load(str(path)).graph
    assert [(each.kind, each.name, each.domain) for each in nodes] == [
        (each.op_type, each.name, each.domain) for each in model.node
    ]
    assert [(each.inputs, each.outputs) for each in nodes] == [
        (list(each.input), list(each.output)) for each in model.node
    ]
    assert types == {each.name: each.data_type for each in model.initializer}
    assert read_graph(str(write(tmp_path, kind=np.float16)))[1] == {"wd": FLOAT16}


def test_verify_warns_of_a_bundle_that_wins_nothing_here(tmp_path: Path) -> None:
    for precision, said in (("fp32", None), ("int8", "INT8: 0 of 1 layers on integer kernels: INT8 is no gain here")):
        bundle = make_bundle(tmp_path / precision, runtime="onnxruntime", precision=precision)
        checks = verify.verify(str(bundle))
        assert verify.exit_code(checks) == 0
        found = [each for each in verify.as_json(str(bundle), checks)["checks"] if each["name"] == "kernels"]
        assert found == ([] if said is None else [{"name": "kernels", "ok": None, "detail": said, "warning": True}])
        lines = [line for line in verify.as_text(checks) if line.startswith("kernels")]
        assert lines == ([] if said is None else [f"kernels          warn  {said}"])


@pytest.mark.parametrize("keep", [1, 40, 0.99])
def test_a_cut_file_is_no_graph(keep: float, tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[: int(keep) or int(keep * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"cut off|wire type"):
        read_graph(str(path))


def test_what_onnxruntime_cannot_run_is_said(tmp_path: Path) -> None:
    import onnxruntime

    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match="ONNX Runtime does not tell its kernels"):
        of_onnxruntime(str(tmp_path / "bad.onnx"), onnxruntime.SessionOptions())
