"""How the package is cut: few parameters, short files, typed values, and no code paths by the family of a target."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgekit

PACKAGE = Path(edgekit.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}

MOST_PARAMETERS, MOST_LINES, MOST_UNTYPED = 7, 330, 60

UNTYPED = re.compile(r"\b(?:\w*[dD]ict|\w*Mapping)\[\s*str,\s*(?:typing\.)?(?:Any|object)\s*\]")
"""Mappings of anything: right where JSON, YAML or a library's own dictionary is read or written, and nowhere else."""

ASKS_FAMILY = ("targets/", "backends/", "runtime/")
"""Where the family of a target may be compared with a name: everywhere else its record says what it can do."""


def with_many_parameters(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of parameters of each public function that has too many; click's commands have as many as flags.

    `self` and `cls` are none, `*args` and `**kwargs` are one each.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bound = {child for child in node.body if isinstance(child, ast.FunctionDef) and not _is_static(child)}
            yield from _too_many(bound, less=1)
        elif isinstance(node, ast.Module):
            inside = {child for each in ast.walk(node) if isinstance(each, ast.ClassDef) for child in each.body}
            plain = {each for each in ast.walk(node) if isinstance(each, ast.FunctionDef) and each not in inside}
            static = {each for each in inside if isinstance(each, ast.FunctionDef) and _is_static(each)}
            yield from _too_many(plain | static, less=0)


def _too_many(functions: set[ast.FunctionDef], less: int) -> Iterator[tuple[str, int]]:
    for each in functions:
        taken = each.args
        count = len(taken.posonlyargs) + len(taken.args) + len(taken.kwonlyargs) - less
        count += (taken.vararg is not None) + (taken.kwarg is not None)
        is_public = not each.name.startswith("_")
        if is_public and count > MOST_PARAMETERS and not _is_command(each):
            yield each.name, count


def _is_static(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in function.decorator_list)


def _is_command(function: ast.FunctionDef) -> bool:
    called = [each.func for each in function.decorator_list if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Attribute) and each.attr == "command" for each in called)


def untyped_mappings(source: str) -> list[str]:
    """Each mapping of anything in a source, as it is written."""
    return UNTYPED.findall(source)


def asks_family(source: str) -> list[int]:
    """Lines that compare something called family with something else."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = {getattr(each, "attr", getattr(each, "id", None)) for each in sides}
            if "family" in names:
                found.append(node.lineno)
    return found


def test_the_whole_package_is_looked_at() -> None:
    assert {"recipe.py", "runtime/manifest.py", "cli/device.py"} <= set(SOURCES)
    assert len(SOURCES) > 200


def test_public_functions_take_few_parameters() -> None:
    found = {f"{name}: {each}" for name, source in SOURCES.items() for each in with_many_parameters(source)}
    assert found == set()


def test_files_are_short() -> None:
    assert {name: lines for name, source in SOURCES.items() if (lines := source.count("\n")) > MOST_LINES} == {}


def test_mappings_of_anything_are_few() -> None:
    found = {name: len(each) for name, source in SOURCES.items() if (each := untyped_mappings(source))}
    assert sum(found.values()) <= MOST_UNTYPED, found


def test_no_code_path_asks_for_the_family_of_a_target() -> None:
    found = {name: lines for name, source in SOURCES.items() if (lines := asks_family(source))}
    assert {name for name in found if not name.startswith(ASKS_FAMILY)} == set()


EIGHT = "a, b, c, d, e, f, g, h"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (f"def many({EIGHT}): ...", ["many"]),
        ("def many(a, b, c, d, e, f, *, g, **h): ...", ["many"]),
        (f"class A:\n    def many(self, {EIGHT}): ...\n    def few(self, a, b, c, d, e, f, g): ...", ["many"]),
        (f"class A:\n    @staticmethod\n    def many({EIGHT}): ...", ["many"]),
        (f"def out():\n    def inside({EIGHT}): ...", ["inside"]),
        ("def few(a, b, c, d, e, f, g): ...", []),
        (f"def _private({EIGHT}): ...", []),
        (f"@click.command()\ndef verb({EIGHT}): ...", []),
        (f"@group.command('x')\n@option\ndef verb({EIGHT}): ...", []),
    ],
)
def test_too_many_parameters_are_seen(source: str, names: list[str]) -> None:
    assert [name for name, _ in with_many_parameters(source)] == names


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("a: dict[str, Any]; b: Dict[str, Any]; c: Mapping[str, object]", 3),
        ("a: MutableMapping[str, Any] = OrderedDict[ str,Any ]()", 2),
        ("def f() -> dict[\n    str, Any\n]: ...", 1),
        ("a: dict[str, int]; b: Mapping[int, Any]; c: dict[str, Anything]; d: list[Any]", 0),
    ],
)
def test_mappings_of_anything_are_seen(source: str, count: int) -> None:
    assert len(untyped_mappings(source)) == count


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("if target.family == 'cpu': ...", [1]),
        ("a = 1\nb = family in ('rtx', 'gpu')", [2]),
        ("x = 'cpu' != find(name).family", [1]),
        ("x = FAMILIES[target.family]\ny = target.can.here == family_of(x)", []),
    ],
)
def test_questions_for_a_family_are_seen(source: str, lines: list[int]) -> None:
    assert asks_family(source) == lines
