"""Pruned networks on the real libraries: they run, export, quantize, compile; the cut graph is the pruned graph."""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, OURS, network

from edgekit.backends import openvino
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import EdgekitError, InputError
from edgekit.models.export import export_network
from edgekit.prune import onnx_slice
from edgekit.prune.blocks import without
from edgekit.prune.images import Tuning, top1, training_batches, tuning_of
from edgekit.prune.importance import IMPORTANCES
from edgekit.prune.recover import PrunedNetwork, RecoveryImages, RecoverySettings, recover, reestimate
from edgekit.prune.select import keep_best, ratio_widths
from edgekit.prune.sources import PruningImages, of_folder, signs_images
from edgekit.prune.surgery import slimmed
from edgekit.prune.timing import layer_timer
from edgekit.prune.tracing import trace
from edgekit.quantize.graph_format import format_for
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.ptq import Pictures, quantize
from edgekit.training.loop import normalised

STEP = 4


def int8(network_: Any, size: int, folder: Path) -> Path:
    """Exports and quantizes with a few random pictures; the INT8 graph with preprocessing inside."""
    told = Preprocessing(size)
    export_network(network_, (size, size), folder / "core.onnx")
    dice = np.random.Generator(np.random.PCG64(0))
    pictures = dice.integers(0, 256, (3, 1, size, size, 3), np.uint8)
    quantize(folder / "core.onnx", folder / "q.onnx", Pictures(lambda: iter(pictures), len(pictures)), told)
    write_graph(folder / "core.onnx", folder / "q.onnx", folder / "int8.onnx", "int8", told, format_for(None))
    return folder / "int8.onnx"


def run(graph: Path, folder: Path, size: int) -> Any:
    folder.mkdir()
    with openvino.load(openvino.compile(graph, folder, "int8")) as session:
        return session.infer(np.full((1, size, size, 3), 100, np.uint8))


@pytest.mark.parametrize("name", [*LAYOUTS, *(pytest.param(name, marks=pytest.mark.slow) for name in OURS)])
@settings(deadline=None, max_examples=1, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ratio=st.floats(0.1, 0.8), seed=st.integers(0, 1000))
def test_a_pruned_network_exports_quantizes_and_compiles(
    name: str, ratio: float, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(name)
    made, size = network(name, seed)
    graph = trace(made, (size, size))
    dice = np.random.Generator(np.random.PCG64(seed))
    scores = {group.name: dice.random(group.width) for group in graph.groups}
    keep = keep_best(graph, ratio_widths(graph, ratio, STEP), scores)
    logits = run(int8(slimmed(made, graph, keep), size, folder), folder / "compiled", size)
    assert logits.shape == (1, 5)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    "name", ["residual", "depthwise", "dense", pytest.param("inception_v4", marks=pytest.mark.slow)]
)
def test_the_cut_graph_is_that_of_the_pruned_network(name: str, tmp_path: Path) -> None:
    made, size = network(name)
    graph = trace(made, (size, size))
    scores = IMPORTANCES["magnitude"](made, graph, ())
    keep = keep_best(graph, ratio_widths(graph, 0.5, STEP), scores)
    (tmp_path / "dense").mkdir()
    (tmp_path / "pruned").mkdir()
    dense = int8(made, size, tmp_path / "dense")
    pruned = int8(slimmed(made, graph, keep), size, tmp_path / "pruned")
    onnx_slice.cut(dense, tmp_path / "cut.onnx", graph, keep)
    assert shapes(tmp_path / "cut.onnx") == shapes(pruned)
    assert run(tmp_path / "cut.onnx", tmp_path / "compiled", size).shape == (1, 5)
    onnx_slice.cut(dense, tmp_path / "whole.onnx", graph, graph.everything())
    np.testing.assert_array_equal(run(tmp_path / "whole.onnx", tmp_path / "a", size), run(dense, tmp_path / "b", size))


@pytest.mark.parametrize("name", ["residual", "depthwise", pytest.param("inception_resnet_v1", marks=pytest.mark.slow)])
def test_the_graph_without_blocks_is_that_of_the_network_without_them(name: str, tmp_path: Path) -> None:
    made, size = network(name)
    graph = trace(made, (size, size), blocks=True)
    keep = without(graph, graph.everything(), [block.name for block in graph.blocks[:6]])
    (tmp_path / "dense").mkdir()
    (tmp_path / "pruned").mkdir()
    dense = int8(made, size, tmp_path / "dense")
    pruned = int8(slimmed(made, graph, keep), size, tmp_path / "pruned")
    onnx_slice.cut(dense, tmp_path / "cut.onnx", graph, keep)
    assert sorted(shapes(tmp_path / "cut.onnx")) == sorted(shapes(pruned))
    ours, theirs = (
        Counter(node.op_type for node in onnx.load(str(path)).graph.node) for path in (tmp_path / "cut.onnx", pruned)
    )
    if name == "inception_resnet_v1":
        # without all of its first blocks the stem leads into a reduction, whose concat NNCF then quantizes behind it
        pairs = {kind: (ours.pop(kind), theirs.pop(kind)) for kind in ("QuantizeLinear", "DequantizeLinear")}
        assert all(there <= here <= there + 1 for here, there in pairs.values()), pairs
    assert ours == theirs
    assert ours["Add"] == Counter(node.op_type for node in onnx.load(str(dense)).graph.node)["Add"] - len(
        graph.blocks[:6]
    )
    assert run(tmp_path / "cut.onnx", tmp_path / "compiled", size).shape == (1, 5)


