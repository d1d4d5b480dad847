"""`edgekit device`: devices over SSH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edgekit.cli.completion import known_device, known_devices
from edgekit.cli.options import json_option, timing_options
from edgekit.cli.output import emit_json, note, print_table, progress, say, warn

if TYPE_CHECKING:
    from edgekit.cli.output import Progress
    from edgekit.devices import Connection
    from edgekit.devices.forms import Taken
    from edgekit.devices.remote import Network
    from edgekit.devices.timed import BenchAnswer

RUNTIMES = ("openvino", "onnxruntime", "tensorrt", "tensorrt-rtx")
Row = TypeVar("Row")


@click.group(
    epilog="\b\nExamples:\n  edgekit device add orin ssh://me@orin.local\n  edgekit device probe orin\n"
    "  edgekit device deploy orin build/inception_v4-jetson\n  edgekit device bench orin build/inception_v4-jetson",
)
def command() -> None:
    """Name, probe, deploy to and measure on devices over SSH.

    The system's OpenSSH is used, with your configuration, agent, jump hosts and known hosts. Host keys are always
    checked and no password is ever asked for. A device needs its Python with numpy and an inference runtime.
    """


@command.command(
    epilog="\b\nExamples:\n  edgekit device add orin ssh://me@orin.local\n  edgekit device add pi ssh://pi:2222"
)
@click.argument("name")
@click.argument("url")
@click.option("--python", default="python3", show_default=True, help="The interpreter on the device.")
def add(name: str, url: str, python: str) -> None:
    """Name the device at URL, ssh://[user@]host[:port]. It is not contacted; `probe` does that."""
    from edgekit.devices.registry import Registry, parse

    Registry().add(parse(url, name, python))
    say(f"{name} is added; `edgekit device probe {name}` looks at it.")


@command.command(epilog="\b\nExample:\n  edgekit device remove orin")
@click.argument("name", shell_complete=known_device)
def remove(name: str) -> None:
    """Forget the device called NAME; what was sent there stays."""
    from edgekit.devices.registry import Registry

    Registry().remove(name)


@command.command("list", epilog="\b\nExamples:\n  edgekit device list\n  edgekit device list --json")
@json_option
def list_(as_json: bool) -> None:
    """List the devices that were added."""
    from edgekit.devices.registry import Registry

    devices = Registry().all().values()
    if as_json:
        emit_json({"devices": [{"name": each.name, "url": each.url, "python": each.python} for each in devices]})
    elif devices:
        print_table(("device", "address", "python"), [(each.name, each.url, each.python) for each in devices])
    else:
        note("there are no devices; `edgekit device add NAME ssh://user@host` adds one")


def _for_each(names: str, work: Callable[[Connection], Row]) -> list[Row]:
    """Does something on every device of a comma list at the same time; after a failure none connects again."""
    from concurrent.futures import ThreadPoolExecutor

    from edgekit.devices import Connection, Registry

    connections = [Connection(Registry().find(name.strip())) for name in names.split(",")]
    with ThreadPoolExecutor(len(connections)) as pool:
        running = [pool.submit(work, connection) for connection in connections]
        try:
            return [each.result() for each in running]
        except BaseException:  # Ctrl-C too: it reaches ssh by itself, and nothing connects again
            for connection in connections:
                connection.cancel()
            raise


@command.command(epilog="\b\nExamples:\n  edgekit device probe orin\n  edgekit device probe orin,nano --json")
@click.argument("names", shell_complete=known_devices)
@json_option
def probe(names: str, as_json: bool) -> None:
    """Say what devices are: model, JetPack, TensorRT, power mode, clocks, free disk, temperatures.

    NAMES are one or more, separated by commas; ssh:// addresses do as well.
    """
    from edgekit.cli.device_rows import ProbedDevice, tell
    from edgekit.devices import remote

    tell(_for_each(names, lambda each: ProbedDevice(each.device.name, remote.probe(each))), as_json)


