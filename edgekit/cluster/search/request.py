"""What is asked of a search, and what is settled before its first trial: its space, and what decides it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgekit import __version__
from edgekit.build import images, trial
from edgekit.build.lock import versions
from edgekit.build.plan import Plan, planned
from edgekit.build.runner import Listener, Runner
from edgekit.cluster.search.journal import Settings
from edgekit.cluster.search.proposals import Objective, Proposal, Sampler
from edgekit.cluster.search.space import Setting, Space, check, read_space, usual_setting, usual_space
from edgekit.cluster.search.trials import Job
from edgekit.errors import InputError
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.store.opening import StoreSettings
from edgekit.targets.packages import installed_version

IMAGES: Final = 600
"""That trials are judged by unless others are asked for."""

TRIAL_MINUTES: Final = 1.0
"""Of recovery, of one trial."""

RUNS, SECONDS = 100, 60.0
"""That networks are timed with at most in a batch: they are timed again at the end."""

ALL_DROPS: Final = 100.0
"""Points: no network of the front is taken back for its accuracy, which is what the front is about."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        recipe: of the build that nobody has changed; its paths are absolute.
        space: a file that is laid over the usual space, if any.
        trials: in all; batch: of which so many are asked for at a time.
        images, trial_minutes: that one trial is judged by, and may be trained for.
        front: how many points are built in full at most, beside the default build; None: all, 0: not even that.
        front_images, front_minutes: for those; None leaves it to the recipe.
    """

    recipe: Recipe
    space: Path | None = None
    trials: int = 40
    batch: int = 4
    images: int = IMAGES
    trial_minutes: float = TRIAL_MINUTES
    sampler: Sampler = "tpe"
    objectives: tuple[Objective, ...] = ("accuracy", "latency", "size")
    front: int | None = None
    front_images: int | None = None
    front_minutes: float | None = None


@dataclass(frozen=True)
class Settled:
    """A search before its first trial: what decides it, and for people: the model and the target."""

    request: Request
    settings: Settings
    model: str
    target: str
    notes: tuple[str, ...]

    def job(self, store: StoreSettings, setting: Setting | None = None, number: int = -1) -> Job:
        """A trial as workers are given it; without a setting the reference: the model as it came."""
        return Job(number, self.recipe_of_trial(setting), self.settings.most_calibration, store)

    def job_of(self, store: StoreSettings, proposal: Proposal) -> Job:
        """The same of a proposal."""
        return self.job(store, proposal.setting, proposal.number)

    def recipe_of_trial(self, setting: Setting | None) -> Recipe:
        """A recipe with the few images and minutes of a trial."""
        base, minutes = self.request.recipe, self.request.trial_minutes
        recipe = base.model_copy(update={"prune": "none"}) if setting is None else setting.recipe(base)
        latency = base.latency
        return recipe.model_copy(
            update={
                "images": self.request.images,
                "pruning": recipe.pruning.model_copy(update={"minutes": minutes, "sensitivity": False}),
                "tuning": recipe.tuning.model_copy(update={"minutes": max(minutes, 0.01)}),
                "latency": latency.model_copy(
                    update={"runs": min(RUNS, latency.runs), "max_seconds": min(SECONDS, latency.max_seconds)}
                ),
            }
        )

    def recipe_in_full(self, setting: Setting | None) -> Recipe:
        """The recipe of a point of the front; without a setting of the build that nobody has changed."""
        base, request = self.request.recipe, self.request
        recipe = base if setting is None else setting.recipe(base)
        minutes = {} if request.front_minutes is None else {"minutes": request.front_minutes}
        pruning = recipe.pruning.model_copy(update=minutes)
        recipe = recipe.model_copy(update={"images": request.front_images, "pruning": pruning})
        if setting is None:
            return recipe
        is_mixed = recipe.precision == "mixed"  # a mix is looked for within the drop that is allowed
        drop = recipe.max_drop if is_mixed else ALL_DROPS
        return recipe.model_copy(update={"decide": "point", "max_drop": drop})


def settled(request: Request, store: Store, on_event: Listener) -> Settled:
    """Settles what can be without a cluster, so that what is wrong is said at once.

    Raises:
        InputError: bad input, or a space that the target has not. UnavailableError: the target is not here.
    """
    plan = planned(request.recipe, store, on_event)
    trial.check(plan)
    usual = usual_space(plan)
    space = usual if request.space is None else read_space(request.space, usual)
    check(space, plan)
    run = Runner(store, on_event)
    few = plan.recipe.model_copy(update={"images": request.images})
    evaluation = images.evaluation_images(replace(plan, recipe=few), run)
    if evaluation is None or evaluation.labels is None:
        raise InputError("a search compares networks by top-1, which needs labelled images", "Give --data.")
    known = {"edgekit": __version__, "optuna": installed_version("optuna"), **versions()}
    settings = Settings(
        recipe=request.recipe,
        weights_sha256=plan.source.weights_sha256,
        data=evaluation.digest,
        space=space,
        first=usual_setting(space, plan),
        sampler=request.sampler,
        objectives=request.objectives,
        seed=request.recipe.seed,
        batch=request.batch,
        images=request.images,
        trial_minutes=request.trial_minutes,
        most_calibration=_most(space, plan),
        versions=known,
    )
    return Settled(request, settings, plan.source.name, plan.target.name, (*plan.notes, *run.warnings))


def _most(space: Space, plan: Plan) -> int:
    """How many images any trial calibrates with; 0 where none does."""
    calibrated = plan.has_int8 or not {"int8", "mixed"}.isdisjoint(space.precisions or ())
    return max(space.calibration_images or (plan.recipe.calibration.images,)) if calibrated else 0


PLACES: Final = ("model", "weights", "data")


def with_whole_paths(recipe: Recipe) -> Recipe:
    """A recipe whose files are named from the root: workers stand in another folder."""
    changed = {name: _whole(getattr(recipe, name)) for name in PLACES}
    calibration, labels, pruning = recipe.calibration, recipe.labels, recipe.pruning
    told = {"file": _whole(calibration.file), "data": _whole(calibration.data)}
    return recipe.model_copy(
        update={
            **changed,
            "calibration": calibration.model_copy(update=told),
            "labels": labels.model_copy(update={"file": _whole(labels.file)}),
            "pruning": pruning.model_copy(update={"train_data": _whole(pruning.train_data)}),
        }
    )


def _whole(told: str | None) -> str | None:
    """A path that is there, whole; a name of something else as it is."""
    if told is None or not Path(told).exists():
        return told
    return str(Path(told).absolute())