def shapes(path: Path) -> list[tuple[int, ...]]:
    """Shapes of all INT8 weights, in the order of the nodes that read them."""
    model = onnx.load(str(path))
    known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) > 1}
    return [known[node.input[0]] for node in model.graph.node if node.input and node.input[0] in known]


def test_layers_are_timed_as_openvino_runs_them() -> None:
    from edgekit.prune.table import probes_for

    made, size = network("depthwise")
    probes = probes_for(trace(made, (size, size)), 16)
    for precision in ("int8", "fp32"):
        ratios = layer_timer("openvino", precision)(probes).ratios()
        assert len(ratios) == len(probes)
        assert all(each > 0 for each in ratios)


@pytest.mark.parametrize("name", ["taylor", "fisher"])
def test_measured_importance_finds_the_channels_that_do_nothing(name: str) -> None:
    torch.manual_seed(0)
    made, size = network("residual")
    made.head = torch.nn.Linear(32, 24)
    with torch.no_grad():
        made.c[1].weight[:5] = 0
        made.c[1].bias[:5] = 0
    graph = trace(made, (size, size))
    images = small_signs(32)
    scores = IMPORTANCES[name](made, graph, training_batches(images, Preprocessing(size), 32, 0))
    group = next(group for group in graph.groups if group.name == "c.0")
    assert (scores["c.0"][:5] == 0).all()
    assert (scores["c.0"][5:] > 0).any()
    assert all(np.isfinite(score).all() and (score >= 0).all() for score in scores.values())
    assert group.width == 32


def small_signs(count: int) -> PruningImages:
    whole = signs_images(frozenset())
    assert whole.tuning is not None
    return PruningImages(whole.train, True, (whole.tuning[0], whole.tuning[1][:count]), "few")


def test_statistics_are_taken_anew() -> None:
    made, size = network("residual")
    graph = trace(made, (size, size))
    keep = keep_best(graph, ratio_widths(graph, 0.5, STEP), IMPORTANCES["magnitude"](made, graph, ()))
    cut = slimmed(made, graph, keep)
    before = cut.stem[1].running_mean.clone()
    assert reestimate(cut, small_signs(8), Preprocessing(size), 64) == 64
    assert not torch.equal(before, cut.stem[1].running_mean)
    assert not cut.training
    assert cut.stem[1].momentum == 0.1


def test_recovery_goes_on_where_it_was_stopped_and_does_not_touch_the_teacher(tmp_path: Path) -> None:
    made, size = network("residual")
    made.head = torch.nn.Linear(32, 24)
    graph = trace(made, (size, size))
    keep = keep_best(graph, ratio_widths(graph, 0.5, STEP), IMPORTANCES["magnitude"](made, graph, ()))
    images, told = small_signs(48), Preprocessing(size)
    teacher = {key: value.clone() for key, value in made.state_dict().items()}
    settings_ = RecoverySettings(seconds=1e6, learning_rate=0.004, seed=0, images=320, enough_points=-100.0)
    tuning = tuning_of(images, told)
    assert tuning is not None
    dense = top1(made, tuning, told)

    def again(folder: Path, stop: int | None = None, how: RecoverySettings = settings_) -> Any:
        ticks: list[int] = []

        def tick(tick: Any, left: float) -> None:
            ticks.append(tick.step)
            assert left >= 0
            if stop is not None and tick.step >= stop:
                raise KeyboardInterrupt

        pruned = PrunedNetwork(slimmed(made, graph, keep), made, graph, keep)
        try:
            result = recover(pruned, RecoveryImages(images, tuning, told), how, folder, tick)
        except KeyboardInterrupt:
            return None
        return *result, ticks

    recovered, record, ticks = again(tmp_path / "one")
    assert record.method == "distillation with labels"
    assert (record.images, record.steps) == (320, ticks[-1]) == (320, 10)
    assert (record.tuning.images, record.tuning.dense_top1) == (48, dense)
    assert all(torch.equal(value, teacher[key]) for key, value in made.state_dict().items())
    assert not any(module._forward_hooks for module in [*made.modules(), *recovered.modules()])
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["log.jsonl"]
    settings_ = replace(settings_, images=640)
    whole, told_whole, _ = again(tmp_path / "two", how=settings_)
    assert again(tmp_path / "three", stop=10, how=settings_) is None
    spent = json.loads((tmp_path / "three" / "spent.json").read_text())
    (tmp_path / "three" / "spent.json").write_text(json.dumps(spent + 1000.0))
    resumed, told_again, ticks = again(tmp_path / "three", how=settings_)
    assert told_again.steps == told_whole.steps == 20
    assert told_again.seconds > 1000 > told_whole.seconds > 0
    assert same(whole, resumed)
    assert told_again.as_dict()["cut"] is None
    replayed, told_replayed, _ = again(
        tmp_path / "four", how=RecoverySettings(0.0, 1.0, 7, replay=told_whole.run, images=32)
    )
    assert same(whole, replayed)
    assert told_replayed.tuning == told_whole.tuning
    assert told_replayed.run == told_whole.run


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def residual() -> tuple[PrunedNetwork, int]:
    """A network whose labels are those of signs, half of it cut away, and its size."""
    made, size = network("residual")
    made.head = torch.nn.Linear(32, 24)
    graph = trace(made, (size, size))
    keep = keep_best(graph, ratio_widths(graph, 0.5, STEP), IMPORTANCES["magnitude"](made, graph, ()))
    return PrunedNetwork(slimmed(made, graph, keep), made, graph, keep), size


