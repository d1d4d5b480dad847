"""What the budget loop works with: NNCF for graphs, the target's own runtime for scores, torch for training."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Compiled
from edgekit.backends.for_target import compile_for
from edgekit.build.inputs import calibration_inputs
from edgekit.build.place import sessions
from edgekit.build.prove import compile_settings, engine_settings, is_executed
from edgekit.build.run import Event, Run
from edgekit.data.calibration import indices_in
from edgekit.data.loading import batches
from edgekit.errors import EdgekitError
from edgekit.models.onnx_graph import load, save
from edgekit.quantize.candidates import Outcome, QuantConfig, Score, Trial
from edgekit.quantize.causes import OUTLYING
from edgekit.quantize.equalise import equalised, links
from edgekit.quantize.explain import harmful
from edgekit.quantize.graph_format import format_for
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.observe import ranges
from edgekit.quantize.ptq import quantize
from edgekit.quantize.qdq import restored
from edgekit.quantize.search import search
from edgekit.targets.memory import give_back, peak_bytes
from edgekit.validate.accuracy import fidelity, paired_drop

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgekit.build.material import Material
    from edgekit.quantize.ptq import PtqSettings
    from edgekit.training.loop import Tick

BATCH: Final = 32
LOOKED_AT: Final = 48
"""Calibration images that noise is measured on."""

SUSPECTS: Final = 24
"""Times something is restored to find the operators that do the most harm."""

MEMORY: Final = 1.4
"""Times the memory that plain quantization took, that the loop may hold: half as much again, less what is not counted
beforehand."""

LEAST_MEMORY_BYTES: Final = 1_700_000_000
"""What it may hold in any case: 1.4 times what a plain build takes that exports and times a small torch network too."""


def look(run: Run, material: Material, into: Path) -> dict[str, Any]:
    """Runs the loop, writes mixed.onnx (pixels in) and quantized.onnx, and tells of it in plain values."""
    began, seconds = time.monotonic(), 60 * run.recipe.tuning.minutes
    with tempfile.TemporaryDirectory(prefix="edgekit-tune-") as folder:
        drops = list[float]()

        def say(what: str) -> None:
            best = f"; best so far {min(drops):.2f} points lost" if drops else ""
            used = min(seconds, time.monotonic() - began)
            run.on_event(Event("tune", round(used), round(seconds), detail=f"{what}{best}"))

        def told(trial: Trial) -> None:
            drops.append(trial.score.drop)
            say(f"network {len(drops)}, {trial.way.name}: {trial.score.drop:.2f}")

        work = Bench(run, material, Path(folder), say)
        left = seconds - (time.monotonic() - began)  # reading the tuning images took some
        found = search(work, run.recipe.max_drop, left, time.monotonic, material.training is not None, told)
        work.finish(found, into)
    run.warnings.extend(f"the budget loop could not make a network ({way.name}): {why}" for way, why in found.failed)
    return {**_told(run, material, found), "seconds": round(time.monotonic() - began, 2), **work.memory()}


def _told(run: Run, material: Material, found: Outcome) -> dict[str, Any]:
    best = next(trial for trial in reversed(found.trials) if trial.way == found.way)
    return {
        "ended": found.ended,
        "way": found.way.name,
        "floats": list(found.way.floats),
        "drop": best.score.drop,
        "labelled": material.tuning.labelled,
        "images": len(material.tuning.indices),
        "budget": run.recipe.max_drop,
        "budget_seconds": 60 * run.recipe.tuning.minutes,
        "trials": [trial.as_dict() for trial in found.trials],
    }


class Bench:
    """See edgekit.quantize.search.Workshop. Graphs are files in one folder, made once; pictures are drawn once."""

    def __init__(self, run: Run, material: Material, folder: Path, say: Callable[[str], None]) -> None:
        self._run, self._material, self._folder, self._say = run, material, folder, say
        self._calibration = indices_in(material.chosen, material.pool)
        self._graphs: dict[QuantConfig, Path] = {}
        self._cores: dict[bool, Path] = {False: material.core}
        core = load(material.core)
        self._links = links(core)
        self._inputs = calibration_inputs(core, material.chosen, material.pool, run.source.preprocessing, LOOKED_AT)
        self._reach: dict[str, NDArray[np.float32]] | None = None
        self._count, self._plain_bytes = 0, 0
        self._pictures = self._kept_pictures()
        self._base = self._logits(material.reference, "fp32")

    def make(self, way: QuantConfig) -> Path:
        """The Q/DQ graph of a way, float32 input."""
        if way not in self._graphs:
            give_back()  # so that what one network took does not add to what the next one takes
            self._count += 1
            path = self._folder / f"{self._count}.onnx"
            if way.floats:
                core, base = load(self._core(way.equalised)), self.make(replace(way, floats=()))
                save(restored(load(base), core, way.floats), path)
            else:
                self._quantized(self._core(way.equalised), way.ptq, path)
            self._graphs[way] = path
        return self._graphs[way]

    def score(self, graph: Path) -> Score:
        """On the tuning images, compiled and executed as the target will; see edgekit.quantize.search.Score."""
        made = self._logits(self._with_pixels(graph), "mixed")
        self._plain_bytes = self._plain_bytes or peak_bytes()  # plain quantization is what is scored first
        tuning = self._material.tuning
        near = fidelity(self._base, made)
        drop = 100 - near.agreement
        if tuning.labelled and tuning.images.labels is not None:
            drop = paired_drop(self._base, made, tuning.images.labels[list(tuning.indices)]).drop
        return Score(drop, near.kl, len(made))

    def memory(self) -> dict[str, int]:
        """The most that this process held, and may hold."""
        told = self._run.recipe.tuning.memory_gb
        may = max(LEAST_MEMORY_BYTES, int(MEMORY * self._plain_bytes)) if told is None else int(1e9 * told)
        return {"peak_bytes": peak_bytes(), "memory_bytes": may}

    def takes_asymmetric(self) -> bool:
        """TensorRT does not."""
        return not format_for(self._run.release).signed

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
        way = next(way for way, path in self._graphs.items() if path == graph)
        core, made = load(self._core(way.equalised)), load(graph)

        def tell(what: str, done: int, total: int) -> None:
            self._say(f"sensitivity: {what} {done} of {total}")

        harm = harmful(core, made, self._inputs, SUSPECTS, tell)
        costs = self._costs(made, core, list(harm.won))
        first = sorted(harm.won, key=lambda name: -harm.won[name] / costs[name])
        return [*first, *(each.operator.name for each in harm.ranked if each.operator.name not in harm.won)]

    def train(self, graph: Path, seconds: float) -> Path | None:
        """Quantization-aware training with the build's training images."""
        from edgekit.quantize.qat import QatSettings, train_quantized

        images = self._material.training
        if images is None:
            return None
        way = next(way for way, path in self._graphs.items() if path == graph)
        out = self._folder / "trained.onnx"
        memory_bytes = self.memory()["memory_bytes"]
        settings = QatSettings(seconds / 60, seed=self._run.recipe.seed, memory_bytes=memory_bytes)

        def tell(tick: Tick) -> None:
            self._say(f"training with quantizers, step {tick.step} of {tick.steps}")

        train_quantized(
            self._core(way.equalised),
            graph,
            images.train,
            images.labelled,
            self._run.source.preprocessing,
            settings,
            self._folder / "qat",
            out,
            tell,
        )
        return out

    def finish(self, found: Outcome, into: Path) -> None:
        """Writes the best network, with its preprocessing inside and without."""
        shutil.copyfile(found.graph, into / "quantized.onnx")
        preprocessing, form = self._run.source.preprocessing, format_for(self._run.release)
        write_graph(self._material.core, into / "quantized.onnx", into / "mixed.onnx", "mixed", preprocessing, form)

    def _core(self, is_equalised: bool) -> Path:
        if is_equalised not in self._cores:
            path = self._folder / "equalised.onnx"
            save(equalised(load(self._material.core), self._links, self._ranges()), path)
            self._cores[is_equalised] = path
        return self._cores[is_equalised]

    def _ranges(self) -> dict[str, NDArray[np.float32]]:
        if self._reach is None:
            seen = sorted({link.seen for link in self._links})
            core = load(self._material.core)
            self._reach = ranges(core, seen, self._inputs) if seen else {}
        return self._reach

    def _quantized(self, core: Path, settings: PtqSettings, path: Path) -> None:
        preprocessing, form = self._run.source.preprocessing, format_for(self._run.release)
        pool, indices = self._material.pool, self._calibration
        quantize(
            core,
            path,
            lambda: (pictures for pictures, _ in batches(pool, preprocessing, indices, 1)),
            len(indices),
            preprocessing,
            signed=form.signed,
            settings=settings,
        )

    def _kept_pictures(self) -> Path:
        """The tuning images drawn or decoded into one file: read in parts, they take no memory."""
        tuning, path = self._material.tuning, self._folder / "pictures"
        total = len(tuning.indices)
        with path.open("wb") as file:
            for pictures, _ in batches(tuning.images, self._run.source.preprocessing, tuning.indices, BATCH):
                file.write(pictures.tobytes())
                self._say(f"reading tuning images, {file.tell() // pictures[0].nbytes} of {total}")
        return path

    def _logits(self, graph: Path, precision: str) -> NDArray[np.float32]:
        run, size = self._run, self._run.source.preprocessing.size
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            if is_executed(run):
                made = compile_for(run.target.family, graph, Path(folder), precision, compile_settings(run))
            else:
                made = Compiled("onnxruntime", str(graph), precision, 0)
            found = []
            with (
                sessions(run, run.device, {"one": made}, engine_settings(run)) as loaded,
                self._pictures.open("rb") as f,
            ):
                while raw := f.read(BATCH * size * size * 3):
                    found.append(loaded["one"].infer_many(np.frombuffer(raw, np.uint8).reshape(-1, size, size, 3)))
        return np.concatenate(found)

    def _with_pixels(self, graph: Path) -> Path:
        path = graph.with_suffix(".pixels.onnx")
        if not path.exists():
            preprocessing, form = self._run.source.preprocessing, format_for(self._run.release)
            write_graph(self._material.core, graph, path, "mixed", preprocessing, form)
        return path

    def _costs(self, made: ir.Model, core: ir.Model, names: Sequence[str]) -> dict[str, float]:
        """Microseconds that each operator takes more in 16 bits than in INT8, on this processor; 1 where not known."""
        if self._run.target.family != "cpu" or self._run.device is not None:
            return dict.fromkeys(names, 1.0)
        times = []
        for graph, precision in ((restored(made, core, names), "mixed"), (made, "int8")):
            times.append(self._profiled(graph, precision))
        return {name: max(1.0, times[0].get(name, 0.0) - times[1].get(name, 0.0)) for name in names}

    def _profiled(self, graph: ir.Model, precision: str) -> dict[str, float]:
        from edgekit.backends import openvino

        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            plain, pixels = Path(folder) / "plain.onnx", Path(folder) / "pixels.onnx"
            save(graph, plain)
            write_graph(plain, plain, pixels, "mixed", self._run.source.preprocessing, format_for(None))
            try:
                layers = openvino.profile(openvino.compile(pixels, Path(folder), precision))
            except EdgekitError:
                return {}
        took: dict[str, float] = {}
        for layer in layers:
            name = layer.name.partition("/")[0]
            took[name] = took.get(name, 0.0) + layer.microseconds
        return took
