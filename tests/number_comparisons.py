"""Every statistic that edgekit computes itself, beside another implementation of it or a published table.

    python tests/number_comparisons.py    # the table of docs/reliability.md, with the largest differences

A comparison gives pairs of numbers, edgekit's first; the largest difference is relative where numbers are above 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, special, stats
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import distance

from edgekit.cluster.search.front import hypervolume
from edgekit.divergence import divergence
from edgekit.prune.channels import Geometry
from edgekit.prune.probes import Probe
from edgekit.prune.relative import Rounds
from edgekit.prune.table import INPUTS, OUTPUTS, LatencyTable
from edgekit.runtime import noise
from edgekit.runtime.activation import ACTIVATE
from edgekit.study.summary import epochs_to, spread
from edgekit.validate import (
    accuracy,
    between_builds,
    binomial,
    chance,
    embedding,
    faster,
    fidelity,
    label_orders,
    latency,
    multilabel,
    quantiles,
    sequential,
    side_by_side,
)

Pairs = Iterator[tuple[object, object]]


@dataclass(frozen=True)
class Comparison:
    """A statistic, its source, what it is compared with, and how far apart both may be."""

    statistic: str
    source: str
    beside: str
    allowed: float
    pairs: Callable[[], Pairs]

    def largest(self) -> float:
        """The largest difference; relative, of numbers above 1."""
        found = 0.0
        for ours, theirs in self.pairs():
            a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
            assert a.shape == b.shape, (a.shape, b.shape)
            assert a.size, "nothing to compare"
            assert (np.isfinite(a) == np.isfinite(b)).all()
            sound = np.isfinite(b)
            found = max(found, float((np.abs(a - b) / np.maximum(1, np.abs(b)))[sound].max(initial=0)))
        return found


def _dice(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


SIZES = (1, 2, 3, 10, 77, 2_400, 50_000)


def _wilson() -> Pairs:
    for count in SIZES:
        for right in {0, 1, count // 3, count // 2, count - 1, count}:
            ends = stats.binomtest(right, count).proportion_ci(method="wilson")
            yield binomial.wilson(right, count), (100 * ends.low, 100 * ends.high)


def _mcnemar() -> Pairs:
    cases = [*product(range(13), range(13)), (0, 300), (240, 300), (9_000, 9_400), (25_000, 25_000)]
    for lost, won in cases:
        expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
        yield accuracy.mcnemar(lost, won), expected


def _drop_interval() -> Pairs:
    z = stats.norm.ppf(0.975)
    for images, lost, won in ((1, 1, 0), (2, 0, 0), (50, 7, 2), (2_400, 31, 12), (50_000, 900, 1_200)):
        shares = np.array([lost + 1, won + 1]) / (images + 2)
        middle, half = shares[0] - shares[1], z * np.sqrt((shares.sum() - np.diff(shares)[0] ** 2) / (images + 2))
        yield accuracy.drop_interval(lost, won, images), 100 * np.clip([middle - half, middle + half], -1, 1)


def _published() -> Pairs:
    """Complete response before and after a therapy, 6 and 16 of 161 patients alone: the score is 1.96 at its ends."""
    yield np.round(accuracy.drop_interval(6, 16, 161), 2), (-11.95, -0.32)
    yield round(accuracy.mcnemar(6, 16), 6), 0.052479
    z = stats.norm.ppf(0.975)
    for end, sign in ((-12.40, -1), (-0.54, 1)):
        found = optimize.brentq(lambda each, s=sign: sequential.score(6, 16, 161, each) - s * z, -50, 50)
        yield round(found, 2), end


def _tango() -> Pairs:
    """Its p-value with the nuisance parameter that maximises the likelihood, found by searching."""
    for lost, won, images, budget in product((0, 3, 30), (0, 2, 41), (100, 2_400), (0.5, 1.0, 4.0)):
        share = budget / 100

        def against(q: float, lost: int = lost, won: int = won, images: int = images, share: float = share) -> float:
            p = q + share
            return -float(
                special.xlogy(lost, p) + special.xlogy(won, q) + special.xlogy(images - lost - won, 1 - p - q)
            )

        found = optimize.minimize_scalar(
            against, bounds=(0, (1 - share) / 2), method="bounded", options={"xatol": 1e-13}
        )
        spread_ = images * (2 * found.x + share * (1 - share))
        yield sequential.score(lost, won, images, budget), (images * share - (lost - won)) / np.sqrt(spread_)


def _boundaries() -> Pairs:
    """What is spent until each look, by the joint normal distribution of the looks."""
    for total in (700, 1_100, 1_900):
        places = sequential.looks(total)
        critical = sequential.boundaries(places)
        shares = np.array(places) / total
        covariance = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
        for count in range(1, len(places) + 1):
            if count == 1:
                stays = stats.norm.cdf(critical[0])
            else:
                stays = stats.multivariate_normal.cdf(
                    critical[:count], cov=covariance[:count, :count], abseps=1e-7, releps=1e-7
                )
            spent = sequential.ERROR * np.expm1(shares[count - 1]) / np.expm1(1)
            yield 1 - stays, spent


def _one_sided() -> Pairs:
    for share in (0.5, 0.95, 0.975, 0.9975):
        yield sequential.one_sided(share), stats.norm.ppf(share)


def _students_t() -> Pairs:
    yield [faster.t95(each) for each in range(1, 3_000)], stats.t.ppf(0.975, np.arange(1, 3_000))


def _mean_interval() -> Pairs:
    for rounds in (2, 3, 11, 40):
        blocks = _dice(rounds).lognormal(2, 0.1, (rounds, 10))
        told = latency.figures(blocks, 0, 1.0, True)
        yield told.ci95, stats.ttest_1samp(blocks.mean(1), 0).confidence_interval(0.95)
        yield (told.p50, told.p90, told.p99), stats.mstats.mquantiles(blocks, (0.5, 0.9, 0.99), alphap=1, betap=1)


def _distribution() -> Pairs:
    for count in (1, 2, 7, 500):
        times = sorted(_dice(count).lognormal(0, 1, count).tolist())
        told = quantiles.distribution(times)
        yield told.ms, stats.mstats.mquantiles(times, np.array(told.percent) / 100, alphap=1, betap=1)


def _quantile_bounds() -> Pairs:
    for count, share in product((5, 30, 200, 2_000), (0.5, 0.99)):
        times = sorted(_dice(count).lognormal(0, 1, count).tolist())
        low = stats.quantile_test(times, p=share, alternative="greater").confidence_interval(0.95).low
        high = stats.quantile_test(times, p=share, alternative="less").confidence_interval(0.95).high
        ours = quantiles.bounds(times, share)
        yield [np.nan if each is None else each for each in ours], [low, high]


def _faster() -> Pairs:
    for parts in (5, 10, 20):  # a fifth of which is a whole number: scipy takes the share itself for what is left out
        logs = _dice(parts).normal(0, 0.02, parts)
        centre, half = faster.trimmed_mean(logs)
        ends = stats.mstats.trimmed_mean_ci(logs, limits=(faster.TRIMMED,) * 2, alpha=0.05)
        yield (centre - half, centre + half), ends


def _slower() -> Pairs:
    for processes in (2, 5, 9):
        dice = _dice(processes)
        first, other = ([dice.lognormal(1, 0.05, (4, 10)) for _ in range(processes)] for _ in range(2))
        logs = [np.log(np.median(np.median(b, 1) / np.median(a, 1))) for a, b in zip(first, other, strict=True)]
        told = side_by_side.slower_than(first, other)
        yield told.times, stats.gmean(np.exp(logs))
        yield told.ci95, np.exp(stats.ttest_1samp(logs, 0).confidence_interval(0.95))


def _two_samples() -> Pairs:
    for (right, count), (other, of) in product(((56, 70), (9, 10), (0, 10)), ((48, 80), (20, 20), (1, 2))):
        a, b = (between_builds.Sample(100 * n / m, m) for n, m in ((right, count), (other, of)))
        one, two = (stats.binomtest(n, m).proportion_ci(method="wilson") for n, m in ((right, count), (other, of)))
        p, q = right / count, other / of
        low = p - q - np.hypot(p - one.low, two.high - q)
        high = p - q + np.hypot(one.high - p, q - two.low)
        yield between_builds.difference(a, b), 100 * np.clip([low, high], -1, 1)


def _chance() -> Pairs:
    """Two classes: how many are right in a random order is hypergeometric."""
    for images, positive, said, right in ((40, 20, 20, 16), (200, 60, 100, 42), (1_000, 500, 500, 262)):
        # `right` of the positive ones are answered as such
        labels = np.repeat([1, 0], (positive, images - positive))
        first = np.zeros(images, np.int64)
        first[:right] = first[positive : positive + said - right] = 1
        told = chance.of_first(first, labels)
        drawn = stats.hypergeom(images, positive, said)
        yield told.p_value, drawn.sf(right - 1)
        exact = positive / images * said / images + (1 - positive / images) * (1 - said / images)
        yield told.expected / 100, exact


def _fidelity() -> Pairs:
    dice = _dice(1)
    base = dice.normal(0, 3, (40, 9)).astype(np.float32)
    made = base + dice.normal(0, 1, base.shape).astype(np.float32)
    wide, other = base.astype(np.float64), made.astype(np.float64)
    found = fidelity.fidelity(base, made)
    yield found.kl, np.mean(stats.entropy(special.softmax(wide, 1), special.softmax(other, 1), axis=1))
    yield found.cosine, np.mean([1 - distance.cosine(a, b) for a, b in zip(wide, other, strict=True)])
    pairs = [(special.expit(sign * wide), special.expit(sign * other)) for sign in (1, -1)]
    yield fidelity.fidelity(base, made, "sigmoid").kl, sum(special.rel_entr(p, q) for p, q in pairs).sum(1).mean()


def _far_logits() -> Pairs:
    far = np.array([[1e4, 0, -1e4], [88, -88, 0]], np.float32)
    yield (
        divergence(far, far[:, ::-1]),
        (
            special.softmax(far.astype(np.float64), 1)
            * (special.log_softmax(far.astype(np.float64), 1) - special.log_softmax(far[:, ::-1].astype(np.float64), 1))
        ).sum(1),
    )


def _activations() -> Pairs:
    outputs = np.concatenate([_dice(2).normal(0, 8, (50, 7)), [[700, -700, 0, -0.0, 1e-30, 90, -90]]])
    yield ACTIVATE["softmax"](outputs), special.softmax(outputs, axis=1)
    yield ACTIVATE["sigmoid"](outputs), special.expit(outputs)


def _vectors(seed: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    dice = _dice(seed)
    labels = dice.integers(0, 12, 150)
    return (dice.normal(0, 1, (12, 16))[labels] + dice.normal(0, 0.9, (150, 16))).astype(np.float32), labels


def _neighbours() -> Pairs:
    vectors, _ = _vectors()
    apart = distance.squareform(distance.pdist(vectors.astype(np.float64), "cosine"))
    np.fill_diagonal(apart, np.inf)
    yield embedding.nearest(vectors), apart.argmin(1)


def _roc() -> Pairs:
    vectors, labels = _vectors()
    pairs = embedding.choose_pairs(labels)
    same, different = (embedding.cosines(vectors, each) for each in (pairs.same, pairs.different))
    for a, b in ((same, different), (np.round(same, 1), np.round(different, 1))):  # and with ties
        expected = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
        yield embedding.roc_auc(a, b), expected
    known = distance.squareform(1 - distance.pdist(vectors.astype(np.float64), "cosine"))
    yield same, known[pairs.same]


def _sets() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    dice = _dice(4)
    labels = dice.random((90, 5)) < 0.3
    return np.round(dice.normal(0, 1, labels.shape) + labels, 1), labels  # rounded: many are tied


def _average_precision() -> Pairs:
    from sklearn.metrics import average_precision_score, f1_score

    scores, labels = _sets()
    for column in range(labels.shape[1]):
        ours = multilabel.average_precision(scores[:, column], labels[:, column])
        yield ours, average_precision_score(labels[:, column], scores[:, column])
    yield multilabel.macro_average_precision(scores, labels), average_precision_score(labels, scores)
    told = multilabel.f1(scores > 0.5, labels)
    yield told, [f1_score(labels, scores > 0.5, average=each) for each in ("macro", "micro")]


def _resampled() -> Pairs:
    """Resampling of pictures with scipy's own bootstrap: other dice, so near and no more."""
    scores, labels = _sets()

    def value(places: NDArray[np.int64]) -> float:
        return multilabel.macro_average_precision(scores[places], labels[places])

    drawn = multilabel.resampled_macro_ap([scores], labels)[0]
    expected = stats.bootstrap(
        (np.arange(len(labels)),), value, n_resamples=1_500, method="percentile", vectorized=False, rng=_dice(5)
    ).confidence_interval
    yield np.nanpercentile(drawn, (2.5, 97.5)), [expected.low, expected.high]


