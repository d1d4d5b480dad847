"""The stages that prune: choose widths on the target, win back accuracy, and export what came of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.build.prove import toolchain
from edgekit.build.run import Run, read_json, write
from edgekit.errors import BudgetError, InputError
from edgekit.store import Entry

if TYPE_CHECKING:
    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet
    from edgekit.prune.sources import PruningImages

NOISE: Final = 0.7
"""Points that the tuning images may be wrong by: a drop over the budget by less is left to the verdict."""


@dataclass(frozen=True)
class Pruned:
    """What pruning came to: the entry with the pruned network, if there is one, and the report's `pruning`."""

    entry: Entry | None
    told: dict[str, Any]
    over_budget: bool = False
    hint: str = ""


@dataclass(frozen=True)
class _Task:
    """What the stages of one pruning share."""

    run: Run
    exported: Entry
    quantized: Entry
    images: PruningImages | None
    wanted: str
    importance: str


def prune_network(
    run: Run,
    wanted: str,
    exported: Entry,
    quantized: Entry,
    chosen: CalibrationSet,
    pool: ImageSet,
    evaluated: ImageSet | None,
) -> Pruned:
    """Prunes as the recipe says, and recovers; or says why not.

    Args:
        wanted: the precision that will run.
    Raises:
        InputError: the network cannot be pruned, though a ratio was asked for; or bad training images.
    """
    asked = run.recipe.prune
    why_not = _why_not(run)
    images = None
    if why_not is None:
        images = training_images(run, chosen, pool, evaluated)
        if asked == "auto" and images is None and not run.source.random:
            why_not = "there are no training images to recover with (--train-data)"
    if why_not is not None:
        return Pruned(None, nothing(asked, why_not), hint="Give --prune a ratio, or what is missing.")
    importance = run.recipe.pruning.importance or ("fisher" if images is not None else "magnitude")
    task = _Task(run, exported, quantized, images, wanted, importance)
    try:
        selected, recovered = _tried(task)
        if recovered is None:
            return Pruned(None, nothing(asked, f"{wanted} alone meets the latency budget"), hint="There is no need.")
    except BudgetError as error:
        run.warnings.append(error.what)
        return Pruned(None, nothing(asked, error.what), True, error.hint)
    except InputError as error:
        if asked != "auto":
            raise
        run.warnings.append(f"{error.what}; built without pruning")
        return Pruned(None, nothing(asked, error.what), hint=error.hint)
    return Pruned(recovered, _told(task, selected, recovered))


def _tried(task: _Task) -> tuple[Entry, Entry | None]:
    """Chooses widths and recovers; once more, less narrow, if that cost too much and no budget says how fast.

    Nothing is recovered, and None is given, where nothing had to be removed.
    """
    want = _first_want(task.run)
    selected = _select(task, want)
    channels = read_json(selected.path / "choice.json")["channels"]
    if channels["before"] == channels["after"]:
        return selected, None
    recovered = _recover(task, selected)
    tuning = read_json(recovered.path / "recovery.json")["tuning"]
    drop = None if tuning is None else tuning["dense_top1"] - tuning["recovered_top1"]
    if want["kind"] != "knee" or drop is None or drop <= task.run.recipe.max_drop + NOISE:
        return selected, recovered
    told = read_json(selected.path / "choice.json")["latency"]
    middle = (told["dense_ms"] + told["measured_ms"]) / 2
    task.run.warnings.append(
        f"pruning to {told['measured_ms']:.2f} ms cost {drop:.2f} points on the tuning images: tried again with"
        f" {middle:.2f} ms"
    )
    selected = _select(task, {"kind": "budget", "budget_ms": middle})
    return selected, _recover(task, selected)


def nothing(asked: float | str, why: str) -> dict[str, Any]:
    """The report's `pruning` where nothing was pruned."""
    empty = dict.fromkeys(("importance", "channels", "params", "macs", "latency", "recovery", "sensitivity"))
    return {"asked": str(asked), "kept": False, "reason": why, "widths": [], **empty}


