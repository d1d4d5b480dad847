"""What the stages of a build found, gathered for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.build.calibration_variance import CalibrationVariance
    from edgekit.build.compile import CompiledForm
    from edgekit.build.export import Exported
    from edgekit.build.profile import Profiled
    from edgekit.build.prune import Pruned
    from edgekit.build.quiet import Asked
    from edgekit.build.referee import Refereed
    from edgekit.build.search_precision import Searched, SearchInput
    from edgekit.build.sizes import Sizes
    from edgekit.build.variant import Variant
    from edgekit.data.calibration import CalibrationData
    from edgekit.data.image_set import ImageSet
    from edgekit.runtime.kernels import KernelFindings
    from edgekit.validate.arithmetic import Arithmetic
    from edgekit.validate.decision import Decision
    from edgekit.validate.evaluation import Evaluated
    from edgekit.validate.latency import Measured


@dataclass(frozen=True)
class Findings:
    """What the stages of a build found.

    Attributes:
        images: that accuracy was measured on, None where there were none; shown, indices: that variants were shown.
        doubt: why accuracy with the labels of the images proves nothing, if it does not.
        sizes: other input sizes, and the one that was pruned.
        computed: how INT8 variants compare with exact integer arithmetic, by name, of those that were asked.
        kernels: that the runtime took, by name, of variants that promise kernels of their own and run here.
        variance: of the drop over other calibration sets; search: the mix of precisions, and what it was looked for
            with; each None where nothing was asked for.
        profiles: the layers of variants, of those that were looked at.
        before: whether the machine was quiet before the build; None where nobody looked.
    """

    exported: Exported
    images: ImageSet | None
    shown: ImageSet
    indices: Sequence[int]
    calibration: CalibrationData
    variance: CalibrationVariance | None
    variants: Sequence[Variant]
    forms: Mapping[str, CompiledForm]
    sizes: Sizes
    pruned: Pruned
    search: tuple[Searched, SearchInput] | None
    evaluated: Evaluated
    measured: Measured
    decision: Decision
    referee: Refereed
    doubt: str | None = None
    computed: Mapping[str, Arithmetic] = field(default_factory=dict)
    kernels: Mapping[str, KernelFindings] = field(default_factory=dict)
    profiles: Mapping[str, Profiled] = field(default_factory=dict)
    before: Asked | None = None