def _orders() -> Pairs:
    for rows, columns in ((1, 1), (7, 7), (20, 35)):
        cost = _dice(rows).integers(-9, 9, (rows, columns)).astype(float)
        ours, theirs = label_orders.assignment(cost), optimize.linear_sum_assignment(cost)[1]
        yield cost[np.arange(rows), ours].sum(), cost[np.arange(rows), theirs].sum()


def _covered() -> Pairs:
    """The plane under a front, by a sum over a fine grid of accuracies."""
    dice = _dice(6)
    for count in (1, 5, 40):
        points = np.column_stack([dice.uniform(60, 100, count), dice.uniform(0.1, 1.6, count)])
        least, most = 70.0, 1.5

        def beyond(top1: float, points: NDArray[np.float64] = points, most: float = most) -> float:
            return float(max(0.0, (most - points[points[:, 0] >= top1, 1]).max(initial=0.0)))

        steps = np.unique([least, *points[points[:, 0] > least, 0]])
        parts = [integrate.quad(beyond, a, b)[0] for a, b in pairwise(steps)]
        yield hypervolume(map(tuple, points.tolist()), (least, most)), sum(parts)


def _layer_table() -> Pairs:
    geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1), 8, 8)
    took = _dice(7).uniform(1, 9, (len(INPUTS), len(OUTPUTS)))
    times = {
        Probe(geometry, i, o).key(): took[row, column]
        for (row, i), (column, o) in product(enumerate(INPUTS), enumerate(OUTPUTS))
    }
    known = RegularGridInterpolator((INPUTS, OUTPUTS), took)
    for inputs, outputs in product((4, 5, 100, 2_000), (4, 17, 333, 2_048)):
        yield LatencyTable(times, 1).microseconds(geometry, inputs, outputs), known((inputs, outputs))


