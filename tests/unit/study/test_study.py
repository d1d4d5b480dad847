"""The training study: a real small one, that it goes on after a stop, and what is read off its curves."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edgekit import models
from edgekit.cli.study import command
from edgekit.errors import InputError
from edgekit.recipe import checked, read_yaml, recipe_path
from edgekit.report.lines import Series, chart
from edgekit.report.study import figures, markdown
from edgekit.study.contest import KeptSigns, drawn, examined, results, run
from edgekit.study.grid import collected, place, study
from edgekit.study.outcome import StudyOutcome
from edgekit.study.recipe import StudyRecipe
from edgekit.study.summary import epochs_to, lines, spread
from edgekit.training.loop import RunSettings, seeded, train

SMALL = """
training: {optimizer: rmsprop, learning_rate: 0.045, clip_tensor_norm: 2.0, ema: 0.9}
contests:
  - name: small
    title: Two small networks
    width: 0.05
    size: 75
    epochs: 2
    epoch_images: 80
    validation_images: 24
    batch: 8
    seeds: [1]
    levels: [99.9, 1]
    networks:
      - {label: plain, model: inception_v4}
      - {label: residual, model: inception_resnet_v1, scale: 0.1}
"""


def small(tmp_path: Path, text: str = SMALL) -> tuple[Path, StudyRecipe]:
    path = tmp_path / "small.yaml"
    path.write_text(text)
    return path, checked(StudyRecipe, read_yaml(path), "study recipe")


def test_a_study_runs_tells_and_is_not_run_again(tmp_path: Path) -> None:
    path, recipe = small(tmp_path)
    out = tmp_path / "out"
    answer = CliRunner().invoke(command, ["--recipe", str(path), "--out", str(out), "--jobs", "2", "--json"])
    assert answer.exit_code == 0, answer.output
    told = json.loads((out / "study.json").read_text())
    runs = told["contests"][0]["runs"]
    assert [each["label"] for each in runs] == ["plain", "residual"]
    assert all([epoch["epoch"] for epoch in each["epochs"]] == [1, 2] for each in runs)
    assert all(0 <= epoch["error"] <= 100 and epoch["loss"] > 0 for each in runs for epoch in each["epochs"])
    assert "| plain |" in (out / "study.md").read_text()
    ElementTree.parse(out / "small.svg")
    ElementTree.parse(out / "small-features.svg")
    before = [results(place(out, recipe.contests[0], network, 1)) for network in recipe.contests[0].networks]
    study(recipe, out, 1)
    after = [results(place(out, recipe.contests[0], network, 1)) for network in recipe.contests[0].networks]
    assert before == after
    other = recipe.model_copy(update={"training": recipe.training.model_copy(update={"learning_rate": 0.1})})
    with pytest.raises(InputError, match="another study"):
        study(other, out, 1)


def test_a_killed_study_leaves_nothing_running(tmp_path: Path) -> None:
    path, _ = small(tmp_path, SMALL.replace("epochs: 2", "epochs: 2000"))
    arguments = [sys.executable, "-m", "edgekit", "study", "--recipe", str(path), "--out", str(tmp_path / "out")]
    going = subprocess.Popen([*arguments, "--jobs", "1"], stderr=subprocess.DEVNULL, start_new_session=True)
    log = tmp_path / "out" / "small" / "0-inception_v4-1" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists():
        assert time.monotonic() < deadline
        assert going.poll() is None
        time.sleep(0.2)
    going.kill()
    going.wait()
    while _of_group(going.pid):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _of_group(group: int) -> list[str]:
    """The processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(stat.parent.name)
    return found


def test_a_run_that_was_stopped_ends_with_the_same_numbers(tmp_path: Path) -> None:
    _, recipe = small(tmp_path)
    contest, network = recipe.contests[0], recipe.contests[0].networks[1]
    run(recipe, contest, network, 1, tmp_path / "whole", tmp_path / "drawn")
    told = recipe.training_of(contest, network, 1)
    made = seeded(1, lambda: models.create(network.model, 24, contest.width, told.dropout, network.scale))
    images = KeptSigns(drawn("train", contest.epoch_images, contest.size, tmp_path / "drawn"))
    train(made, images, told, tmp_path / "stopped", RunSettings(workers=0, stop_after=7))
    run(recipe, contest, network, 1, tmp_path / "stopped", tmp_path / "drawn")
    whole, stopped = (results(tmp_path / name) for name in ("whole", "stopped"))
    assert [(e.error, e.dead, e.feature_rms) for e in whole] == [(e.error, e.dead, e.feature_rms) for e in stopped]
    assert len(whole) == contest.epochs


