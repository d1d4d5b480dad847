"""What a build is about to do, settled before its first stage: network, target, precision, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgekit.backends import Backend, CompileSettings, backend, openvino_plugin
from edgekit.build.device_machine import device_machine
from edgekit.build.executor import REFERENCE, ByReference, DeviceSettings, Executor, Here, OnDevice
from edgekit.build.lock import Lock, held_to, other_sums
from edgekit.build.runner import Event, Listener, fetching, nobody
from edgekit.build.runtimes import AUTO, backend_of, beside
from edgekit.devices import Connection, Registry, remote
from edgekit.errors import InputError, UnavailableError, install_hint
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source, resolve
from edgekit.quantize.graph_format import ADDING_AS_PROCESSORS_DO, GraphFormat, Sums, sums_of
from edgekit.recipe import Recipe, Task
from edgekit.size import Size
from edgekit.store import Store
from edgekit.targets import Machine, Release, Target, find, release_of, release_with, this_machine
from edgekit.validate.latency import Measured
from edgekit.validate.question import Question, question_of


@dataclass(frozen=True)
class Plan:
    """A build before its first stage.

    Attributes:
        release: the TensorRT that is built for, where the target has one.
        backend: name of the one that compiles; beside: of others that are timed beside it (--runtime auto);
            usual: the one whose variants need no runtime in their names.
        executor: where variants run.
        wanted: the precision to build; precisions: of the unpruned network, fp32 first.
        device: what a device that takes part told of itself.
        lock: decisions that were made before, if they are to be kept.
        notes: what the user should know of all this.
    """

    recipe: Recipe
    source: Source
    target: Target
    release: Release | None
    backend: str
    executor: Executor
    settings: CompileSettings
    wanted: str
    precisions: tuple[str, ...]
    device: remote.Probed | None
    lock: Lock | None
    notes: tuple[str, ...]
    beside: tuple[str, ...] = ()
    usual: str = ""

    @property
    def compiler(self) -> Backend:
        """The backend that compiles."""
        return backend(self.backend)

    @property
    def graph_format(self) -> GraphFormat:
        """The form of graphs that it wants."""
        form = replace(self.compiler.graph_format(self.release), sums=self.sums)
        return replace(form, open_batch=True) if self.recipe.tensorrt.batch else form

    @property
    def sums(self) -> Sums:
        """How INT8 products are added up where variants run; of a lock, what it was made for."""
        if self.lock is None or self.backend not in ADDING_AS_PROCESSORS_DO:
            return self.sums_here
        return self.lock.int8_sums

    @property
    def sums_here(self) -> Sums:
        """How they are added up where variants run, whatever a lock says; what runs nowhere is executed exactly."""
        return "exact" if isinstance(self.executor, ByReference) else sums_of(self.backend, self.executor.machine)

    @property
    def base_precision(self) -> str:
        """The precision that single steps are made and timed in: a mix of precisions begins with INT8."""
        return "int8" if self.wanted == "mixed" else self.wanted

    @property
    def narrow_precisions(self) -> tuple[str, ...]:
        """The precisions that a pruned network is written in."""
        return (self.base_precision, *(("fp16",) if self.keeps_fp16 else ()))

    @property
    def keeps_fp16(self) -> bool:
        """Whether FP16 goes into the bundle beside INT8: where it runs elsewhere, only that can say which is faster."""
        able = "fp16" in self.target.precisions and "fp16" in self.precisions
        return self.executor.untimed is not None and able and self.base_precision == "int8"

    @property
    def has_int8(self) -> bool:
        """Whether something is quantized, so that calibration images are needed."""
        return "int8" in self.precisions

    @property
    def runtime_of_answers(self) -> str:
        """What executes graphs, for accuracy: the target's runtime, or the reference's where that runs nowhere."""
        return REFERENCE if isinstance(self.executor, ByReference) else self.compiler.RUNTIME

    def alternatives(self) -> tuple[Plan, ...]:
        """The same with the target's other runtimes that run here, where none was asked for by name."""
        if self.recipe.runtime not in (None, AUTO) or not isinstance(self.executor, Here):
            return ()
        names = [name for name in self.target.backends.values() if name != self.backend]
        return tuple(self.on(name) for name in names if backend(name).available() is not None)

    @property
    def suffix(self) -> str:
        """What names of variants end in: the runtime, where that is not the usual one."""
        return "" if self.backend == self.usual else f"@{self.compiler.RUNTIME}"

    def on(self, name: str) -> Plan:
        """The same with another of the target's backends in the first place, those beside it the rest of both."""
        if name == self.backend:
            return self
        executor = self.executor
        if isinstance(executor, Here | OnDevice):
            executor = replace(executor, backend=name, identity=backend(name).identity(executor.machine))
        known = self.lock.precisions if self.lock is not None else self.target.precisions
        precisions = _precisions(self.wanted, self.target, backend(name), executor.machine)
        able = tuple(each for each in precisions if each in ("fp32", *known))
        wanted = self.wanted if self.wanted in backend(name).PRECISIONS else able[-1]
        beside = tuple(each for each in (self.backend, *self.beside) if each != name) if self.beside else ()
        return replace(self, backend=name, executor=executor, precisions=able, wanted=wanted, beside=beside)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The other input sizes that the recipe wants to be tried, the largest first."""
        others = {each for each in self.recipe.sizes if each != self.source.preprocessing.size}
        return tuple(sorted(others, key=lambda size: (-size[0] * size[1], size)))

    def at(self, size: Size) -> Plan:
        """The same for images of some size."""
        how = replace(self.source.preprocessing, size=size)
        return replace(self, source=replace(self.source, preprocessing=how))

    @property
    def task(self) -> Task:
        """What the outputs are: as told, or the network's own."""
        return self.recipe.task or self.source.task

    def question(self, facts: GraphFacts) -> Question:
        """How outputs are read; `facts` are of the network's graph."""
        return question_of(self.task, self.recipe.output.activation, facts.activation, self.recipe.threshold)

    def untimed(self) -> Measured | None:
        """What is told of latencies where variants run nowhere; None where they can be measured."""
        return None if self.executor.untimed is None else Measured(why=self.executor.untimed)


