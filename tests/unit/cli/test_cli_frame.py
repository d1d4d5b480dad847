"""The frame around the verbs: quick help, exit codes, one line for every failure."""

from __future__ import annotations

import errno
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edgekit import cli
from edgekit.cli import doctor, init, options, output
from edgekit.errors import BudgetError, InputError, UnavailableError

HEAVY = ("torch", "openvino", "onnx", "nncf", "numpy", "pydantic", "rich", "PIL", "yaml", "edgekit.build.pipeline")
VERB_MODULES = tuple(module for module, _ in cli.VERBS.values())


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def run(*arguments: str) -> int:
    """Exit code of the command, run here."""
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_start_imports_only_click(arguments: list[str]) -> None:
    code = f"""
import sys
from edgekit.cli import main
try:
    main({arguments!r})
except SystemExit as left:
    assert left.code == 0, left.code
loaded = [name for name in sys.modules if name in {HEAVY + VERB_MODULES!r}]
assert not loaded, loaded
"""
    answer = python(code)
    assert answer.returncode == 0, answer.stderr
    assert "edgekit" in answer.stdout


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_examples_and_loads_nothing_heavy(verb: str) -> None:
    module, line = cli.VERBS[verb]
    assert importlib.util.find_spec(module), f"{module} is in VERBS, but is not there"
    answer = python(
        f"import sys; from edgekit.cli import main\ntry: main([{verb!r}, '--help'])\n"
        f"except SystemExit as left: assert left.code == 0\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]; assert not loaded, loaded"
    )
    assert answer.returncode == 0, answer.stderr
    assert "Examples:" in answer.stdout
    assert "--debug" in answer.stdout
    assert f"edgekit {verb}" in answer.stdout.split("Examples:")[1]
    assert line.endswith(".")
    assert len(line) < 90


def commands_below(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    """A command and all below it, each with what a user types to reach it."""
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            found += commands_below(below, f"{path} {name}")
    return found


@pytest.mark.parametrize("option", ["--quiet", "--verbose", "--debug"])
def test_every_command_takes_the_common_options(option: str) -> None:
    """Those of groups too: `edgekit device list -q`."""
    paths = commands_below(cli.group, "edgekit")
    assert len(paths) > len(cli.VERBS) + 10
    for path, command in paths:
        assert sum(option in each.opts for each in command.params) == 1, path


def test_quiet_counts_behind_a_command_of_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run("device", "list") == 0
    assert "there are no devices" in capsys.readouterr().err
    for arguments in (("device", "list", "-q"), ("device", "-q", "list"), ("-q", "device", "list")):
        assert run(*arguments) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("no images in x", "Give a folder."), 2, "edgekit: error: no images in x. Give a folder."),
        (BudgetError("the drop is 2.0 points", "Raise --max-drop."), 3, "the drop is 2.0 points."),
        (UnavailableError("no device", "Add one."), 4, "no device."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "model.bin"), 2, "disk is full while writing model.bin"),
        (ModuleNotFoundError("No module named 'nncf'", name="nncf"), 4, "pip install '.[cpu]' in a checkout"),
        (ImportError("libopenvino.so: cannot open", name="openvino._pyopenvino"), 4, "cannot be imported"),
        (ModuleNotFoundError("No module named 'nothing'", name="nothing"), 1, "fault of edgekit's own"),
        (RuntimeError("two\nlines"), 1, "RuntimeError: two lines"),
        (click.UsageError("No such option '--x'."), 2, "No such option '--x'."),
    ],
)
def test_each_failure_has_its_code_and_one_line(error: BaseException, code: int, words: str) -> None:
    found, line = cli.failure(error)
    assert found == code
    assert words in line
    assert "\n" not in line


def test_unknown_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bild") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "edgekit: error: Unknown verb 'bild'. Did you mean 'build'? Try `edgekit --help`.\n"


def test_a_bad_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("targets", "--nonsense") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_errors_stay_on_stderr_with_json_and_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("targets", "cpv", "--json") == 2
    plain = capsys.readouterr()
    assert plain.out == ""
    assert plain.err == "edgekit: error: there is no target 'cpv'. Did you mean 'cpu'? `edgekit targets` lists them.\n"
    for arguments in (("--debug", "targets", "cpv"), ("targets", "cpv", "--debug")):
        assert run(*arguments) == 2
        assert "Traceback" in capsys.readouterr().err
    assert run("targets", "cpv") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_every_target_is_told_of_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    from edgekit.targets import TARGETS

    for name, target in TARGETS.items():
        assert run("targets", name) == 0
        told = capsys.readouterr().out
        assert all(feature in told for feature in target.features or ())
        assert (f"TensorRT {target.releases[0].tensorrt}" in told) if target.releases else "releases" not in told