def test_pictures_are_drawn_once(tmp_path: Path) -> None:
    first = drawn("validation", 5, 75, tmp_path)
    assert first.shape == (5, 75, 75, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["validation-5-75.npy"]
    assert (drawn("validation", 5, 75, tmp_path) == first).all()


def test_a_network_whose_features_are_all_zero_is_seen_as_dead(tmp_path: Path) -> None:
    network = models.create("inception_resnet_v1", 24, 0.05)
    pictures = drawn("validation", 24, 75, tmp_path)
    alive = examined(network, pictures, (0.5,) * 3, (0.5,) * 3)
    assert alive[1] < 50
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.zeros_(module.weight)
            if module.bias is not None:
                torch.nn.init.constant_(module.bias, -1.0)
    error, dead, rms = examined(network, pictures, (0.5,) * 3, (0.5,) * 3)
    assert dead == 100
    assert rms == 0
    assert error > 90


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.floats(0, 100))
def test_epochs_to_a_level_lie_where_the_curve_crosses_it(errors: list[float], level: float) -> None:
    found = epochs_to(errors, level)
    if found is None:
        assert min(errors) > level
        return
    first = next(place for place, error in enumerate(errors) if error <= level)
    assert first <= found <= first + 1
    assert epochs_to(errors, 100.0) == 1.0


def test_epochs_between_two_are_on_the_straight_line() -> None:
    assert epochs_to([80, 60, 20], 40) == 2.5
    assert epochs_to([80, 60, 20], 10) is None


def test_the_spread_tells_how_many_seeds_got_there() -> None:
    found = spread([2.0, None, 4.0])
    assert found is not None
    assert (found.mean, found.low, found.high, found.seeds, found.of) == (3.0, 2.0, 4.0, 2, 3)
    assert spread([None, None]) is None


def test_a_network_that_diverged_is_counted_and_drawn_as_far_as_it_went(tmp_path: Path) -> None:
    _, recipe = small(tmp_path)
    values = collected(recipe, tmp_path).model_dump(mode="json")
    good = {"epoch": 1, "error": 50.0, "loss": 1.0, "dead": 0.0, "feature_rms": 2.0}
    bad = {"epoch": 2, "error": 96.0, "loss": None, "dead": 100.0, "feature_rms": None}
    values["contests"][0]["runs"][0]["epochs"] = [good, bad]
    told = StudyOutcome.model_validate(values)
    (line,) = lines(told.contests[0])
    assert (line.dead, line.last.mean, line.feature_rms) == (1, 96.0, None)
    assert "1 of 1" in markdown(told)
    assert set(figures(told)) == {"small.svg", "small-features.svg"}


def test_names_in_a_chart_are_escaped_and_do_not_lie_on_each_other() -> None:
    drawn_svg = chart('a "<title>"', [Series("<a>", ((1.0, 2.0),)), Series("b", ((1.0, 2.0), (1.5,)))], "x", "y")
    root = ElementTree.fromstring(drawn_svg)
    names = [each for each in root.iter("{http://www.w3.org/2000/svg}text") if each.text in ("<a>", "b")]
    heights = sorted(float(each.attrib["y"]) for each in names)
    assert len(heights) == 2
    assert heights[1] - heights[0] >= 12
    with pytest.raises(ValueError, match="nothing"):
        chart("t", [], "x", "y")


def test_the_shipped_study_is_the_papers_protocol() -> None:
    recipe = checked(StudyRecipe, read_yaml(recipe_path("study", "residual")), "study recipe")
    told = recipe.training
    assert (told.optimizer, told.learning_rate, told.decay_rate, told.decay_epochs) == ("rmsprop", 0.045, 0.94, 2)
    speed = recipe.contests[0]
    assert [each.model for each in speed.networks] == [
        "inception_v4",
        "inception_resnet_v2_paper",
        "inception_resnet_v1",
    ]
    assert len(speed.seeds) >= 2


def test_a_scale_is_refused_where_there_is_no_residual() -> None:
    with pytest.raises(InputError, match="no residuals"):
        models.create("inception_v4", 24, 0.05, scale=0.1)


def test_recipes_that_say_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study recipe") as refused:
        recipe_path("study", "nothing-of-the-kind")
    assert "residual" in refused.value.hint
    with pytest.raises(InputError, match="ten steps"):
        small(tmp_path, SMALL.replace("epoch_images: 80", "epoch_images: 40"))
