"""A bundle for Triton and DeepStream, and trtexec's line for it. Neither is here: files are read by their forms."""

from __future__ import annotations

import configparser
import json
import shlex
from pathlib import Path
from typing import Any

import bundles
import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from edgekit.bundle import serving, trtexec
from edgekit.bundle.directory import read_manifest
from edgekit.errors import InputError
from edgekit.models.onnx_graph import load, save
from edgekit.quantize.open_batch import with_open_batch

TYPED: dict[str, Any] = {"engine_settings": {"typed": True}}


def config_class() -> Any:
    """The part of Triton's ModelConfig that is used, as its model_config.proto has it: an unknown field is an error."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    text, number, whole = (
        descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{k}") for k in ("STRING", "INT64", "INT32")
    )
    kinds = file.enum_type.add(name="DataType")
    for place, name in enumerate(("TYPE_INVALID", "TYPE_UINT8", "TYPE_FP32")):
        kinds.value.add(name=name, number=place)

    def message(name: str, *fields: tuple[str, Any, bool]) -> None:
        made = file.message_type.add(name=name)
        for place, (field, kind, many) in enumerate(fields, 1):
            told = made.field.add(name=field, number=place, label=3 if many else 1)
            if isinstance(kind, str):
                told.type, told.type_name = (14 if kind == "DataType" else 11), f".inference.{kind}"
            else:
                told.type = kind

    message("ModelInput", ("name", text, False), ("data_type", "DataType", False), ("dims", number, True))
    message(
        "ModelOutput",
        *(("name", text, False), ("data_type", "DataType", False), ("dims", number, True)),
        ("label_filename", text, False),
    )
    message("ModelDynamicBatching", ("preferred_batch_size", whole, True))
    message("Accelerator", ("name", text, False))
    message("ExecutionAccelerators", ("gpu_execution_accelerator", "Accelerator", True))
    message("ModelOptimizationPolicy", ("execution_accelerators", "ExecutionAccelerators", False))
    message("ModelParameter", ("string_value", text, False))
    message("ParameterEntry", ("key", text, False), ("value", "ModelParameter", False))
    message(
        "ModelConfig",
        *((name, text, False) for name in ("name", "platform", "backend", "default_model_filename")),
        ("max_batch_size", whole, False),
        *(("input", "ModelInput", True), ("output", "ModelOutput", True)),
        ("dynamic_batching", "ModelDynamicBatching", False),
        ("optimization", "ModelOptimizationPolicy", False),
        ("parameters", "ParameterEntry", True),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def parsed(folder: Path) -> Any:
    return text_format.Parse((folder / "config.pbtxt").read_text(), config_class()())


@pytest.mark.parametrize(
    ("runtime", "kind", "files"),
    [
        ("openvino", ("", "openvino"), ["model.bin", "model.xml"]),
        ("onnxruntime", ("onnxruntime_onnx", ""), ["model.onnx"]),
        ("tensorrt", ("onnxruntime_onnx", ""), ["model.onnx"]),
    ],
)
def test_an_entry_of_a_model_repository(runtime: str, kind: tuple[str, str], files: list[str], tmp_path: Path) -> None:
    bundle = bundles.make_bundle(tmp_path / "net", runtime=runtime)
    written = serving.triton(bundle, tmp_path / "models", "fruit")
    entry = tmp_path / "models" / "fruit"
    assert sorted(path for path in entry.rglob("*") if path.is_file()) == sorted(written)
    assert sorted(path.name for path in (entry / "1").iterdir()) == files
    told = parsed(entry)
    assert (told.name, told.platform, told.backend, told.max_batch_size) == ("fruit", *kind, 0)
    assert [(each.name, each.data_type, list(each.dims)) for each in told.input] == [("image", 1, [1, 32, 32, 3])]
    assert [(each.name, list(each.dims)) for each in told.output] == [("logits", [1, 4])]
    assert (entry / told.output[0].label_filename).read_text().split() == bundles.LABELS
    how, answer = (json.loads(each.value.string_value) for each in told.parameters)
    assert answer == {"activation": "softmax", "task": "classify"}
    assert (how["size"], how["crop_fraction"], how["interpolation"]) == (32, 1.0, "bicubic")
    assert "mean" not in how  # it is inside the graph
    accelerators = told.optimization.execution_accelerators.gpu_execution_accelerator
    assert [each.name for each in accelerators] == (["tensorrt"] if runtime == "tensorrt" else [])


def test_a_finished_engine_is_served_by_tensorrt(tmp_path: Path) -> None:
    bundle = bundles.make_bundle(tmp_path / "net", runtime="tensorrt")
    bundles.fit(bundle, {"model.engine": b"engine"})
    serving.triton(bundle, tmp_path / "models", "fruit")
    assert parsed(tmp_path / "models" / "fruit").platform == "tensorrt_plan"
    assert (tmp_path / "models" / "fruit" / "1" / "model.plan").read_bytes() == b"engine"


def with_batches(tmp_path: Path) -> Path:
    settings = {"engine_settings": {"typed": True, "batches": [1, 8]}}
    bundle = bundles.make_bundle(tmp_path / "net", runtime="tensorrt", **settings)
    save(with_open_batch(load(bundle / "model.onnx")), tmp_path / "open.onnx")
    bundles.fit(bundle, {"model.onnx": (tmp_path / "open.onnx").read_bytes()})
    return bundle


def test_batches_are_told(tmp_path: Path) -> None:
    serving.triton(with_batches(tmp_path), tmp_path / "models", "fruit")
    told = parsed(tmp_path / "models" / "fruit")
    assert (told.max_batch_size, list(told.input[0].dims), list(told.output[0].dims)) == (8, [32, 32, 3], [4])
    assert list(told.dynamic_batching.preferred_batch_size) == [1, 8]


@pytest.mark.parametrize(
    "name", ["../out", "/tmp/x", "a/b", 'a"b', "a\nb", "", "..", "-x", "x" * 200, "\x1b[2J"], ids=str
)
def test_a_name_that_is_no_folder_of_the_repository(tmp_path: Path, name: str) -> None:
    bundle = bundles.make_bundle(tmp_path / "net", runtime="onnxruntime")
    with pytest.raises(InputError, match="is no name of a model"):
        serving.triton(bundle, tmp_path / "models", name)
    assert not (tmp_path / "models").exists()


def test_names_in_a_graph_stay_between_their_quotes(tmp_path: Path) -> None:
    evil = 'x" }\nparameters { key: "evil" value { string_value: "\\'
    bundle = bundles.make_bundle(tmp_path / "net", runtime="onnxruntime")
    model = onnx.load(str(bundle / "model.onnx"))
    for value in (model.graph.output[0], model.graph.input[0]):
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = [evil + value.name if each == value.name else each for each in names]
        value.name = evil + value.name
    bundles.fit(bundle, {"model.onnx": model.SerializeToString()})
    serving.triton(bundle, tmp_path / "models", "fruit")
    told = parsed(tmp_path / "models" / "fruit")
    assert "evil" not in {each.key for each in told.parameters}
    assert told.output[0].name.endswith("logits")


def test_a_bundle_without_a_network_is_refused(tmp_path: Path) -> None:
    bundle = bundles.make_bundle(tmp_path / "net", runtime="tensorrt", **TYPED)
    bundles.fit(bundle, {"model.onnx": b"no network"})
    with pytest.raises(InputError, match="not a whole ONNX"):
        serving.triton(bundle, tmp_path / "models", "fruit")
    (bundle / "model.onnx").unlink()
    bundles.rewrite(bundle, lambda told: told["files"].pop("model.onnx"))
    for export in (
        lambda: serving.triton(bundle, tmp_path / "m", "x"),
        lambda: serving.deepstream(bundle, tmp_path / "n"),
    ):
        with pytest.raises(InputError, match=r"has no model\.onnx"):
            export()


def test_what_is_there_already_or_damaged_is_refused(tmp_path: Path) -> None:
    bundle = bundles.make_bundle(tmp_path / "net", runtime="tensorrt", **TYPED)
    serving.triton(bundle, tmp_path / "models", "fruit")
    with pytest.raises(InputError, match="there is an entry"):
        serving.triton(bundle, tmp_path / "models", "fruit")
    (bundle / "model.onnx").write_bytes(b"other")
    with pytest.raises(InputError, match="damaged"):
        serving.triton(bundle, tmp_path / "models", "again")
    with pytest.raises(InputError, match="damaged"):
        serving.deepstream(bundle, tmp_path / "nvinfer")


@pytest.mark.parametrize("runtime_settings", [TYPED, {"engine_settings": {"typed": False, "dla_core": 1}}])
def test_a_configuration_of_nvinfer(runtime_settings: dict[str, Any], tmp_path: Path) -> None:
    bundle = bundles.make_bundle(tmp_path / "net", runtime="tensorrt", **runtime_settings)
    serving.deepstream(bundle, tmp_path / "nvinfer")
    told = configparser.ConfigParser()
    told.read(tmp_path / "nvinfer" / "config_infer.txt")
    values = told["property"]
    wanted = {"network-type": "1", "network-input-order": "1", "batch-size": "1", "net-scale-factor": "1.0"}
    assert {key: values[key] for key in wanted} == wanted
    assert (tmp_path / "nvinfer" / values["labelfile-path"]).read_text() == "apple;banana;cherry;date\n"
    model = onnx.load(str(tmp_path / "nvinfer" / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    pictures = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (1, 32, 32, 3))
    before, after = (onnxruntime.InferenceSession(str(f / "model.onnx")) for f in (bundle, tmp_path / "nvinfer"))
    logits = before.run(None, {"image": pictures.astype(np.uint8)})[0]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(after.run(None, {"image": pictures.astype(np.float32)})[0], shares, rtol=1e-5)
    with pytest.raises(InputError, match="not empty"):
        serving.deepstream(bundle, tmp_path / "nvinfer")


@pytest.mark.parametrize(
    ("output", "ends"),
    [
        ({"name": "logits", "activation": "softmax", "task": "classify"}, "Softmax"),
        ({"name": "logits", "activation": "none", "task": "classify"}, "Gemm"),
        ({"name": "logits", "activation": "sigmoid", "task": "multilabel", "threshold": 0.5}, None),
        ({"name": "logits", "activation": "none", "task": "embed"}, None),
    ],
)
def test_nvinfer_is_given_probabilities_of_one_class_or_nothing(
    output: dict[str, Any], ends: str | None, tmp_path: Path
) -> None:
    bundle = bundles.make_bundle(tmp_path / "net", runtime="tensorrt", **TYPED, output=output)
    if ends is None:
        with pytest.raises(InputError, match=output["task"]):
            serving.deepstream(bundle, tmp_path / "nvinfer")
        return
    serving.deepstream(bundle, tmp_path / "nvinfer")
    assert onnx.load(str(tmp_path / "nvinfer" / "model.onnx")).graph.node[-1].op_type == ends


def test_deepstream_takes_no_bundle_of_another_runtime(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the bundle is for openvino"):
        serving.deepstream(bundles.make_bundle(tmp_path / "net"), tmp_path / "nvinfer")


@pytest.mark.parametrize(
    ("settings", "precision", "version", "words"),
    [
        ({"typed": True}, "int8", "10.3", "--stronglyTyped"),
        ({"typed": True}, "int8", "11.4.1", ""),
        ({"typed": False}, "int8", "8.5.2", "--int8 --fp16"),
        ({"typed": False}, "fp16", "8.2", "--fp16"),
        ({"typed": False}, "fp32", "8.2", ""),
        ({"typed": False, "workspace_bytes": 64 << 20}, "fp32", "8.2", "--workspace=64"),
        ({"typed": True, "workspace_bytes": 64 << 20}, "fp32", "10.3", "--stronglyTyped --memPoolSize=workspace:64"),
        (
            {"typed": True, "batches": [1, 8]},
            "fp16",
            "11.4",
            "--minShapes=image:1x299x299x3 --optShapes=image:8x299x299x3 --maxShapes=image:8x299x299x3",
        ),
        ({"typed": True, "dla_core": 1}, "int8", "11.4", "--useDLACore=1 --allowGPUFallback"),
    ],
)
def test_the_same_by_trtexec(settings: dict[str, Any], precision: str, version: str, words: str) -> None:
    line = trtexec.line(settings, precision, version, (1, 299, 299, 3))
    wanted = ["trtexec", "--onnx=model.onnx", "--saveEngine=model.engine", *words.split(), "--useCudaGraph"]
    assert shlex.split(line) == wanted


def test_an_older_dla_is_given_the_plain_graph_and_its_scales() -> None:
    line = trtexec.line({"typed": True, "dla_core": 0}, "int8", "10.3", (1, 9, 9, 3)).split()
    assert {"--onnx=model.dla.onnx", "--int8", "--fp16", "--calib=model.dla.cache"} <= set(line)
    assert "--stronglyTyped" not in line


def test_a_bundle_for_processors_has_no_line(tmp_path: Path) -> None:
    assert trtexec.of_bundle(read_manifest(bundles.make_bundle(tmp_path / "net"))) is None
