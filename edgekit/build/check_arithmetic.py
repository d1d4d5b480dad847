"""The stage that compares INT8 variants with exact integer arithmetic on the very same graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from edgekit.backends import Compiled, backend
from edgekit.build.evaluate import Executed, Others, networks
from edgekit.build.executor import REFERENCE, ByReference, Executor, Here
from edgekit.build.stage import File, Progress, Stage
from edgekit.data.image_set import ImageSet, spread
from edgekit.data.preprocessing import Preprocessing
from edgekit.validate.arithmetic import Arithmetic

if TYPE_CHECKING:
    from edgekit.build.evaluate import EvaluateInput
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner
    from edgekit.build.variant import Variant

IMAGES: Final = 100
RESULTS: Final = "arithmetic.json"


@dataclass(frozen=True)
class ArithmeticInput:
    """Variants as they run, the graphs of them by the same names, and the pictures that all are shown.

    Attributes:
        others: how pictures are prepared for variants that take another size, by name.
    """

    variants: tuple[Executed, ...]
    graphs: tuple[tuple[str, File], ...]
    executor: Executor
    images: ImageSet
    indices: tuple[int, ...]
    preprocessing: Preprocessing
    others: Others = ()


def _make(given: ArithmeticInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.validate.arithmetic import arithmetic
    from edgekit.validate.evaluation import predict

    total, found, others = len(given.indices), {}, dict(given.others)

    def tell(done: int) -> None:
        progress(done, total, "exact integer arithmetic")

    with given.executor.sessions(networks(given.variants), progress) as loaded:
        made = predict(loaded, given.images, given.preprocessing, given.indices, tell, others)
    runtimes = {each.name: backend(each.form.compiled.backend).RUNTIME for each in given.variants}
    for name, graph in given.graphs:  # one after the other: each holds a network
        exact = Compiled(REFERENCE, str(graph.path), "int8", graph.path.stat().st_size)
        with backend(REFERENCE).load(exact, "throughput") as session:
            wanted = predict({name: session}, given.images, given.preprocessing, given.indices, tell, others)[name]
        found[name] = arithmetic(runtimes[name], REFERENCE, made[name], wanted)
    (folder / RESULTS).write_bytes(_KIND.dump_json(found))
    return ()


_KIND: Final = TypeAdapter(dict[str, Arithmetic])


def _read(folder: Path) -> dict[str, Arithmetic]:
    return _KIND.validate_json((folder / RESULTS).read_bytes())


CHECK_ARITHMETIC: Final = Stage("arithmetic", ("numpy", "Pillow", "openvino", "onnxruntime"), _make, _read)
"""How INT8 variants compare with exact integer arithmetic, by name."""


def is_compared(plan: Plan, name: str) -> bool:
    """Whether INT8 variants of a backend are compared: not what is exact itself, nor what TensorRT runs."""
    exact = isinstance(plan.executor, ByReference) or (isinstance(plan.executor, Here) and name == REFERENCE)
    return not exact and plan.release is None


def checked_arithmetic(
    plan: Plan, run: Runner, variants: Sequence[Variant], ready: Sequence[Executed], shown: EvaluateInput
) -> Mapping[str, Arithmetic]:
    """The INT8 variants that a processor runs, compared on some of the images that variants are shown."""
    asked = [each for each in variants if each.precision == "int8" and is_compared(plan, each.backend)]
    if not asked:
        return {}
    names = {each.name for each in asked}
    places = spread(len(shown.indices), IMAGES)
    return run(
        CHECK_ARITHMETIC,
        ArithmeticInput(
            tuple(each for each in ready if each.name in names),
            tuple((each.name, each.graph) for each in asked),
            plan.executor,
            shown.images,
            tuple(shown.indices[place] for place in places),
            shown.preprocessing,
            tuple((name, how) for name, how in shown.others if name in names),
        ),
    )
