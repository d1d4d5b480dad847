"""A trial that cannot be built ends alone: nothing of it is raised, its search goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.cluster.search.trials import Against, Job, Over, finished, narrowed, opened
from edgekit.recipe import Recipe
from edgekit.store.opening import StoreSettings


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Of a precision that the runtime has not, though the target has both."""
    recipe = Recipe(model="inception_v4", runtime="onnxruntime", precision="bf16")
    return Job(3, recipe, 0, StoreSettings(tmp_path / "store"))


def test_a_setting_that_cannot_be_built_is_over_in_every_part_of_its_trial(job: Job) -> None:
    ends = [opened(job)[0], narrowed(job)[0], finished(job, None, Against((), None))[0]]
    for over in ends:
        assert isinstance(over, Over)
        assert over.state == "failed"
        assert "no fast bf16" in over.reason
