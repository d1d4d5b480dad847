"""Classifiers of timm by name. What needs timm itself is skipped where timm cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hub_server import Hub, serving
from test_hub import environment

from edgekit.errors import InputError, UnavailableError, install_hint
from edgekit.models.source import make_network, resolve
from edgekit.models.timm_models import find
from edgekit.recipe import Recipe
from edgekit.store.keys import canonical

try:
    import timm
except Exception:  # a torchvision that is not of torch's build fails in more than one way
    timm = None

needs_timm = pytest.mark.skipif(timm is None, reason="timm needs torch's own torchvision, which no lock brings")
SMALL = "mobilenetv3_small_050"


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in ("timm", "torchvision"):
        monkeypatch.setitem(sys.modules, missing, None)
        if missing == "torchvision":
            monkeypatch.delitem(sys.modules, "timm")
            monkeypatch.syspath_prepend(_broken(monkeypatch, "import torchvision"))
        with pytest.raises(UnavailableError) as refusal:
            find("resnet18")
        assert refusal.value.line() == (
            f"edgekit: error: models named timm:NAME need the package {missing}, which is not installed."
            f" {install_hint('timm')}"
        )


def _broken(monkeypatch: pytest.MonkeyPatch, code: str, folder: Path | None = None) -> Path:
    """A folder with a package timm that runs some code."""
    made = folder or Path(os.environ["EDGEKIT_CACHE"])
    (made / "timm").mkdir(parents=True)
    (made / "timm" / "__init__.py").write_text(code)
    return made


def test_a_torchvision_of_another_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = "raise RuntimeError('operator torchvision::nms does not exist')"
    monkeypatch.syspath_prepend(_broken(monkeypatch, code, tmp_path))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(UnavailableError) as refusal:
        find("resnet18")
    assert "operator torchvision::nms does not exist" in refusal.value.what
    minor = int(version("torch").split(".")[1])
    assert f"torch {version('torch')} needs torchvision 0.{minor + 15}" in refusal.value.hint


@pytest.mark.skipif(timm is not None, reason="timm is here")
def test_the_command_without_timm(edgekit: Callable[..., Any]) -> None:
    answer = edgekit("evaluate", "--model", "timm:resnet18", "--data", "signs")
    assert answer.returncode == 4
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    assert "timm" in answer.stderr


@needs_timm
def test_what_timm_says_of_a_model() -> None:
    told = find("resnet18")
    assert (told.architecture, told.tag, told.repository) == ("resnet18", "a1_in1k", "timm/resnet18.a1_in1k")
    assert told.version == f"timm {timm.__version__}"
    source = resolve(Recipe(model="timm:inception_v4.tf_in1k", weights="random"))
    ours = resolve(Recipe(model="inception_v4", weights="random"))
    assert source.preprocessing == ours.preprocessing
    flags = {"size": 160, "mean": (0.1, 0.2, 0.3), "interpolation": "bilinear"}
    source = resolve(Recipe(model="timm:resnet18", weights="random", preprocessing=flags))
    assert (source.preprocessing.size, source.preprocessing.mean) == ((160, 160), (0.1, 0.2, 0.3))
    assert (source.preprocessing.crop_fraction, source.preprocessing.interpolation) == (0.95, "bilinear")
    assert (source.kind, source.name, source.tag, source.classes) == ("timm", "resnet18", "random", 1000)
    assert canonical(source)[1]["code"] == f"timm {timm.__version__}"
    squashed = resolve(Recipe(model="timm:convnext_base.fb_in22k_ft_in1k_384", weights="random"))
    assert (squashed.preprocessing.resize, squashed.preprocessing.crop_fraction, squashed.notes) == ("squash", 1.0, ())


@needs_timm
@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"model": "timm:resnet_18", "weights": "random"}, ("no model 'resnet_18'", "resnet18")),
        ({"model": "timm:resnet18.a9_in1k"}, ("no such weights", "a1_in1k")),
        ({"model": "timm:resnet18", "width": 0.5, "weights": "random"}, ("--width",)),
        ({"model": "timm:resnet18", "num_classes": 10}, ("--num-classes 1000, not 10",)),
        ({"model": "timm:vit_tiny_patch16_224", "weights": "random", "preprocessing": {"size": 200}}, ("224x224",)),
        ({"model": "timm:vit_small_patch14_dinov2"}, ("without a classifier", "--num-classes")),
        ({"model": "timm:vit_small_patch14_dinov2", "weights": "random"}, ("no classifier", "--num-classes")),
    ],
)
def test_what_cannot_be_had_is_refused(told: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as refusal:
        resolve(Recipe(**told))
    for word in words:
        assert word in refusal.value.line()


@needs_timm
def test_weights_from_a_file(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    trained = timm.create_model(SMALL, num_classes=5).eval()
    save_file(trained.state_dict(), tmp_path / "mine.safetensors")
    told = {"model": f"timm:{SMALL}", "weights": str(tmp_path / "mine.safetensors")}
    source = resolve(Recipe(**told, num_classes=5))
    assert (source.tag, source.by_timm) == ("mine", False)
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(make_network(source)(picture), trained(picture), atol=1e-5)
    with pytest.raises(InputError, match="number of classes"):
        make_network(resolve(Recipe(**told)))
    with pytest.raises(InputError, match="another architecture"):
        make_network(resolve(Recipe(**{**told, "model": "timm:resnet18"})))


@needs_timm
def test_a_build_with_the_weights_that_timm_names(
    edgekit: Callable[..., subprocess.CompletedProcess[str]], photos: Callable[..., Path], tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save

    from edgekit.runtime import Bundle

    trained = timm.create_model(SMALL).eval()
    tag = find(SMALL).tag
    content = save({key: value.contiguous() for key, value in trained.state_dict().items()})
    (tmp_path / "quick.yaml").write_text("prune: none\nlatency: {runs: 10, max_seconds: 0.1}\n")
    with serving(Hub({f"timm/{SMALL}.{tag}/model.safetensors": content})) as hub:
        answer = edgekit(
            *("build", "--model", f"timm:{SMALL}", "--precision", "fp32", "--size", 64, "--json"),
            *("--data", photos(classes=3, count=4), "--recipe", tmp_path / "quick.yaml", "--out", tmp_path / "out"),
            env=environment(tmp_path / "hf", hub.endpoint),
        )
    assert answer.returncode == 0, answer.stderr
    model = json.loads(answer.stdout)["model"]
    assert (model["name"], model["tag"], model["classes"]) == (SMALL, tag, 1000)
    pictures = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    mean, std = torch.tensor(trained.pretrained_cfg["mean"]), torch.tensor(trained.pretrained_cfg["std"])
    with Bundle.open(tmp_path / "out") as bundle, torch.inference_mode():
        wanted = trained(((pictures / 255 - mean) / std).permute(0, 3, 1, 2))
        assert torch.allclose(torch.from_numpy(bundle.logits(pictures.numpy())), wanted, rtol=1e-2, atol=1e-3)


@needs_timm
def test_weights_of_another_model_at_the_address(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from edgekit.models.timm_models import make

    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=f"do not fit timm:{SMALL}"):
        make(SMALL, 1000, tmp_path / "model.safetensors", own=True)
