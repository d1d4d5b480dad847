"""The Inception-ResNets: their counts, the public weights' names, shapes and logits, and what has no weights."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from samples import SHARED_DATA
from test_inception_v4 import macs

from edgekit.data.signs import draw, label_of
from edgekit.errors import InputError
from edgekit.models import create
from edgekit.models.inception_resnet import InceptionResNetV1, InceptionResNetV2, InceptionResNetV2Paper
from edgekit.models.registry import MODELS, find_model
from edgekit.models.source import make_network, resolve
from edgekit.recipe import Recipe
from edgekit.training.loop import normalised

CLASSES = {
    "inception_resnet_v1": InceptionResNetV1,
    "inception_resnet_v2": InceptionResNetV2,
    "inception_resnet_v2_paper": InceptionResNetV2Paper,
}
PUBLIC = ("inception_v4", "inception_resnet_v2")


def public(name: str) -> dict[str, Any]:
    """Shapes of a public state dict, and logits of the public code with weights by a formula."""
    table = SHARED_DATA / "public_state_dicts.json"
    if not table.is_file():
        pytest.skip("the table of public state dicts is not here")
    told: dict[str, Any] = json.loads(table.read_text())[name]
    return told


def by_formula(shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """The state dict of the reference logits: waves whose phase is the name's place in alphabetical order."""
    made = {}
    for place, (name, shape) in enumerate(sorted(shapes.items())):
        count = math.prod(shape)
        wave = torch.sin(0.7 * torch.arange(count, dtype=torch.float64) + place).reshape(shape)
        if name.endswith("num_batches_tracked"):
            made[name] = torch.zeros((), dtype=torch.long)
        elif name.endswith("running_var"):
            made[name] = 1 + 0.5 * wave**2
        elif name.endswith(("running_mean", "bias")):
            made[name] = 0.1 * wave
        elif name.endswith(".bn.weight"):
            made[name] = 1 + 0.1 * wave
        else:
            made[name] = wave * math.sqrt(2 / (count / shape[0]))
    return made


@pytest.mark.parametrize(
    ("name", "params", "gmacs"),
    [
        ("inception_resnet_v1", 22_756_328, 6.206),
        ("inception_resnet_v2", 55_843_464, 13.156),
        ("inception_resnet_v2_paper", 32_433_928, 9.258),
        ("inception_v4", 42_679_816, 12.254),
    ],
)
def test_parameters_and_macs_at_width_one(name: str, params: int, gmacs: float) -> None:
    with torch.device("meta"):
        network = create(name)
        assert sum(p.numel() for p in network.parameters()) == params == MODELS[name].params
        assert round(macs(network, 299) / 1e9, 3) == gmacs == MODELS[name].gmacs


@pytest.mark.parametrize("name", PUBLIC)
def test_names_and_shapes_are_the_public_ones(name: str) -> None:
    with torch.device("meta"):
        ours = {key: list(value.shape) for key, value in create(name).state_dict().items()}
    assert ours == public(name)["shapes"]


@pytest.mark.parametrize("name", PUBLIC)
def test_logits_are_those_of_the_public_code(name: str) -> None:
    expected = public(name)["logits"]
    with torch.device("meta"):
        network = create(name).eval()
    network.load_state_dict(by_formula({key: value.shape for key, value in network.state_dict().items()}), assign=True)
    picture = torch.sin(0.01 * torch.arange(3 * 299 * 299, dtype=torch.float64)).reshape(1, 3, 299, 299)
    with torch.inference_mode():
        logits = network(picture)[0]
    assert logits[:16].tolist() == pytest.approx(expected["first16"], abs=1e-6)
    assert int(logits.argmax()) == expected["argmax"]
    assert float(logits.norm()) == pytest.approx(expected["l2"], abs=1e-6)
    assert float(logits.mean()) == pytest.approx(expected["mean"], abs=1e-6)


@pytest.mark.parametrize("name", CLASSES)
def test_a_quarter_of_the_width(name: str) -> None:
    network = create(name, num_classes=7, width=0.25).eval()
    assert isinstance(network, CLASSES[name])
    with torch.inference_mode():
        picture = torch.rand(2, 3, 107, 107)
        assert network(picture).shape == (2, 7)
        features = network.penultimate(picture)
    classifier = network.classif if isinstance(network, InceptionResNetV2) else network.last_linear
    assert features.shape == (2, classifier.in_features)