def planned(
    recipe: Recipe,
    store: Store,
    listener: Listener = nobody,
    lock: Lock | None = None,
    graphs_alone: bool = False,
) -> Plan:
    """Settles what a recipe asks for: its network is found, its device reached, its compiler looked for.

    Args:
        lock: decisions that were made before; graphs_alone: only INT8 graphs are made, so that nothing need be there to
            compile them, nor be fast at them.
    Raises:
        InputError: the recipe asks for what there is not, or the target cannot do it.
        UnavailableError: the target, its compiler or its device is not there.
    """
    target = find(recipe.target)
    name = backend_of(recipe.runtime, target)
    if not graphs_alone:
        _require(name, target)
    source = resolve(recipe, fetching(listener))
    if recipe.task is None and source.task != "classify":  # said once, so that nobody takes vectors for classes
        recipe = recipe.model_copy(update={"task": source.task})
    notes_of_lock = [] if lock is None else held_to(lock, source.weights_sha256)
    if recipe.precision == "mixed" and recipe.task not in (None, "classify"):
        raise InputError(f"a mix of precisions is looked for by top-1, not for --task {recipe.task}", "Use int8.")
    wanted, notes = ("int8", []) if graphs_alone else _wanted(recipe, target, backend(name))
    release = release_of(target, recipe.tensorrt.jetpack)
    device = _reached(recipe, target, backend(name), listener)
    if device is not None and release is not None and recipe.tensorrt.jetpack is None:
        there = device.facts.runtimes.get("tensorrt")
        release = (release_with(target, there) if there is not None else None) or release
    _check_batches(recipe, target)
    if recipe.tensorrt.dla and release is not None and not release.dla:
        raise InputError(f"TensorRT {release.tensorrt} drives no DLA", "Leave --dla out, or see --jetpack.")
    machine = this_machine(gpu=target.can.gpu)
    settings = _settings(recipe, target, release, store)
    executor = _executor(recipe, target, name, settings, (release, machine, device))
    precisions = _precisions(wanted, target, backend(name), machine) if lock is None else lock.precisions
    others, notes_of_runtimes = beside(recipe.runtime, target, name, executor.untimed, device)
    unlike = None if device is None else target.unlike(device.facts.architecture)
    notes_of_target = (*target.of_baseline, *([unlike] if unlike else []))
    told = (*source.notes, *notes, *notes_of_target, *notes_of_lock, *notes_of_runtimes)
    plan = Plan(
        recipe, source, target, release, name, executor, settings, wanted, precisions, device, lock, told, others, name
    )
    kept = other_sums(plan.sums, plan.sums_here) if lock is not None and plan.has_int8 else ()
    return replace(plan, notes=(*told, *kept))


def _require(name: str, target: Target) -> None:
    """Refuses early what could not be compiled late."""
    if target.can.gpu and not this_machine(gpu=True).gpus:
        raise UnavailableError(
            "there is no NVIDIA GPU here", "`--target rtx` builds for GPUs elsewhere, `--target jetson` for Jetsons."
        )
    if backend(name).available() is None:
        raise UnavailableError(f"{name} is not installed", install_hint("cpu", target.extra))
    if target.can.plugin:
        openvino_plugin.require(target.can.plugin, target.name)


