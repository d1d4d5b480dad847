"""The public face network on real faces: the public module, the public weights, and what they are worth.

Everything comes from the package index, and is kept between runs; where there is none the tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faces import PICTURES, crops, keras_file, public_module
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from edgekit.models import create
from edgekit.models.export import export
from edgekit.models.keras_weights import expected
from edgekit.models.source import make_network, resolve
from edgekit.recipe import Recipe
from edgekit.validate.embedding import nearest_right, reference

pytestmark = [pytest.mark.network, pytest.mark.slow]
NAME = "inception_resnet_v1_face"


@pytest.fixture(scope="module")
def faces() -> tuple[Tensor, np.ndarray[Any, np.dtype[np.int64]], list[str]]:
    """Crops as the network wants them, (118, 3, 160, 160), the number of the person on each, and the files' names."""
    files = sorted(crops().glob("*/*.png"))
    people = sorted({each.parent.name for each in files})
    pixels = np.stack([np.asarray(Image.open(each)) for each in files]).astype(np.float32)
    shown = (torch.from_numpy(pixels).permute(0, 3, 1, 2) - 127.5) / 128
    return shown, np.array([people.index(each.parent.name) for each in files]), [each.name for each in files]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """The network with the weights of the Keras file."""
    pytest.importorskip("h5py")
    return make_network(resolve(Recipe(model=NAME, weights=str(keras_file()))))


def answers(network: Any, shown: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    with torch.inference_mode():
        return torch.cat([network(shown[first : first + 16]) for first in range(0, len(shown), 16)]).numpy()


def unlike(network: nn.Module) -> nn.Module:
    """The network with a batch norm that does something."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def test_names_shapes_and_vectors_are_those_of_the_public_module() -> None:
    torch.manual_seed(0)
    public = unlike(public_module()())
    ours = create(NAME, 512).eval()
    told = public.state_dict()
    assert {key: value.shape for key, value in ours.state_dict().items()} == {k: v.shape for k, v in told.items()}
    ours.load_state_dict(told)
    picture = torch.rand(2, 3, 160, 160) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(ours(picture), public(picture), atol=1e-6)


def test_a_state_dict_of_the_public_module_with_its_classifier_loads(tmp_path: Path) -> None:
    torch.manual_seed(1)
    public = unlike(public_module()(classify=True, num_classes=7))
    torch.save(public.state_dict(), tmp_path / "faces.pt")
    told: list[str] = []
    ours = make_network(resolve(Recipe(model=NAME, weights=str(tmp_path / "faces.pt"))), told.append)
    assert told == ["the weights faces.pt have a classifier on top, which is not used: logits.weight, logits.bias"]
    public.classify = False
    picture = torch.rand(1, 3, 160, 160) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(ours(picture), public(picture), atol=1e-6)


def as_keras_describes_it(path: Path, shown: Tensor) -> Tensor:
    """What the network says that the file itself describes, layer by layer, in JSON: a second reading of it.

    Its layers with code in them add a residual; by how much it is multiplied is told beside the code.
    """
    import h5py

    made: dict[str, Tensor] = {}
    with h5py.File(path, "r") as file, torch.inference_mode():
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        for layer in layers:
            name, told = layer["name"], layer["config"]
            group = file["model_weights"][name]
            arrays = {each.decode().split("/")[-1]: group[each][()] for each in group.attrs["weight_names"]}
            weights = {key.removesuffix(":0"): torch.from_numpy(value) for key, value in arrays.items()}
            given = [made[each[0]] for node in layer["inbound_nodes"] for each in node]
            made[name] = _layer(layer["class_name"], told, weights, given) if given else shown
    return functional.normalize(made[layers[-1]["name"]], dim=1)


def _layer(kind: str, told: dict[str, Any], weights: dict[str, Tensor], given: list[Tensor]) -> Tensor:
    x = given[0]
    if kind == "Conv2D":
        kernel = weights["kernel"].permute(3, 2, 0, 1)
        pad = tuple(side // 2 for side in kernel.shape[2:]) if told["padding"] == "same" else (0, 0)
        return functional.conv2d(x, kernel, weights.get("bias"), tuple(told["strides"]), pad)
    if kind == "BatchNormalization":
        mean, variance = weights["moving_mean"], weights["moving_variance"]
        return functional.batch_norm(x, mean, variance, weights.get("gamma"), weights["beta"], eps=told["epsilon"])
    if kind == "Activation":
        assert told["activation"] == "relu"
        return x.relu()
    if kind == "MaxPooling2D":
        assert told["padding"] == "valid"
        return functional.max_pool2d(x, tuple(told["pool_size"]), tuple(told["strides"]))
    if kind == "Lambda":
        return x + told["arguments"]["scale"] * given[1]
    if kind == "Dense":
        return x @ weights["kernel"]
    simple = {
        "Concatenate": lambda: torch.cat(given, 1),
        "GlobalAveragePooling2D": lambda: x.mean((2, 3)),
        "Dropout": lambda: x,
    }
    return simple[kind]()


def test_every_array_of_the_keras_file_is_used_as_the_file_itself_says(network: nn.Module, faces: Any) -> None:
    import h5py

    with h5py.File(keras_file(), "r") as file:
        group = file["model_weights"]
        told = {
            f"{layer}/{name.decode().split('/')[-1].removesuffix(':0')}"
            for layer in group
            for name in group[layer].attrs["weight_names"]
        }
    assert told == {each.array for each in expected() if not each.array.endswith("/gamma")}
    assert len(told) == 490
    assert network.last_linear.out_features == 128
    shown = faces[0][::16]
    assert np.abs(answers(network, shown) - as_keras_describes_it(keras_file(), shown).numpy()).max() < 1e-4


def test_faces_are_told_apart(network: nn.Module, faces: Any) -> None:
    shown, labels, names = faces
    assert len(shown) == PICTURES
    vectors = answers(network, shown)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    score, drop = reference(vectors, labels).score(vectors)
    assert score.top1 == pytest.approx(99.2, abs=0.9)  # one face of 118 more or less
    assert score.pairs.roc_auc == pytest.approx(0.985, abs=0.003)
    assert score.pairs.false_accept == pytest.approx(1, abs=0.05)
    assert score.pairs.false_reject == pytest.approx(5.2, abs=1)
    assert (score.images, score.unscored, drop.drop) == (PICTURES, (), 0.0)
    held_out = np.array([each.startswith("val-") for each in names])
    assert nearest_right(vectors, labels)[held_out].all()


def test_the_exported_graph_makes_the_same_vectors(network: nn.Module, faces: Any, tmp_path: Path) -> None:
    import onnxruntime

    source = resolve(Recipe(model=NAME, weights=str(keras_file())))
    facts = export(source, (160, 160), tmp_path / "model.onnx")
    assert (facts.classes, facts.height, facts.width) == (128, 160, 160)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    shown = faces[0][::24]
    made = np.concatenate([session.run(None, {session.get_inputs()[0].name: each[None].numpy()})[0] for each in shown])
    assert np.abs(made - answers(network, shown)).max() < 1e-4
