"""Torch networks of the user's: what they answer with, what their factories do, and files that are never loaded."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from written import run

from edgekit.errors import InputError
from edgekit.models.export import export
from edgekit.models.factory import make
from edgekit.models.source import make_network, resolve
from edgekit.recipe import OutputRecipe, PreprocessingRecipe, Recipe

NETWORKS = """
import sys
from collections import namedtuple
from dataclasses import dataclass

import torch
from torch import nn

Pair = namedtuple("Pair", ["vector", "scores"])


@dataclass
class Answers:
    loss: object
    logits: torch.Tensor
    hidden: torch.Tensor


class Net(nn.Module):
    def __init__(self, answer, channels=3):
        super().__init__()
        self.conv, self.fc, self.answer = nn.Conv2d(channels, 8, 3, 2, 1), nn.Linear(8, 5), answer

    def forward(self, x):
        features = torch.relu(self.conv(x)).mean((2, 3))
        logits = self.fc(features)
        kinds = {
            "dict": lambda: {"features": features, "logits": logits},
            "tuple": lambda: (features, logits),
            "list": lambda: [features, logits],
            "named": lambda: Pair(features, logits),
            "dataclass": lambda: Answers(None, logits, features),
            "nested": lambda: {"head": {"logits": logits}, "map": features},
            "two": lambda: (logits, self.fc(features * 2)),
            "nothing": lambda: "logits",
            "softmax": lambda: torch.softmax(logits, 1),
        }
        return kinds[self.answer]() if self.answer else logits


def made(answer, channels=3):
    torch.manual_seed(0)
    return Net(answer, channels)