def _wanted(recipe: Recipe, target: Target, compiler: Backend) -> tuple[str, list[str]]:
    """The precision to build, and what the user should know where that is not the one asked for."""
    if recipe.tensorrt.dla and not target.dla_cores:
        raise InputError(f"{target.name} has no DLA", "Leave --dla out.")
    if recipe.tensorrt.dla and recipe.tensorrt.dla_core >= target.dla_cores:
        raise InputError(
            f"{target.name} has no DLA core {recipe.tensorrt.dla_core}", f"Give --dla-core 0 to {target.dla_cores - 1}."
        )
    able = tuple(each for each in target.precisions if each in compiler.PRECISIONS)
    asked = "int8" if recipe.precision == "mixed" else recipe.precision
    if asked in able:
        return recipe.precision, []
    if asked == "int8":
        return able[0], [f"{target.description}: {target.notes[0]}"]
    raise InputError(f"{target.name} has no fast {recipe.precision}", f"Use --precision {' or '.join(able)}.")


def _check_batches(recipe: Recipe, target: Target) -> None:
    """Refuses batches where nothing is built for them."""
    if recipe.tensorrt.batch and not target.releases:
        raise InputError(f"--batch is for TensorRT, and {target.name} has none", "Leave it out.")
    if recipe.tensorrt.batch and recipe.tensorrt.dla:
        raise InputError("a DLA takes one number of images", "Leave --batch or --dla out.")


def _precisions(wanted: str, target: Target, compiler: Backend, machine: Machine) -> tuple[str, ...]:
    """FP32 to compare with, the 16-bit format that is fast on the target, and INT8 where it is of use; FP32 alone for
    who asks for that.
    """
    if wanted == "fp32":
        return ("fp32",)
    fast = target.fast_here(machine.features)
    half = [each for each in ("bf16", "fp16") if each in compiler.PRECISIONS and (each in fast or each == wanted)]
    return ("fp32", *half, *(("int8",) if wanted in ("int8", "mixed") else ()))


def _settings(recipe: Recipe, target: Target, release: Release | None, store: Store) -> CompileSettings:
    """What the recipe asks of the compiler; TensorRT keeps what it has timed beside the entries of the store."""
    asked = recipe.tensorrt
    cache = store.root / "timing" / "tensorrt.cache" if target.can.gpu else None
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
    return CompileSettings(
        asked.compute_capabilities or target.compute_capabilities,
        asked.optimization_level,
        None if asked.workspace_mb is None else asked.workspace_mb << 20,
        release is None or release.typed,
        cache,
        asked.batch,
    )


def device_settings(recipe: Recipe, release: Release | None) -> DeviceSettings | None:
    """How an engine is built where the network is run; None without TensorRT."""
    if release is None:
        return None
    asked = recipe.tensorrt
    workspace = None if asked.workspace_mb is None else asked.workspace_mb << 20
    return DeviceSettings(release.typed, workspace, asked.dla_core if asked.dla else None, asked.batch)


def _executor(
    recipe: Recipe,
    target: Target,
    name: str,
    settings: CompileSettings,
    where: tuple[Release | None, Machine, remote.Probed | None],
) -> Executor:
    release, machine, device = where
    identity = backend(name).identity(machine)
    if device is not None:
        there = device_machine(device.facts)
        return OnDevice(name, identity, settings, there, device_settings(recipe, release), device.connection)
    if target.can.here:
        return Here(name, identity, settings, machine)
    return ByReference(backend(REFERENCE).identity(machine), machine, target.why_untimed(recipe.target))


def _reached(recipe: Recipe, target: Target, compiler: Backend, listener: Listener) -> remote.Probed | None:
    """The device that the recipe names, probed; None if it names none."""
    if recipe.device is None:
        return None
    if not target.can.device:
        raise InputError(
            f"--device cannot be measured with --target {recipe.target}", "Use cpu, an ARM board or a Jetson."
        )
    connection = Connection(Registry().find(recipe.device))
    listener(Event("probe"))
    facts = remote.probe(connection)
    listener(Event("probe", finished=True, detail=facts.name))
    if not facts.runtimes.get(compiler.RUNTIME):
        raise UnavailableError(
            f"{recipe.device} has no {compiler.RUNTIME} that its {connection.device.python} can import",
            "Install it there, or name another interpreter with `edgekit device add --python`.",
        )
    return remote.Probed(connection, facts)