@command.command(
    epilog="\b\nExamples:\n  edgekit device deploy orin build/inception_v4-jetson\n"
    "  edgekit device deploy orin build/inception_v4-jetson --to /opt/models/signs"
)
@click.argument("names", shell_complete=known_devices)
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--runtime", type=click.Choice(RUNTIMES), help="Another runtime than the bundle's own.")
@click.option("--no-check", is_flag=True, help="Only send it: do not build its engine and compare golden outputs.")
@click.option("--to", metavar="PATH", help="A link on the device that leads to it once it is checked there.")
@json_option
def deploy(names: str, bundle: Path, runtime: str | None, no_check: bool, to: str | None, as_json: bool) -> None:
    """Send BUNDLE to devices, and check it there: hashes, then golden outputs. An engine is built if one is needed.

    Applications open the path of --to: it leads to the bundle before until this one has passed, and `edgekit device
    rollback` puts that one back.
    """
    if no_check and to is not None:
        raise click.UsageError("--to leads to what was checked; leave --no-check out")
    from edgekit.cli.device_rows import Deployed, tell
    from edgekit.devices import remote

    with progress() as bars:

        def work(connection: Connection) -> Deployed:
            folder, sent = _placed(connection, bundle, bars)
            cosine = None if no_check else remote.check_golden(connection, folder, runtime)
            form = None if no_check else _form(connection, bundle, folder, runtime)
            before = None if to is None else remote.deploy(connection, folder, to)
            return Deployed(connection.device.name, folder, sent, cosine, to, before, form)

        rows = _for_each(names, work)
    tell(rows, as_json)


@command.command(epilog="\b\nExample:\n  edgekit device rollback orin /opt/models/signs")
@click.argument("names", shell_complete=known_devices)
@click.argument("to", metavar="PATH")
@json_option
def rollback(names: str, to: str, as_json: bool) -> None:
    """Let PATH on devices lead to the bundle before the last that `deploy --to PATH` put there; again undoes it."""
    from edgekit.cli.device_rows import RolledBack, tell
    from edgekit.devices import remote

    tell(_for_each(names, lambda each: RolledBack(each.device.name, to, remote.rollback(each, to))), as_json)


@command.command(epilog="\b\nExample:\n  edgekit device share orin-1 orin-2,orin-3 build/inception_v4-jetson")
@click.argument("source", shell_complete=known_device)
@click.argument("names", shell_complete=known_devices)
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
def share(source: str, names: str, bundle: Path) -> None:
    """Copy the engine that SOURCE built of BUNDLE to devices like it, which need not build it then.

    A device of another GPU, TensorRT, CUDA or JetPack refuses it, and says what both are.
    """
    from edgekit.devices import Connection, Registry, sharing

    with progress() as bars:
        giver = Connection(Registry().find(source))
        engine = sharing.give(giver, _network(giver, bundle, "tensorrt", bars))

        def work(connection: Connection) -> None:
            sharing.take(connection, _network(connection, bundle, "tensorrt", bars), engine)

        _for_each(names, work)
    say(f"{names}: {len(engine.content) / 1e6:.1f} MB from {source}")


def _form(connection: Connection, bundle: Path, folder: str, runtime: str | None) -> Taken | None:
    """INT8 or FP16 of a bundle that has both, by what is faster there; None where there is no choice."""
    from edgekit.bundle.directory import read_manifest
    from edgekit.devices.forms import CHOOSING, decide_form
    from edgekit.devices.remote import Network
    from edgekit.runtime.forms import FP16
    from edgekit.validate.latency import summed_up

    told = read_manifest(bundle)
    settings = told.engine_settings or {}
    own = told.target.runtime
    if FP16 not in told.files or own not in CHOOSING or runtime not in (None, own) or "dla_core" in settings:
        return None

    def faster(answer: BenchAnswer) -> tuple[float, float, float]:
        found = summed_up(answer).ratio("fp16", "int8")
        assert found is not None
        return found.times_faster, found.low, found.high

    network = Network(bundle.name, folder, own, told.precision, settings)
    return decide_form(connection, network, bundle, told.input.shape, faster)


def _placed(connection: Connection, bundle: Path, bars: Progress) -> tuple[str, int]:
    """The bundle's folder on a device, and how many bytes had to be sent."""
    from edgekit.bundle.directory import names_of, require_whole
    from edgekit.devices import remote

    require_whole(bundle)
    label = f"deploy to {connection.device.name}"
    files = {name: bundle / name for name in names_of(bundle)}
    placed = remote.place(connection, files, lambda done, total: bars.update(label, done, total))
    bars.finish(label)
    return placed


