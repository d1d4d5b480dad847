"""Accuracy of pruned networks before anything is trained: weights refit by least squares against weights as they were.

    python tests/benchmarks/pruning_refit.py [MODEL [KEPT ...]]

Chooses widths of a shipped network (inception_v4) by Fisher importance and this processor's layer times, for some
shares of importance that are kept (0.985, 0.993, 0.997). Prints top-1 of the 800 tuning images of the rendered signs,
as the network was cut and with new batch-norm statistics, both ways, beside the unpruned network; and the seconds that
the refit took.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from pathlib import Path

from torch import nn

from edgekit.models.source import make_network, resolve
from edgekit.prune.compensation import IMAGES, compensated
from edgekit.prune.images import few_pictures, top1, training_batches, tuning_of
from edgekit.prune.importance import IMPORTANCES
from edgekit.prune.recover import reestimate
from edgekit.prune.select import Knapsack, keep_best
from edgekit.prune.soundness import check_cut
from edgekit.prune.sources import signs_images
from edgekit.prune.table import measured, probes_for
from edgekit.prune.timing import layer_timer
from edgekit.prune.tracing import trace
from edgekit.recipe import merged
from edgekit.targets.machine import processor
from edgekit.training.threads import conditions

GRANULARITY = 16
WORKERS = 2
KEPT = (0.985, 0.993, 0.997)


def main(model: str = "inception_v4", *kept: str) -> None:
    """Prints a line for the unpruned network and one for each share."""
    source = resolve(merged({}, {"model": model}))
    how, network = source.preprocessing, make_network(source)
    graph, images = trace(network, how.size, how.channels), signs_images(frozenset())
    tuning, few = tuning_of(images, how), few_pictures(images, how)
    assert tuning is not None

    def looked(cut: nn.Module) -> str:
        for module in cut.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        before = top1(copy.deepcopy(cut), tuning, how)
        reestimate(cut, images, how)
        return f"{before:.2f} % as cut, {top1(cut, tuning, how):.2f} % with new statistics"

    with conditions(None, WORKERS):
        print(f"{processor()[0]}; {model}: {looked(copy.deepcopy(network))}", flush=True)
        scores = IMPORTANCES["fisher"](network, graph, training_batches(images, how, IMAGES, 0))
        with tempfile.TemporaryDirectory() as folder:
            probes, timer = probes_for(graph, GRANULARITY), layer_timer("openvino", "int8")
            table = measured(Path(folder) / "table.json", probes, timer, GRANULARITY, lambda done, of: None)
        knapsack = Knapsack(graph, scores, table, GRANULARITY)
        for share in [float(each) for each in kept] or KEPT:
            chosen = knapsack.keeping(share)
            keep = keep_best(graph, chosen.widths, scores, chosen.removed)
            began = time.monotonic()
            refit = compensated(network, graph, keep, training_batches(images, how, IMAGES, 0))
            seconds = time.monotonic() - began
            cost = f"{100 * chosen.cost / knapsack.dense_cost:.0f} % of the layers' time"
            print(f"{100 * share:.1f} % of importance, {cost}, refit in {seconds:.0f} s", flush=True)
            for name, whole in (("as they were", network), ("refit", refit)):
                print(f"    {name}: {looked(check_cut(whole, graph, keep, few))}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
