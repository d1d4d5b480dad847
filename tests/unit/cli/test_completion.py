"""What a shell completes names to."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from edgekit import cli
from edgekit.devices.registry import Registry, parse


def completed(*arguments: str, to: str) -> list[tuple[str, str]]:
    """(kind, value) of what is offered for the word `to` after some arguments."""
    shell = ShellComplete(cli.group, {}, "edgekit", "_EDGEKIT_COMPLETE")
    return [(each.type, each.value) for each in shell.get_completions(list(arguments), to)]


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "edgekit" / "devices.json"


def test_verbs() -> None:
    assert completed(to="qu") == [("plain", "quantize")]


@pytest.mark.parametrize("before", [("build", "--target"), ("targets",), ("compile", "--target"), ("init", "--target")])
def test_targets(before: tuple[str, ...]) -> None:
    assert completed(*before, to="rasp") == [("plain", "raspberry-pi-4"), ("plain", "raspberry-pi-5")]


def test_an_alias_is_a_target_too() -> None:
    assert ("plain", "jetson") in completed("build", "--target", to="jet")


@pytest.mark.parametrize("verb", ["build", "evaluate", "quantize", "prune", "init"])
def test_models_and_from_the_dot_on_their_tags(verb: str) -> None:
    offered = completed(verb, "--model", to="inception_v4")
    assert offered[0] == ("plain", "inception_v4")
    assert completed(verb, "--model", to="inception_v4.s") == [("plain", "inception_v4.signs")]


def test_a_model_that_is_no_name_is_a_file() -> None:
    assert completed("build", "--model", to="./net") == [("file", "./net")]


@pytest.mark.parametrize("option", [("build", "--arch"), ("train", "--model")])
def test_where_tags_are_not_taken_networks_stand_alone(option: tuple[str, str]) -> None:
    assert completed(*option, to="inception_v4") == [("plain", "inception_v4")]


def test_saved_devices(devices: Path) -> None:
    for name in ("orin", "orchard", "pi"):
        Registry().add(parse(f"ssh://me@{name}.local", name))
    assert completed("build", "--device", to="or") == [("plain", "orchard"), ("plain", "orin")]
    assert completed("device", "probe", to="p") == [("plain", "pi")]
    assert completed("device", "probe", to="pi,or") == [("plain", "pi,orchard"), ("plain", "pi,orin")]
    assert completed("device", "probe", to="pi,p") == []


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_damaged_file_of_devices_offers_none(devices: Path, text: str) -> None:
    devices.parent.mkdir()
    devices.write_text(text)
    assert completed("build", "--device", to="") == []


@pytest.mark.parametrize("before", [("build", "--device"), ("prune", "--device"), ("device", "remove")])
def test_where_one_device_is_taken_no_second_one_is_offered(before: tuple[str, ...], devices: Path) -> None:
    for name in ("orin", "pi"):
        Registry().add(parse(f"ssh://me@{name}.local", name))
    assert completed(*before, to="p") == [("plain", "pi")]
    assert completed(*before, to="pi,") == []


def test_a_device_gives_its_engine_to_several(devices: Path) -> None:
    for name in ("orin", "pi"):
        Registry().add(parse(f"ssh://me@{name}.local", name))
    assert completed("device", "share", to="orin,") == []
    assert completed("device", "share", "orin", to="orin,") == [("plain", "orin,pi")]


def test_members_of_an_ensemble_are_networks_between_commas() -> None:
    option = ("evaluate", "--ensemble")
    assert completed(*option, to="inception_v4.s") == [("plain", "inception_v4.signs")]
    offered = [value for _, value in completed(*option, to="inception_v4,inception_v4")]
    assert "inception_v4,inception_v4.signs" in offered
    assert "inception_v4,inception_v4" not in offered
    assert completed(*option, to="./bundle") == [("file", "./bundle")]
    assert completed(*option, to="inception_v4,./b") == []  # a shell completes no file behind a comma


@pytest.mark.parametrize(
    "before", [("build", "--data"), ("build", "--calibration"), ("quantize", "--calibration"), ("evaluate", "--data")]
)
def test_images_are_files_or_the_rendered_signs(before: tuple[str, ...]) -> None:
    assert completed(*before, to="si") == [("file", "si"), ("plain", "signs")]
    assert completed(*before, to="photos/") == [("file", "photos/")]


def test_recipes_are_files_or_the_shipped_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("plain", "signs-modern") in completed("train", "--recipe", to="signs")
    assert completed("study", "--recipe", to="res") == [("file", "res"), ("plain", "residual")]
    monkeypatch.chdir(Path(cli.__file__).parents[2])
    assert completed("build", "--recipe", to="recipes/jetson.") == [
        ("file", "recipes/jetson."),
        ("plain", "recipes/jetson.yaml"),
    ]
