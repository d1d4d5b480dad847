"""The stage that chooses which channels and blocks stay: timed on the target, fitted to what they are worth."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from edgekit.build.executor import Executor, Timing
from edgekit.build.stage import File, Progress, Stage
from edgekit.build.weigh import read_scores, traced
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.source import Source
from edgekit.prune.choice import (
    ChosenWidths,
    LatencyFit,
    LatencyStep,
    Want,
    changed,
    choice_of_blocks,
    packed,
)
from edgekit.size import size_of
from edgekit.store.keys import NOT_IN_KEY
from edgekit.temporary import temporary_folder

if TYPE_CHECKING:
    from edgekit.backends import Compiled
    from edgekit.prune.channels import ChannelGraph, Keep
    from edgekit.prune.select import Chosen, Importance
    from edgekit.prune.table import LatencyTable

CHOICE: Final = "choice.json"
MEASURING: Final = (60, 12.0)
"""Runs and seconds that a choice of widths is measured with."""

LOOKS: Final = 3
"""Times that the network as it came is timed alone, for the median; what is cut is timed beside it once."""


@dataclass(frozen=True)
class LayerTable:
    """Where and how single layers are timed.

    Attributes:
        backend: that times them, in the precision that will run.
        path: the file in which times are kept for all networks: what is there was measured on the same machine, with
            the same versions.
    """

    backend: str
    path: Path = field(metadata=NOT_IN_KEY)


@dataclass(frozen=True)
class ChooseWidthsInput:
    """What widths are chosen by.

    Attributes:
        graph: of the unpruned network in the precision that will run, pixels in.
        scores: what channels are worth, see edgekit.build.weigh; importance: what that is called, for the report.
        granularity: widths are multiples of this, where the target is fast.
        blocks: whether whole residual blocks may go as well.
        executor: where the whole network is timed; table: where single layers are, None for a ratio.
    """

    source: Source
    graph: File
    precision: str
    want: Want
    scores: File
    importance: str = field(metadata=NOT_IN_KEY)
    granularity: int
    preprocessing: Preprocessing
    blocks: bool
    seed: int
    executor: Executor
    table: LayerTable | None


def _make(given: ChooseWidthsInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.prune.select import keep_best

    network, graph = traced(given.source, given.preprocessing, given.blocks)
    scores, graph = read_scores(given.scores.path, graph)
    with temporary_folder() as work:
        whole = WholeNetwork(given, graph, scores, getattr(network, "constant_names", None), progress, work)
        chosen, latency = _ratio(given, whole) if given.want.kind == "ratio" else _fitted(given, whole, progress)
    keep = keep_best(graph, chosen.widths, scores, chosen.removed)
    found = ChosenWidths(
        packed(keep),
        graph.units,
        int(keep.sum()),
        tuple(changed(graph, keep)),
        latency,
        choice_of_blocks(graph, keep) if given.blocks else None,
    )
    (folder / CHOICE).write_bytes(TypeAdapter(ChosenWidths).dump_json(found))
    return ()


def _ratio(given: ChooseWidthsInput, whole: WholeNetwork) -> tuple[Chosen, LatencyFit | None]:
    from edgekit.prune.select import Chosen, ratio_widths

    assert given.want.ratio is not None
    chosen = Chosen(ratio_widths(whole.graph, given.want.ratio, given.granularity), 0.0, 0.0)
    if given.executor.untimed is not None:
        return chosen, None
    try:
        ms = whole.measure(chosen)
    except InputError:  # the exported graph does not show all layers: the pruned network itself is timed later
        return chosen, None
    step = LatencyStep(ms, ms)
    return chosen, LatencyFit(given.precision, whole.dense_ms, None, (step,), "not used: a ratio was given", 0)


def _fitted(given: ChooseWidthsInput, whole: WholeNetwork, progress: Progress) -> tuple[Chosen, LatencyFit]:
    from edgekit.prune import fit
    from edgekit.prune.select import Knapsack

    table = _layer_table(given, whole.graph, progress)
    knapsack = Knapsack(whole.graph, whole.scores, table, given.granularity)
    if knapsack.without_blocks is not None:
        beside = knapsack.beside_blocks(whole.measure(knapsack.without_blocks) / whole.dense_ms)
        knapsack = Knapsack(whole.graph, whole.scores, table, given.granularity, beside)
    budget_ms, share = given.want.budget_ms, given.want.budget_share
    if share is not None:
        budget_ms = share * whole.dense_ms
    if budget_ms is None:
        chosen = knapsack.keeping(fit.KNEE)
        ms = whole.measure(chosen)
        steps: tuple[LatencyStep, ...] = (LatencyStep(whole.dense_ms * chosen.cost / knapsack.dense_cost, ms),)
    else:
        want = given.want
        found = fit.within(knapsack, budget_ms, whole.dense_ms, whole.measure, want.known, want.enough)
        chosen, steps = found.chosen, found.steps
    how = f"each layer's median of 15 runs beside a reference, in {given.precision}, {given.executor.where}"
    return chosen, LatencyFit(given.precision, whole.dense_ms, budget_ms, steps, how, len(table.times))


def _layer_table(given: ChooseWidthsInput, graph: ChannelGraph, progress: Progress) -> LatencyTable:
    from edgekit.prune.table import measured, probes_for
    from edgekit.prune.timing import layer_timer

    assert given.table is not None  # only a ratio goes without
    timer = layer_timer(given.table.backend, given.precision)

    def tell(done: int, total: int) -> None:
        progress(done, total, "timing layers")

    return measured(given.table.path, probes_for(graph, given.granularity), timer, given.granularity, tell)


class WholeNetwork:
    """Measures the whole network at some widths: its graph in the precision that will run, cut, compiled and timed."""

    def __init__(
        self,
        given: ChooseWidthsInput,
        graph: ChannelGraph,
        scores: Importance,
        constants_of: Mapping[str, str] | None,
        progress: Progress,
        work: Path,
    ) -> None:
        self._given, self._constants_of, self._progress, self._work = given, constants_of, progress, work
        self.graph, self.scores = graph, scores
        self._dense_ms: float | None = None

    @property
    def dense_ms(self) -> float:
        """Of the network as it came, timed now if it never was: the unit of all that is measured, so that it stays."""
        if self._dense_ms is None:
            self._dense_ms = statistics.median(self._timed({"dense": self._dense_form})["dense"] for _ in range(LOOKS))
        return self._dense_ms

    def measure(self, chosen: Chosen) -> float:
        """Milliseconds at these widths and without removed blocks: how they compare with the network as it came, timed
        in turn with it, times what that one takes: a clock that wanders between two choices makes neither look better.
        """
        from edgekit.prune.select import keep_best

        keep = keep_best(self.graph, chosen.widths, self.scores, chosen.removed)
        with temporary_folder() as folder:
            pruned = self._prepared(self._cut(keep, folder), folder)
            took = self._timed({"dense": self._dense_form, "pruned": pruned})
        if self._dense_ms is None:
            self._dense_ms = took["dense"]
        return took["pruned"] / took["dense"] * self._dense_ms

    def _cut(self, keep: Keep, folder: Path) -> Path:
        from edgekit.prune.onnx_slice import cut

        path = folder / "cut.onnx"
        cut(self._given.graph.path, path, self.graph, keep, self._constants_of)
        return path

    @cached_property
    def _dense_form(self) -> Compiled:
        """Compiled once, for all that it is timed beside."""
        return self._prepared(self._given.graph.path, self._work)

    def _prepared(self, graph: Path, folder: Path) -> Compiled:
        (folder / "compiled").mkdir()
        return self._given.executor.prepared(graph, self._given.precision, folder / "compiled")

    def _timed(self, forms: Mapping[str, Compiled]) -> dict[str, float]:
        shape = (1, *size_of(self._given.preprocessing.size), 3)
        measured = self._given.executor.timed(forms, Timing(*MEASURING, shape), self._progress)
        return {name: each.p50 for name, each in measured.latency.items()}


def _read(folder: Path) -> ChosenWidths:
    return TypeAdapter(ChosenWidths).validate_json((folder / CHOICE).read_bytes())


PACKAGES: Final = ("torch", "onnx", "onnx-ir", "openvino", "onnxruntime", "numpy", "Pillow")

CHOOSE_WIDTHS: Final = Stage("prune", PACKAGES, _make, _read)