def plain(): return made("")
def dict_(): return made("dict")
def tuple_(): return made("tuple")
def list_(): return made("list")
def named(): return made("named")
def dataclass_(): return made("dataclass")
def nested(): return made("nested")
def two(): return made("two")
def nothing(): return made("nothing")
def softmax(): return made("softmax")
def grey(): return made("", 1)
def leaves(): sys.exit(3)
def breaks(): raise FileNotFoundError("weights/best.pth")
def sized(classes): return made("")
def number(): return 5
ready = made("dict")
"""
SIZE = (16, 16)


@pytest.fixture(scope="module", autouse=True)
def _networks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("factories")
    (folder / "answering.py").write_text(NETWORKS)
    (folder / "leaving.py").write_text("import sys\nsys.exit(4)\n")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def recipe(name: str, **told: Any) -> Recipe:
    return Recipe(model=f"answering:{name}", preprocessing=PreprocessingRecipe(size=SIZE), **told)


def picture(channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("dict_", "logits"),
        ("tuple_", "output_1"),
        ("list_", "output_1"),
        ("named", "scores"),
        ("dataclass_", "logits"),
        ("nested", "head.logits"),
        ("ready", "logits"),
    ],
)
def test_the_classes_are_found_among_many_tensors(name: str, output: str, tmp_path: Path) -> None:
    source = resolve(recipe(name))
    network = make_network(source)
    assert set(network.state_dict()) == {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
    with torch.no_grad():
        wanted = make("answering:plain")(picture())
        torch.testing.assert_close(network(picture()), wanted)
    if name in ("dict_", "dataclass_"):  # an export takes seconds
        facts = export(source, SIZE, tmp_path / "net.onnx")
        assert (facts.output, facts.classes) == (output, 5)
        assert output in facts.notes[0]
        made = run(onnx.load(str(tmp_path / "net.onnx")), picture().numpy())
        np.testing.assert_allclose(made, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_which_tensor_can_be_told_and_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 outputs, and which") as told:
        make_network(resolve(recipe("two")))
    assert "output_0 [1, 5], output_1 [1, 5]" in told.value.what
    network = make_network(resolve(recipe("dict_", output=OutputRecipe(name="features"))))
    assert network(picture()).shape == (1, 8)
    with pytest.raises(InputError, match="no output 'other'"):
        make_network(resolve(recipe("dict_", output=OutputRecipe(name="other"))))
    with pytest.raises(InputError, match="no output 'other'"):
        make_network(resolve(recipe("plain", output=OutputRecipe(name="other"))))
    with pytest.raises(InputError, match="answers with a str, no tensor"):
        make_network(resolve(recipe("nothing")))


def test_a_softmax_at_the_end_is_taken_out(tmp_path: Path) -> None:
    facts = export(resolve(recipe("softmax")), SIZE, tmp_path / "net.onnx")
    assert (facts.activation, facts.activation_found) == ("softmax", True)
    logits = torch.from_numpy(run(onnx.load(str(tmp_path / "net.onnx")), picture().numpy()))
    with torch.no_grad():
        torch.testing.assert_close(logits.softmax(1), make("answering:softmax")(picture()))


def test_a_network_for_grey_pictures_is_shown_grey_ones(tmp_path: Path) -> None:
    assert export(resolve(recipe("grey")), SIZE, tmp_path / "net.onnx").channels == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("answering:breaks", "answering:breaks raised FileNotFoundError: weights/best.pth"),
        ("answering:sized", "answering:sized raised TypeError: .*classes"),
        ("answering:leaves", "answering:leaves raised SystemExit: 3"),
        ("answering:number", "answering:number gave no torch module"),
        ("answering:missing", "no factory 'missing'"),
        ("leaving:net", "leaving cannot be imported: SystemExit: 4"),
        ("leaving.inner:net", "leaving cannot be imported|leaving.inner cannot be imported"),
    ],
)
def test_what_a_factory_does_is_told(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_network(resolve(Recipe(model=name, preprocessing=PreprocessingRecipe(size=SIZE))))


def test_a_state_dict_is_the_weights_of_its_architecture(tmp_path: Path) -> None:
    wanted = make("answering:plain")
    with torch.no_grad():
        wanted.fc.bias += 1  # type: ignore[operator, union-attr]
    torch.save(wanted.state_dict(), tmp_path / "net.pth")
    told = recipe("plain").model_copy(update={"model": str(tmp_path / "net.pth"), "arch": "answering:plain"})
    source = resolve(told)
    assert (source.kind, source.tag, source.origin) == ("factory", "net", "answering:plain")
    with torch.no_grad():
        torch.testing.assert_close(make_network(source)(picture()), wanted(picture()))
    with pytest.raises(InputError, match="weights file") as asked:
        resolve(told.model_copy(update={"arch": None}))
    assert "--arch" in asked.value.hint
    with pytest.raises(InputError, match="two files of weights"):
        resolve(told.model_copy(update={"weights": "other.pth"}))
    with pytest.raises(InputError, match="--arch says"):
        resolve(recipe("plain", arch="inception_v4"))


class Hostile:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", ["pth", "pt", "pt2", "ckpt", "bin"])
@pytest.mark.parametrize("by_torch", [False, True])
def test_nothing_in_a_file_is_ever_executed(suffix: str, by_torch: bool, tmp_path: Path) -> None:
    trap, file = tmp_path / "trap", tmp_path / f"net.{suffix}"
    if by_torch:
        torch.save({"fc.weight": Hostile(trap)}, file)
    else:
        file.write_bytes(pickle.dumps(Hostile(trap)))
    for arch in ("answering:plain", None):
        told = recipe("plain").model_copy(update={"model": str(file), "arch": arch})
        with pytest.raises(InputError, match=f"net.{suffix}"):
            make_network(resolve(told))
    with pytest.raises(InputError):
        make_network(resolve(recipe("plain", weights=str(file))))
    assert not trap.exists()


def test_a_whole_module_and_a_program_are_told_apart(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    told = recipe("plain").model_copy(update={"model": str(tmp_path / "whole.pth"), "arch": "answering:plain"})
    with pytest.raises(InputError, match="holds Python objects") as whole:
        make_network(resolve(told))
    assert "state_dict" in whole.value.hint
    with pytest.raises(InputError, match=r"program of torch\.export") as program:
        resolve(told.model_copy(update={"model": "net.pt2"}))
    assert "ONNX" in program.value.hint
