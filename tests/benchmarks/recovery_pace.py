"""Images a second of recovery: as it is against one thread, torch as the teacher, and each picture drawn for one step.

    python tests/benchmarks/recovery_pace.py [--model NAME] [--ratio PART] [--steps N] [--rounds N]

Trains the model, cut by a ratio, on the rendered signs at each of the three picture sizes of a recovery, both ways in
turn, pictures drawn by processes beside it as in a build. Prints the median rate of each and their ratio; "in all" is
how many more images the same minutes hold, shared out over the sizes as a recovery shares them.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
from pathlib import Path

from edgekit.models.source import make_network, resolve
from edgekit.prune.distillation import Distillation, compared
from edgekit.prune.images import few_pictures
from edgekit.prune.importance import IMPORTANCES
from edgekit.prune.recovery_plan import BATCH, ECHO, SHARES, sizes_of
from edgekit.prune.select import keep_best, ratio_widths
from edgekit.prune.soundness import check_cut
from edgekit.prune.sources import signs_images
from edgekit.prune.teacher import Teaching, TorchTeacher, teacher_for
from edgekit.prune.tracing import trace
from edgekit.recipe import merged
from edgekit.targets.machine import processor
from edgekit.training.loop import RunSettings, train
from edgekit.training.recipe import Stage, imitating
from edgekit.training.replicas import cores, parts_at_once
from edgekit.training.threads import conditions

WORKERS = 2


def main() -> None:
    """Prints a line a size, and one of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="inception_v4")
    parser.add_argument("--ratio", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    source = resolve(merged({}, {"model": given.model}))
    how, network = source.preprocessing, make_network(source)
    graph = trace(network, how.size, how.channels)
    scores = IMPORTANCES["magnitude"](network, graph, ())
    keep = keep_best(graph, ratio_widths(graph, given.ratio, 8), scores)
    cut = check_cut(network, graph, keep, few_pictures(None, how))
    rows, images = compared(graph, keep), signs_images(frozenset()).train
    teaching = Teaching(network.eval().requires_grad_(False), rows)
    with conditions(None, WORKERS):
        teachers = {"before": TorchTeacher(teaching), "now": teacher_for(teaching, few_pictures(None, how), cores())}
    told = {"before": (1, 1), "now": (parts_at_once(BATCH), ECHO)}
    print(f"{processor()[0]}; teacher now: {teachers['now'].name}; parts of a batch: {told['now'][0]}", flush=True)
    seconds = dict.fromkeys(told, 0.0)
    for (size, share), _ in zip(sizes_of(cut, how.size, how.channels), SHARES, strict=True):
        rates: dict[str, list[float]] = {name: [] for name in told}
        for _ in range(given.rounds):
            for name, (parts, echo) in told.items():
                stage = Stage(size=size, images=given.steps * BATCH, batch=BATCH, echo=echo)
                recipe = imitating("pruned", "signs", 0, (stage,), optimizer="muon", learning_rate=0.004)
                run = RunSettings(how.mean, how.std, workers=WORKERS, parts=parts)
                guide = Distillation(teachers[name], rows, labelled=True)
                with tempfile.TemporaryDirectory() as folder, conditions(None, WORKERS):
                    train(copy.deepcopy(cut), images, recipe, Path(folder), run, guide)
                    lines = (Path(folder) / "log.jsonl").read_text().splitlines()
                rates[name] += [json.loads(line)["images_per_second"] for line in lines[1:]]
        each = {name: statistics.median(rate) for name, rate in rates.items()}
        for name, rate in each.items():
            seconds[name] += share * rate
        shown = f"{each['before']:.0f} and {each['now']:.0f} images/s, {each['now'] / each['before']:.2f} times"
        print(f"{size[0]} x {size[1]}: {shown}", flush=True)
    print(f"in all: {seconds['now'] / seconds['before']:.2f} times the images")


if __name__ == "__main__":
    main()
