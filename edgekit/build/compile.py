"""The stage that compiles every variant for the target, as far as that can be done here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.backends import Compiled, CompileSettings, EngineLayer, Identity, backend
from edgekit.build.stage import File, Progress, Stage, kept_file

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.variant import Variant

COMPILED: Final = "compiled.json"


@dataclass(frozen=True)
class CompileTask:
    """One graph to compile: under which name, in which precision, with what, and with which files beside it."""

    name: str
    precision: str
    backend: str
    identity: Identity
    graph: File
    beside: tuple[File, ...] = ()


@dataclass(frozen=True)
class CompileInput:
    """Graphs to compile, and what is asked of the compilers."""

    tasks: tuple[CompileTask, ...]
    settings: CompileSettings


@dataclass(frozen=True)
class CompiledForm:
    """A compiled network and its files by content, the one that is loaded first."""

    compiled: Compiled
    files: tuple[File, ...]


def _make(given: CompileInput, folder: Path, progress: Progress) -> Sequence[str]:
    made = {}
    for done, task in enumerate(given.tasks):
        progress(done, len(given.tasks), task.name)
        (folder / task.name).mkdir()

        def tell(share: float, done: int = done, name: str = task.name) -> None:
            progress(done + share, len(given.tasks), name)

        compiled = backend(task.backend).compile(
            task.graph.path, folder / task.name, task.precision, given.settings, tell
        )
        made[task.name] = asdict(compiled) | {"path": Path(compiled.path).relative_to(folder).as_posix()}
    (folder / COMPILED).write_text(json.dumps(made), encoding="utf-8")
    return ()


def _read(folder: Path) -> Mapping[str, CompiledForm]:
    forms = {}
    for name, kept in json.loads((folder / COMPILED).read_text(encoding="utf-8")).items():
        layers = tuple(EngineLayer(**each) for each in kept.pop("layers"))
        main = kept.pop("path")
        compiled = Compiled(**kept, path=str(folder / main), layers=layers)
        others = sorted(each.relative_to(folder).as_posix() for each in (folder / name).iterdir())
        files = (main, *(each for each in others if each != main))
        forms[name] = CompiledForm(compiled, tuple(kept_file(folder, each) for each in files))
    return forms


COMPILE: Final = Stage("compile", ("openvino", "onnx", "polygraphy"), _make, _read)


def compile_input(plan: Plan, variants: Sequence[Variant]) -> CompileInput:
    """What is compiled of some variants."""
    machine = plan.executor.machine
    tasks = tuple(
        CompileTask(
            each.name, each.precision, each.backend, backend(each.backend).identity(machine), each.graph, each.beside
        )
        for each in variants
    )
    return CompileInput(tasks, plan.settings)
