"""The networks of a mixed-precision search: NNCF makes graphs, the target's own runtime scores, torch trains."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.build.inputs import calibration_inputs, calibration_pictures
from edgekit.build.operator_costs import extra_microseconds
from edgekit.build.search_precision import LOCKED, MIXED, SearchInput, SearchResult, TrialResult
from edgekit.build.stage import Progress
from edgekit.data.loading import batches
from edgekit.errors import InputError
from edgekit.models.onnx_graph import load, save
from edgekit.quantize.candidates import Outcome, QuantConfig, Score, Trial
from edgekit.quantize.causes import OUTLYING
from edgekit.quantize.equalise import equalised, links
from edgekit.quantize.explain import harmful
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.least_squares import with_least_squares
from edgekit.quantize.observe import ranges
from edgekit.quantize.ptq import PtqSettings, quantize
from edgekit.quantize.qdq import restored
from edgekit.quantize.refit import refitted
from edgekit.quantize.search import search
from edgekit.quantize.signed import to_signed
from edgekit.targets.memory import give_back, peak_bytes
from edgekit.temporary import temporary_folder
from edgekit.training.record import TrainingRecord
from edgekit.validate.accuracy import paired_drop
from edgekit.validate.fidelity import fidelity

BATCH: Final = 32
LOOKED_AT: Final = 48
"""Calibration images that noise is measured on."""

FITTED_ON: Final = 96
"""Calibration images that biases and roundings are fitted on."""

SUSPECTS: Final = 24
"""Times something is restored to find the operators that do the most harm."""

NO_OUTPUTS_NATS: Final = 1e3
"""Stands for the divergence of outputs that are not finite: beyond any that is, and a number in JSON."""

MEMORY: Final = 1.4
"""Memory limit as a multiple of plain quantization's peak."""

LEAST_MEMORY_BYTES: Final = 1_700_000_000
"""Memory limit in any case: 1.4 times the peak of a plain build of a small torch network."""


def look(given: SearchInput, into: Path, progress: Progress) -> tuple[SearchResult, Sequence[str]]:
    """Runs the search, writes mixed.onnx (pixels in) and quantized.onnx; the result, and warnings."""
    began, seconds = time.monotonic(), given.limits.seconds
    with temporary_folder() as folder:
        drops = list[float]()

        def say(what: str) -> None:
            best = f"; best so far {min(drops):.2f} points lost" if drops else ""
            progress(round(min(seconds, time.monotonic() - began)), round(seconds), f"{what}{best}")

        def on_trial(trial: Trial) -> None:
            drops.append(trial.score.drop)
            say(f"network {len(drops)}, {trial.config.name}: {trial.score.drop:.2f}")

        maker = Candidates(given, folder, say)
        left = seconds - (time.monotonic() - began)  # reading the tuning images took some
        found = search(maker, given.limits.max_drop, left, time.monotonic, given.training is not None, on_trial)
        maker.finish(found.graph, into)
        result = _result(maker, found, time.monotonic() - began)
    return result, [
        f"the mixed-precision search could not make a network ({config.name}): {why}" for config, why in found.failed
    ]


def _result(maker: Candidates, found: Outcome, seconds: float) -> SearchResult:
    best = next(trial for trial in reversed(found.trials) if trial.config == found.config)
    trials = tuple(
        TrialResult(
            each.config.name, each.score.drop, each.score.kl, each.score.images, round(each.seconds, 2), each.best
        )
        for each in found.trials
    )
    training, cut = maker.training if found.config.trained and maker.training is not None else (None, None)
    return SearchResult(
        found.ended,
        found.config,
        best.score.drop,
        round(seconds, 2),
        peak_bytes(),
        maker.memory_bytes(),
        trials,
        training,
        cut,
    )


def replay(given: SearchInput, into: Path, progress: Progress) -> tuple[SearchResult, Sequence[str]]:
    """Makes the network of a lock, and scores it once; see `look`."""
    assert given.locked is not None
    began, config = time.monotonic(), given.locked.config
    with temporary_folder() as folder:
        maker = Candidates(given, folder, lambda what: progress(0, None, what))
        graph = maker.make(replace(config, trained=False))
        if given.locked.training is not None:
            graph = maker.trained(graph, 0.0, given.locked.training)
        score = maker.score(graph)
        maker.finish(graph, into)
        seconds = time.monotonic() - began
        trial = TrialResult(config.name, score.drop, score.kl, score.images, round(seconds, 2), True)
        memory = maker.memory_bytes()
    training = given.locked.training
    return SearchResult(
        LOCKED, config, score.drop, round(seconds, 2), peak_bytes(), memory, (trial,), training, None
    ), ()


