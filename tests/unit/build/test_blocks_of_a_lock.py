"""A lock says which residual blocks are gone, and its pruning is done again without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekit.build.export import EXPORT, ExportInput
from edgekit.build.lock import Lock, LockedBlocks, LockedPruning, read_lock, to_yaml
from edgekit.build.plan import planned
from edgekit.build.prune import Origin, _replayed
from edgekit.build.runner import Runner
from edgekit.errors import InputError
from edgekit.models.export import export_network
from edgekit.models.onnx_graph import load
from edgekit.models.source import make_network
from edgekit.models.weights import removed_branches
from edgekit.prune.blocks import bypasses, without
from edgekit.prune.choice import packed
from edgekit.prune.tracing import trace
from edgekit.recipe import Recipe
from edgekit.store import Store

SIZE = 32


class Residual(nn.Module):
    """A stem, two residual blocks and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 4)
        self.one = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 8, 3, padding=1))
        self.two = nn.Sequential(nn.Conv2d(8, 12, 1), nn.ReLU(), nn.Conv2d(12, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.one(x))
        return self.head(torch.relu(x + self.two(x)).mean((2, 3)))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    torch.manual_seed(0)
    export_network(Residual().eval(), (SIZE, SIZE), tmp_path / "net.onnx")
    preprocessing = {"size": SIZE, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return Recipe.model_validate({"model": str(tmp_path / "net.onnx"), "preprocessing": preprocessing})


def locked(recipe: Recipe, store: Store, removed: int) -> tuple[LockedPruning, Any, Any]:
    """What a lock says where the first blocks are gone; the channels and blocks of the network, and which stay."""
    source = planned(recipe, store).source
    graph = trace(make_network(source), SIZE, blocks=True)
    keep = without(graph, graph.everything(), [block.name for block in graph.blocks[:removed]])
    blocks = LockedBlocks(there=2, removed=tuple(block.name for block in graph.blocks[:removed]))
    told = LockedPruning(
        importance="fisher", widths=(), units=graph.units, keep=packed(keep), blocks=blocks, recovery=None
    )
    return told, graph, keep


def origin(plan: Any, run: Runner) -> Origin:
    """The whole network, and nothing that it is trained or judged with."""
    exported = run(EXPORT, ExportInput(plan.source, plan.source.preprocessing.size))
    return Origin(exported, None, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_the_blocks_of_a_lock_are_gone_from_weights_and_graph(recipe: Recipe, tmp_path: Path, removed: int) -> None:
    store = Store(tmp_path / "store")
    told, graph, keep = locked(recipe, store, removed)
    plan: Any = planned(recipe, store)
    run = Runner(store)
    made = _replayed(plan, run, origin(plan, run), told)
    assert made.recovered is not None
    assert made.chosen is not None
    channels = graph.units - len(graph.blocks)
    assert made.chosen.channels == (channels, channels - int((~keep[:channels]).sum()))
    kinds = [node.op_type for node in load(made.recovered.exported.graph.path).graph]
    assert (kinds.count("Add"), kinds.count("Conv"), kinds.count("Relu")) == (
        2 - removed,
        5 - 2 * removed,
        5 - 2 * removed,
    )
    assert list(removed_branches(made.recovered.weights.path)) == bypasses(graph, keep)


def test_a_lock_with_blocks_is_read_as_it_was_written(recipe: Recipe, tmp_path: Path) -> None:
    told, _, _ = locked(recipe, Store(tmp_path / "store"), 1)
    lock = Lock(
        recipe=recipe, made_on="", versions={}, weights_sha256=None, calibration=None, precisions=("fp32",),
        chosen="fp32", pruning=told,
    )  # fmt: skip
    (tmp_path / "lock.yaml").write_text(to_yaml(lock))
    assert read_lock(tmp_path / "lock.yaml").pruning == told


def test_a_lock_of_a_network_with_other_blocks_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    told, graph, _ = locked(recipe, store, 1)
    without_bits = told.model_copy(update={"blocks": None})
    plan, run = planned(recipe, store), Runner(store)
    with pytest.raises(InputError, match=rf"it has {graph.units - 2} units of channels"):
        _replayed(plan, run, origin(plan, run), without_bits)