def _network(connection: Connection, bundle: Path, runtime: str | None, bars: Progress) -> Network:
    from edgekit.bundle.directory import read_manifest
    from edgekit.devices.remote import Network

    told = read_manifest(bundle)
    folder, _ = _placed(connection, bundle, bars)
    settings = {**(told.engine_settings or {}), **({"plugin": told.target.plugin} if told.target.plugin else {})}
    return Network(bundle.name, folder, runtime or told.target.runtime, told.precision, settings, told.input.shape)


@command.command(
    epilog="\b\nExamples:\n  edgekit device bench orin build/a build/b\n  edgekit device bench orin,nano build/a"
)
@click.argument("names", shell_complete=known_devices)
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--runtime", type=click.Choice(RUNTIMES), help="Another runtime than the bundles' own.")
@timing_options("Timed runs of each.", "For all together.")
@json_option
def bench(
    names: str, bundles: tuple[Path, ...], runtime: str | None, runs: int, max_seconds: float, as_json: bool
) -> None:
    """Time BUNDLES on devices at batch 1, interleaved, once each is steady, with power, temperatures and clocks."""
    from edgekit.bundle.directory import read_manifest
    from edgekit.cli.device_rows import Benched, tell
    from edgekit.devices import remote
    from edgekit.errors import InputError
    from edgekit.validate.latency import summed_up

    if len({bundle.name for bundle in bundles}) < len(bundles):
        raise InputError("two of the bundles have the same name", "Bench each alone.")
    shape = read_manifest(bundles[0]).input.shape
    with progress() as bars:

        def work(connection: Connection) -> Benched:
            label = f"bench on {connection.device.name}"
            networks = [_network(connection, bundle, runtime, bars) for bundle in bundles]
            answer = remote.bench(
                connection, networks, shape, runs, max_seconds, lambda done, total: bars.update(label, done, total)
            )
            bars.finish(label)
            return Benched(connection.device.name, summed_up(answer), answer.conditions)

        rows = _for_each(names, work)
    tell(rows, as_json)


@command.command(
    epilog="\b\nExamples:\n  edgekit device evaluate orin build/inception_v4-jetson --data signs --images 500\n"
    "  edgekit device evaluate orin build/net --data photos/ --json"
)
@click.argument("names", shell_complete=known_devices)
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", metavar="DATA", help="`signs`, a folder with one sub-folder a class, or a CSV/JSONL file.")
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Use N images, evenly spread.")
@click.option("--skip-bad-images", is_flag=True, help="Leave out unreadable images instead of stopping.")
@click.option("--runtime", type=click.Choice(RUNTIMES), help="Another runtime than the bundle's own.")
@json_option
def evaluate(
    names: str,
    bundle: Path,
    data: str | None,
    images: int | None,
    skip_bad_images: bool,
    runtime: str | None,
    as_json: bool,
) -> None:
    """Measure top-1 and top-5 of BUNDLE on devices: images are prepared here, their pixels sent, logits come back."""
    from edgekit.build.runnable import of_bundle
    from edgekit.cli.device_rows import Evaluated, tell
    from edgekit.data.folder import open_images
    from edgekit.data.labels import LabelRules
    from edgekit.data.left_out import said_of
    from edgekit.devices.remote import RemoteSession
    from edgekit.errors import InputError
    from edgekit.validate.accuracy import accuracy
    from edgekit.validate.evaluation import predict

    subject = of_bundle(bundle)
    found = data or subject.default_data
    if found is None:
        raise InputError("there are no images to evaluate on", "Give labelled ones with --data.")
    rules = LabelRules(classes=subject.classes or None)
    over = open_images(found, skip_bad=skip_bad_images, limit=images, labels=rules)
    if over.labels is None:
        raise InputError(f"the images in {found} have no labels", "Give one sub-folder a class, or a table.")
    for line in said_of(over, found):
        warn(line)
    labels, count = over.labels, len(over)
    with progress() as bars:

        def work(connection: Connection) -> Evaluated:
            label = f"evaluate on {connection.device.name}"
            session = RemoteSession(connection, _network(connection, bundle, runtime, bars))
            try:
                told = predict(
                    {"it": session}, over, subject.preprocessing, range(count), lambda n: bars.update(label, n, count)
                )
            finally:
                session.close()
            bars.finish(label)
            return Evaluated(connection.device.name, over.name, accuracy(told["it"], labels))

        rows = _for_each(names, work)
    about = {"name": over.name, "images": count, "digest": over.digest, "skipped": len(over.skipped)}
    tell(rows, as_json, data=about)
