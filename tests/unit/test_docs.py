"""The documentation: links lead somewhere, commands parse, snippets compile, and every target has its page."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_commands import TOP, Shown, commands, pages, parsed, snippets, split

from edgekit.cluster.search.space import Space
from edgekit.recipe import checked, merged
from edgekit.targets import TARGETS, Target

LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
PAGES = [
    *pages(),
    *(TOP / name / "README.md" for name in ("docker", "calibration", "tests/benchmarks")),
    TOP / "CHANGELOG.md",
]
MARKDOWN = [path for path in PAGES if path.suffix == ".md"]
COMMANDS = commands()


def anchors(path: Path) -> set[str]:
    """The names that a page's headings have on GitHub."""
    found = re.findall(r"^#+ (.+)$", split(path.read_text(encoding="utf-8"))[1], re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each).lower() for each in found]
    return {re.sub(r"[^\w\- ]", "", each).strip().replace(" ", "-") for each in plain}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path: Path) -> None:
    prose = split(path.read_text(encoding="utf-8"))[1]
    for link in LINK.findall(prose):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), link
        assert TOP in (to, *to.parents), link
        if anchor:
            assert anchor in anchors(to), link


def test_every_page_is_linked_to() -> None:
    linked = set()
    for path in MARKDOWN:
        for link in LINK.findall(path.read_text(encoding="utf-8")):
            linked.add((path.parent / link.partition("#")[0]).resolve())
    assert [str(path.relative_to(TOP)) for path in (TOP / "docs").rglob("*.md") if path not in linked] == []


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 120
    assert sum(each.inline for each in COMMANDS) > 20
    assert any(len(each.words) > 10 for each in COMMANDS)
    assert {"build", "device", "run", "sign"} <= {each.words[0] for each in COMMANDS}


@pytest.mark.parametrize("shown", COMMANDS, ids=[f"{each.page}:{each.line}" for each in COMMANDS])
def test_a_command_parses(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed(shown) in ("command", "mention"), shown.text


@pytest.mark.parametrize(
    "words",
    [
        ("bild",),
        ("build", "--modell", "x"),
        ("build", "--precision", "int4"),
        ("device", "fly"),
        ("verify", "--key", "k"),
    ],
    ids=" ".join,
)
def test_what_there_is_not_does_not_parse(words: tuple[str, ...]) -> None:
    with pytest.raises(Exception, match=r"No such|no verb|is not one of|Missing"):
        parsed(Shown("page", 1, words))


def test_python_snippets_compile_and_import() -> None:
    found = list(snippets("python"))
    assert len(found) >= 2
    for page, line, text in found:
        tree = ast.parse(text, f"{page}:{line}")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for name in node.names:
                    if not hasattr(module, name.name):  # a module of a package
                        importlib.import_module(f"{node.module}.{name.name}")
            elif isinstance(node, ast.Import):
                for name in node.names:
                    importlib.import_module(name.name)


def test_yaml_snippets_are_recipes_or_workflows() -> None:
    found = list(snippets("yaml"))
    assert found
    for page, line, text in found:
        told: Any = yaml.safe_load(text)
        if "jobs" in told:
            assert all("steps" in job for job in told["jobs"].values()), f"{page}:{line}"
        elif isinstance(told.get("pruning"), list):
            checked(Space, told, "space")
        elif {"models", "builds"} & set(told):
            assert page == "docs/matrix.md"  # tests/unit/build/test_matrix_file.py reads them
        elif "stages" not in told:
            merged(told, {})


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_a_target_has_a_page_that_agrees_with_the_table(target: Target) -> None:
    index = (TOP / "docs" / "targets.md").read_text(encoding="utf-8")
    assert f"[{target.name}](targets/{target.name}.md)" in index
    page = (TOP / "docs" / "targets" / f"{target.name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# `{target.name}`: ")
    assert "edgekit build " in page
    assert "ot yet run on hardware" in page
    runtime = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT"}
    assert runtime.get(target.runtime, "TensorRT for RTX") in page
    for precision in target.precisions:
        assert precision.upper() in page
    for release in target.releases:
        assert release.tensorrt in page, release
        assert release.jetpack is None or release.jetpack in page, release
    if target.compute_capabilities:
        assert all(each in page for each in target.compute_capabilities)
    for rail in target.power_rails:
        assert f"`{rail}`" in page


def test_the_readme_is_short_and_its_picture_small() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 300
    assert "](docs/report.png)" in readme
    assert (TOP / "docs" / "report.png").stat().st_size <= 250_000
