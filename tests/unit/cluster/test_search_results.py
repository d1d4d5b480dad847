"""What a search says at its end: of bundles against the default build, and of what its trials cover."""

from __future__ import annotations

from search_samples import FIRST, complete

from edgekit.cluster.search.course import repeated
from edgekit.cluster.search.finals import _as_asked
from edgekit.cluster.search.journal import TrialRecord
from edgekit.cluster.search.proposals import Proposal
from edgekit.cluster.search.request import ALL_DROPS, Request, Settled
from edgekit.cluster.search.results import AgainstDefault
from edgekit.cluster.search.run import covered, said
from edgekit.cluster.search.space import Setting
from edgekit.recipe import Recipe, merged


def test_a_bundle_dominates_by_intervals_of_the_same_images() -> None:
    def dominates(drop: tuple[float, float], slower: tuple[float, float], paired: bool = True) -> bool:
        told = AgainstDefault(drop=0, drop_ci95=drop, images=100, paired=paired, slower=1, slower_ci95=slower)
        return told.dominates

    assert dominates((-0.5, 0.5), (0.6, 0.9))
    assert not dominates((0.1, 0.5), (0.6, 0.9)), "it is known to be less accurate"
    assert not dominates((-0.5, 0.5), (0.6, 1.01)), "it may be slower"
    assert not dominates((-0.5, 0.5), (0.6, 0.9), paired=False)
    assert not AgainstDefault().dominates


def test_what_is_covered_grows_and_is_counted_from_below_fp32() -> None:
    failed = TrialRecord(number=1, setting=FIRST, state="failed", reason="no")
    trials = [complete(0, FIRST, 0.95, 1.0), failed, complete(2, FIRST, 0.90, 0.5)]
    found = covered(trials)
    assert found.reference == (85.0, 1.5)
    assert found.by_trial == (5.0, 5.0, 7.5)
    assert found.value == 7.5
    assert covered([failed]).value == 0


def test_a_trial_in_words() -> None:
    assert said(complete(0, FIRST, 0.95, 0.5)).startswith("top-1 95.0 % (92.0 to 98.0), 0.5 ms, 0.50 of")
    again = repeated(Proposal(3, FIRST, 0), complete(0, FIRST, 0.95, 0.5))
    assert said(again) == "as trial 0"
    assert again.point is None
    failed = TrialRecord(number=1, setting=FIRST, state="failed", reason="it diverged")
    assert said(failed) == "failed: it diverged"


def settled(request: Request) -> Settled:
    from search_samples import settings_of

    return Settled(request, settings_of(), "net", "cpu", ())


def test_trials_are_short_and_points_of_the_front_are_not() -> None:
    base = merged({}, {"max_drop": 0.5, "pruning": {"minutes": 9}, "latency": {"runs": 400}, "data": "signs"})
    known = settled(Request(base, images=50, trial_minutes=0.2, front_images=900))
    setting = Setting(pruning=0.5, importance="taylor")
    short = known.recipe_of_trial(setting)
    assert (short.images, short.pruning.minutes, short.latency.runs) == (50, 0.2, 100)
    assert short.pruning.latency_share == 0.5
    assert known.recipe_of_trial(None).prune == "none", "the reference is as it came"
    whole = known.recipe_in_full(setting)
    assert (whole.images, whole.pruning.minutes, whole.latency.runs) == (900, 9, 400)
    assert (whole.max_drop, whole.decide) == (ALL_DROPS, "point")
    default = known.recipe_in_full(None)
    assert default == base.model_copy(update={"images": 900})
    mixed = known.recipe_in_full(Setting(pruning="none", precision="mixed"))
    assert mixed.max_drop == 0.5, "a mix is looked for within it"


def test_what_is_in_the_bundle_may_not_be_what_was_asked_for() -> None:
    pruned = Recipe(prune="auto")
    assert _as_asked("pruned-int8", pruned)
    assert _as_asked("pruned-int8@onnxruntime", pruned)
    assert not _as_asked("int8", pruned)
    assert not _as_asked("bf16", Recipe(prune="none"))