@pytest.mark.parametrize("package", ["torch", "openvino", "nncf", "onnx", "safetensors"])
def test_a_missing_package_exits_4_and_names_the_extra(package: str) -> None:
    answer = python(f"""
import sys, types, click
from edgekit import cli
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
@click.command()
def command():
    import {package}
verb = types.ModuleType("edgekit.cli.build"); verb.command = command
sys.modules["edgekit.cli.build"] = verb
cli.main(["build"])
""")
    assert answer.returncode == 4
    assert answer.stdout == ""
    assert answer.stderr == (
        f"edgekit: error: The package {package} is not installed. Get it with: pip install '.[cpu]' in a checkout of"
        " edgekit, or pip install 'WHEEL[cpu]' with its wheel.\n"
    )


def test_doctor_reports_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"machine", "openvino", "packages", "cache", "targets", "emulation", "advice", "noise"}
    assert found["noise"]["verdict"] in ("quiet", "noisy", "unknown")
    assert found["machine"]["usable_cores"] >= 1
    assert next(package for package in found["packages"] if package["name"] == "click")["version"]
    assert run("doctor") == 0
    assert "processor" in capsys.readouterr().out


def test_doctor_names_the_extra_of_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.targets import describe

    monkeypatch.setattr(doctor, "PACKAGES", (("no-such-package", "no_such_package", "cpu"),))
    found = doctor.examine(describe()).as_json()
    cpu = next(target for target in found["targets"] if target["name"] == "cpu")
    assert not cpu["ready"]
    assert "pip install '.[cpu]'" in cpu["hint"]
    assert "pip install '.[cpu]'" in found["advice"][0]


def test_doctor_looks_for_something_of_every_extra() -> None:
    from importlib.metadata import metadata

    from edgekit import DISTRIBUTION

    extras = set(metadata(DISTRIBUTION).get_all("Provides-Extra") or ()) - {"dev"}
    assert {extra for _, _, extra in doctor.PACKAGES} - {""} == extras


