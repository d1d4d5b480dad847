"""The mixed-precision search: from plain quantization to the fastest network that keeps the accuracy, in bounded time.

First what costs no latency is tried, in the order in which it paid where it was measured (docs/budget.md); then
operators go back to 16 bits, those first that win most for what they cost; then the network is trained with its
quantizers. The search ends at the first network that keeps the budget, when its time is over, or when it is
interrupted, and always with the best that was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from edgekit.errors import EdgekitError
from edgekit.quantize.candidates import Ended, Outcome, QuantConfig, Score, Trial

IN_HAND: Final = 0.5
"""Part of the budget that is kept for what the tuning images cannot see."""

TIED_IMAGES: Final = 2
"""Scores that differ by no more images than this are told apart by their divergence instead."""

TRAINING_PART: Final = 0.4
"""Part of the time that is kept for training, where there are images to train with."""

SCORES_KEPT: Final = 2.0
"""Times a network's score takes, that training leaves: for that of the trained one, and for starting and ending."""

MOST_FLOATS: Final = 48
LEAST_TRAINING_SECONDS: Final = 20.0


class CandidateMaker(Protocol):
    """Makes, scores and trains quantized networks; see edgekit.build.search_candidates."""

    def make(self, config: QuantConfig) -> Path:
        """The Q/DQ graph of a config, without training."""
        ...

    def score(self, graph: Path) -> Score:
        """What a Q/DQ graph does to the tuning images, as the target will compute it."""
        ...

    def takes_asymmetric(self) -> bool:
        """Whether the target takes activations whose zero point is not 0."""
        ...

    def outliers(self) -> bool:
        """Whether some channels reach far beyond the others of their tensor."""
        ...

    def ranked(self, graph: Path) -> Sequence[str]:
        """Operators of an all-INT8 graph, those first that win most for the time that they cost in 16 bits."""
        ...

    def train(self, graph: Path, seconds: float) -> Path | None:
        """The graph after quantization-aware training; None where that cannot be done."""
        ...


class _Search:
    """A search under way."""

    def __init__(
        self,
        maker: CandidateMaker,
        budget: float,
        deadline: float,
        now: Callable[[], float],
        on_trial: Callable[[Trial], None],
    ) -> None:
        self.maker, self._budget, self._deadline = maker, budget, deadline
        self._now, self._on_trial = now, on_trial
        self.trials: list[Trial] = []
        self.failed: list[tuple[QuantConfig, str]] = []
        self.best: tuple[Path, QuantConfig, Score] | None = None
        self.slowest = self.slowest_score = 0.0

    def tried(self, config: QuantConfig, make: Callable[[], Path | None]) -> Score | None:
        """Makes and scores one network; what cannot be made is noted, unless it is the first."""
        began = made = self._now()
        try:
            graph = make()
            if graph is None:
                return None
            made = self._now()
            score = self.maker.score(graph)
        except EdgekitError as error:
            if self.best is None:
                raise
            self.failed.append((config, f"{error.what}. {error.hint}".rstrip(". ")))
            return None
        took = self._now() - began
        self.slowest = max(self.slowest, took)
        self.slowest_score = max(self.slowest_score, self._now() - made)
        is_best = self.best is None or better(score, self.best[2])
        if is_best:
            self.best = (graph, config, score)
        self.trials.append(Trial(config, score, took, is_best))
        self._on_trial(self.trials[-1])
        return score

    def met(self, score: Score) -> bool:
        """Whether a network keeps the budget, as far as images can tell: one more or less of them is no evidence."""
        return score.drop <= max(self._budget * IN_HAND, 100 / score.images + 1e-9)

    def done(self) -> bool:
        return self.best is not None and self.met(self.best[2])

    def left(self, kept: float = 0.0) -> float:
        """Seconds that are left, less what is kept for something else."""
        return self._deadline - self._now() - kept


def better(one: Score, other: Score) -> bool:
    """Whether a score is plainly lower, or as low with less divergence."""
    tied = 100 * TIED_IMAGES / max(1, one.images)
    if abs(one.drop - other.drop) > tied:
        return one.drop < other.drop
    return one.kl < other.kl


