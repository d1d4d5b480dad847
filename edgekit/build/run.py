"""A build under way: what its stages share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.models.source import Source
from edgekit.recipe import Recipe
from edgekit.store import Entry, Store
from edgekit.targets import TARGETS, Release, Target, processor
from edgekit.validate.variants import is_pruned, precision_of

if TYPE_CHECKING:
    from edgekit.devices.remote import Probed


@dataclass(frozen=True)
class Event:
    """Progress of a stage: `done` of `total` units (None: unknown); `finished` when it is over."""

    stage: str
    done: float = 0
    total: float | None = None
    finished: bool = False
    cached: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Graphs:
    """The graphs that variants are compiled from: of the network as it came, of the pruned one if there is one, and of
    the mix of precisions if one was looked for (of the pruned network, where there is one).
    """

    dense: Entry
    pruned: Entry | None = None
    mixed: Entry | None = None

    def of(self, variant: str) -> Path:
        """The ONNX graph of a variant; bf16 is the runtime's way to run the fp32 one."""
        name = precision_of(variant)
        if name == "mixed" and self.mixed is not None:
            return self.mixed.path / "mixed.onnx"
        entry = self.pruned if is_pruned(variant) and self.pruned is not None else self.dense
        return entry.path / f"{'fp32' if name == 'bf16' else name}.onnx"

    def keys(self) -> list[str]:
        """What identifies them in the store."""
        return [entry.path.name for entry in (self.dense, self.pruned, self.mixed) if entry is not None]


@dataclass
class Run:
    """One build under way: where stages keep their results, who hears of it, and what was done so far.

    Attributes:
        variants: precisions, fp32 first; release: the TensorRT that is built for, where the target has one.
        device: where variants are executed instead of here, see edgekit.build.place.
        stages, warnings: grow as stages run.
    """

    recipe: Recipe
    source: Source
    store: Store
    variants: tuple[str, ...]
    on_event: Callable[[Event], None] = lambda event: None
    target: Target = TARGETS["cpu"]
    release: Release | None = None
    device: Probed | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def stage(self, name: str, inputs: Mapping[str, Any], make: Callable[[Path], None]) -> Entry:
        """Runs one stage, or takes it from the store, and notes how long that took."""
        self.on_event(Event(name))
        key = self.store.key(name, inputs)
        entry = self.store.build(key, name, make, on_wait=lambda text: self.on_event(Event(name, detail=text)))
        self.stages.append({"name": name, "seconds": round(entry.seconds, 3), "cached": entry.cached})
        self.on_event(Event(name, finished=True, cached=entry.cached))
        return entry

    def tell(self, stage: str, total: float | None) -> Callable[[float], None]:
        """A callback that turns a count into an event."""
        return lambda done: self.on_event(Event(stage, done, total))


def fetching(on_event: Callable[[Event], None]) -> Callable[[str, float, float | None], None]:
    """A listener for weights that are fetched, in megabytes, that makes events of a stage `fetch` of it."""

    def tell(what: str, done_mb: float, total_mb: float | None) -> None:
        total = None if total_mb is None else round(total_mb)
        on_event(Event("fetch", round(done_mb), total, done_mb == total_mb, detail=f"{what}, in MB"))

    return tell


def machine_identity() -> dict[str, Any]:
    """What decides compiled forms and timings: processor and runtime, by metadata, importing nothing."""
    cpu, features = processor()
    return {"cpu": cpu, "features": list(features), "openvino": version("openvino")}


def write(path: Path, text: str) -> None:
    """Writes text as UTF-8."""
    path.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads what a stage wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