def test_a_recovery_that_was_cut_or_ended_early_is_done_again_to_the_same_weights(tmp_path: Path) -> None:
    images = small_signs(48)

    def again(name: str, how: RecoverySettings) -> Any:
        pruned, size = residual()
        data = RecoveryImages(images, tuning_of(images, Preprocessing(size)), Preprocessing(size))
        return recover(pruned, data, how, tmp_path / name)

    late = RecoverySettings(seconds=0.0, learning_rate=0.004, seed=0, images=640, enough_points=-100.0)
    one, told = again("cut", late)
    assert (told.images, told.steps) == (32, 1)
    assert told.cut.startswith("cut from 640 to 32 images: the time for it was over")
    early = replace(late, seconds=1e6, enough_points=100.0)
    two, told_early = again("early", early)
    assert 0 < told_early.steps < 20
    assert told_early.cut is None
    for name, first, what in (("cut-again", one, told), ("early-again", two, told_early)):
        made, told_again = again(name, replace(late, replay=what.run))
        assert same(first, made)
        assert (told_again.run, told_again.cut) == (what.run, None)


def barely_cut() -> tuple[PrunedNetwork, RecoveryImages]:
    """A network that lost two channels, and tuning images that are labelled as it answered before."""
    (whole, size), images = network("residual"), small_signs(240)
    whole.head = torch.nn.Linear(32, 24)
    told, graph = Preprocessing(size), trace(whole, (size, size))
    reestimate(whole, images, told)
    keep = graph.everything()
    keep[[graph.groups[0].units[0], graph.groups[1].units[0]]] = False
    tuning = tuning_of(images, told)
    assert tuning is not None
    with torch.no_grad():
        answers = whole(normalised(torch.from_numpy(tuning.pictures), told.mean, told.std)).argmax(1)
    data = RecoveryImages(images, Tuning(tuning.pictures, answers.numpy()), told)
    assert data.tuning is not None
    return PrunedNetwork(slimmed(whole, graph, keep), whole, graph, keep), data