def search(
    maker: CandidateMaker,
    budget: float,
    seconds: float,
    now: Callable[[], float],
    trains: bool = False,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Outcome:
    """Looks for the fastest network that keeps the budget.

    Args:
        budget: points of top-1 that may be lost.
        seconds: that it may take; what is under way when they are over is not broken off, but nothing is begun that by
            what was measured would not end in them.
        now: a clock, in seconds; trains: whether there are images to train with.
    """
    run = _Search(maker, budget, now() + seconds, now, on_trial)
    ended: Ended = "everything was tried"
    try:
        kept = seconds * TRAINING_PART if trains else 0.0
        for part in (_without_cost, _in_16_bits):
            in_time = part(run, maker, kept)
            if run.done():
                break
            if not in_time:
                ended = "the time was over"
        if not run.done() and trains and run.left() >= LEAST_TRAINING_SECONDS:
            _trained(run, maker)
        if run.done():
            ended = "within the budget"
    except KeyboardInterrupt:
        if run.best is None:
            raise
        ended = "it was interrupted"
    assert run.best is not None
    return Outcome(run.best[0], run.best[1], ended, tuple(run.trials), tuple(run.failed))


def _moves(maker: CandidateMaker) -> list[Callable[[QuantConfig], QuantConfig]]:
    """What costs no latency, or little, in the order in which it paid; asymmetric activations cost a tenth."""

    def nncf(**changed: Any) -> Callable[[QuantConfig], QuantConfig]:
        return lambda config: replace(config, ptq=replace(config.ptq, **changed))

    def ranges(name: Any) -> Callable[[QuantConfig], QuantConfig]:
        return lambda config: replace(config, ptq=replace(config.ptq, ranges=name), least_squares=False)

    def own(**changed: Any) -> Callable[[QuantConfig], QuantConfig]:
        return lambda config: replace(config, **changed)

    far, equalise = maker.outliers(), own(equalised=True)
    return [
        *([equalise] if far else []),
        ranges("min-max"),
        own(least_squares=True),
        ranges("histogram"),
        *([] if far else [equalise]),
        own(rounded=True),
        nncf(biases="full"),
        ranges("quantile"),
        *([nncf(preset="mixed")] if maker.takes_asymmetric() else []),
    ]


def _without_cost(run: _Search, maker: CandidateMaker, kept: float) -> bool:
    """Tries settings on top of the best so far; whether there was time for all that was needed."""
    run.tried(QuantConfig(), lambda: maker.make(QuantConfig()))
    if run.done():
        return True
    for move in _moves(maker):
        assert run.best is not None
        config = move(run.best[1])
        if run.left(kept) < run.slowest:
            return False
        if config not in [trial.config for trial in run.trials]:
            run.tried(config, partial(maker.make, config))
        if run.done():
            return True
    return True


def _in_16_bits(run: _Search, maker: CandidateMaker, kept: float) -> bool:
    """Gives back ever more operators, twice as many each time, then looks for the fewest that are enough."""
    assert run.best is not None
    graph, config, _ = run.best
    if run.left(kept) < run.slowest:
        return False
    names = list(maker.ranked(graph))[:MOST_FLOATS]

    def enough(count: int) -> bool:
        mix = replace(config, float_ops=tuple(names[:count]))
        score = run.tried(mix, lambda: maker.make(mix))
        return score is not None and run.met(score)

    counts = sorted({min(count, len(names)) for count in (1, 2, 4, 8, 16, 32, MOST_FLOATS)} - {0})
    low, high = 0, None
    for count in counts:
        if run.left(kept) < run.slowest:
            return False
        if enough(count):
            high = count
            break
        low = count
    while high is not None and high - low > 1 and run.left(kept) >= run.slowest:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    if high is not None:
        _settle(run, replace(config, float_ops=tuple(names[:high])))
    return True


def _settle(run: _Search, config: QuantConfig) -> None:
    """Takes the network with the fewest operators in 16 bits that keeps the budget, though another scored better."""
    score = next(trial.score for trial in run.trials if trial.config == config)
    run.best = (run.maker.make(config), config, score)


def _trained(run: _Search, maker: CandidateMaker) -> None:
    """Trains the best network without operators in 16 bits, scored once more."""
    best = min((trial for trial in run.trials if not trial.config.float_ops), key=lambda trial: trial.score.drop)
    config = replace(best.config, trained=True)

    def make() -> Path | None:
        graph = maker.make(best.config)
        return maker.train(graph, max(run.left() - SCORES_KEPT * run.slowest_score, LEAST_TRAINING_SECONDS / 2))

    run.tried(config, make)
