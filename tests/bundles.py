"""Small real bundles, made in a moment: a network that takes raw pixels, its OpenVINO form, golden outputs."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.directory import write_bundle
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.runtime_archive import NAME, runtime_archive

LABELS = ["apple", "banana", "cherry", "date"]
SIZE = 32


def manifest(size: int = SIZE, crop_fraction: float = 1.0, runtime: str = "openvino", **more: Any) -> Manifest:
    """What a manifest says beside the files."""
    told = {
        "model": {"name": "tiny", "tag": None, "classes": len(LABELS), "weights_sha256": None},
        "target": {"name": "cpu", "runtime": runtime, "runtime_version": "1"},
        "precision": "fp32",
        "input": {"name": "image", "dtype": "uint8", "shape": [1, size, size, 3], "layout": "NHWC", "color": "RGB"},
        "preprocessing": {"size": size, "crop_fraction": crop_fraction, "interpolation": "bicubic"},
        "labels": LABELS,
        "versions": {"edgekit": "1"},
        "licenses": {"weights": None, "data": None},
    }
    return Manifest.of({**told, **more})


def network(path: Path, size: int = SIZE, opset: int = 13) -> Path:
    """Writes a classifier of raw pixels whose answer depends on the colours of the four corners; ONNX."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    dice = np.random.Generator(np.random.PCG64(3))

    def constant(name: str, values: Any) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(values, np.float32), name)

    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "scale"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["t"], ["p"], kernel_shape=[size // 4] * 2, strides=[size // 4] * 2),
        helper.make_node("Flatten", ["p"], ["v"]),
        helper.make_node("Gemm", ["v", "w", "b"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, size, size, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(LABELS)])],
        [
            constant("scale", 1 / 255),
            constant("w", dice.normal(0, 1, (len(LABELS), 48))),
            constant("b", np.zeros(len(LABELS))),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    onnx.save(model, str(path))
    return path


def make_bundle(out: Path, network: Callable[[Path, int], Path] = network, **told: Any) -> Path:
    """Writes a bundle that opens with OpenVINO and with ONNX Runtime; what is told is of `manifest`."""
    said = manifest(**told)
    size = told.get("size", SIZE)
    work = out.parent / f"{out.name}-parts"
    work.mkdir(parents=True, exist_ok=True)
    onnx_file = network(work / "model.onnx", size)
    inputs = np.random.Generator(np.random.PCG64(4)).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    files: dict[str, Path | bytes] = {
        "model.onnx": onnx_file,
        "golden.npz": packed(inputs=inputs, logits=logits_of(onnx_file, inputs)),
        NAME: runtime_archive(),
    }
    if said.target.runtime == "openvino":
        files |= openvino_files(onnx_file, work)
    return write_bundle(out, files, said)


def openvino_files(onnx_file: Path, work: Path) -> dict[str, Path]:
    """model.xml and model.bin of an ONNX file."""
    from edgekit.backends import openvino

    openvino.compile(onnx_file, work, "fp32")
    return {name: work / name for name in ("model.xml", "model.bin")}


def logits_of(onnx_file: Path, inputs: Any) -> Any:
    """What ONNX Runtime gives for pictures, one by one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": each[None]})[0] for each in inputs])


def packed(**arrays: Any) -> bytes:
    """A golden.npz."""
    into = io.BytesIO()
    np.savez_compressed(into, **arrays)
    return into.getvalue()


def rewrite(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes what a bundle's manifest says."""
    import json

    path = directory / "manifest.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def fit(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Puts other files into a bundle, with a manifest that names them rightly: an attacker's work."""
    import hashlib

    for name, content in contents.items():
        (directory / name).write_bytes(content)

    def change(told: dict[str, Any]) -> None:
        for name, content in contents.items():
            told["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}

    rewrite(directory, change)
