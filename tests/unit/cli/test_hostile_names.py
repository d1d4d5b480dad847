"""Names from outside, full of what terminals, pages and spreadsheets obey, through every door that they leave by."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bundles import make_bundle
from reports import FREE_TEXTS, full_report, put

import edgekit
from edgekit.cli import main

EVIL = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b1;1H\u202egnp.\u2066exe\u2069\r\nedgekit: error: no"
EVIL += "<script>alert(1)</script>|`x`]]>&#27;"
"""ESC, the clipboard (OSC 52), a C1 control, marks that turn text, lines of one's own, HTML, Markdown and XML."""

OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
PACKAGE = Path(edgekit.__file__).parent
PRINTERS = {"cli/output.py", "cli/plain.py", "cli/__init__.py"}
"""Where the command line prints, and cleans what it prints."""

BY_THEMSELVES = {"validate/latency_worker.py", "runtime/command.py", "runtime/emulated.py", "runtime/quiet.py"} | {
    "runtime/tensorrt_build.py"
}
"""What speaks to another process in JSON; and the device runtime, which cleans by itself."""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line; its exit code and what it said, which no terminal obeys."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        out, err = capsys.readouterr()
        for said in (out, err):
            found = OBEYED.search(said)
            assert found is None, repr(said[max(0, found.start() - 80) : found.end() + 20])
        assert not any(line.startswith("edgekit: error: no<") for line in (out + err).split("\n"))
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report with all of that in each of its texts."""
    told = full_report()
    for place in FREE_TEXTS:
        put(told, place, f"{EVIL}{'.'.join(map(str, place))}")
    told["chosen"] = told["variants"][1]["name"]
    told["variants"][1]["kind"], told["variants"][2]["kind"] = "chosen", "step"
    path = tmp_path / "build" / EVIL.replace("/", "") / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(told))
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with all of that in its names."""
    model = {"name": EVIL, "tag": EVIL, "classes": 4, "weights_sha256": None}
    target = {"name": EVIL, "runtime": "onnxruntime", "runtime_version": EVIL}
    labels = [f"{EVIL}{number}" for number in range(4)]
    out = tmp_path_factory.mktemp("bundle") / "it"
    return make_bundle(out, runtime="onnxruntime", model=model, target=target, labels=labels)


def test_a_bundle_is_told_of(run: Run, bundle: Path) -> None:
    code, out, _ = run("inspect", bundle)
    assert code == 0
    assert "\\x1b[2J" in out
    code, out, _ = run("inspect", bundle, "--json")
    assert json.loads(out)["manifest"]["labels"][0] == f"{EVIL}0", "JSON keeps what it was"
    code, out, _ = run("verify", bundle, "--no-golden")
    assert code == 0
    assert "\\u202e" in out


def test_a_bundle_with_other_files(run: Run, bundle: Path) -> None:
    beside = bundle / EVIL.replace("/", "")
    beside.write_text("")
    try:
        assert run("verify", bundle, "--no-golden")[0] == 2
        code, out, _ = run("verify", bundle, "--no-golden", "--json")
        assert code == 2
        assert not json.loads(out)["ok"]
        assert run("inspect", bundle)[0] == 2
    finally:
        beside.unlink()


def test_answers_of_a_bundle(run: Run, bundle: Path, tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / f"{EVIL.replace('/', '')}.png"
    Image.new("RGB", (32, 32)).save(picture)
    (tmp_path / f"{EVIL.replace('/', '')}.jpg").write_bytes(b"no image")
    code, out, err = run("run", bundle, tmp_path)
    assert (code, len(out.splitlines())) == (2, 1), (out, err)
    code, out, _ = run("run", bundle, picture, "--jsonl")
    assert json.loads(out)["classes"][0]["label"].startswith(EVIL)


def test_the_command_of_devices(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from edgekit.runtime.command import main as on_device

    picture = tmp_path / f"{EVIL.replace('/', '')}.png"
    Image.new("RGB", (32, 32)).save(picture)
    assert on_device(["classify", str(bundle), str(picture), str(picture.with_suffix(".jpg"))]) == 2
    assert on_device(["verify", str(bundle), "--no-golden"]) == 0
    said = "".join(capsys.readouterr())
    assert OBEYED.search(said) is None
    assert "\\x1b[2J" in said


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_a_report(run: Run, report: Path, form: str) -> None:
    code, out, err = run("report", report, "--format", form)
    assert code == 0, err
    if form == "html":
        assert "<script>alert" not in out
    if form == "md":
        assert "<script>" not in out
        assert "|`x`" not in out
    code, out, _ = run("report", report, "--json")
    assert json.loads(out)["model"]["name"].startswith(EVIL)


def test_many_reports(run: Run, report: Path) -> None:
    for form in ("text", "html", "csv"):
        code, out, err = run("report", "--across", report.parents[1], "--format", form)
        assert code == 0, err
        assert "<script>alert" not in out or form != "html"


def test_a_comparison(run: Run, report: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(report.read_text())
    code, out, err = run("compare", report, other, "--max-drop", 1, "--junit", tmp_path / "it.xml")
    assert code in (0, 3), err
    code, out, _ = run("compare", report, other, "--markdown", "-")
    assert "<script>" not in out
    text = (tmp_path / "it.xml").read_text(encoding="utf-8")
    assert OBEYED.search(text) is None
    assert ElementTree.fromstring(text).tag == "testsuites"


@pytest.mark.parametrize(
    "arguments",
    [
        [EVIL],
        ["report", EVIL],
        ["build", "--model", EVIL],
        ["build", "--target", EVIL, "--model", EVIL],
        ["build", EVIL],
        ["build", f"--{EVIL}", "--model", EVIL],
        ["build", "--images", EVIL, "--model", EVIL],
        ["inspect", EVIL],
        ["verify", EVIL],
        ["run", EVIL, EVIL],
        ["device", "probe", EVIL],
        ["device", "add", EVIL, EVIL],
        ["compare", EVIL, EVIL],
        ["evaluate", EVIL, "--data", EVIL],
        ["init", f"/nowhere/{EVIL}"],
        ["models", EVIL],
        ["targets", EVIL],
        ["cache", EVIL],
    ],
    ids=lambda each: " ".join("EVIL" if EVIL in part else part for part in each),
)
def test_what_is_told_of_bad_use(run: Run, arguments: list[str]) -> None:
    code, _, err = run(*arguments)
    assert code == 2, err


@pytest.mark.parametrize("key", ["model", EVIL, "calibration"])
def test_what_is_told_of_a_recipe(run: Run, tmp_path: Path, key: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({"model": "none", key: EVIL}))
    code, _, err = run("build", "--recipe", path)
    assert code == 2
    assert len(err.splitlines()) == 1


def test_what_is_told_of_a_device(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "edgekit").mkdir()
    (tmp_path / "edgekit" / "devices.json").write_text(json.dumps({EVIL: {"host": "a"}}))
    assert run("device", "list")[0] == 2


def test_one_place_prints() -> None:
    """Whatever else printed would have to clean by itself, and forget to."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"):
                found.add(name)
    assert found - PRINTERS - BY_THEMSELVES == set()


def test_what_libraries_log_and_warn_of() -> None:
    code = (
        "import logging, sys, warnings; from edgekit.cli.process import libraries_in_words; libraries_in_words()\n"
        "logging.getLogger('onnx_ir').warning('Input %s', sys.argv[1]); warnings.warn(sys.argv[1])"
    )
    told = subprocess.run([sys.executable, "-c", code, EVIL], capture_output=True, text=True, check=True).stderr
    assert told.count("\\x1b[2J") >= 2
    assert OBEYED.search(told) is None
