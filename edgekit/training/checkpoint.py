"""What a run leaves in its folder to be gone on with, bit for bit; gone when the work that it belongs to is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from edgekit.errors import InputError
from edgekit.models.weights import check_archive
from edgekit.training.recipe import TrainingRecipe
from edgekit.training.record import NumberFormat
from edgekit.training.schedule import Schedule, Span
from edgekit.whole_files import partial_of, written_whole

CHECKPOINT, PLAN, SPENT = "checkpoint.pt", "plan.json", "spent.json"
_AGAIN = "Delete it to begin again."


class Stateful(Protocol):
    """A network or an optimiser."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


@dataclass
class Course:
    """Where a run is.

    Attributes:
        schedule: as it is now; done: steps behind; stop: where it ends this time.
        rates: what the rates were multiplied by at each step so far; cut: what was left out, in words.
        threads, number_format: what it is computed with; parts: of a batch that go through side by side.
    """

    schedule: Schedule
    threads: int
    number_format: NumberFormat
    parts: int = 1
    done: int = 0
    stop: int = 0
    rates: list[float] = field(default_factory=list)
    cut: str | None = None


class Plan(BaseModel):
    """What a run of limited time was planned as, kept so that a run that was killed goes on with it.

    Attributes:
        step_seconds: what a step of each stage takes by the pace that was measured; None where none was.
        fresh_seconds: what each picture adds that a step draws beyond its share (edgekit.training.echo).
        looks: progress (0 to 1) at which the accuracy is looked at; look_seconds: what a look took.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: TrainingRecipe
    step_seconds: tuple[float, ...] | None = None
    fresh_seconds: tuple[float, ...] | None = None
    looks: tuple[float, ...] = ()
    look_seconds: float = 0.0


P = TypeVar("P", bound=Plan)


def kept(folder: Path, form: type[P], plan: Callable[[], P]) -> P:
    """The plan of the run that was begun in a folder; a new one if none was.

    Raises:
        InputError: the file there is damaged.
    """
    path = folder / PLAN
    if path.exists():
        try:
            return form.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, ValueError) as error:
            raise InputError(f"the plan {path} is damaged, or of another version", _AGAIN) from error
    made = plan()
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(made.model_dump_json(indent=1), encoding="utf-8")
    return made


def forget(folder: Path) -> None:
    """Removes what a run is gone on with; the log stays."""
    for name in (CHECKPOINT, PLAN, SPENT):
        (folder / name).unlink(missing_ok=True)
        partial_of(folder / name).unlink(missing_ok=True)


def save(path: Path, parts: dict[str, Stateful], recipe: TrainingRecipe, course: Course) -> None:
    """Writes a checkpoint, all of it or nothing."""
    state = {
        "recipe": recipe.model_dump_json(),
        "step": course.done,
        "steps": list(course.schedule.steps),
        "spans": [span.model_dump() for span in course.schedule.spans],
        "rates": torch.tensor(course.rates, dtype=torch.float64),
        "cut": course.cut,
        "threads": course.threads,
        "number_format": course.number_format,
        "parts": course.parts,
    }
    with written_whole(path) as partial:
        torch.save(state | {name: part.state_dict() for name, part in parts.items()}, partial)


def resume(path: Path, parts: dict[str, Stateful], recipe: TrainingRecipe, fresh: Course) -> Course:
    """Takes back what was kept, if anything was: the state of the parts, in place, and where the run is.

    Raises:
        InputError: the checkpoint is damaged, or was made by another recipe.
    """
    if not path.exists():
        return fresh
    try:
        check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        kept = Course(
            Schedule(recipe.stages, tuple(state["steps"]), tuple(Span(**each) for each in state["spans"])),
            state["threads"],
            state["number_format"],
            state["parts"],
            done=state["step"],
            rates=state["rates"].tolist(),
            cut=state["cut"],
        )
        before, states = state["recipe"], {name: state[name] for name in parts}
    except Exception as error:  # a file that was cut, or another one: torch's and pickle's errors have no ancestor
        raise InputError(f"the checkpoint {path} is damaged, or of another version", _AGAIN) from error
    if before != recipe.model_dump_json():
        raise InputError(
            f"the checkpoint {path} was made with another recipe",
            "Give another --out, or delete the checkpoint to begin again.",
        )
    try:
        for name, part in parts.items():
            part.load_state_dict(states[name])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"the checkpoint {path} does not fit this network", _AGAIN) from error
    return kept
