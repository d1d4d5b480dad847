"""What a build was for and made with, as the report and the manifest tell it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.backends import backend
from edgekit.build.executor import REFERENCE
from edgekit.build.plan import Plan, device_settings
from edgekit.bundle import trtexec
from edgekit.bundle.manifest import Engine
from edgekit.report.fields import Scalar
from edgekit.report.model import Target
from edgekit.targets import processor
from edgekit.targets.packages import installed_version

if TYPE_CHECKING:
    from edgekit.build.compile import CompiledForm
    from edgekit.validate.latency import Conditions, Measured


@dataclass(frozen=True)
class Provenance:
    """The report's `target`, and its `environment`: what was used, here and there."""

    target: Target
    environment: Mapping[str, Scalar]


def provenance(plan: Plan, forms: Mapping[str, CompiledForm], measured: Measured) -> Provenance:
    """The runtime's version is the device's own, or the one that compiled; for a device that is not here, the one that
    is built for.
    """
    cpu, features = processor()
    target, release, compiler = plan.target, plan.release, plan.compiler
    environment: dict[str, Scalar] = {"cpu": cpu, "openvino": installed_version("openvino")}
    version = release.tensorrt if release is not None and target.can.device else compiler.available()
    device: str | None = cpu
    if target.can.plugin:
        device, features = compiler.identity(plan.executor.machine).hardware[0], ()
    if release is not None:
        gpus = plan.executor.machine.gpus
        device, features = ", ".join(gpus) or None, tuple(f"sm {each}" for each in target.compute_capabilities)
        environment |= _checked_by(plan, forms)
        settings, (height, width) = engine_settings(plan), plan.source.preprocessing.size
        if settings is not None and target.can.device:
            shape = (1, height, width, 3)
            environment["trtexec"] = trtexec.line(settings, plan.base_precision, release.tensorrt, shape)
    elif not target.can.here:
        device, features = None, target.features or ()
    if plan.executor.untimed is not None:
        environment["accuracy executed with"] = f"onnxruntime {backend(REFERENCE).available()}, {cpu}"
    if plan.device is not None:
        facts = plan.device.facts
        device, version = facts.name, facts.runtimes.get(compiler.RUNTIME)
        features = features if release is not None else ()
        environment |= {
            "device python": facts.python,
            "device system": facts.system,
            "device l4t": facts.l4t,
            "device jetpack": facts.jetpack,
            "device cuda": facts.cuda,
        }
    if measured.conditions is not None:
        environment |= _conditions(measured.conditions)
    told = Target(
        name=plan.recipe.target,
        runtime=compiler.RUNTIME,
        runtime_version=version,
        device=device,
        features=tuple(features),
    )
    return Provenance(told, environment)


def _checked_by(plan: Plan, forms: Mapping[str, CompiledForm]) -> dict[str, Scalar]:
    """Which parser has read the graphs that a device will build, and for which JetPack they are."""
    if not plan.target.can.device or plan.release is None:
        return {}
    parser = next((each.compiled.checked_by for each in forms.values() if each.compiled.checked_by), None)
    told = parser or "none: no TensorRT is installed here"
    return {"parser preflight": told, "jetpack": plan.release.jetpack}


def _conditions(told: Conditions) -> dict[str, Scalar]:
    """Under what power, temperatures and clocks latencies were measured."""
    return {
        "power measured with": told.source or f"not_measured: {told.why}",
        "mean power, W": told.mean_power_w,
        "hottest sensor, C": told.hottest_c,
        "throttled": told.throttled,
        "power mode": told.power_mode,
    }


def engine_settings(plan: Plan) -> dict[str, bool | int | list[int]] | None:
    """The manifest's `engine_settings`: how an engine is built of the graph where it is run; None without TensorRT."""
    settings = device_settings(plan.recipe, plan.release)
    return None if settings is None else settings.as_header()


def engine(plan: Plan) -> Engine | None:
    """The manifest's `engine`: what a finished engine runs on; None where there is none."""
    if plan.release is None or plan.target.can.device:
        return None
    gpus, version = plan.executor.machine.gpus, plan.compiler.available()
    capabilities = plan.settings.compute_capabilities
    words = [f"sm{each.replace('.', '')}" for each in capabilities] or [each.replace(" ", "-") for each in gpus]
    where = f"{platform.system().lower()}-{platform.machine()}"
    name = "_".join([*words, f"{plan.compiler.RUNTIME}-{version}", where])
    return Engine(name=name, compute_capabilities=capabilities, tensorrt=version, platform=where)
