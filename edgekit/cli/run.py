"""`edgekit run`: classifies images with a bundle."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, note, print_document, progress, say, warn
from edgekit.file_names import readable_json

if TYPE_CHECKING:
    from edgekit.cli.output import Progress
    from edgekit.runtime import Session

AHEAD = 16
"""Images that are worked on while the first of them is waited for."""

BAR_AFTER_S = 2.0
USUAL_TOP = 5
MOST_LABELS = 1_000_000
"""More than any network has: all of a set whose labels have no names."""

Item = tuple[str, Any]


@dataclass(frozen=True)
class Answer:
    """Of an image, by name: its classes with their probabilities, best first, its vector, or why there are none."""

    image: str
    ranked: tuple[tuple[str | int, float], ...] = ()
    vector: tuple[float, ...] = ()
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What --json and --jsonl print."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        if self.vector:
            return {"image": self.image, "vector": list(self.vector)}
        return {
            "image": self.image,
            "classes": [{"label": label, "probability": share} for label, share in self.ranked],
        }

    def as_text(self) -> str:
        """What is printed for people: of a vector its length and its first numbers."""
        if self.vector:
            return f"{len(self.vector)} numbers: {' '.join(f'{each:.4f}' for each in self.vector[:4])} ..."
        return ", ".join(f"{label} {share:.1%}" for label, share in self.ranked) or "none of the labels"


@click.command(
    epilog="\b\nExamples:\n  edgekit run build/inception_v4-cpu photo.jpg\n"
    "  edgekit run build/inception_v4-cpu photos/ --top 1 --jsonl > answers.jsonl\n"
    "  find . -name '*.png' | edgekit run build/inception_v4-cpu - --jsonl",
)
@click.argument("bundle", type=click.Path())
@click.argument("images", nargs=-1, metavar="IMAGE...")
@click.option("--camera", type=click.IntRange(min=0), metavar="N", help="Frames of a camera, by OpenCV, until Ctrl-C.")
@click.option(
    "--top", type=click.IntRange(min=1), help="Classes to tell of. Default: 5; of sets of labels all that are given."
)
@click.option("--runtime", metavar="NAME", help="Default: the bundle's own, or another that is here and can run it.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Processor threads. Default: all.")
@click.option("--allowed-signers", type=click.Path(), metavar="FILE", help="One of these must have signed the bundle.")
@click.option("--jsonl", is_flag=True, help="Print one JSON object a line, as answers come.")
@json_option
def command(
    bundle: str,
    images: tuple[str, ...],
    camera: int | None,
    top: int | None,
    runtime: str | None,
    threads: int | None,
    allowed_signers: str | None,
    jsonl: bool,
    as_json: bool,
) -> int:
    """Classify images with BUNDLE: files, folders, or - for paths on standard input, one a line.

    A bundle for sets of labels gives those at or above its threshold, one for vectors the vector (--json has it whole).

    An image that cannot be read is told of and counted, and the others go on: exit code 2 at the end. --camera has not
    yet been run on hardware.
    """
    if bool(images) == (camera is not None):
        raise click.UsageError("Give images, or --camera")
    if jsonl and as_json:
        raise click.UsageError("Give --json or --jsonl, not both")
    if as_json and (camera is not None or "-" in images):
        raise click.UsageError("A stream has no end that --json could wait for; use --jsonl")
    from edgekit.runtime import Bundle, BundleError, ImageError, MissingError
    from edgekit.runtime.quiet import device_warnings_in_a_line, no_image_warnings, nobody_reads

    no_image_warnings()
    device_warnings_in_a_line()
    items = _frames(camera) if camera is not None else _paths(images)
    try:
        stream = camera is not None or "-" in images
        mode = "latency" if stream else "throughput"
        with Bundle.open(
            bundle, runtime=runtime, threads=threads, mode=mode, allowed_signers=allowed_signers
        ) as opened, opened.session() as session:  # fmt: skip
            _say_which(opened.manifest["target"]["runtime"], session.runtime)
            asking = _asking(opened.manifest.get("output") or {}, session, top)
            answers = _answers(asking, items, 1 if stream else AHEAD, ImageError)
            total = None if stream else len(items)  # type: ignore[arg-type]  # a list then
            return _print(answers, total, jsonl, as_json, session, opened.warnings)
    except BrokenPipeError:
        nobody_reads()
        return 0
    except MissingError as error:
        from edgekit.errors import UnavailableError

        raise UnavailableError(str(error)) from error
    except BundleError as error:
        from edgekit.errors import InputError

        raise InputError(str(error), "`edgekit verify` says more.") from error


def _say_which(own: str, used: str) -> None:
    if own != used:
        note(f"built for {own}, run with {used}")


def _paths(given: tuple[str, ...]) -> Any:
    """(name, path) of every image: a list, or an iterator when some come from standard input.

    Raises:
        InputError: a folder without images.
    """
    if "-" in given:
        lines = (os.fsdecode(line.rstrip(b"\n")) for line in sys.stdin.buffer)  # paths are bytes, and need not be text
        return ((path, path) for each in given for path in (lines if each == "-" else _in(each)) if path)
    return [(path, path) for each in given for path in _in(each)]


def _in(given: str) -> list[str]:
    from edgekit.data.formats import suffixes
    from edgekit.errors import InputError

    folder = Path(given)
    if not folder.is_dir():
        return [given]
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in suffixes() and path.is_file())
    if not found:
        raise InputError(f"there are no images in {given}", "Give JPEG or PNG files, or a folder of them.")
    return found


def _frames(camera: int) -> Iterator[Item]:
    """(number, frame) of a camera, RGB. Not yet run on hardware."""
    from edgekit.errors import UnavailableError

    try:
        import cv2
    except ImportError as error:
        raise UnavailableError("--camera needs OpenCV", "pip install opencv-python-headless") from error

    source, number = cv2.VideoCapture(camera), 0
    try:
        while source.isOpened():
            fine, frame = source.read()
            if not fine:
                break
            yield f"frame {number}", frame[:, :, ::-1].copy()
            number += 1
    finally:
        source.release()
    if not number:
        raise UnavailableError(f"camera {camera} gives no frames", "See which there are under /dev/video*.")


Asking = tuple[Callable[[Any], "Future[Any]"], Callable[[str, Any], Answer]]
"""Takes an image and gives a Future; and makes the answer, of the image's name, of what comes of that."""


