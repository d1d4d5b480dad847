"""The front built in full, one bundle after the other, and all bundles timed once more side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from edgekit.build.pipeline import build
from edgekit.build.remeasure import remeasured
from edgekit.bundle.directory import MANIFEST, check_bundle
from edgekit.cluster.search.batches import name_of
from edgekit.cluster.search.front import OnFront
from edgekit.cluster.search.results import AgainstDefault, BuiltPoint
from edgekit.cluster.search.trials import Over, tried
from edgekit.cluster.search.workers import Part, Workers
from edgekit.cluster.sent import Files, place_files, read_files, write_files
from edgekit.errors import InputError
from edgekit.recipe import Recipe, to_yaml
from edgekit.report.comparison import Row, compared, read_build
from edgekit.report.comparison import name_of as name_in_comparison
from edgekit.store import file_sha256
from edgekit.store.opening import StoreSettings
from edgekit.temporary import temporary_folder
from edgekit.validate.side_by_side import SideBySide
from edgekit.whole_files import written_whole

FOLDER: Final = "front"
DEFAULT: Final = "default"
TIMED: Final = "timed.json"


@dataclass(frozen=True)
class Wanted:
    """A bundle to build: its folder's name, its recipe, and the point of the front; None of the default build."""

    name: str
    recipe: Recipe
    point: OnFront | None


@dataclass(frozen=True)
class Made:
    """A bundle that is there, or why it could not be built."""

    wanted: Wanted
    directory: Path
    why: str | None


def wanted(recipe_of: Callable[[int | None], Recipe], front: Sequence[OnFront]) -> list[Wanted]:
    """The default build first: the others are compared with it."""
    found = [Wanted(DEFAULT, recipe_of(None), None)]
    return [*found, *(Wanted(name_of(each.number), recipe_of(each.number), each) for each in front)]


def built_in_full(asked: Wanted, out: Path, build_it: Callable[[Recipe], Files | Over]) -> Made:
    """A bundle below `out`, built alone on the node that times, unless it is there from an earlier run."""
    place = out / FOLDER / asked.name
    if _is_there(place, asked.recipe):
        return Made(asked, place, None)
    made = build_it(asked.recipe)
    if isinstance(made, Over):
        return Made(asked, place, made.reason)
    place_files(made, place)
    return Made(asked, place, None)


def _is_there(place: Path, recipe: Recipe) -> bool:
    try:
        same = (place / "recipe.yaml").read_text(encoding="utf-8") == to_yaml(recipe)
        return same and not check_bundle(place)
    except (OSError, InputError):
        return False


def whole(recipe: Recipe, store: StoreSettings) -> Files | Over:
    """Builds a bundle on a worker; its files, or why it cannot be built."""
    with temporary_folder() as folder:
        made = tried(lambda: build(recipe, folder / "bundle", store.open()))
        return made if isinstance(made, Over) else read_files(made.directory)


@dataclass(frozen=True)
class TimedBundles:
    """Bundles that were timed side by side, by the SHA-256 of their manifests, in their order."""

    manifests: tuple[str, ...]
    runs: int
    max_seconds: float
    timed: SideBySide


def timed_again(
    workers: Callable[[], Workers], made: Sequence[Made], runs: int, max_seconds: float, out: Path
) -> SideBySide:
    """All bundles side by side, the default build's being the one that the others are compared with.

    What an earlier run measured of the very same bundles stays as it is.

    Raises:
        UnavailableError: they are not run on this kind of machine.
    """
    there = [each.directory for each in made if each.why is None]
    manifests = tuple(file_sha256(each / MANIFEST) for each in there)
    path = out / FOLDER / TIMED
    with contextlib.suppress(OSError, ValueError):
        kept = TypeAdapter(TimedBundles).validate_json(path.read_bytes())
        if (kept.manifests, kept.runs, kept.max_seconds) == (manifests, runs, max_seconds):
            return kept.timed
    given = {str(place): read_files(each) for place, each in enumerate(there)}
    found: SideBySide = workers().alone(Part(again, (given, runs, max_seconds)))
    content = TypeAdapter(TimedBundles).dump_json(TimedBundles(manifests, runs, max_seconds, found))
    with written_whole(path) as partial:
        partial.write_bytes(content)
    return found


def again(bundles: Mapping[str, Files], runs: int, max_seconds: float) -> SideBySide:
    """Times bundles on a worker, which writes them into a folder of its own."""
    with temporary_folder() as folder:
        places = {name: folder / name for name in bundles}
        for name, files in bundles.items():
            write_files(files, places[name])
        return remeasured(places, runs, max_seconds)


def compared_with_default(made: Sequence[Made], timed: SideBySide | None, out: Path) -> tuple[BuiltPoint, ...]:
    """What is said of each bundle, and of how it compares with the default build's."""
    there = [each for each in made if each.why is None]
    builds = [read_build(each.directory) for each in there]
    named = None
    if timed is not None:
        names = {str(place): name_in_comparison(place, each) for place, each in enumerate(builds)}
        named = SideBySide(
            {names[name]: each for name, each in timed.timed.items()},
            {names[name]: each for name, each in timed.slower.items()},
            timed.processes,
            timed.warnings,
        )
    rows = dict(zip((each.wanted.name for each in there), compared(builds, named), strict=True))
    has_default = bool(there) and there[0].wanted.point is None
    return tuple(_told(each, rows.get(each.wanted.name), has_default, out) for each in made)


def _told(made: Made, row: Row | None, has_default: bool, out: Path) -> BuiltPoint:
    point = made.wanted.point
    number, beaten_by = (None, None) if point is None else (point.number, point.beaten_by)
    if row is None:
        return BuiltPoint(number=number, bundle=None, why=made.why, beaten_by=beaten_by)
    against = _against(row) if has_default and point is not None else None
    return BuiltPoint(
        number=number,
        bundle=made.directory.relative_to(out).as_posix(),
        chosen=row.chosen,
        as_asked=point is None or _as_asked(row.chosen, made.wanted.recipe),
        top1=row.top1,
        top1_ci95=row.ci95,
        images=row.images,
        p50=row.p50,
        size_bytes=row.size_bytes,
        against_default=against,
        beaten_by=beaten_by,
        dominates_default=against is not None and against.dominates,
    )


def _against(row: Row) -> AgainstDefault:
    below, slower = row.below_first, row.slower
    return AgainstDefault(
        drop=None if below is None else below.drop,
        drop_ci95=None if below is None else below.ci95,
        images=None if below is None else below.images,
        paired=below is not None and below.paired is not None,
        slower=None if slower is None else slower.times,
        slower_ci95=None if slower is None else slower.ci95,
    )


def _as_asked(chosen: str, recipe: Recipe) -> bool:
    """Whether the variant in a bundle is of the precision and the form that the recipe asks for."""
    form = chosen.partition("@")[0]
    return form.startswith("pruned-") == (recipe.prune != "none") and form.removeprefix("pruned-") == recipe.precision
