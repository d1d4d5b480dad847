"""What is kept and what is taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from evidence import Evidence, contender, counted, evidence, latency, pruned, timed, untimed
from hypothesis import assume, example, given
from hypothesis import strategies as st

from edgekit.validate.accuracy import Agreement, images_needed
from edgekit.validate.decision import Budgets, Contender, Decision, decide, settled
from edgekit.validate.latency import Measured, Ratio
from edgekit.validate.rounding import about


def decided(found: Evidence, wanted: str = "int8", max_drop: float = 1.0, latency_ms: float | None = None) -> Decision:
    return decide(found.contenders, found.measured, wanted, Budgets(max_drop, latency_ms))


def test_a_step_that_pays_is_kept() -> None:
    made = decided(evidence())
    assert (made.chosen, made.ok, made.warnings) == ("int8", True, ())
    assert [(name, ruling.refusal, ruling.beaten_by) for name, ruling in made.rulings.items()] == [
        ("fp32", None, None),
        ("bf16", None, None),
        ("int8", None, None),
    ]


@pytest.mark.parametrize(
    ("given", "why"), [(evidence(drop=2.5), "2.50 points"), (evidence(int8_ms=13.0), "not faster than FP32")]
)
def test_a_step_that_does_not_pay_is_taken_back_and_said(given: Evidence, why: str) -> None:
    made = decided(given)
    assert made.chosen == "bf16"
    assert made.ok
    assert why in made.reasons["int8"]
    assert any("int8 was taken back" in text for text in made.warnings)


def test_fp32_is_left_when_nothing_pays() -> None:
    made = decided(evidence(int8_ms=13.0, bf16_ms=12.5))
    assert (made.chosen, made.ok) == ("fp32", True)


def test_int8_that_is_slower_than_bf16_is_taken_back_though_it_is_faster_than_fp32() -> None:
    made = decided(evidence(int8_ms=9.0))
    assert made.chosen == "bf16"
    assert "not faster than BF16" in made.reasons["int8"]
    assert made.rulings["int8"].beaten_by == "bf16"
    assert [each.base for each in made.rulings["int8"].ratios] == ["fp32", "bf16"]


def test_a_tie_goes_to_the_simpler_one() -> None:
    contenders = (contender("fp32", None, (), 0.0, 40), contender("int8", "fp32", ("fp32",), 0.2, 10))
    times = {"fp32": latency(12.0), "int8": latency(12.0 / 1.01)}
    tied = Measured(times, (Ratio("fp32", "int8", 1.01, 0.80, 1.25),))
    made = decided(Evidence(contenders, tied))
    assert made.chosen == "fp32"
    assert made.rulings["int8"].beaten_by == "fp32"
    assert "not faster than FP32 on this target (1.01 times, interval from 0.80 to 1.25)" in made.reasons["int8"]
    clear = replace(tied, ratios=(Ratio("fp32", "int8", 1.01, 1.001, 1.02),))
    assert decided(Evidence(contenders, clear)).chosen == "int8"


def test_a_simpler_variant_that_breaks_the_accuracy_budget_need_not_be_beaten() -> None:
    found = evidence(int8_ms=9.0)
    broken = replace(found.contenders[1], drop=contender("bf16", "fp32", (), 3.0, 20).drop)
    contenders = (found.contenders[0], broken, found.contenders[2])
    assert decided(replace(found, contenders=contenders)).chosen == "int8"


def test_a_latency_budget_that_is_not_met() -> None:
    made = decided(evidence(), latency_ms=3.0)
    assert made.ok is False
    assert made.chosen == "int8"
    assert decided(evidence(), latency_ms=5.0).ok


def test_without_labels_accuracy_is_not_measured_and_does_not_decide() -> None:
    made = decided(evidence(drop=None))
    assert made.chosen == "int8"
    assert "accuracy not measured" in made.reasons["int8"]
    assert made.ok


def test_without_a_device_accuracy_decides() -> None:
    made = decided(untimed(evidence(), "no device"), latency_ms=3.0)
    assert (made.chosen, made.ok) == ("int8", True)
    assert made.reasons["int8"] == "latency not measured, within the accuracy budget"
    beyond = decided(untimed(evidence(drop=2.5), "no device"))
    assert beyond.chosen == "bf16"
    assert "2.50 points" in beyond.reasons["int8"]
    assert "latency not measured" in beyond.reasons["bf16"]


def test_pruning_that_pays_is_kept() -> None:
    made = decided(pruned((1.6, 1.5, 1.7)), "pruned-int8")
    assert made.chosen == "pruned-int8"
    assert "1.60 times faster than INT8 (1.50 to 1.70)" in made.reasons["pruned-int8"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (pruned((1.02, 0.98, 1.06)), "does not make it faster than int8"),
        (pruned((1.6, 1.5, 1.7), drop=2.0), "2.00 points"),
    ],
)
def test_pruning_that_does_not_pay_is_taken_back_and_int8_stays(given: Evidence, why: str) -> None:
    made = decided(given, "pruned-int8")
    assert made.chosen == "int8"
    assert why in made.reasons["pruned-int8"]
    assert any("pruned-int8 was taken back" in line for line in made.warnings)
    assert made.ok is True


def test_images_that_decide_are_not_doubted() -> None:
    made = decided(counted(lost=10, won=8, images=2400))
    assert (made.chosen, made.ok, made.warnings) == ("int8", True, ())


def test_too_few_images_are_warned_of_and_the_drop_itself_still_decides() -> None:
    found = counted(lost=5, won=3, images=300)
    made = decided(found)
    assert (made.chosen, made.ok) == ("int8", True)
    assert len(made.warnings) == 1
    assert "300 images cannot tell whether the drop of int8 (0.67 points, " in made.warnings[0]
    drop = found.contenders[2].drop
    assert drop is not None
    needed = images_needed(drop, 1.0)
    assert needed is not None
    assert made.warnings[0].endswith(f"within the budget of 1: {about(needed)} would")


def test_a_drop_that_is_the_budget_is_decided_by_no_number_of_images() -> None:
    made = decided(counted(lost=5, won=2, images=300))
    assert made.warnings[0].endswith("no number of them would")


def test_what_was_taken_back_on_too_few_images_is_warned_of_too() -> None:
    made = decided(counted(lost=8, won=2, images=300))
    assert made.chosen == "bf16"
    assert any("cannot tell whether the drop of int8 (2.00 points" in line for line in made.warnings)


Row = tuple[float, float, int]
"""Of a variant: its median in ms, its drop in points, and which of those before it its parent is, counted back."""

rows = st.tuples(
    st.floats(1.0, 20.0).map(lambda ms: round(ms, 2)), st.sampled_from((0.0, 0.4, 0.9, 1.1, 3.0)), st.integers(0, 9)
)
halves = st.sampled_from((0.0, 0.02, 0.1))


def contest(first_ms: float, given: list[Row], half: float, names: list[str]) -> tuple[list[Contender], Measured]:
    """A baseline and variants in the order of their simplicity, with every ratio between them."""
    made = [contender("fp32", None, (), 0.0, 100)]
    for name, (_, drop, back) in zip(names, given, strict=True):
        before = tuple(each.name for each in made)
        made.append(contender(name, before[-1 - back % len(before)], before, drop, 100 - len(made)))
    times = {"fp32": first_ms} | {name: ms for name, (ms, _, _) in zip(names, given, strict=True)}
    return made, timed(times, half)


def within(one: Contender, budget: float = 1.0) -> bool:
    return one.drop is not None and one.drop.drop <= budget


@given(st.floats(1.0, 20.0).map(lambda ms: round(ms, 2)), st.lists(rows, min_size=1, max_size=5), halves)
@example(12.0, [(6.0, 0.0, 0), (9.0, 0.4, 1)], 0.0)
def test_what_is_chosen_is_slower_than_no_simpler_variant_within_the_budget(
    first_ms: float, given: list[Row], half: float
) -> None:
    contenders, measured = contest(first_ms, given, half, [f"v{place}" for place in range(len(given))])
    made = decide(contenders, measured, contenders[-1].name, Budgets(1.0, None))
    chosen = next(each for each in contenders if each.name == made.chosen)
    assert within(chosen)
    p50 = {name: each.p50 for name, each in measured.latency.items()}
    for other in contenders[: contenders.index(chosen)]:
        if within(other):
            assert p50[chosen.name] < p50[other.name]


@given(
    st.floats(1.0, 20.0).map(lambda ms: round(ms, 2)),
    st.lists(rows, min_size=1, max_size=5),
    halves,
    st.integers(0, 5),
    st.tuples(st.floats(1.0, 60.0), st.sampled_from((0.0, 0.9, 3.0))),
)
@example(12.0, [(6.0, 0.0, 0), (5.0, 0.4, 1)], 0.02, 1, (11.0, 0.0))
@example(12.0, [(13.0, 0.0, 0)], 0.02, 1, (30.0, 0.0))
def test_a_slower_variant_changes_nothing_between_the_others(
    first_ms: float, given: list[Row], half: float, place: int, slower: tuple[float, float]
) -> None:
    names = [f"v{number}" for number in range(len(given))]
    contenders, measured = contest(first_ms, given, half, names)
    wanted = contenders[-1].name
    before = decide(contenders, measured, wanted, Budgets(1.0, None)).chosen

    place = 1 + place % len(contenders)  # after the baseline, up to the very end
    added = contender("slower", "fp32", tuple(each.name for each in contenders[:place]), slower[1], 1)
    after = [
        *contenders[:place],
        added,
        *(replace(each, simpler=(*each.simpler, "slower")) for each in contenders[place:]),
    ]
    times = {each.name: slower[0] if each is added else measured.latency[each.name].p50 for each in after}
    whole = timed(times, half)
    against = whole.ratio("slower", before)
    assert against is not None
    assume(against.low > 1.0)  # slower than what is chosen, beyond doubt: a tie would go to the simpler one
    assert decide(after, whole, wanted, Budgets(1.0, None)).chosen == before
    assert decide(after, whole, after[-1].name, Budgets(1.0, None)).chosen == before


def kept_by(agreeing: int, images: int) -> Evidence:
    """Evidence without labels, with so many images that INT8 answers as FP32 does."""
    base = evidence(drop=None)
    judged = [replace(each, agreement=Agreement(images, images)) for each in base.contenders[:2]]
    return replace(base, contenders=(*judged, replace(base.contenders[2], agreement=Agreement(agreeing, images))))


def test_without_labels_a_step_that_changes_too_many_answers_is_taken_back() -> None:
    budgets = Budgets(1.0, None, min_agreement=97.0)
    kept = decide(kept_by(98, 100).contenders, kept_by(98, 100).measured, "int8", budgets)
    assert (kept.chosen, kept.ok) == ("int8", True)
    given = kept_by(96, 100)
    taken_back = decide(given.contenders, given.measured, "int8", budgets)
    assert (taken_back.chosen, taken_back.ok) == ("bf16", True)
    assert "answers as FP32 on 96.0 % of 100 images" in taken_back.reasons["int8"]
    assert decide(given.contenders, given.measured, "int8", Budgets(1.0, None, 95.0)).chosen == "int8"


def test_a_step_asked_for_by_name_that_breaks_a_budget_is_a_budget_missed() -> None:
    for found in (kept_by(20, 100), evidence(drop=2.5)):
        budgets = Budgets(1.0, None, min_agreement=97.0)
        assert decide(found.contenders, found.measured, "int8", budgets).ok
        missed = decide(found.contenders, found.measured, "int8", budgets, by_name=True)
        assert (missed.chosen, missed.ok) == ("bf16", False)


def on_two_runtimes(other_ms: float, wrong: str | None = None, drop: float = 0.2) -> Decision:
    """FP32 and INT8 of 12 and 4 ms, and INT8 on another runtime; what is wrong is INT8 on the first."""
    contenders = (
        contender("fp32", None, (), 0.0, 40),
        contender("fp32@other", "fp32", ("fp32",), 0.0, 40),
        replace(contender("int8", "fp32", ("fp32", "fp32@other"), drop, 10), wrong=wrong),
        contender("int8@other", "fp32@other", ("fp32", "fp32@other", "int8"), 0.2, 10),
    )
    measured = timed({"fp32": 12.0, "fp32@other": 13.0, "int8": 4.0, "int8@other": other_ms})
    return decide(contenders, measured, ("int8@other", "int8"), Budgets(1.0, None))


def test_of_two_runtimes_the_faster_one_is_taken_by_the_interval() -> None:
    assert on_two_runtimes(3.0).chosen == "int8@other"
    assert on_two_runtimes(5.0).chosen == "int8"
    assert on_two_runtimes(4.0 / 1.01).chosen == "int8"  # a tie goes to the usual runtime
    assert all(on_two_runtimes(ms).warnings == () for ms in (3.0, 5.0))


def test_int8_that_is_computed_otherwise_than_its_graph_says_is_never_taken() -> None:
    made = on_two_runtimes(6.0, wrong="it computes it otherwise")
    assert made.chosen == "int8@other"
    assert made.reasons["int8"] == "it computes it otherwise"
    assert "int8" not in {each.base for each in made.rulings["int8@other"].ratios}
    alone = replace(contender("int8", "fp32", ("fp32",), 0.0, 10), wrong="it computes it otherwise")
    found = decide(
        (contender("fp32", None, (), 0.0, 40), alone), timed({"fp32": 12.0, "int8": 4.0}), "int8", Budgets(1.0, None)
    )
    assert found.chosen == "fp32"
    assert found.warnings == ("int8 was taken back: it computes it otherwise; fp32 is in the bundle",)


def test_a_runtime_whose_int8_breaks_the_budget_gives_way_to_the_other() -> None:
    assert on_two_runtimes(6.0, drop=2.0).chosen == "int8@other"


def test_what_is_asked_for_tells_why_and_the_others_stand_beside_it() -> None:
    made = decided(evidence())
    assert made.reasons == {
        "fp32": "the baseline",
        "bf16": "stands beside the others for comparison",
        "int8": "1.50 times faster than BF16 (1.48 to 1.52) on this target, within the accuracy budget",
    }
    assert decided(evidence(), wanted="fp32").reasons["fp32"] == "the baseline"
    assert decided(evidence(int8_ms=13.0, bf16_ms=12.5)).reasons["fp32"] == "the steps after it did not pay"


def test_ratios_are_told_of_what_was_taken_back_too() -> None:
    for each in (evidence(drop=2.5), evidence(int8_ms=9.0)):
        made = decided(each)
        assert made.rulings["fp32"].ratios == ()
        assert [ratio.base for ratio in made.rulings["int8"].ratios] == ["fp32", "bf16"]
    wrong = replace(evidence().contenders[2], wrong="it computes otherwise")
    made = decided(replace(evidence(), contenders=(*evidence().contenders[:2], wrong)))
    assert [ratio.base for ratio in made.rulings["int8"].ratios] == ["fp32", "bf16"]


def test_a_step_that_is_no_faster_than_what_it_was_made_of_names_it() -> None:
    made = decided(pruned((1.0, 0.98, 1.02)), wanted="pruned-int8")
    ruling = made.rulings["pruned-int8"]
    assert ruling.beaten_by == "int8"
    assert ruling.refusal is not None
    assert ruling.refusal.startswith("pruning does not make it faster than int8 on this target (1.00 times")
    assert "int8" in [ratio.base for ratio in ruling.ratios]


def test_a_variant_that_is_not_named_for_its_precision_keeps_its_name_in_sentences() -> None:
    found = evidence(int8_ms=9.0)
    other = replace(found.contenders[1], name="half")
    int8 = replace(found.contenders[2], simpler=("fp32", "half"))
    measured = timed({"fp32": 12.0, "half": 6.0, "int8": 9.0})
    made = decide((found.contenders[0], other, int8), measured, "int8", Budgets(1.0, None))
    assert "not faster than half on this target" in made.reasons["int8"]


def test_a_latency_that_is_just_the_budget_is_within_it() -> None:
    assert decided(evidence(int8_ms=4.0), latency_ms=4.0).ok


def agreeing(agreement: Agreement | None, strict: bool = False, least: float = 97.0) -> Decision:
    found = evidence(drop=None)
    int8 = replace(found.contenders[2], agreement=agreement)
    contenders = (*found.contenders[:2], int8)
    return decide(contenders, found.measured, "int8", Budgets(1.0, None, least, strict=strict))


def test_an_agreement_that_is_just_what_must_be_is_enough() -> None:
    assert agreeing(Agreement(97, 100)).chosen == "int8"
    assert agreeing(Agreement(9_699, 10_000)).chosen == "bf16"


def test_strictly_what_cannot_be_decided_is_missed() -> None:
    assert agreeing(Agreement(98, 100)).ok
    assert not agreeing(Agreement(98, 100), strict=True).ok
    assert agreeing(Agreement(9_900, 10_000), strict=True).ok
    assert agreeing(Agreement(98, 100), strict=True, least=0.0).ok
    assert agreeing(None, strict=True).ok, "without labels and without a figure nothing is judged"
    assert "accuracy not measured" in agreeing(None).reasons["int8"]
    assert "XX" not in agreeing(None).reasons["int8"]
    for images, ok in ((40, False), (4_000, True)):
        found = counted(0, 0, images)
        assert decide(found.contenders, found.measured, "int8", Budgets(1.0, None, strict=True)).ok is ok
        assert decide(found.contenders, found.measured, "int8", Budgets(1.0, None, bound=False, strict=True)).ok
    assert decide(evidence().contenders, evidence().measured, "fp32", Budgets(1.0, None, strict=True)).ok


def test_what_an_evaluation_knew_early_counts_before_the_drop_itself() -> None:
    int8 = replace(evidence().contenders[2], decided=False)
    made = decide((*evidence().contenders[:2], int8), evidence().measured, "int8", Budgets(1.0, None, strict=True))
    assert not made.ok
    assert any("cannot tell whether the drop of int8" in line for line in made.warnings)


def test_a_step_that_was_taken_back_within_the_budget_is_not_doubted() -> None:
    """Its drop decided nothing: it is too slow."""
    slow = timed({"fp32": 12.0, "bf16": 6.0, "int8": 13.0})
    made = decide(counted(1, 0, 40).contenders, slow, "int8", Budgets(5.0, None))
    assert made.chosen == "bf16"
    assert not any("cannot tell" in line for line in made.warnings)
    assert len(set(made.warnings)) == len(made.warnings)


def test_a_lock_is_followed_whatever_is_measured_and_what_speaks_against_it_is_said() -> None:
    made = settled(evidence(drop=2.5).contenders, evidence().measured, "int8", Budgets(1.0, None))
    assert (made.chosen, made.ok) == ("int8", False)
    assert made.warnings == ("int8 was locked, and stays although it costs 2.50 points, more than the budget of 1",)
    assert "faster than BF16" in made.reasons["int8"]
    assert made.rulings["int8"].refusal is not None
    good = settled(evidence().contenders, evidence().measured, "bf16", Budgets(1.0, None))
    assert (good.chosen, good.ok, good.warnings) == ("bf16", True, ())
    assert good.reasons["int8"] == "stands beside the others for comparison"
    late = settled(evidence().contenders, evidence().measured, "int8", Budgets(1.0, 3.0))
    assert not late.ok