def _layer_ratios() -> Pairs:
    layers, reference = _dice(8).uniform(1, 9, (15, 6)), _dice(9).uniform(5, 6, 15)
    told = Rounds(reference, layers)
    yield told.ratios(), stats.mstats.mquantiles(layers / reference[:, None], 0.5, 1, 1, axis=0)[0]
    yield told.reference_us, stats.scoreatpercentile(reference, 50)


def _equal_work() -> Pairs:
    times = _dice(10).lognormal(2, 0.1, 40)
    told = noise.summed_up(times.tolist())
    middle, high = stats.scoreatpercentile(times, (50, 95))
    yield told.spread_percent, round(100 * (high / middle - 1), 2)
    yield told.drift_percent, round(100 * (np.median(times[20:]) / np.median(times[:20]) - 1), 2)


def _study() -> Pairs:
    errors = [90.0, 60.0, 62.0, 30.0, 31.0, 9.0]
    falling = np.minimum.accumulate(errors)
    for level in (89.0, 60.0, 45.0, 10.0):
        first = int(np.argmax(np.array(errors) <= level))
        between = np.interp(level, [errors[first], errors[first - 1]], [first + 1.0, float(first)])
        assert falling[first] <= level
        yield epochs_to(errors, level), between
    told = spread([3.0, None, 5.5, 4.0])
    assert told is not None
    described = stats.describe([3.0, 5.5, 4.0])
    yield (told.mean, told.low, told.high), (described.mean, *described.minmax)