def _asking(output: dict[str, Any], session: Session, top: int | None) -> Asking:
    """How an image is asked about, by what the bundle's outputs are."""
    if output.get("task") == "embed":
        return session.submit_logits, lambda name, row: Answer(name, vector=tuple(map(float, row)))
    if output.get("task") == "multilabel":
        least, most = output.get("threshold") or 0.0, top or len(session.labels) or MOST_LABELS

        def given(name: str, ranked: Any) -> Answer:
            return Answer(name, tuple(each for each in ranked if each[1] >= least))

        return lambda image: session.submit(image, most), given
    return lambda image: session.submit(image, top or USUAL_TOP), lambda name, ranked: Answer(name, tuple(ranked))


def _answers(asking: Asking, items: Any, ahead: int, image_error: type[Exception]) -> Iterator[Answer]:
    """An answer an image, in order."""
    submit, answered = asking
    waiting: deque[tuple[str, Future[Any]]] = deque()

    def first() -> Answer:
        name, future = waiting.popleft()
        try:
            return answered(name, future.result())
        except image_error as error:
            return Answer(name, error=str(error))

    for name, image in items:
        waiting.append((name, submit(image)))
        if len(waiting) >= ahead:
            yield first()
    while waiting:
        yield first()


def _print(
    answers: Iterator[Answer], total: int | None, jsonl: bool, as_json: bool, session: Session, warnings: list[str]
) -> int:
    """Prints answers as they come; 2 when an image was bad, else 0."""
    kept: list[Answer] = []
    good = bad = 0
    with _bar(total) as moved:
        for answer in answers:
            if answer.error is not None:
                bad += 1
                warn(answer.error)
            else:
                good += 1
            _print_one(answer, jsonl, kept if as_json else None)
            moved(good + bad)
    if as_json:
        told = {"classified": good, "failed": bad, "runtime": session.runtime, "warnings": warnings}
        emit_json({"images": [each.as_json() for each in kept], **told})
    if bad:
        warn(f"{bad} of {good + bad} images could not be classified")
    return 2 if bad else 0


def _print_one(answer: Answer, jsonl: bool, kept: list[Answer] | None) -> None:
    import json

    if kept is not None:
        kept.append(answer)
    elif jsonl:
        print_document(readable_json(json.dumps(answer.as_json(), ensure_ascii=False, allow_nan=False)) + "\n")
    elif answer.error is None:
        say(f"{answer.image}: {answer.as_text()}")


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """Progress on stderr for what takes longer than BAR_AFTER_S; nothing where the end is not known."""
    began = time.monotonic()
    with ExitStack() as stack:
        bars: list[Progress] = []

        def moved(done: int) -> None:
            if total is None or time.monotonic() - began < BAR_AFTER_S:
                return
            if not bars:
                bars.append(stack.enter_context(progress()))
            bars[0].update("classify", done, total)

        yield moved
        for bar in bars:
            bar.finish("classify")
