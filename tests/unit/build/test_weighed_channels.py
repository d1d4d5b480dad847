"""What channels are worth is read for the graph that is traced again: without what was found not to be sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import NotWhatItSeems

from edgekit.build.weigh import SCORES, read_scores
from edgekit.prune.soundness import noise, sound
from edgekit.prune.tracing import trace


def written(path: Path, **scores: int) -> Path:
    """A file of scores of so many units, by the names of their groups."""
    names = np.array(list(scores))
    arrays = {f"group-{place}": np.arange(count, dtype=np.float64) for place, count in enumerate(scores.values())}
    np.savez(path, names=names, **arrays)
    return path


def test_what_was_not_weighed_is_not_chosen_from(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = NotWhatItSeems().eval()
    graph = trace(made, 8)
    assert {group.name for group in graph.groups} == {"bad", "good"}
    checked = sound(made, graph, noise(3, 8, 8))
    scores, found = read_scores(written(tmp_path / SCORES, good=8), graph)
    assert found.groups == checked.groups
    assert found == replace(graph, groups=checked.groups)
    np.testing.assert_array_equal(scores["good"], np.arange(8))


@pytest.mark.parametrize("scores", [{"good": 7}, {"good": 8, "other": 8}])
def test_scores_of_another_network_are_refused(scores: dict[str, int], tmp_path: Path) -> None:
    graph = trace(NotWhatItSeems().eval(), 8)
    with pytest.raises(RuntimeError, match="weighs other channels"):
        read_scores(written(tmp_path / SCORES, **scores), graph)
