"""INT8 or FP16 of a bundle that has both: timed side by side on the device, by the rule that a build decides by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgekit.devices.remote import Network, bench, check_golden, place
from edgekit.devices.ssh import Connection, DeviceError
from edgekit.devices.timed import BenchAnswer
from edgekit.devices.transfer import ask
from edgekit.runtime.forms import FP16

CHOOSING: Final = ("tensorrt", "onnxruntime")
"""The runtimes with which a device keeps a choice."""
RUNS: Final = 200
MAX_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Taken:
    """Which form a device runs from now on, "int8" or "fp16", and why."""

    form: str
    why: str


def decide_form(
    connection: Connection,
    network: Network,
    bundle: Path,
    shape: tuple[int, int, int, int],
    faster: Callable[[BenchAnswer], tuple[float, float, float]],
) -> Taken:
    """Times both forms on the device, and has it keep the answer beside its engines.

    Args:
        network: the INT8 form, there; faster: how many times faster "int8" is than "fp16", and the ends of its 95 %
            interval.
    Raises:
        UnavailableError: the device cannot be reached, or cannot run one of them.
    """
    # each in a folder without the other, so that what was chosen before decides nothing
    int8, fp16 = (place(connection, {"model.onnx": bundle / name})[0] for name in ("model.onnx", FP16))
    forms = [replace(network, name="int8", folder=int8), replace(network, name="fp16", folder=fp16, precision="fp16")]
    taken = taken_by(*faster(bench(connection, forms, shape, RUNS, MAX_SECONDS)))
    _keep(connection, network, taken)
    if taken.form == "fp16":
        try:
            check_golden(connection, network.folder, network.runtime)  # now of the FP16 form
        except DeviceError as error:
            taken = Taken("int8", f"{taken.why}; but FP16 does not give the golden outputs there: {error.what}")
            _keep(connection, network, taken)
    return taken


def _keep(connection: Connection, network: Network, taken: Taken) -> None:
    told = {"runtime": network.runtime, "folder": network.folder, "taken": taken.form, "why": taken.why}
    ask(connection, "choose", told)


def taken_by(times: float, low: float, high: float) -> Taken:
    """INT8 stays if it is faster with 95 % certainty; a tie goes to FP16, which is nearer to the network as it came."""
    told = f"INT8 is {times:.2f} times as fast as FP16 on the device (95 % interval {low:.2f} to {high:.2f})"
    return Taken("int8", told) if low > 1 else Taken("fp16", f"{told}, which may be nothing won")
