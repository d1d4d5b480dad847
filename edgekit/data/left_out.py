"""What of a data set was not used, counted by reason: nothing is left out without a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from edgekit.file_names import readable

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

LeftOut: TypeAlias = Mapping[str, tuple[int, tuple[str, ...]]]
"""For each reason how many were left out, and the names of the first."""

NAMED: Final = 3
"""Names that are kept of each reason."""


@dataclass(frozen=True)
class Reason:
    """Why something was left out, said after a count: "3 files with an unknown suffix".

    Attributes:
        one, many: what is counted; remarked: whether people are told, or only the report's JSON.
    """

    one: str
    many: str
    said: str
    remarked: bool = True


REASONS: Final[Mapping[str, Reason]] = {
    "unknown suffix": Reason("file", "files", "whose suffix is of no image that can be read here"),
    "no image": Reason("file", "files", "of other kinds", remarked=False),
    "unreadable": Reason("image", "images", "that cannot be read"),
    "missing": Reason("image", "images", "that are not there"),
    "permission denied": Reason("file or folder", "files and folders", "that may not be opened"),
    "no label": Reason("image", "images", "without a label"),
    "hidden": Reason("image", "images", "that are hidden (a name begins with a dot)"),
    "beside the classes": Reason("image", "images", "in no class folder, but beside them"),
    "linked folder": Reason("folder", "folders", "that are links inside a class, which are not followed"),
    "broken link": Reason("link", "links", "that lead nowhere"),
    "no regular file": Reason("entry", "entries", "that are no regular files"),
    "copy of a calibration image": Reason("image", "images", "that are copies of calibration images"),
    "copy of a held-back image": Reason("image", "images", "that are copies of images held back to choose by"),
    "excluded": Reason("image", "images", "named by --exclude", remarked=False),
    "class without images": Reason("class", "classes", "without images"),
}
"""Every reason there is, by its name in report.json."""


class Tally:
    """Counts what is left out while a data set is gone through."""

    def __init__(self, before: LeftOut = MappingProxyType({})) -> None:
        self._found = dict(before)

    def add(self, reason: str, *names: str) -> None:
        """Counts names, which must be readable ones, for one of REASONS."""
        assert reason in REASONS
        count, first = self._found.get(reason, (0, ()))
        self._found[reason] = (count + len(names), (*first, *names)[:NAMED])

    def found(self) -> LeftOut:
        """What was counted, in the order of REASONS."""
        return {reason: self._found[reason] for reason in REASONS if self._found.get(reason, (0,))[0]}


def with_more(left_out: LeftOut, reason: str, names: Iterable[str]) -> LeftOut:
    """The same with more names of one reason."""
    tally = Tally(left_out)
    tally.add(reason, *names)
    return tally.found()


def remarks(left_out: LeftOut) -> Iterator[str]:
    """For each reason that people are told of: "3 images that cannot be read (a/1.png, a/2.png, ...)"."""
    for reason, (count, first) in left_out.items():
        how = REASONS[reason]
        if how.remarked:
            more = ", ..." if count > len(first) else ""
            yield f"{count} {how.one if count == 1 else how.many} {how.said} ({', '.join(first)}{more})"


def said_of(images: ImageSet, data: object) -> Iterator[str]:
    """What the user should know of a data set that was opened: how its labels were read, and what was not used."""
    yield from images.notes
    if told := "; ".join(remarks(images.left_out)):
        yield f"left out of {readable(str(data))}: {told}"


def as_json(left_out: LeftOut) -> dict[str, dict[str, int | list[str]]]:
    """For each reason {"count", "first"}."""
    return {reason: {"count": count, "first": list(first)} for reason, (count, first) in left_out.items()}