COMPARISONS = (
    Comparison("accuracy's interval", "Wilson 1927", "`binomtest().proportion_ci`", 1e-12, _wilson),
    Comparison("p-value of lost and won", "McNemar, exact", "`binomtest`", 1e-9, _mcnemar),
    Comparison(
        "interval of a paired drop", "Bonett and Price 2012", "its formula with `norm.ppf`", 1e-12, _drop_interval
    ),
    Comparison(
        "score of a drop against a budget", "Tango 1998", "the likelihood maximised by `optimize`", 1e-5, _tango
    ),
    Comparison("these three, of 161 pairs", "", "Fagerland et al. 2017, chapter 8", 0.0, _published),
    Comparison(
        "boundaries of looks", "Lan and DeMets 1983; Hwang 1990", "`multivariate_normal.cdf`", 1e-5, _boundaries
    ),
    Comparison("one-sided critical values", "normal", "`norm.ppf`", 1e-12, _one_sided),
    Comparison("Student's t", "table; Cornish and Fisher", "`t.ppf`", 1e-4, _students_t),
    Comparison(
        "mean latency's interval, percentiles",
        "Student over blocks",
        "`ttest_1samp`, `mquantiles`",
        1e-4,
        _mean_interval,
    ),
    Comparison("distribution of latencies", "linear between runs", "`mquantiles`", 1e-12, _distribution),
    Comparison("bounds of p50 and p99", "order statistics", "`quantile_test`", 0.0, _quantile_bounds),
    Comparison("times faster, in one process", "Yuen 1974", "`mstats.trimmed_mean_ci`", 1e-6, _faster),
    Comparison("times as long, over processes", "Student over logarithms", "`ttest_1samp`, `gmean`", 1e-4, _slower),
    Comparison(
        "difference of two samples", "Newcombe 1998, method 10", "of scipy's Wilson intervals", 1e-12, _two_samples
    ),
    Comparison("chance", "permutation test", "`hypergeom`; 2,000 shuffles", 0.03, _chance),
    Comparison("KL divergence, cosine", "", "`entropy`, `rel_entr`, `distance.cosine`", 1e-12, _fidelity),
    Comparison("KL of far logits", "", "`log_softmax`", 1e-12, _far_logits),
    Comparison("softmax, sigmoid", "", "`special.softmax`, `expit`", 1e-12, _activations),
    Comparison("nearest neighbour", "cosine", "`pdist`", 0.0, _neighbours),
    Comparison("ROC AUC, cosines of pairs", "ranks, ties half", "`mannwhitneyu`, `pdist`", 1e-6, _roc),
    Comparison("average precision, F1", "not interpolated", "scikit-learn", 1e-12, _average_precision),
    Comparison(
        "interval of average precision", "percentiles of resamples", "`bootstrap`, other dice", 0.02, _resampled
    ),
    Comparison("order of classes", "Kuhn and Munkres", "`linear_sum_assignment`", 0.0, _orders),
    Comparison("hypervolume", "", "`quad`; Optuna's in another test", 1e-6, _covered),
    Comparison("time of a layer", "linear between counts", "`RegularGridInterpolator`", 1e-12, _layer_table),
    Comparison("layers beside a reference", "median of ratios", "`mquantiles`", 1e-12, _layer_ratios),
    Comparison("equal work", "95th percentile, halves", "`scoreatpercentile`", 1e-4, _equal_work),
    Comparison("study: epochs to a level, spread", "", "`interp`, `describe`", 1e-12, _study),
)


def main() -> None:
    """Prints the table."""
    print("| statistic | source | compared with | largest difference |\n| --- | --- | --- | ---: |")
    for each in COMPARISONS:
        print(f"| {each.statistic} | {each.source} | {each.beside} | {each.largest():.1g} |")


if __name__ == "__main__":
    main()
