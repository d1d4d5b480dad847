"""The stages of a build, each a function that puts its result in the stage store, or finds it there."""

from __future__ import annotations

from edgekit.build.explain import explain_graph
from edgekit.build.identity import describe_target, engine_facts
from edgekit.build.make import calibrate, export_graph, hold_out, quantize_graph
from edgekit.build.prove import compile_variants, judge_accuracy, sizes_of, time_variants, toolchain
from edgekit.build.prune import Pruned, prune_network
from edgekit.build.run import Event, Graphs, Run, fetching, machine_identity, read_json
from edgekit.build.spread import calibration_spread
from edgekit.build.tune import tune
from edgekit.build.tuning_images import hold_back

__all__ = [
    "Event",
    "Graphs",
    "Pruned",
    "Run",
    "calibrate",
    "calibration_spread",
    "compile_variants",
    "describe_target",
    "engine_facts",
    "explain_graph",
    "export_graph",
    "fetching",
    "hold_back",
    "hold_out",
    "judge_accuracy",
    "machine_identity",
    "prune_network",
    "quantize_graph",
    "read_json",
    "sizes_of",
    "time_variants",
    "toolchain",
    "tune",
]
