"""Quantization-aware training on the real libraries: what it wins back, and that a resumed run ends as a whole one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import EdgekitError
from edgekit.models.export import export_network
from edgekit.quantize import qat
from edgekit.quantize.ptq import Pictures, normalised, quantize
from edgekit.quantize.qat import QatGraphs, QatImages, QatRecord, QatSettings, train_quantized
from edgekit.runtime.openvino_core import core
from edgekit.training.log import Tick
from edgekit.training.loop import RunSettings, seeded, train
from edgekit.training.recipe import Stage, TrainingRecipe

CLASSES = 12
HOW = Preprocessing(32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
LOUD = 200.0
"""How much louder one channel in eight is than what reads it needs: the others get few of the levels."""


@dataclass(frozen=True)
class Waves:
    """Noisy waves in twelve directions; the direction is the class."""

    count: int = 768

    def training_image(self, index: int, size: tuple[int, int], seed: int) -> tuple[np.ndarray, int]:
        dice = np.random.Generator(np.random.PCG64([index, seed]))
        angle = np.pi * (index % CLASSES + dice.uniform(-0.35, 0.35)) / CLASSES
        y, x = np.mgrid[: size[0], : size[1]]
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * dice.uniform(0.6, 1.0) + dice.uniform(0, 6))
        noisy = 128 + 60 * wave[..., None] + dice.normal(0, 80, (*size, 3))
        return np.clip(noisy, 0, 255).astype(np.uint8), index % CLASSES


def validation(count: int = 480) -> tuple[np.ndarray, np.ndarray]:
    """Normalised images (N, 3, H, W) and labels."""
    drawn = [Waves().training_image(index, HOW.size, 1_000_000) for index in range(count)]
    return normalised(np.stack([image for image, _ in drawn]), HOW, "NCHW"), np.array([label for _, label in drawn])


def convolutions() -> nn.Module:
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 16, 2), (16, 32, 2), (32, 32, 1), (32, 48, 2)):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, CLASSES))


def with_loud_channels(network: nn.Module) -> nn.Module:
    """The same function, but some channels in the middle are much louder and read much more quietly."""
    with torch.no_grad():
        for norm, reader in ((network[1], network[3]), (network[4], network[6]), (network[7], network[9])):
            norm.weight[::8] *= LOUD
            norm.bias[::8] *= LOUD
            reader.weight[:, ::8] /= LOUD
    return network


@dataclass(frozen=True)
class Case:
    """A float graph and its Q/DQ graph, which lost much."""

    core: Path
    quantized: Path


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    recipe = TrainingRecipe(
        optimizer="muon",
        learning_rate=0.02,
        schedule="one-cycle",
        ema=0.9,
        clip_norm=2.0,
        stages=(Stage(size=HOW.size, images=768 * 8, batch=32),),
    )
    made = train(seeded(0, convolutions), Waves(), recipe, folder / "float", RunSettings(workers=0)).network
    network = with_loud_channels(made)
    network = network.cpu().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    export_network(network, HOW.size, folder / "core.onnx")
    pictures = [Waves().training_image(index, HOW.size, 0)[0][None] for index in range(48)]
    quantize(folder / "core.onnx", folder / "q.onnx", Pictures(lambda: iter(pictures), len(pictures)), HOW)
    return Case(folder / "core.onnx", folder / "q.onnx")


def answers(graph: Path, images: np.ndarray) -> Tensor:
    """By OpenVINO in float32 where the graph says float."""
    compiled = core().compile_model(str(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(np.concatenate([compiled(image[None])[0] for image in images]))


def divergence(wanted: Tensor, made: Tensor) -> float:
    soft = torch.log_softmax(wanted, 1)
    return float((soft.exp() * (soft - torch.log_softmax(made, 1))).sum(1).mean())


def run(
    case: Case, folder: Path, settings: QatSettings, labelled: bool = True, on_tick: Any = lambda tick: None
) -> tuple[QatRecord, Path]:
    graphs = QatGraphs(case.core, case.quantized, folder.with_suffix(".onnx"))
    return train_quantized(graphs, QatImages(Waves(), labelled, HOW), settings, folder, on_tick), graphs.out


@pytest.mark.parametrize("labelled", [False, True])
def test_what_quantization_lost_is_won_back(case: Case, labelled: bool, tmp_path: Path) -> None:
    ticks: list[Tick] = []
    record, out = run(case, tmp_path / "run", QatSettings(600.0, images=2400), labelled, ticks.append)
    images, labels = validation()
    wanted, before, after = (answers(path, images) for path in (case.core, case.quantized, out))
    right = [int((each.argmax(1).numpy() == labels).sum()) for each in (wanted, before, after)]
    assert divergence(wanted, after) < 0.5 * divergence(wanted, before)
    assert right[1] < right[0]
    assert right[2] > right[1]
    assert record.method == ("distillation with labels" if labelled else "distillation without labels")
    assert record.steps == ticks[-1].step == ticks[-1].steps
    assert record.as_dict()["layers"] == 5
    names = [[node.name for node in onnx.load(str(path)).graph.node] for path in (case.quantized, out)]
    assert names[0] == names[1]


def test_a_run_that_was_stopped_or_is_done_again_ends_with_the_same_graph(case: Case, tmp_path: Path) -> None:
    settings = QatSettings(600.0, images=480)
    one, first = run(case, tmp_path / "one", settings)

    def kill(tick: Tick) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(case, tmp_path / "two", settings, on_tick=kill)
    two, second = run(case, tmp_path / "two", settings)
    three, third = run(case, tmp_path / "three", QatSettings(0.0, learning_rate=1.0, seed=5, replay=one.run))
    assert (one.images, one.steps) == (two.images, two.steps) == (three.images, three.steps) == (480, 30)
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    assert one.run == two.run == three.run
    assert one.cut is None
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["log.jsonl"]
    assert json.loads(json.dumps(one.as_dict()))["run"]["threads"] == one.run.threads


def test_a_run_that_was_killed_goes_on_from_its_checkpoint(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = QatSettings(600.0, images=480)
    one, first = run(case, tmp_path / "one", settings)

    def killed(network: nn.Module, images: Any, plan: Any, folder: Path, how: RunSettings, *rest: Any) -> None:
        train(network, images, plan, folder, replace(how, stop_after=one.steps // 2), *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(qat, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        run(case, tmp_path / "two", settings)
    monkeypatch.undo()
    assert not (tmp_path / "two.onnx").exists()
    seen: list[int] = []
    two, second = run(case, tmp_path / "two", settings, on_tick=lambda tick: seen.append(tick.step))
    assert (two.images, two.steps) == (one.images, one.steps)
    assert min(seen) > one.steps // 2
    assert first.read_bytes() == second.read_bytes()


def test_a_run_that_was_cut_is_done_again_to_the_same_graph(case: Case, tmp_path: Path) -> None:
    one, first = run(case, tmp_path / "one", QatSettings(0.0, images=480))
    assert one.steps < 30
    assert one.cut is not None
    two, second = run(case, tmp_path / "two", QatSettings(600.0, replay=one.run))
    assert first.read_bytes() == second.read_bytes()
    assert two.run == one.run


def test_how_many_images_fit_is_found(case: Case, tmp_path: Path) -> None:
    record, _ = run(case, tmp_path / "run", QatSettings(3.0))
    assert record.images == record.run.images >= 16
    assert record.cut is None or record.cut.startswith("cut from ")


def test_a_run_that_diverged_writes_nothing(case: Case, tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match=r"diverged at step \d+ of 30") as caught:
        run(case, tmp_path / "run", QatSettings(600.0, learning_rate=1e30, images=480))
    assert "Lower its learning rate" in caught.value.hint
    assert not (tmp_path / "run.onnx").exists()
