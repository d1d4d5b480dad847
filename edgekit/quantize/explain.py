"""Why INT8 costs accuracy: which operators, what their inputs look like, and what is wrong with them, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.data.preprocessing import Preprocessing
from edgekit.models.onnx_graph import constant
from edgekit.quantize.activations import Activation, look_at
from edgekit.quantize.causes import Cause, causes_of, input_causes
from edgekit.quantize.observe import Inputs, Noise, Observed, confirm, observe, remaining
from edgekit.quantize.qdq import Quantized, is_turned, named_as


@dataclass(frozen=True)
class Explained:
    """One of the worst operators.

    Attributes:
        own_db, total_db: see Noise.
        kl_won: how much less the answers diverge with this operator in floating point, nats.
        activation: the input that the quantizer changes most; None for one that reads none through a quantizer.
    """

    name: str
    kind: str
    own_db: float
    total_db: float
    kl_won: float
    activation: Activation | None
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Listed:
    """One operator in the list of all of them; see Noise for own_db and total_db.

    Attributes:
        kl_won: as of Explained; None where it was not tried.
    """

    name: str
    kind: str
    own_db: float
    total_db: float
    kl_won: float | None


@dataclass(frozen=True)
class Explanation:
    """What INT8 does to a network.

    Attributes:
        images: that were run; kl: mean divergence of the INT8 answers from the float ones, nats.
        causes: what is wrong with the network's input; empty where nothing is.
        worst: operators by what restoring each of them wins.
        operators: all of them, the suspicious ones first.
    """

    images: int
    kl: float
    causes: tuple[Cause, ...]
    worst: tuple[Explained, ...]
    operators: tuple[Listed, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them."""
        return asdict(self)


def explain(
    core: ir.Model,
    quantized: ir.Model,
    inputs: Inputs,
    preprocessing: Preprocessing,
    worst: int = 8,
    suspects: int = 24,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Explanation:
    """Finds the operators that cost most and says why.

    Args:
        core: the float graph, batch 1; quantized: its Q/DQ form.
        inputs: gives one pass over normalised inputs.
        worst: how many operators are looked at; suspects: how many times
            something is restored to find these: parts of the network first, then operators one by one.
        on_progress: called with "images", "parts" or "suspects", how many are done, and of how many.
    Raises:
        InputError: there are no inputs.
    """
    core = named_as(core, quantized)
    harm = harmful(core, quantized, inputs, suspects, on_progress)
    seen, ranked, won = harm.seen, harm.ranked, harm.won
    tried = [each for each in ranked if each.operator.name in won]
    chosen = sorted(tried, key=lambda each: -won[each.operator.name])[:worst]
    activations, given = look_at(core, quantized, [each.operator.name for each in chosen], inputs)
    about_input = tuple(input_causes(given, preprocessing))
    explained = []
    for each in chosen:
        name, kind, activation = each.operator.name, each.operator.kind, activations[each.operator.name]
        causes = causes_of(name, activation, _filters(core, each.operator), about_input)
        explained.append(Explained(name, kind, each.own_db, each.total_db, won[name], activation, causes))
    return Explanation(
        seen.images, seen.kl, about_input, tuple(explained), tuple(_listed(each, won) for each in ranked)
    )


@dataclass(frozen=True)
class Harm:
    """What was seen of a quantized network, its operators with the most harmful first, and for those that were restored
    one by one the divergence (nats) that this won.
    """

    seen: Observed
    ranked: list[Noise]
    won: Mapping[str, float]


def harmful(
    core: ir.Model,
    quantized: ir.Model,
    inputs: Inputs,
    suspects: int,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Harm:
    """Ranks operators by the harm that they do: parts of the network are restored first, then operators one by one.

    Args:
        suspects: how many times something is restored.
    """
    seen = observe(core, quantized, inputs, partial(on_progress, "images"))
    parts = max(2, suspects // 4) if len(seen.noise) > suspects else 0
    ranked = _ranked(core, quantized, seen, inputs, parts, partial(on_progress, "parts"))
    names = [each.operator.name for each in ranked[: max(1, suspects - parts)]]
    left = confirm(core, quantized, names, inputs, partial(on_progress, "suspects"))
    return Harm(seen, ranked, {name: seen.kl - divergence for name, divergence in left.items()})


def _ranked(
    core: ir.Model,
    quantized: ir.Model,
    seen: Observed,
    inputs: Inputs,
    parts: int,
    on_progress: Callable[[int, int], None],
) -> list[Noise]:
    """The operators, the most suspicious first: what an early one adds to a signal may cost more than a noisier one
    near the end. So each part of the network is restored as a whole, and what that wins is shared out by noise.
    """
    shares = {each.operator.name: 10 ** (-each.own_db / 10) for each in seen.noise}
    if parts == 0:
        return sorted(seen.noise, key=lambda each: -shares[each.operator.name])
    count = len(seen.noise)
    bounds = [done * count // parts for done in range(parts + 1)]
    groups = [[each.operator.name for each in seen.noise[a:b]] for a, b in pairwise(bounds)]
    worth: dict[str, float] = {}
    for names, left in zip(groups, remaining(core, quantized, groups, inputs, on_progress), strict=True):
        whole = sum(shares[name] for name in names)
        worth |= {name: (seen.kl - left) * shares[name] / whole for name in names}
    return sorted(seen.noise, key=lambda each: -worth[each.operator.name])


def _filters(core: ir.Model, operator: Quantized) -> NDArray[Any] | None:
    """The float weight of an operator, output channels first."""
    weight = constant(core.graph.initializers.get(operator.weight or ""))
    if weight is None:
        return None
    return weight.T if is_turned(next(node for node in core.graph if node.name == operator.name)) else weight


def _listed(noise: Noise, won: Mapping[str, float]) -> Listed:
    operator = noise.operator
    return Listed(operator.name, operator.kind, noise.own_db, noise.total_db, won.get(operator.name))
