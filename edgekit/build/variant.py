"""A variant: one form of the network, with its parent and what it must beat to stay."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.build.stage import File
from edgekit.models.graph_facts import GraphFacts


@dataclass(frozen=True)
class Variant:
    """One form of the network.

    Attributes:
        name: for people and reports; nothing is read out of it.
        precision: fp32, bf16, fp16, int8 or mixed.
        backend: key of edgekit.backends.BACKENDS that compiles and runs it.
        graph: the ONNX graph that it is compiled from, pixels in; beside: files that belong to it (of a DLA).
        facts: of the float network.
        step: what made it of its parent, as a sentence begins with it.
        parent: name of the variant that it was made from; None of the baseline.
        simpler: names of the simpler variants that it must beat beside its parent, the simplest first.
    """

    name: str
    precision: str
    backend: str
    graph: File
    facts: GraphFacts
    step: str
    parent: str | None
    simpler: tuple[str, ...] = ()
    beside: tuple[File, ...] = ()