@pytest.mark.parametrize("width", [0.1, 0.35, 1.3])
@pytest.mark.parametrize("name", CLASSES)
def test_sums_fit_at_any_width_and_the_smallest_size(name: str, width: float) -> None:
    with torch.device("meta"):
        assert create(name, 3, width).eval()(torch.zeros(1, 3, 75, 75)).shape == (1, 3)


@pytest.mark.parametrize("name", CLASSES)
def test_residuals_are_scaled(name: str) -> None:
    picture = torch.rand(1, 3, 75, 75, generator=torch.Generator().manual_seed(0))

    def features(scale: float | tuple[float, float, float] | None) -> torch.Tensor:
        torch.manual_seed(0)
        with torch.inference_mode():
            return CLASSES[name](3, 0.1, scale=scale).eval().penultimate(picture)

    usual = features(None)
    assert torch.equal(usual, features((0.17, 0.10, 0.20)))
    assert torch.equal(features(0.3), features((0.3, 0.3, 0.3)))
    for other in ((0.3, 0.10, 0.20), (0.17, 0.3, 0.20), (0.17, 0.10, 0.3)):
        assert not torch.allclose(usual, features(other), rtol=1e-4)


def test_the_last_block_of_the_public_layout_is_neither_scaled_nor_rectified() -> None:
    network = InceptionResNetV2(3, 0.1, scale=0.0).eval()
    x = torch.randn(1, network.block8.conv2d.out_channels, 3, 3)
    with torch.inference_mode():
        assert torch.equal(network.repeat_2(x), x.relu())
        residual = network.block8(x) - x
        network.block8.scale = 0.5
        assert torch.allclose(network.block8(x) - x, residual / 2, atol=1e-6)
    assert float(residual.abs().max()) > 0.01


def test_expansions_are_linear_with_a_bias() -> None:
    with torch.device("meta"):
        block = InceptionResNetV1(3, 0.25).features[7][0]
    assert block.conv2d.bias is not None
    assert [name for name, _ in block.named_children()] == ["branch0", "branch1", "branch2", "conv2d", "relu"]


def test_without_weights_of_its_own_a_build_is_refused() -> None:
    name = "inception_resnet_v2_paper"
    assert find_model(name)[1] is None
    with pytest.raises(InputError) as refusal:
        resolve(Recipe(model=name))
    assert refusal.value.line() == (
        f"edgekit: error: {name} has no weights of its own yet. Give --weights FILE, or `--weights random` for latency."
    )
    with pytest.raises(InputError) as refusal:
        resolve(Recipe(model=f"{name}.tf_in1k"))
    assert "none yet" in refusal.value.hint
    source = resolve(Recipe(model=name, weights="random", width=0.25))
    assert source.random
    assert (source.tag, source.preprocessing.size, source.preprocessing.mean) == ("random", (299, 299), (0.5, 0.5, 0.5))


def test_tags_of_the_public_weights() -> None:
    entry, tag = find_model("inception_resnet_v2")
    assert tag == "signs"
    assert find_model("inception_resnet_v2.tf_ens_adv_in1k")[1] == "tf_ens_adv_in1k"
    public = [each for each in entry.tags.values() if each.source.startswith("hub:")]
    assert {each.source: each.crop_fraction for each in public} == {
        "hub:timm/inception_resnet_v2.tf_in1k": 0.8975,
        "hub:timm/inception_resnet_v2.tf_ens_adv_in1k": 0.8975,
    }


@pytest.mark.parametrize("name", ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"])
def test_shipped_weights_are_small_and_know_a_sign(name: str) -> None:
    source = resolve(Recipe(model=name))
    assert source.tag == "signs"
    assert source.weights is not None
    assert source.weights.stat().st_size <= 8_000_000
    network = make_network(source)
    signs = torch.from_numpy(np.stack([draw("validation", index) for index in range(24)]))
    with torch.inference_mode():
        answers = network(normalised(signs, (0.5,) * 3, (0.5,) * 3)).argmax(1)
    assert int((answers == torch.tensor([label_of(index) for index in range(24)])).sum()) >= 20
