"""A bundle as other servers take it: an entry of Triton's model repository, or a configuration of DeepStream's nvinfer.

Neither has been run: their files are written by the documents of Triton's model configuration and of Gst-nvinfer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from edgekit.bundle import trtexec
from edgekit.bundle.directory import place_file, require_whole
from edgekit.bundle.manifest import Manifest, Output
from edgekit.errors import InputError
from edgekit.file_names import readable
from edgekit.size import plain


@dataclass(frozen=True)
class Ends:
    """What a graph takes and gives: names, type of the pixels, whether its batch is open, and how many outputs."""

    image: str
    dtype: str
    output: str
    open_batch: bool
    classes: int


@dataclass(frozen=True)
class Served:
    """What Triton runs of a bundle.

    Attributes:
        key, value: "platform" or "backend", and which.
        files: name in the bundle: name in Triton's version folder.
        more: lines of the configuration.
    """

    key: str
    value: str
    files: Mapping[str, str]
    more: str = ""


_BY_TENSORRT = 'optimization { execution_accelerators {\n  gpu_execution_accelerator : [ { name : "tensorrt" } ]\n} }\n'

SERVED: Final[Mapping[str, Served]] = {
    "openvino": Served(
        "backend",
        "openvino",
        {"model.xml": "model.xml", "model.bin": "model.bin"},
        'default_model_filename: "model.xml"\n',
    ),
    "onnxruntime": Served("platform", "onnxruntime_onnx", {"model.onnx": "model.onnx"}),
    "tensorrt": Served("platform", "onnxruntime_onnx", {"model.onnx": "model.onnx"}, _BY_TENSORRT),
    "tensorrt-rtx": Served("platform", "onnxruntime_onnx", {"model.onnx": "model.onnx"}, _BY_TENSORRT),
}
"""Runtime of a bundle: what Triton runs of it. A device's engine is made by ONNX Runtime's provider for TensorRT there;
an engine of TensorRT for RTX is none of Triton's.
"""

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""Of a model: a folder, a name in Triton's configuration, and a part of its addresses."""

ENGINE: Final = Served("platform", "tensorrt_plan", {"model.engine": "model.plan"})
"""What it runs of a bundle with a finished engine of TensorRT itself."""


def triton(bundle: Path, out: Path, name: str) -> list[Path]:
    """Writes the entry `name` of a model repository into the folder `out`; the files that it has.

    Raises:
        InputError: it is no whole bundle, or there is another entry of that name.
    """
    manifest = require_whole(bundle)
    made_here = manifest.target.runtime == "tensorrt" and "model.engine" in manifest.files
    served = ENGINE if made_here else SERVED.get(manifest.target.runtime)
    if served is None:
        raise InputError(f"Triton runs no bundle for {manifest.target.runtime}", f"It takes {', '.join(SERVED)}.")
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of a model", "Give another --name: letters, digits, dots, - and _.")
    _check_there(manifest, served.files)
    entry = out / name
    if entry.exists():
        raise InputError(f"there is an entry {entry}", "Give another --name, or remove it.")
    ends = ends_of(bundle / "model.onnx")
    for source, target in served.files.items():
        place_file(bundle / source, entry / "1" / target)
    written = [entry / "1" / each for each in served.files.values()]
    texts = {"config.pbtxt": triton_config(manifest, name, served, ends)}
    if manifest.labels:
        texts["labels.txt"] = "".join(f"{_one_line(label)}\n" for label in manifest.labels)
    return [*written, *_write(entry, texts)]


def triton_config(manifest: Manifest, name: str, served: Served, ends: Ends) -> str:
    """config.pbtxt: raw pixels in, logits out; how images become pixels is told in its parameters."""
    _, height, width, _ = manifest.input.shape
    batches = _batches(manifest)
    at_once = max(batches) if ends.open_batch and batches else 0
    first = "" if at_once else "1, "
    labels = '\n  label_filename: "labels.txt"' if manifest.labels else ""
    kind = "TYPE_UINT8" if ends.dtype == "uint8" else "TYPE_FP32"
    text = (
        f'name: "{name}"\n{served.key}: "{served.value}"\nmax_batch_size: {at_once}\n'
        f'input [ {{\n  name: "{_quoted(ends.image)}"\n  data_type: {kind}\n'
        f"  dims: [ {first}{height}, {width}, 3 ]\n}} ]\n"
        f'output [ {{\n  name: "{_quoted(ends.output)}"\n  data_type: TYPE_FP32\n'
        f"  dims: [ {first}{ends.classes} ]{labels}\n}} ]\n"
    )
    if at_once > 1:
        text += f"dynamic_batching {{ preferred_batch_size: [ {', '.join(map(str, batches))} ] }}\n"
    output = manifest.output or Output()
    answer = json.dumps({"activation": output.activation, "task": output.task})
    parameters = {"preprocessing": _preprocessing(manifest), "output": answer}
    for key, value in parameters.items():
        text += f'parameters {{ key: "{key}" value {{ string_value: "{_quoted(value)}" }} }}\n'
    return text + served.more


