"""`edgekit verify --emulate`: what was looked at here, and what an emulated processor gave, as one list of checks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import emit_json, progress, say, warn
from edgekit.cli.stacking import AnyFunction, stack

if TYPE_CHECKING:
    from edgekit.runtime.verify import Check
    from edgekit.validate.emulated import Answers, Emulated


@dataclass(frozen=True)
class Asked:
    """What the options say. images: pictures of `data` to compare with exact arithmetic, None: none."""

    processor: str
    root: str | None
    images: int | None
    data: str | None


EMULATED = ("arm64", "raspberry-pi-4", "raspberry-pi-5", "arm64-i8mm")
"""Of edgekit.devices.emulator.PROCESSORS, which is not imported for a help text; a test holds them together."""


def emulation_options(function: AnyFunction) -> AnyFunction:
    """Add --emulate, --root and --data (text) and --images (int)."""
    return stack(
        function,
        click.option(
            "--emulate",
            type=click.Choice(EMULATED),
            help="Run them on a 64-bit ARM processor that qemu emulates, as a board would. Says nothing of latency.",
        ),
        click.option(
            "--root",
            type=click.Path(),
            metavar="DIR",
            help="What docker/arm64-root.sh made. Default: $EDGEKIT_ARM64_ROOT, or edgekit/arm64 in the data folder.",
        ),
        click.option(
            "--images",
            type=click.IntRange(min=1),
            metavar="N",
            help="Emulate N pictures more, and compare the answers with exact arithmetic here.",
        ),
        click.option(
            "--data",
            metavar="DATA",
            help="Their source, as `edgekit build` takes it. Default: `signs`, of the signs networks.",
        ),
    )


def asked_of(
    no_golden: bool, emulate: str | None, root: str | None, images: int | None, data: str | None
) -> Asked | None:
    """What the options ask to emulate; None: nothing.

    Raises:
        click.UsageError: they do not go together.
    """
    if emulate is None:
        if (root, images, data) != (None, None, None):
            raise click.UsageError("--root, --images and --data need --emulate")
        return None
    if data is not None and images is None:
        raise click.UsageError("--data needs --images")
    if no_golden:
        raise click.UsageError("--emulate runs the golden outputs: leave --no-golden out")
    return Asked(emulate, root, images, data)


def verify_emulated(bundle: Path, checks: list[Check], asked: Asked, runtime: str | None, as_json: bool) -> int:
    """Emulates a bundle after what can be looked at without that was good, and prints everything.

    Args:
        checks: of manifest, files and signature; runtime: to run it with, by default as `emulate` chooses.
    Returns:
        the exit code, as `verify` has it.
    """
    from edgekit.devices.emulator import find_emulator, processor_named
    from edgekit.runtime.manifest import read_manifest
    from edgekit.runtime.verify import Check, exit_code
    from edgekit.validate.emulated import LOOKED_AT_HERE, compared, emulate, exact

    if exit_code(checks) == 2:  # nothing that was damaged or changed is run
        _print(bundle, checks, None, None, as_json)
        return 2
    checks = [each for each in checks if each.name in LOOKED_AT_HERE]
    processor = processor_named(asked.processor)
    emulator = find_emulator(None if asked.root is None else Path(asked.root))
    told = read_manifest(str(bundle))[1]
    name, pictures = (None, None) if asked.images is None else _pictures(bundle, asked.images, asked.data)
    began = time.monotonic()
    with progress() as bars:
        stage = f"emulate {processor.qemu}"

        def moved(done: int) -> None:
            seconds = round(time.monotonic() - began)
            if pictures is None:
                bars.update(stage, seconds, None, "s")
            else:
                bars.update(stage, done, len(pictures), f"pictures, {seconds} s")

        bars.update(stage, 0, None if pictures is None else len(pictures), "started; expect a minute")
        found = emulate(bundle, told, emulator, processor, runtime, pictures, moved)
        bars.finish(stage)
    answers = None
    if name is not None and pictures is not None and found.outputs is not None:
        answers = compared(name, exact(bundle, pictures), found.outputs)
    checks = [*checks, *(Check(each.name, each.ok, each.detail, warning=each.warning) for each in found.heard.checks)]
    if answers is not None:
        checks.append(Check("pictures", answers.ok, str(answers)))
    elif found.heard.failed is not None:
        checks.append(Check("pictures", False, found.heard.failed))
    _print(bundle, checks, found, answers, as_json)
    return exit_code(checks)


def _pictures(bundle: Path, images: int, data: str | None) -> tuple[str, Any]:
    """The name of the data, and uint8 (N, H, W, 3) pictures of it as the bundle takes them, evenly spread.

    Raises:
        InputError: there is no data, or it cannot be read.
    """
    import numpy as np

    from edgekit.bundle.directory import read_manifest
    from edgekit.data.folder import open_images
    from edgekit.data.labels import UNJUDGED
    from edgekit.data.left_out import said_of
    from edgekit.errors import InputError

    manifest = read_manifest(bundle)
    data = data or ("signs" if manifest.model.tag == "signs" else None)
    if data is None:
        raise InputError("there are no pictures to compare answers on", "Give some with --data.")
    found = open_images(data, limit=images, labels=UNJUDGED)
    for line in said_of(found, data):
        warn(line)
    return found.name, np.stack([found.load(place, manifest.preprocessing) for place in range(len(found))])


def _print(bundle: Path, checks: list[Check], found: Emulated | None, answers: Answers | None, as_json: bool) -> None:
    from edgekit.runtime.verify import as_json as told
    from edgekit.runtime.verify import as_text

    if as_json:
        emulation = None if found is None else found.told(answers).model_dump(mode="json")
        emit_json({**told(str(bundle), checks), "emulation": emulation})
        return
    say(*as_text(checks))
    if found is not None:
        say(f"{'emulated':<16} {'-':<5} {found}")
