"""What nvidia-smi tells of a desktop GPU: power, temperature, clock, and why it throttles."""

import shutil
import subprocess
from typing import List, NamedTuple, Optional

QUERY = "power.draw,temperature.gpu,clocks.sm,clocks_throttle_reasons.active"
IDLE = 0x1
REASONS = (
    (0x4, "the power limit was reached"),
    (0x8, "a hardware slowdown"),
    (0x20, "the driver's thermal limit was reached"),
    (0x40, "the hardware's thermal limit was reached"),
    (0x80, "an external power brake"),
)
"""Bits of clocks_throttle_reasons.active, as NVIDIA's NVML reference names them."""


class Gpu(NamedTuple):
    """What nvidia-smi tells of a GPU; None is what it does not know.

    reasons: why it throttles, in words; idle: whether that is because it has nothing to do.
    """

    reasons: List[str] = []
    idle: Optional[bool] = None
    power_w: Optional[float] = None
    temperature_c: Optional[float] = None
    clock_mhz: Optional[float] = None


def ask() -> Optional[Gpu]:
    """Power, temperature, clock and throttle reasons of the first desktop GPU."""
    command = shutil.which("nvidia-smi")
    for query in (QUERY, QUERY.replace("throttle", "event")) if command else ():  # renamed in newer drivers
        arguments = [str(command), "--query-gpu=" + query, "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        told = parse(answer.decode(errors="replace"))
        if told is not None:
            return told
    return None


def parse(answer: str) -> Optional[Gpu]:
    """The first line that nvidia-smi answers to QUERY; None if it is no answer."""
    fields = [each.strip() for each in answer.splitlines()[0].split(",")] if answer.strip() else []
    if len(fields) != 4:
        return None
    power, temperature, clock = (_number(value) for value in fields[:3])
    gpu = Gpu([], None, power, temperature, clock)
    try:
        bits = int(fields[3], 16)
    except ValueError:
        return gpu
    return gpu._replace(reasons=[words for bit, words in REASONS if bits & bit], idle=bool(bits & IDLE))


def _number(value: str) -> Optional[float]:
    try:
        return float(value)
    except ValueError:
        return None
