"""What `edgekit verify --emulate` runs inside an emulated processor: the checks of `verify`, then answers to pictures.

    python3 -m edgekit_runtime.emulated BUNDLE [--runtime NAME] [--pictures IN.npy --outputs OUT.npy]

Prints objects of JSON, one a line, each as soon as it is known: {"machine"}, {"checks"}, {"runtime"}, and {"done": n}
after every picture, or {"failed": why} where they cannot be answered. Written for Python 3.6.
"""

import argparse
import json
import os
import platform
import sys
from typing import Callable, List, Optional

import numpy as np

from .bundle import Bundle
from .contract import Table
from .engines import MODULES, choose
from .errors import BundleError
from .manifest import read_manifest
from .verify import as_json, verify

Tell = Callable[[Table], None]


def main(arguments: Optional[List[str]] = None) -> int:
    """Tells what is asked for; 0 whatever it is, 2 where nothing can run the bundle at all."""
    parser = argparse.ArgumentParser(prog="edgekit_runtime.emulated")
    parser.add_argument("bundle")
    parser.add_argument("--runtime")
    parser.add_argument("--pictures", help="uint8 (N, H, W, 3), at the bundle's size")
    parser.add_argument("--outputs", help="where float32 (N, classes) goes")
    told = parser.parse_args(arguments)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not get between the lines

    def tell(value: Table) -> None:
        out.write(json.dumps(value) + "\n")
        out.flush()

    tell({"machine": {"architecture": platform.machine(), "features": features()}})
    tell({"checks": as_json(told.bundle, verify(told.bundle, runtime=told.runtime))["checks"]})
    try:
        manifest = read_manifest(told.bundle)[1]
        runtime = told.runtime or choose(manifest.runtime, manifest.files)
    except BundleError as error:
        sys.stderr.write("%s\n" % error)
        return 2
    module = sys.modules.get(MODULES.get(runtime, ""))
    tell({"runtime": {"name": runtime, "version": getattr(module, "__version__", None)}})
    if told.pictures:
        try:
            np.save(told.outputs, _answers(told.bundle, runtime, np.load(told.pictures, mmap_mode="r"), tell))
        except BundleError as error:
            tell({"failed": str(error)})
    return 0


def features(root: str = "/") -> List[str]:
    """What the processor says that it can do, by Linux; empty where it says nothing."""
    try:
        with open(os.path.join(root, "proc/cpuinfo"), encoding="utf-8", errors="replace") as file:
            found = [line.split(":", 1)[1].split() for line in file if line.startswith("Features") and ":" in line]
    except OSError:
        found = []
    return found[0] if found else []


def _answers(folder: str, runtime: str, pictures: np.ndarray, tell: Tell) -> np.ndarray:
    """float32 (N, classes): one picture after the other, whatever the golden outputs were."""
    made = []
    with Bundle.open(folder, verify=False, runtime=runtime) as bundle:
        for place in range(len(pictures)):
            made.append(bundle.logits(pictures[place : place + 1]))
            tell({"done": place + 1})
    return np.concatenate(made)


if __name__ == "__main__":
    sys.exit(main())
