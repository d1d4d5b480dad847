"""What a search finds at equal trials: the sampler of `edgekit search` against random search, median of several seeds.

    python tests/benchmarks/search_front.py --out search-front.json
    python tests/benchmarks/search_front.py --trials 6 --batch 3 --seeds 0 --images 200    # does it work?

Each search is of the shipped signs networks in the space of search_front.yaml beside this file (input sizes, runtimes,
precisions, calibration), with the same trials and images; nothing is built in full. `--space` takes another one, in
which trials that prune take minutes. All of them share one store, so that a setting which several searches try is made
once; each search times it again. The hypervolume is of top-1 and of latency as a part of the unpruned network's in the
same run, counted from 10 points below FP32 and 1.5. The first trial, which is the default build cut short, takes
minutes, since its layers are timed. A benchmark that was stopped goes on with the same --work. Close other programs
first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.build.runner import Event
from edgekit.cluster.connection import ClusterSettings
from edgekit.cluster.search.proposals import Sampler
from edgekit.cluster.search.request import Request
from edgekit.cluster.search.results import SearchResult
from edgekit.cluster.search.run import search
from edgekit.recipe import Recipe
from edgekit.store.opening import StoreSettings

LONG_S = 15.0
"""What a trial of the space here is to take at most."""

SAMPLERS: tuple[Sampler, ...] = ("tpe", "random")


def main() -> None:
    """Runs the searches and prints what they cover."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--trials", type=int, default=40)
    asked.add_argument("--batch", type=int, default=8)
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--images", type=int, default=400, help="that trials are judged by")
    asked.add_argument("--minutes", type=float, default=0.07, help="of recovery, of one trial")
    asked.add_argument("--space", type=Path, default=Path(__file__).with_suffix(".yaml"), help="what is varied")
    asked.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    asked.add_argument(
        "--work", type=Path, help="where searches and their store are kept; a temporary folder by default"
    )
    asked.add_argument("--out", type=Path, help="write the figures here as JSON")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="search-front-") as temporary:
        work = (given.work or Path(temporary)).absolute()
        found = {sampler: [searched(given, work, sampler, seed) for seed in given.seeds] for sampler in given.samplers}
    told = {sampler: [as_told(each) for each in results] for sampler, results in found.items()}
    if given.out is not None:
        given.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for sampler, results in found.items():
        volumes = [each.hypervolume.value for each in results]
        half = [each.hypervolume.by_trial[len(each.hypervolume.by_trial) // 2 - 1] for each in results]
        minutes = sum(each.seconds for each in results) / 60
        print(
            f"{sampler}: hypervolume {statistics.median(volumes):.2f} (median of {len(volumes)} seeds:"
            f" {', '.join(f'{each:.2f}' for each in volumes)}), {statistics.median(half):.2f} after half of the trials,"
            f" {minutes:.1f} minutes in all, trials of {spread(results)}"
        )
        for seed, each in zip(given.seeds, results, strict=True):
            print(f"  seed {seed}: {each.counts.model_dump()}")
            points = {record.number: record for record in each.trials}
            for number in each.front:
                point = points[number].point
                assert point is not None
                print(f"    {point.top1:6.2f} %  {point.ratio:5.2f}  {points[number].setting.words}")


def searched(given: argparse.Namespace, work: Path, sampler: Sampler, seed: int) -> SearchResult:
    """One search, without its front built in full."""
    request = Request(
        Recipe(seed=seed), given.space, given.trials, given.batch, given.images, given.minutes, sampler, front=0
    )

    def tell(event: Event) -> None:
        if event.stage.startswith("trial "):
            print(f"{sampler}, seed {seed}: {event.stage}: {event.detail}", flush=True)

    return search(request, ClusterSettings("local", 1), work / f"{sampler}-{seed}", StoreSettings(work / "store"), tell)


def spread(results: Sequence[SearchResult]) -> str:
    """Seconds of trials that were run, the default build's aside, timing aside."""
    took = sorted(each.built.seconds for result in results for each in result.trials[1:] if each.built is not None)
    within = sum(each <= LONG_S for each in took)
    middle = statistics.median(took)
    return f"{middle:.1f} s in the median, {within} of {len(took)} within {LONG_S:g} s, {took[-1]:.1f} s at most"


def as_told(found: SearchResult) -> dict[str, object]:
    """What is kept of a search."""
    return {
        "seed": found.settings.seed,
        "hypervolume": found.hypervolume.model_dump(),
        "counts": found.counts.model_dump(),
        "seconds": found.seconds,
        "seconds_of_trials": [None if each.built is None else each.built.seconds for each in found.trials],
        "front": [
            {"number": each.number, "top1": each.point.top1, "ratio": each.point.ratio, "setting": each.setting.words}
            for each in found.trials
            if each.point is not None and each.number in found.front
        ],
    }


if __name__ == "__main__":
    main()