def test_doctor_writes_nothing(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv("EDGEKIT_CACHE", str(folder / "deep" / "cache"))
    assert run("doctor", "--json") == 0
    assert list(folder.iterdir()) == []


def test_doctor_looks_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from edgekit.store import Store

    def told() -> str:
        return doctor._cache().path

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "own"))
    assert told() == str(Store().root) == str(tmp_path / "own")
    monkeypatch.delenv("EDGEKIT_CACHE")
    assert told() == str(Store().root) == str(tmp_path / "xdg" / "edgekit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert told() == str(Store().root) == str(tmp_path / ".cache" / "edgekit")
    monkeypatch.setenv("EDGEKIT_CACHE", "~/mine")
    assert told() == str(Store().root) == str(tmp_path / "mine")


def test_init_writes_a_recipe_and_never_overwrites_unasked(tmp_path_factory: pytest.TempPathFactory) -> None:
    import yaml

    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    assert run("-q", "init", str(path), "--model", "folder: #1/model.onnx") == 0
    assert yaml.safe_load(path.read_text()) == {"model": "folder: #1/model.onnx", "target": "cpu"}
    assert run("init", str(path)) == 2
    assert "folder: #1" in path.read_text()
    assert run("init", str(path), "--force") == 0
    assert yaml.safe_load(path.read_text()) == {"model": "inception_v4", "target": "cpu"}
    assert run("init", str(path.parent / "nowhere" / "recipe.yaml")) == 2


def test_init_writes_the_schema_that_its_first_line_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    assert run("-q", "init", str(path)) == 0
    line = path.read_text().splitlines()[0]
    named = tmp_path / line.removeprefix("# yaml-language-server: $schema=")
    assert json.loads(named.read_text())["title"] == "edgekit recipe"
    capsys.readouterr()
    assert run("init", "--schema") == 0
    assert capsys.readouterr().out == named.read_text()
    named.write_text('{"title": "of something else"}')
    assert run("init", str(tmp_path / "other.yaml")) == 2
    assert not (tmp_path / "other.yaml").exists()
    assert run("init", str(named), "--force") == 2
    assert json.loads(named.read_text()) == {"title": "of something else"}
    named.write_text('{"title": "edgekit recipe", "of": "an older version"}')
    assert run("init", str(tmp_path / "other.yaml")) == 0
    assert "of" not in json.loads(named.read_text())


def test_starter_with_every_comment_opened_is_a_recipe() -> None:
    import re

    import yaml

    from edgekit.recipe import Recipe

    opened = re.sub(r"(?m)^# ?(?=( {2})?[a-z_]+:)", "", init.STARTER)
    recipe = Recipe.model_validate(yaml.safe_load(opened.format(name="r.yaml", model="inception_v4", target="cpu")))
    assert recipe.preprocessing.mean == (0.5, 0.5, 0.5)
    assert recipe.calibration.file == "calibration.json"
    assert recipe.latency_budget_ms == 20.0


def probe() -> click.Command:
    """A command with all shared options that prints what it got."""

    @click.command()
    @options.model_options
    @options.data_options
    @options.preprocessing_options
    @options.json_option
    def command(**values: object) -> None:
        click.echo(json.dumps(values))

    return command


def test_options_not_given_are_none() -> None:
    values = json.loads(CliRunner().invoke(probe(), []).stdout)
    assert values.pop("as_json") is False
    assert set(values.values()) == {None}


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_channel_values_take_one_or_three(numbers: list[float]) -> None:
    kind = options.ChannelValues(positive=False)
    assert kind.convert(",".join(map(repr, numbers)), None, None) == tuple(numbers)
    assert kind.convert(repr(numbers[0]), None, None) == (numbers[0],) * 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mean", "1,2"],
        ["--mean", "127.5"],
        ["--mean", "nan"],
        ["--mean", "red"],
        ["--std", "0"],
        ["--size", "0"],
        ["--crop-fraction", "0"],
        ["--color", "gray"],
        ["--images", "0"],
    ],
)
def test_wrong_values_are_usage_errors(arguments: list[str]) -> None:
    assert CliRunner().invoke(probe(), arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["--size", "48x192"], "size", [48, 192]),
        (["--size", "96"], "size", [96, 96]),
        (["--mean", "127.5", "--scale", "255"], "mean", [127.5] * 3),
        (["--pad-color", "114"], "pad_color", [114] * 3),
        (["--pad-color", "1,2,3"], "pad_color", [1, 2, 3]),
        (["--no-antialias"], "antialias", False),
        (["--exif"], "exif", True),
        (["--preprocessing", "keras-tf"], "preset", "keras-tf"),
        (["--resize", "letterbox"], "resize", "letterbox"),
        (["--pad-align", "center"], "pad_align", "center"),
        (["--color", "grey"], "color", "grey"),
        (["--interpolation", "area"], "interpolation", "area"),
    ],
)
def test_how_images_are_prepared_can_be_said(arguments: list[str], key: str, value: object) -> None:
    assert json.loads(CliRunner().invoke(probe(), arguments).stdout)[key] == value


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mean", "127.5"], "--scale 255"),
        (["--scale", "255", "--mean", "0.5"], "leave --scale 255 out"),
        (["--mean", "0.5", "--scale", "255"], "leave --scale 255 out"),
        (["--scale", "128"], "neither 1 nor 255"),
        (["--pad-color", "256"], "levels from 0 to 255"),
        (["--pad-color", "1,2"], "levels from 0 to 255"),
        (["--pad-color", ","], "levels from 0 to 255"),
        (["--size", "48x"], "48x192"),
    ],
)
def test_what_is_wrong_with_a_value_is_told(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(probe(), arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        output.emit_json({"top1": float("nan")})


def test_plain_progress_says_begin_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress() as progress:
        for done in range(100):
            progress.update("quantize", done, 100)
        progress.finish("quantize", "cached")
    captured = capsys.readouterr()
    assert captured.out == ""
    first, last = captured.err.splitlines()
    assert first == "quantize: started"
    assert last.startswith("quantize: done in ")
    assert last.endswith(", cached")


def test_tables_are_plain_when_not_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name", "top-1"), [("fp32", 95.1), ("int8", None)])
    assert capsys.readouterr().out == "name  top-1\nfp32  95.1\nint8\n"


def test_flags_are_nested_as_a_recipe_has_them() -> None:
    from edgekit.recipe import Recipe

    for part, flags in options.PARTS.items():
        known = Recipe.model_fields[part].default
        assert set(flags.values()) <= set(type(known).model_fields)
    flags = {"model": "x", "size": 64, "mean": None, "recovery_images": 5, "sensitivity": False, "images": 3}
    assert options.nested({**flags, "compute_capabilities": (), "dla": False}) == {
        "model": "x",
        "images": 3,
        "preprocessing": {"size": 64},
        "pruning": {"images": 5, "sensitivity": False},
        "tensorrt": {"dla": False},
    }
    assert options.nested({"compute_capabilities": ("8.9",)}) == {"tensorrt": {"compute_capabilities": ("8.9",)}}
