"""What is tried next: asked of a sampler in batches of one size, and told in the order of numbers.

So what is proposed depends on the seed and on what was told before, and on nothing else: not on how many workers there
are, nor on which of them is done first. A search that goes on after it was stopped asks all over again, and is told
what its journal holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from edgekit.cluster.search.space import Choice, Question, Setting, Space, applies, questions
from edgekit.errors import UnavailableError, install_hint

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

Sampler = Literal["tpe", "nsga2", "random"]
Objective = Literal["accuracy", "latency", "size"]

STARTUP: Final = 8
"""Trials that are drawn at random before the model of TPE is asked, the first one aside."""

POPULATION: Final = 12

DIRECTIONS: Final[Mapping[Objective, str]] = MappingProxyType(
    {"accuracy": "maximize", "latency": "minimize", "size": "minimize"}
)


@dataclass(frozen=True)
class Proposal:
    """A setting to try, and the number of the earlier trial that had the same one, if any."""

    number: int
    setting: Setting
    same_as: int | None


@dataclass(frozen=True)
class Asked:
    """How proposals are made."""

    space: Space
    first: Setting
    sampler: Sampler
    seed: int
    objectives: tuple[Objective, ...]


class Proposals:
    """A sampler that is asked and told."""

    def __init__(self, asked: Asked) -> None:
        """
        Raises:
            UnavailableError: Optuna is not installed.
        """
        try:
            import optuna
        except ImportError as error:
            raise UnavailableError("a search needs Optuna, which is not installed", install_hint("cluster")) from error
        from optuna.logging import ERROR, set_verbosity

        set_verbosity(ERROR)
        self._asked, self._questions = asked, questions(asked.space)
        self._study = optuna.create_study(
            directions=[DIRECTIONS[each] for each in asked.objectives],
            sampler=SAMPLERS[asked.sampler](asked.seed),
        )
        self._open: dict[int, Trial | None] = {}
        self._numbers: dict[Setting, int] = {}
        self._next = 0

    def ask(self, count: int) -> tuple[Proposal, ...]:
        """The next batch; all that was asked before must have been told."""
        assert not self._open
        return tuple(self._proposed() for _ in range(count))

    def tell(self, number: int, values: Sequence[float] | None) -> None:
        """What came of a trial, by the objectives in their order; None of one that has no values.

        Trials are told in the order of their numbers.
        """
        from optuna.trial import TrialState

        assert number == min(self._open)
        trial = self._open.pop(number)
        if trial is None:
            return
        if values is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, list(values))

    def _proposed(self) -> Proposal:
        number, self._next = self._next, self._next + 1
        if number == 0:
            setting, trial = self._asked.first, self._first()
        else:
            trial = self._study.ask()
            setting = self._setting(trial)
        self._open[number] = trial
        same = self._numbers.setdefault(setting, number)
        return Proposal(number, setting, None if same == number else same)

    def _first(self) -> Trial | None:
        """The sampler's trial of the first setting; None where the space does not hold it, which the sampler then does
        not learn from.
        """
        given = self._asked.first
        told = {each.field: getattr(given, each.field) for each in self._questions}
        asked = [each for each in self._questions if applies(each, told)]
        kept = {each.field: told[each.field] for each in asked}
        if Setting.model_validate(kept) != given or any(kept[each.field] not in each.choices for each in asked):
            return None
        open_ones = [each for each in asked if len(each.choices) > 1]
        self._study.enqueue_trial({each.field: each.choices.index(told[each.field]) for each in open_ones})
        trial = self._study.ask()
        assert self._setting(trial) == given
        return trial

    def _setting(self, trial: Trial) -> Setting:
        told: dict[str, Choice] = {}
        for question in self._questions:
            if applies(question, told):
                told[question.field] = question.choices[_place(trial, question)]
        return Setting.model_validate(told)


def _place(trial: Trial, question: Question) -> int:
    """Which of the choices is taken: among ordered ones the sampler knows that neighbours are alike."""
    count = len(question.choices)
    if count == 1:
        return 0
    if question.ordered:
        return int(trial.suggest_int(question.field, 0, count - 1))
    return int(trial.suggest_categorical(question.field, list(range(count))))


def _tpe(seed: int) -> BaseSampler:
    """TPE over all questions together: a good input size is another one for each network, precision and runtime. Asked
    one by one, it covers hardly more than random search in 40 trials.
    """
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True, multivariate=True)


def _nsga2(seed: int) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=POPULATION)


def _random(seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


SAMPLERS: Final[Mapping[Sampler, Callable[[int], BaseSampler]]] = MappingProxyType(
    {"tpe": _tpe, "nsga2": _nsga2, "random": _random}
)
"""By the name that --sampler takes."""
