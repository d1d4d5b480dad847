"""Which code a stage runs: found by reading imports, and nothing else changes its key."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.build import code

MODULES = sorted(
    ".".join(("edgekit", *path.relative_to(code.ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in code.ROOT.rglob("*.py")
)


def forget() -> None:
    for each in (code.code_digest, code.reached, code.source_digest, code.imports_of):
        each.cache_clear()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of edgekit's code that the digests are made of."""
    shutil.copytree(code.ROOT, tmp_path / "edgekit", ignore=shutil.ignore_patterns("trained", "__pycache__", "cpp"))
    monkeypatch.setattr(code, "ROOT", tmp_path / "edgekit")
    forget()
    yield tmp_path / "edgekit"
    forget()


def edited(copy: Path, file: str) -> None:
    with (copy / file).open("a") as source:
        source.write("\n# edited\n")
    forget()


@pytest.mark.parametrize(
    ("stage", "file", "again"),
    [
        ("recover", "report/html.py", False),
        ("recover", "report/model.py", False),
        ("recover", "build/pipeline.py", False),
        ("recover", "cli/build.py", False),
        ("recover", "quantize/ptq.py", False),
        ("recover", "prune/recover.py", True),
        ("recover", "prune/surgery.py", True),
        ("recover", "training/loop.py", True),
        ("recover", "models/inception_v4.py", True),
        ("export", "models/inception_v4.py", True),
        ("export", "models/export.py", True),
        ("export", "prune/recover.py", False),
        ("quantize", "quantize/ptq.py", True),
        ("quantize", "validate/decision.py", False),
        ("compile", "backends/openvino.py", True),
        ("compile", "training/loop.py", False),
        ("evaluate", "validate/accuracy.py", True),
        ("evaluate", "runtime/resize.py", True),
        ("measure", "runtime/timing.py", True),
        ("measure", "report/markdown.py", False),
    ],
)
def test_an_edit_runs_just_the_stages_again_that_use_it(copy: Path, stage: str, file: str, again: bool) -> None:
    before = code.code_digest(f"edgekit.build.{stage}")
    edited(copy, file)
    assert (code.code_digest(f"edgekit.build.{stage}") != before) is again


def _by_parsing(module: str) -> tuple[set[str], set[str]]:
    """What a module imports when it is loaded, and anywhere, by its syntax tree."""
    path = code.source_of(module)
    assert path is not None
    at_load: set[str] = set()
    anywhere: set[str] = set()
    waiting: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text()), True)]
    while waiting:
        node, loading = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        names: set[str] = set()
        if isinstance(node, ast.Import):
            names = {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            near = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
            up = near[: len(near) - node.level + 1] if node.level else []
            package = ".".join([*up, *([node.module] if node.module else [])])
            names = {package, *(f"{package}.{each.name}" for each in node.names)}
        names = {name for name in names if name.startswith("edgekit.") and code.source_of(name) is not None}
        anywhere |= names
        at_load |= names if loading else set()
        inside = loading and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        waiting.extend((each, inside) for each in ast.iter_child_nodes(node))
    return at_load, anywhere


@pytest.mark.parametrize("module", MODULES)
def test_searching_the_text_finds_what_parsing_finds(module: str) -> None:
    at_load, anywhere = _by_parsing(module)
    found = code.imports_of(module)
    assert anywhere <= found.anywhere
    assert at_load <= found.at_load


def test_tables_that_name_modules_lead_to_them() -> None:
    assert "edgekit.models.inception_v4" in code.reached("edgekit.models.registry")
    assert "edgekit.backends.openvino" in code.reached("edgekit.backends")


def test_no_stage_knows_the_pipeline_the_report_or_the_command_line() -> None:
    for module in MODULES:
        if module.startswith("edgekit.build.") and "Stage(" in (code.source_of(module) or Path()).read_text():
            if module in ("edgekit.build.stage", "edgekit.build.runner"):
                continue
            known = code.reached(module)
            assert not {each for each in known if each.startswith(("edgekit.cli", "edgekit.report"))}, module
            assert not known & {"edgekit.build.pipeline", "edgekit.build.plan", "edgekit.build.runner"}, module