def alike(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """The same but for rounding, which depends on how many threads there were."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.allclose(a.double(), b.double(), 1e-3, 1e-4) for a, b in pairs)


def test_a_network_that_lost_little_is_not_trained(tmp_path: Path) -> None:
    pruned, data = barely_cut()
    renewed = copy.deepcopy(pruned.student)
    reestimate(renewed, data.images, data.preprocessing)
    how = RecoverySettings(seconds=1e6, learning_rate=0.004, seed=0, images=64, as_cut_points=60.0)
    left, told = recover(pruned, data, how, tmp_path)
    assert alike(left, renewed)
    assert (told.method, told.images, told.steps, told.run) == ("new statistics", 0, 0, None)
    assert told.batch_norm_images == 320
    tuned = told.tuning
    assert tuned is not None
    assert (tuned.images, tuned.first_images) == (240, 200)
    assert tuned.dense_top1 > 95
    assert tuned.recovered_top1 is not None
    assert tuned.recovered_top1 > tuned.dense_top1 - 60 > 30
    assert (
        told.why
        == f"nothing was trained: it loses {tuned.dense_top1 - tuned.recovered_top1:.2f} points of the tuning images"
    )
    assert list(tmp_path.iterdir()) == []
    again, _ = recover(barely_cut()[0], replace(data, tuning=None), replace(how, train=False), tmp_path)
    assert same(again, left)
    strict = replace(how, as_cut_points=-100.0)
    assert recover(barely_cut()[0], data, strict, tmp_path / "strict")[1].steps == 2
    few = replace(data, tuning=data.tuning.few(100))
    assert recover(barely_cut()[0], few, replace(how, as_cut_points=100.0), tmp_path / "few")[1].steps == 2


def test_training_that_made_it_worse_is_taken_back(tmp_path: Path) -> None:
    pruned, data = barely_cut()
    how = RecoverySettings(seconds=1e6, learning_rate=1.0, seed=0, images=320)
    left, told = recover(pruned, data, how, tmp_path)
    renewed = copy.deepcopy(barely_cut()[0].student)
    reestimate(renewed, data.images, data.preprocessing)
    assert alike(left, renewed)
    assert (told.images, told.steps, told.run) == (320, 10, None)
    assert told.why is not None
    assert told.why.startswith("training made the network worse: it stays as it was before, where it lost ")


def test_a_recovery_without_a_number_of_images_stays_under_its_ceiling(tmp_path: Path) -> None:
    images, (pruned, size) = small_signs(48), residual()
    data = RecoveryImages(images, None, Preprocessing(size))
    how = RecoverySettings(seconds=4.0, learning_rate=0.004, seed=0, first_share=0.5)
    _, told = recover(pruned, data, how, tmp_path)
    assert told.run is not None
    assert told.images == told.run.images > 0
    assert told.cut is None or told.cut.startswith("cut from ")


@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_a_network_for_wide_pictures_is_pruned_and_recovers(color: str, tmp_path: Path) -> None:
    told = Preprocessing((24, 64), color=color, resize="letterbox", pad_color=(114, 114, 114))
    first, last = torch.nn.Conv2d(told.channels, 16, 3, 2), torch.nn.Conv2d(16, 32, 3, 2)
    head = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 24))
    made = torch.nn.Sequential(first, torch.nn.BatchNorm2d(16), torch.nn.ReLU(), last, torch.nn.ReLU(), *head).eval()
    graph = trace(made, told.size, told.channels)
    keep = keep_best(graph, ratio_widths(graph, 0.5, STEP), IMPORTANCES["magnitude"](made, graph, ()))
    images = small_signs(48)
    pruned = PrunedNetwork(slimmed(made, graph, keep), made, graph, keep)
    how = RecoverySettings(seconds=1e6, learning_rate=0.004, seed=0, images=64)
    recovered, record = recover(pruned, RecoveryImages(images, tuning_of(images, told), told), how, tmp_path / "work")
    assert record.images == 64
    assert record.run is not None
    assert record.run.recipe.stages[0].size == (24, 64)
    assert json.loads((tmp_path / "work" / "log.jsonl").read_text().splitlines()[0])["size"] == [24, 64]
    facts = export_network(recovered, told.size, tmp_path / "made.onnx")
    assert (facts.height, facts.width, facts.classes) == (24, 64, 24)


def test_a_recovery_that_diverges_says_what_to_lower(tmp_path: Path) -> None:
    images, (pruned, size) = small_signs(48), residual()
    data = RecoveryImages(images, None, Preprocessing(size))
    how = RecoverySettings(seconds=1e6, learning_rate=1e30, seed=0, images=640)
    with pytest.raises(EdgekitError, match=r"diverged at step \d+ of 20") as caught:
        recover(pruned, data, how, tmp_path)
    assert "`learning_rate` of `pruning`" in caught.value.hint


@pytest.mark.parametrize("name", ["plan.json", "checkpoint.pt", "spent.json"])
def test_what_a_killed_recovery_left_damaged_is_named(name: str, tmp_path: Path) -> None:
    images, (pruned, size) = small_signs(48), residual()
    data = RecoveryImages(images, None, Preprocessing(size))
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(InputError, match=f"{name} is damaged") as caught:
        recover(pruned, data, RecoverySettings(1e6, 0.004, 0, images=32), tmp_path)
    assert "Delete it" in caught.value.hint


def test_unlabelled_images_are_enough_to_distil(photos: Any, tmp_path: Path) -> None:
    from edgekit.data.folder import open_images

    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted(photos().rglob("*.png")):
        (flat / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    images = of_folder(open_images(flat))
    assert (images.labelled, images.tuning) == (False, None)
    made, size = network("residual")
    graph = trace(made, (size, size))
    keep = keep_best(graph, ratio_widths(graph, 0.5, STEP), IMPORTANCES["magnitude"](made, graph, ()))
    pruned = PrunedNetwork(slimmed(made, graph, keep), made, graph, keep)
    data = RecoveryImages(images, None, Preprocessing(size))
    _, record = recover(pruned, data, RecoverySettings(seconds=5.0, learning_rate=0.004, seed=0), tmp_path / "r")
    assert record.method == "distillation without labels"
    assert record.tuning is None
