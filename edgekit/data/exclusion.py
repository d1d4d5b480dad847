"""Lists of images to leave out, such as the validation images that ILSVRC blacklists: read, and matched with names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgekit.data.tables import plain_text
from edgekit.errors import InputError
from edgekit.file_names import readable

_LAST_NUMBER: Final = re.compile(r"[0-9]+$")
_COMMENT: Final = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True)
class Matched:
    """What a list says about some images.

    Attributes:
        kept: positions of the images that it does not name, in order.
        unmatched: entries that name none of the images.
    """

    kept: tuple[int, ...]
    unmatched: tuple[str, ...]


def read_list(path: Path) -> tuple[str, ...]:
    """The entries of a list: one image a line; `#` at a line's start, or after a blank, begins a comment.

    Raises:
        InputError: the file is missing, is no text, or names nothing.
    """
    hint = "Give a text file with one image a line: a name, or the number that its name ends in."
    try:
        text = plain_text(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the list of images {path}: {error}", hint) from error
    entries = (readable(_COMMENT.sub("", line).strip()) for line in text.splitlines())
    named = tuple(dict.fromkeys(entry for entry in entries if entry))
    if not named:
        raise InputError(f"the list of images {path} names none", hint)
    return named


def matched(names: Sequence[str], entries: Sequence[str]) -> Matched:
    """Which of the images `names` a list leaves.

    An entry names an image by its identifier (`cat/1.jpg`), its file name (`1.jpg`), either without the suffix, or the
    number that its name without suffix ends in: `490` is ILSVRC2012_val_00000490.JPEG. It may name several.
    """
    named: dict[str, set[int]] = defaultdict(set)
    numbered: dict[str, set[int]] = defaultdict(set)
    for place, name in enumerate(names):
        stem = _stem(name)
        for key in {_plain(name), _plain(name).rpartition("/")[2], stem, stem.rpartition("/")[2]}:
            named[key].add(place)
        if number := _LAST_NUMBER.search(stem):
            numbered[number.group().lstrip("0")].add(place)
    left_out: set[int] = set()
    unmatched: list[str] = []
    for entry in entries:
        found = set(named.get(_plain(entry), ()))
        if _LAST_NUMBER.fullmatch(entry):
            found.update(numbered.get(entry.lstrip("0"), ()))
        left_out |= found
        if not found:
            unmatched.append(entry)
    return Matched(tuple(place for place in range(len(names)) if place not in left_out), tuple(unmatched))


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _stem(name: str) -> str:
    """An identifier without its suffix; a dot in a folder's name, or before the whole name, begins none."""
    folder, slash, base = _plain(name).rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)
