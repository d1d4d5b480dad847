"""The exported graph of a network at another input size, without exporting it again.

torch's exporter takes ten to forty seconds for a network of a hundred layers, whatever the size of the picture; a
convolutional network has the same operators at all of them. Whether that is so of a network is seen, not believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

from edgekit.errors import InputError
from edgekit.models.answer import Answer
from edgekit.models.canonical import Canonical, canonical_of
from edgekit.models.export import export
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.graph_input import INPUT
from edgekit.models.onnx_graph import save, to_proto
from edgekit.models.run_graph import plain, run_graph
from edgekit.models.source import Source, make_network
from edgekit.size import Size

if TYPE_CHECKING:
    from torch import nn

APART: Final = 1e-3
"""Part of the largest logit by which two ways to compute a network in float32 may differ."""


def resized(
    path: Path,
    facts: GraphFacts,
    source: Source,
    size: Size,
    out: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> GraphFacts:
    """Writes the graph for images of another size, and tells its facts.

    One picture is answered by it and by the torch network; where the two differ, or the operators do not fit the size,
    the network is exported anew.

    Args:
        path, facts: of the canonical graph at some size; source: the torch network that it was exported from.
        size: height and width, pixels; tell: hears why the network was exported anew.
    Raises:
        InputError: the network cannot be exported at that size.
    """
    try:
        made = _at(path, facts, size)
        network = make_network(source)
        why_not = _differs(made, network, size)
    except InputError as error:
        why_not = error.what
    if why_not is None:
        save(made.model, out)
        kept = ("output", "activation", "activation_found", "narrow", "notes")
        return replace(made.facts, **{name: getattr(facts, name) for name in kept})
    tell(f"exported anew at this size: {why_not}")
    return export(source, size, out)


def _at(path: Path, facts: GraphFacts, size: Size) -> Canonical:
    """The graph with another input, all shapes inferred again; one that cannot be is refused."""
    proto = onnx.load(str(path))
    for dim in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "side"
    del proto.graph.value_info[:]
    made = canonical_of(proto, Answer(layout="nchw"), size, "the network", exported=True)
    if made.facts.classes != facts.classes:
        raise InputError(f"it has {made.facts.classes} outputs, and {facts.classes} at its own size", "")
    return made


def _differs(made: Canonical, network: nn.Module, size: Size) -> str | None:
    """Why the graph is not the network at that size; None if both answer a picture of noise alike."""
    import torch

    image = np.random.Generator(np.random.PCG64(0)).standard_normal((1, 3, *size), np.float32)
    try:
        with torch.no_grad():
            wanted = network(torch.from_numpy(image)).numpy()
    except Exception as error:  # whatever a network does that is made for another size
        return f"the network does not take it: {plain(error)}"
    (found,) = run_graph(to_proto(made.model), {INPUT: image})
    apart = float(np.abs(found - wanted).max())
    if apart <= APART * max(1.0, float(np.abs(wanted).max())):
        return None
    return f"a picture's answers differ by {apart:.3g} from the network's"