def _why_not(run: Run) -> str | None:
    recipe = run.recipe
    if recipe.prune == "none":
        return "not asked for (--prune none)"
    if recipe.prune != "auto":
        return None
    if run.target.family != "cpu":
        return "layers are timed on processors only: give a ratio (--prune 0.3) to prune for other targets"
    if run.source.random and recipe.latency_budget_ms is None:
        return "the weights are random: only a --latency-budget says how much to prune"
    return None


def _first_want(run: Run) -> dict[str, Any]:
    if run.recipe.prune != "auto":
        return {"kind": "ratio", "ratio": run.recipe.prune}
    if run.recipe.latency_budget_ms is not None:
        return {"kind": "budget", "budget_ms": run.recipe.latency_budget_ms}
    return {"kind": "knee"}


def training_images(
    run: Run, chosen: CalibrationSet, pool: ImageSet, evaluated: ImageSet | None
) -> PruningImages | None:
    """What there is to train on: the user's own images, the set that the weights come from, or calibration images."""
    if run.source.random:
        return None
    from edgekit.data.folder import FolderSet
    from edgekit.prune.sources import folder_images, of_folder, signs_images

    spec = run.recipe.pruning.train_data
    if spec is not None and spec != "signs":
        return folder_images(spec, run.source.classes, evaluated, run.recipe.skip_bad_images)
    used = frozenset(item.sha256 for item in chosen.items)
    if spec == "signs" or run.source.default_data == "signs":
        return signs_images(used)
    if isinstance(pool, FolderSet) and run.recipe.prune != "auto":
        mine = tuple(replace(file, label=None) for file in pool.files if file.sha256 in used)
        return of_folder(FolderSet(pool.name, (), mine))
    return None


def _select(task: _Task, want: Mapping[str, Any]) -> Entry:
    """choice.json and keep.npy: which channels stay, what the table and the whole network said, and how sensitive
    blocks are.
    """
    run = task.run

    def make(into: Path) -> None:
        import numpy as np

        from edgekit.build.widths import choose

        told, keep = choose(run, task.quantized, task.images, task.wanted, task.importance, want)
        write(into / "choice.json", json.dumps(told))
        np.save(into / "keep.npy", keep)

    inputs = {
        "source": run.source.identity(),
        "quantized": task.quantized.path.name,
        "images": task.images and task.images.digest,
        "want": dict(want),
        "importance": task.importance,
        "wanted": task.wanted,
        "granularity": run.target.channel_granularity,
        "preprocessing": run.source.preprocessing.as_dict(),
        "sensitivity": run.recipe.pruning.sensitivity,
        "machine": run.device.identity() if run.device else toolchain(run),
        "library": version("torch-pruning"),
    }
    return run.stage("prune", inputs, make)


def _recover(task: _Task, selected: Entry) -> Entry:
    """weights.safetensors, model.onnx and facts.json of the pruned network, and recovery.json."""
    run, settings = task.run, task.run.recipe.pruning
    inputs = {
        "selected": selected.path.name,
        "images": task.images and task.images.digest,
        "minutes": settings.minutes,
        "rate": settings.learning_rate,
        "seed": run.recipe.seed,
        "torch": version("torch"),
        "source": run.source.identity(),
    }
    unfinished = run.store.root / "unfinished" / run.store.key("recover", inputs)

    def make(into: Path) -> None:
        from edgekit.build.widths import recovered

        recovered(run, selected, task.images, unfinished, into)

    entry = run.stage("recover", inputs, make)
    shutil.rmtree(unfinished, ignore_errors=True)
    return entry


def _told(task: _Task, selected: Entry, recovered: Entry) -> dict[str, Any]:
    """The report's `pruning`, before it is known whether the pruned network stays."""
    choice, dense = read_json(selected.path / "choice.json"), read_json(task.exported.path / "facts.json")
    facts = read_json(recovered.path / "facts.json")
    return {
        "asked": str(task.run.recipe.prune),
        "kept": False,
        "reason": "not judged yet",
        "importance": task.importance,
        "channels": choice["channels"],
        "params": {"before": dense["params"], "after": facts["params"]},
        "macs": {"before": dense["macs"], "after": facts["macs"]},
        "latency": choice["latency"],
        "recovery": read_json(recovered.path / "recovery.json"),
        "widths": choice["widths"],
        "sensitivity": choice["sensitivity"],
    }