def deepstream(bundle: Path, out: Path) -> list[Path]:
    """Writes a folder for nvinfer: a graph of float32 pixels that ends in a softmax, labels and configuration.

    Raises:
        InputError: it is no whole bundle of a classifier for TensorRT, or the folder is not empty.
    """
    manifest = require_whole(bundle)
    if manifest.engine_settings is None:
        raise InputError(
            f"DeepStream runs TensorRT, and the bundle is for {manifest.target.runtime}",
            "Build one with --target jetson.",
        )
    _check_there(manifest, ())
    told = manifest.output or Output()
    if told.task != "classify" or told.activation == "sigmoid":
        what = f"nvinfer's classifiers give one class of probabilities, and this bundle is for {told.task}"
        raise InputError(f"{what} ({told.activation})", "Export it with --triton.")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty", "Give another folder.")
    from edgekit.models.onnx_graph import load, save
    from edgekit.models.serving_graph import for_nvinfer

    ends_of(bundle / "model.onnx")  # of a graph that is another's
    out.mkdir(parents=True, exist_ok=True)
    save(for_nvinfer(load(bundle / "model.onnx"), told.activation == "softmax"), out / "model.onnx")
    names = [_one_line(label).replace(";", ",") for label in manifest.labels]
    classes = names or [str(number) for number in range(manifest.model.classes)]
    texts = {"config_infer.txt": nvinfer_config(manifest), "labels.txt": ";".join(classes) + "\n"}
    return [out / "model.onnx", *_write(out, texts)]


def nvinfer_config(manifest: Manifest) -> str:
    """The file that nvinfer's `config-file-path` names."""
    batches = _batches(manifest)
    told = dict(manifest.engine_settings or {})
    core = told.pop("dla_core", None)
    command = trtexec.line(told, manifest.precision, manifest.target.runtime_version or "10", manifest.input.shape)
    notes = [
        "Build the engine on the device first, in this folder:",
        f"  {command}",
        "nvinfer scales whole frames bilinearly to the network's size. What was measured was prepared otherwise:",
        f"  {_preprocessing(manifest)}",
        "so crop before it where that differs, and measure again.",
    ]
    values = {
        "gpu-id": 0,
        "model-engine-file": "model.engine",
        "labelfile-path": "labels.txt",
        "batch-size": max(batches),
        "process-mode": 1,
        "network-type": 1,
        "network-input-order": 1,
        "net-scale-factor": 1.0,
        "model-color-format": 0,
        "maintain-aspect-ratio": 0,
        "classifier-threshold": 0.0,
        "gie-unique-id": 1,
    }
    if core is not None:
        notes.append("The engine above is for the GPU: a DLA's takes scales that only edgekit's own runtime writes.")
    head = "".join(f"# {text}\n" for text in notes)
    return head + "\n[property]\n" + "".join(f"{key}={value}\n" for key, value in values.items())


def ends_of(graph: Path) -> Ends:
    """What a graph of edgekit's takes and gives.

    Raises:
        InputError: it is no such graph.
    """
    from edgekit.models.onnx_file import read_onnx
    from edgekit.models.onnx_graph import dims_of, given_inputs, name_of, pixel_facts

    model = read_onnx(graph)
    inputs = given_inputs(model)
    if len(inputs) != 1 or len(dims_of(inputs[0])) != 4 or not model.graph.outputs:
        raise InputError(f"{graph} is no graph of edgekit's", "Build the bundle again.")
    facts, image, output = pixel_facts(graph), inputs[0], model.graph.outputs[0]
    return Ends(name_of(image), facts.dtype, name_of(output), dims_of(image)[0] == 0, facts.classes)


def _check_there(manifest: Manifest, names: Iterable[str]) -> None:
    for name in ("model.onnx", *names):
        if name not in manifest.files:
            raise InputError(f"the bundle has no {name}", "Build it again.")


def _quoted(text: str) -> str:
    """Text between the quotes of a protobuf in words: names in a graph may come from anyone."""
    return readable(text).replace("\\", "\\\\").replace('"', '\\"')


def _batches(manifest: Manifest) -> list[int]:
    told = (manifest.engine_settings or {}).get("batches")
    return told if isinstance(told, list) else [1]


def _preprocessing(manifest: Manifest) -> str:
    """How images become the pixels that the graph takes, as JSON; what is inside the graph is left out."""
    told = asdict(manifest.preprocessing)
    inside = ("mean", "std", "color")
    return json.dumps({**{key: told[key] for key in told if key not in inside}, "size": plain(told["size"])})


def _one_line(label: str) -> str:
    return " ".join(label.split())


def _write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