class Candidates:
    """See edgekit.quantize.search.CandidateMaker. Graphs are files in one folder, made once; pictures are drawn once.

    Attributes:
        training: the last training with quantizers, to do it again, and what was cut from it.
    """

    def __init__(self, given: SearchInput, folder: Path, say: Callable[[str], None]) -> None:
        self._given, self._folder, self._say = given, folder, say
        self._graphs: dict[QuantConfig, Path] = {}
        self._cores: dict[bool, Path] = {False: given.core.path}
        core = load(given.core.path)
        self._links = links(core)
        self._inputs, self._fitted_on = (
            calibration_inputs(core, given.calibration, given.preprocessing, count) for count in (LOOKED_AT, FITTED_ON)
        )
        self._reach: dict[str, NDArray[np.float32]] | None = None
        self._plain_bytes = 0
        self.training: tuple[TrainingRecord, str | None] | None = None
        self._pictures = self._kept_pictures()
        self._base = self._logits(given.reference.path, "fp32")

    def make(self, config: QuantConfig) -> Path:
        """The Q/DQ graph of a configuration, float32 input."""
        if config not in self._graphs:
            give_back()  # so that what one network took does not add to what the next one takes
            kind = "nncf" if config == config.made_by_nncf else "refined"  # what it is made of is made on the way
            path = self._folder / f"{len(self._graphs)}-{kind}-{len(config.float_ops)}.onnx"
            if config.float_ops:
                core, base = self._core(config.equalised), self.make(replace(config, float_ops=()))
                save(restored(load(base), load(core), config.float_ops), path)
            elif config == config.made_by_nncf:
                self._quantized(self._core(config.equalised), config.ptq, path)
            else:
                self._refined(config, path)
            self._graphs[config] = path
        return self._graphs[config]

    def score(self, graph: Path) -> Score:
        """On the tuning images, compiled and executed as the target will; see edgekit.quantize.candidates.Score."""
        made = self._logits(self._with_pixels(graph), "mixed")
        self._plain_bytes = self._plain_bytes or peak_bytes()  # plain quantization is what is scored first
        tuning = self._given.tuning
        near = fidelity(self._base, made)
        drop = 100 - near.agreement
        if tuning.labelled and tuning.images.labels is not None:
            drop = paired_drop(self._base, made, tuning.images.labels[list(tuning.indices)]).drop
        finite = len(made) - near.not_finite
        nats = (near.kl or 0.0) * finite + NO_OUTPUTS_NATS * near.not_finite
        return Score(drop, nats / len(made), len(made))

    def memory_bytes(self) -> int:
        """What this process may hold."""
        limit = self._given.limits.memory_bytes
        return max(LEAST_MEMORY_BYTES, int(MEMORY * self._plain_bytes)) if limit is None else limit

    def takes_asymmetric(self) -> bool:
        """TensorRT does not."""
        return not self._given.graph_format.signed

    def outliers(self) -> bool:
        """Whether a channel that equalisation can reach is far beyond the others of its tensor."""
        for reach in self._ranges().values():
            highest = np.abs(reach).max(0)
            alive = highest[highest > 0]
            if len(alive) and float(alive.max()) > OUTLYING * float(np.median(alive)):
                return True
        return False

    def ranked(self, graph: Path) -> Sequence[str]:
        """Operators by what they win for each microsecond, then those that were not looked at one by one."""
        config = next(config for config, path in self._graphs.items() if path == graph)
        core, made = load(self._core(config.equalised)), load(graph)

        def tell(what: str, done: int, total: int) -> None:
            self._say(f"sensitivity: {what} {done} of {total}")

        harm = harmful(core, made, self._inputs, SUSPECTS, tell)
        costs = extra_microseconds(self._given.profiler, made, core, list(harm.won), self._given.preprocessing)
        first = sorted(harm.won, key=lambda name: -harm.won[name] / costs[name])
        return [*first, *(each.operator.name for each in harm.ranked if each.operator.name not in harm.won)]

    def train(self, graph: Path, seconds: float) -> Path | None:
        """Quantization-aware training with the build's training images."""
        return None if self._given.training is None else self.trained(graph, seconds, None)

    def trained(self, graph: Path, seconds: float, record: TrainingRecord | None) -> Path:
        """The graph after training for so many seconds at most, or after the training of a record."""
        from edgekit.quantize.qat import QatGraphs, QatImages, QatSettings, train_quantized
        from edgekit.training.log import Tick

        images = self._given.training
        if images is None:
            raise InputError("the lock's training needs the images that it was trained with", "Give --train-data.")
        config = next(config for config, path in self._graphs.items() if path == graph)
        out = self._folder / "trained.onnx"
        settings = QatSettings(seconds, seed=self._given.seed, memory_bytes=self.memory_bytes(), replay=record)

        def tell(tick: Tick) -> None:
            self._say(f"training with quantizers, step {tick.step} of {tick.steps}")

        graphs = QatGraphs(self._core(config.equalised), graph, out, self._given.graph_format.sums)
        data = QatImages(images.train, images.labelled, self._given.preprocessing)
        done = train_quantized(graphs, data, settings, self._folder / "qat", tell)
        self.training = (done.run, done.cut)
        return out

    def finish(self, graph: Path, into: Path) -> None:
        """Writes the best network, with its preprocessing inside and without."""
        shutil.copyfile(graph, into / "quantized.onnx")
        self._write(into / "quantized.onnx", into / MIXED)

    def _write(self, quantized: Path, out: Path) -> None:
        given = self._given
        write_graph(given.core.path, quantized, out, "mixed", given.preprocessing, given.graph_format)

    def _core(self, is_equalised: bool) -> Path:
        if is_equalised not in self._cores:
            path = self._folder / "equalised.onnx"
            core = load(self._given.core.path)
            save(equalised(core, self._links, self._ranges()), path)
            self._cores[is_equalised] = path
        return self._cores[is_equalised]

    def _ranges(self) -> dict[str, NDArray[np.float32]]:
        if self._reach is None:
            seen = sorted({link.seen for link in self._links})
            core = load(self._given.core.path)
            self._reach = ranges(core, seen, self._inputs) if seen else {}
        return self._reach

    def _quantized(self, core: Path, settings: PtqSettings, path: Path) -> None:
        given, form = self._given, self._given.graph_format
        pictures = calibration_pictures(given.calibration, given.preprocessing)
        settings = replace(settings, per_tensor=form.per_tensor)
        quantize(core, path, pictures, given.preprocessing, form.signed, settings, form.sums)

    def _refined(self, config: QuantConfig, path: Path) -> None:
        """What NNCF makes, with the ranges and the roundings that are edgekit's own."""
        form = self._given.graph_format
        core, made = load(self._core(config.equalised)), load(self.make(config.made_by_nncf))
        if config.least_squares:
            made = with_least_squares(core, made, self._inputs, form.signed)
        if config.rounded:
            made = to_signed(made) if form.signed else made  # what the target computes is what layers are fitted to

            def tell(done: int, total: int) -> None:
                self._say(f"adaptive rounding: {done} of {total}")

            made, _ = refitted(core, made, self._fitted_on, True, form.sums, tell)
        save(made, path)

    def _kept_pictures(self) -> Path:
        """The tuning images drawn or decoded into one file: read in parts, they take no memory."""
        tuning, path = self._given.tuning, self._folder / "pictures"
        total = len(tuning.indices)
        with path.open("wb") as file:
            for pictures, _ in batches(tuning.images, self._given.preprocessing, tuning.indices, BATCH):
                file.write(pictures.tobytes())
                self._say(f"reading tuning images, {file.tell() // pictures[0].nbytes} of {total}")
        return path

    def _logits(self, graph: Path, precision: str) -> NDArray[np.float32]:
        executor, shape, found = self._given.executor, (*self._given.preprocessing.size, 3), []
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            made = executor.prepared(graph, precision, Path(folder))
            with executor.sessions({"one": made}, _silent) as loaded, self._pictures.open("rb") as pictures:
                while raw := pictures.read(BATCH * math.prod(shape)):
                    found.append(loaded["one"].infer_many(np.frombuffer(raw, np.uint8).reshape(-1, *shape)))
        return np.concatenate(found)

    def _with_pixels(self, graph: Path) -> Path:
        path = graph.with_suffix(".pixels.onnx")
        if not path.exists():
            self._write(graph, path)
        return path


def _silent(done: float, total: float | None, detail: str) -> None:
    """Tells nobody."""
