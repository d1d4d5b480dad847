"""Names of classes by the index of the network's output: read from a file, and matched with those that data has."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from edgekit.data.tables import plain_text
from edgekit.errors import InputError
from edgekit.file_names import readable
from edgekit.json_files import json_of
from edgekit.yaml_files import yaml_of

KEYS: Final = ("names", "labels", "classes", "class_names", "id2label", "label2id", "classnames", "categories")
"""Where files that hold more than names have them; the metadata of an ONNX file too."""

LONGEST: Final = 4 << 20
"""Bytes of a file of names, and of the metadata of a graph: more are none."""

MOST: Final = 1_000_000
HINT: Final = "Give one name a line in the order of the outputs, or a JSON list or map of names."
_NUMBERED: Final = re.compile(r"\s*([0-9]{1,12})\s*[:,;\t ]\s*(\S.*)")
_SYNSET: Final = re.compile(r"(n[0-9]{8})[\s,:]+(\S.*)")
_MIXED_UP: Final = -1


@dataclass(frozen=True)
class ClassNames:
    """For each output, in order, the names of its class: the one to show first, then others that mean the same."""

    every: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.every)

    @property
    def shown(self) -> tuple[str, ...]:
        """One name for each output."""
        return tuple(readable(names[0]) for names in self.every)

    def index(self, name: str) -> int | None:
        """Which class a name is of: as it is written, or else apart from case, blanks, underscores and hyphens.

        Raises:
            InputError: several classes are called so.
        """
        for found in (self._exact.get(name), self._loose.get(_loose(name))):
            if found == _MIXED_UP:
                raise InputError(f"several classes are called {name!r}", "Give them different names in --labels.")
            if found is not None:
                return found
        return None

    @cached_property
    def _exact(self) -> dict[str, int]:
        return _by_name((name, index) for index, names in enumerate(self.every) for name in names)

    @cached_property
    def _loose(self) -> dict[str, int]:
        return _by_name((_loose(name), index) for index, names in enumerate(self.every) for name in names)


def _by_name(pairs: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, index in pairs:
        found[name] = index if found.get(name, index) == index else _MIXED_UP
    return found


def _loose(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).casefold()


def read_names(path: Path) -> ClassNames:
    """Names of classes from lines, JSON, YAML, or the metadata of an ONNX file.

    Lines may begin with their numbers (`0: cat`) or with an ImageNet synset (`n01440764 tench`). JSON is a list, a map
    of numbers to names or of names to numbers, or an object with such under one of KEYS.

    Raises:
        InputError: it cannot be read, or holds no names.
    """
    try:
        if path.suffix.lower() == ".onnx":
            return _named(_of_onnx(path), path)
        content = path.read_bytes()
        if len(content) > LONGEST:
            raise ValueError(f"{len(content)} bytes are too many")
        text = plain_text(content)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the names of classes in {path}: {error}", HINT) from error
    if path.suffix.lower() in (".yaml", ".yml"):
        return _named(_of_yaml(text, path), path)
    if text.lstrip()[:1] in ("[", "{"):
        return _named(_literal(text), path)
    return _of_lines(text, path)


def _of_onnx(path: Path) -> Any:
    """What the metadata of an ONNX file says under one of KEYS."""
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's parser has errors of its own
        raise ValueError("it is no ONNX file") from error
    told = {each.key.lower(): each.value for each in model.metadata_props}
    text = next((told[key] for key in KEYS if key in told), None)
    if text is None:
        raise ValueError(f"its metadata has none of {', '.join(KEYS[:4])}")
    if not isinstance(text, str):  # protobuf gives what is no UTF-8 as bytes
        raise ValueError("the names in its metadata are no text")
    if text.lstrip()[:1] in ("[", "{", "("):
        return _literal(text[:LONGEST])
    return [part.strip() for part in (text.splitlines() if "\n" in text.strip() else text.split(","))]


def _of_yaml(text: str, path: Path) -> Any:
    try:
        return yaml_of(text)
    except ValueError as error:
        raise InputError(f"cannot read the names of classes in {path}: {error}", HINT) from error


def _literal(text: str) -> Any:
    """JSON, or a list or dictionary as Python prints one; None where it is neither. Nothing in it is run."""
    try:
        return json_of(text)
    except ValueError:
        pass
    try:
        with warnings.catch_warnings():  # Python's parser remarks on odd code, and this is none
            warnings.simplefilter("ignore")
            told = ast.literal_eval(text.strip())
        repr(told)  # a number may be too large to be shown
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return told


def _named(told: Any, path: Path) -> ClassNames:
    """Names from what a file holds."""
    if isinstance(told, Mapping):
        inside = next((told[key] for key in KEYS if isinstance(told.get(key), list | tuple | Mapping)), None)
        told = inside if inside is not None else told
        told = _in_order(told, path) if isinstance(told, Mapping) else told
    if not isinstance(told, list | tuple) or not told:
        raise InputError(f"{path} holds no names of classes", HINT)
    every = [_names_of(each) for each in told]
    wrong = next((place for place, names in enumerate(every) if not names), None)
    if wrong is not None:
        raise InputError(f"class {wrong} of {path} has no name", HINT)
    return ClassNames(tuple(every))


def _names_of(told: Any) -> tuple[str, ...]:
    """The names of one class; of a list, such as an ImageNet synset and its word, the last is shown."""
    if isinstance(told, str):
        synset = _SYNSET.fullmatch(told.strip())
        parts: Sequence[str] = (synset.group(2), synset.group(1), told.strip()) if synset else (told.strip(),)
        return tuple(part for part in parts if part)
    if isinstance(told, list | tuple):
        return tuple(str(each).strip() for each in reversed(told) if isinstance(each, str | int) and str(each).strip())
    if isinstance(told, Mapping):
        inner = next((told[key] for key in ("name", "label", "class") if key in told), None)
        return () if isinstance(inner, Mapping) else _names_of(inner)
    return (str(told),) if isinstance(told, int | float) and not isinstance(told, bool) else ()


def _in_order(told: Mapping[Any, Any], path: Path) -> list[Any]:
    """A map of numbers to names, or of names to numbers, as a list; a number without a name is called by it."""
    try:
        if all(isinstance(value, int) and not isinstance(value, bool) for value in told.values()):
            pairs = [(int(value), key) for key, value in told.items()]
        else:
            pairs = [(int(key), value) for key, value in told.items()]
    except (TypeError, ValueError):
        raise InputError(f"{path} maps names to no numbers", HINT) from None
    found = dict(pairs)
    if not found or len(found) < len(pairs) or not all(0 <= number < MOST for number in found):
        raise InputError(f"the numbers of the classes in {path} are not those of outputs", HINT)
    return [found.get(number, str(number)) for number in range(max(found) + 1)]


def _of_lines(text: str, path: Path) -> ClassNames:
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if not lines or not text.strip():
        raise InputError(f"{path} holds no names of classes", HINT)
    empty = next((number for number, line in enumerate(lines, 1) if not line), None)
    if empty is not None:
        raise InputError(f"line {empty} of {path} is empty: the names after it would count one less", HINT)
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(numbered):
        pairs = {int(found.group(1)): found.group(2) for found in numbered if found}
        if sorted(pairs) == list(range(len(lines))):
            return ClassNames(tuple(_names_of(pairs[number]) for number in range(len(lines))))
    return ClassNames(tuple(_names_of(line) for line in lines))
