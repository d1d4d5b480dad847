"""The kind of processor, as a name: what was made or measured for it holds for no other."""

import hashlib
import os
import platform

from .processor import limit


def processor_kind() -> str:
    """The kind of processor, with what it can do and may: what was compiled for it runs on no other."""
    words = [platform.machine()]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            first = file.read(1 << 16).split("\n\n")[0]
    except OSError:
        first = platform.processor()
    passing = ("processor", "cpu MHz", "bogomips", "BogoMIPS", "apicid", "initial apicid", "core id", "physical id")
    lines = [line for line in first.splitlines() if line.partition("\t")[0].partition(":")[0].strip() not in passing]
    lines.append(limit(os.environ) or "")
    return "%s-%s" % (words[0], hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()[:8])
