"""The stages of a build, each a function that puts its result in the stage store, or finds it there."""

from __future__ import annotations

from edgekit.stages.identity import describe_target, engine_facts
from edgekit.stages.make import calibrate, export_graph, hold_out, quantize_graph
from edgekit.stages.prove import compile_variants, judge_accuracy, sizes_of, time_variants, toolchain
from edgekit.stages.prune import Pruned, prune_network
from edgekit.stages.run import Event, Graphs, Run, machine_identity, read_json

__all__ = [
    "Event",
    "Graphs",
    "Pruned",
    "Run",
    "calibrate",
    "compile_variants",
    "describe_target",
    "engine_facts",
    "export_graph",
    "hold_out",
    "judge_accuracy",
    "machine_identity",
    "prune_network",
    "quantize_graph",
    "read_json",
    "sizes_of",
    "time_variants",
    "toolchain",
]
