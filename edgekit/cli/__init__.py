"""The edgekit command: a group of verbs, each loaded when called, and the place where errors become exit codes."""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Callable, Sequence
from copy import copy
from functools import wraps
from typing import Any, NoReturn

import click

from edgekit import __version__
from edgekit.cli.process import Ended, ended_by_signals, prepare, say_any_character, torch_keeps_nothing
from edgekit.errors import LONGEST, EdgekitError, install_hint
from edgekit.file_names import readable, shortened

VERBS: dict[str, tuple[str, str]] = {
    "build": ("edgekit.cli.build", "Compress a classifier for a target: the whole pipeline, to a checked bundle."),
    "train": ("edgekit.cli.train", "Train or fine-tune a network; checkpoints and resumes."),
    "search": ("edgekit.cli.search", "Look for networks that are accurate, fast and small; on a cluster if asked."),
    "study": ("edgekit.cli.study", "Train networks against each other and compare their error by epoch."),
    "prune": ("edgekit.cli.prune", "Remove channels for a latency on the target, and recover; no quantization."),
    "quantize": ("edgekit.cli.quantize", "Quantize an ONNX model to INT8 with a calibration set."),
    "compile": ("edgekit.cli.compile", "Compile an ONNX model for a target's runtime."),
    "evaluate": ("edgekit.cli.evaluate", "Measure the accuracy of a model, a bundle or an ONNX file."),
    "bench": ("edgekit.cli.bench", "Measure latency and throughput, variants interleaved."),
    "calibrate": ("edgekit.cli.calibrate", "Choose a calibration set and pin it by content hash."),
    "device": ("edgekit.cli.device", "Devices over SSH: add, list, probe, deploy to, measure on."),
    "models": ("edgekit.cli.models", "List the models of the registry."),
    "targets": ("edgekit.cli.targets", "List the targets and what each can do."),
    "inspect": ("edgekit.cli.inspect", "Say what is in a bundle."),
    "verify": ("edgekit.cli.verify", "Check a bundle: files, signature, golden outputs on this machine."),
    "export": ("edgekit.cli.export", "Write a bundle for Triton or DeepStream."),
    "sign": ("edgekit.cli.sign", "Sign a bundle: with an SSH key, or as OpenSSF Model Signing has it."),
    "push": ("edgekit.cli.push", "Push a bundle to a registry of containers, or to a Hugging Face hub."),
    "pull": ("edgekit.cli.pull", "Pull a bundle from a registry of containers or a hub, and check it."),
    "run": ("edgekit.cli.run", "Classify images with a bundle."),
    "doctor": ("edgekit.cli.doctor", "Say what this machine can do, what is missing and how to get it."),
    "cache": ("edgekit.cli.cache", "List, verify, prune or serve the store of finished stages."),
    "init": ("edgekit.cli.init", "Write a commented starter recipe."),
    "report": ("edgekit.cli.report", "Render the report of a build."),
    "compare": ("edgekit.cli.compare", "Compare builds side by side, and gate CI on the result."),
}
"""Verb: (module, one line of help). Each module has a click command named `command`. --help reads only this table."""

EXTRA_OF: dict[str, str] = {
    "torch": "cpu",
    "onnx": "cpu",
    "onnx_ir": "cpu",
    "onnxscript": "cpu",
    "onnxruntime": "cpu",
    "openvino": "cpu",
    "nncf": "cpu",
    "safetensors": "cpu",
    "cyclonedx": "cpu",
    "packaging": "cpu",
    "cryptography": "sign",
    "oras": "oci",
    "mlflow": "track",
    "huggingface_hub": "cpu",
    "starlette": "serve",
    "uvicorn": "serve",
    "ray": "cluster",
    "optuna": "cluster",
    "tensorrt": "gpu",
    "tensorrt_rtx": "rtx",
    "tensorrt_rtx_bindings": "rtx",
    "polygraphy": "rtx",
    "onnxruntime_ep_nv_tensorrt_rtx": "rtx",
}
"""Importable package: the extra that brings it."""


def _set_verbosity(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    meta = context.find_root().meta
    if value:
        meta["edgekit.verbosity"] = -1 if parameter.name == "quiet" else int(value)


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        root = context.find_root()
        root.meta["edgekit.debug"] = True
        if isinstance(root.obj, dict):  # main's own: it handles errors after click has dropped the context
            root.obj["debug"] = True


def _common_options() -> list[click.Option]:
    """-q, -v and --debug, taken before and after the verb."""
    return [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_set_verbosity,
            help="Say nothing but results, warnings and errors.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_set_verbosity,
            help="Say more; twice for all.",
        ),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, callback=_set_debug, help="Show tracebacks of errors."
        ),
    ]


def _framed(command: click.Command, verb: str) -> click.Command:
    """A copy of a verb's command with what all have in common; so has each command below it: `device list -q`."""
    taken = {name for parameter in command.params for name in parameter.opts}
    changed = copy(command)
    changed.params = [*command.params, *(each for each in _common_options() if not taken.intersection(each.opts))]
    if isinstance(changed, click.Group):
        changed.commands = {name: _framed(each, verb) for name, each in changed.commands.items()}
    else:
        changed.callback = _prepared(changed.callback, verb)
    return changed


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    click.echo(f"edgekit {__version__}")
    context.exit()


def _prepared(callback: Callable[..., Any] | None, verb: str) -> Callable[..., Any]:
    """A command's callback that looks for its folders first; not before --help. `doctor` tells of them itself."""

    @wraps(callback or prepare)
    def called(*given: Any, **named: Any) -> Any:
        if verb != "doctor" and (warning := prepare()) is not None:
            click.echo(f"edgekit: warning: {readable(warning)}", err=True)
        with torch_keeps_nothing():
            return None if callback is None else callback(*given, **named)

    return called


class LazyGroup(click.Group):
    """A group whose verbs are named in a table and imported only when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's module and give its command, with the common options added."""
        if cmd_name not in VERBS:
            return None
        return _framed(importlib.import_module(VERBS[cmd_name][0]).command, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs from the table: --help imports none of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; name the nearest one when it is unknown."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            ctx.fail(f"Unknown verb '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""))
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    subcommand_metavar="VERB [OPTIONS]",
    epilog="\b\nExamples:\n  edgekit build --model inception_v4 --target cpu\n  edgekit doctor\n  edgekit build --help",
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version.",
        ),
        *_common_options(),
    ],
)
def group() -> None:
    """Compress image classifiers for edge devices, and prove what it cost and what it won."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave with its exit code.

    0 done; 1 a fault of edgekit's own; 2 bad input or usage; 3 a budget was not met; 4 a target, device or package
    is not available; 130 interrupted, 143 and 129 ended by SIGTERM and SIGHUP. A verb that returns an int gives the
    exit code. Every failure is one line on stderr, after its traceback if --debug was given.
    """
    flags = {"debug": False}
    given = None if arguments is None else list(arguments)
    say_any_character()
    try:
        with ended_by_signals():
            result = group.main(args=given, prog_name="edgekit", standalone_mode=False, obj=flags)
        code = result if isinstance(result, int) else 0  # a verb returns its code or None
    except BaseException as error:
        code, line = failure(error, flags["debug"])
        if flags["debug"] and not isinstance(error, SystemExit):
            import traceback

            traceback.print_exc()
        if line:
            click.echo("\n".join(map(readable, line.split("\n"))), err=True)  # help has several lines
    sys.exit(code)


def failure(error: BaseException, debug: bool = False) -> tuple[int, str]:
    """The exit code of an error, and the line to say about it (empty: nothing to say)."""
    if isinstance(error, Ended):
        return 128 + error.number, f"edgekit: ended by {error.name}"
    if isinstance(error, SystemExit):
        return (error.code if isinstance(error.code, int) else int(error.code is not None)), ""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return 130, "edgekit: interrupted"
    if isinstance(error, EdgekitError):
        return error.exit_code, error.line()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return 2, error.ctx.get_help()
    if isinstance(error, click.ClickException):
        return 2, _usage_line(error)
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] in EXTRA_OF:
        return 4, _missing_line(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return 2, f"edgekit: error: The disk is full{where}. Free some space, or see `edgekit cache prune`."
    if isinstance(error, OSError) and "No usable temporary directory" in str(error):  # a text of Python's tempfile
        return 2, "edgekit: error: No folder for temporary files can be written. Set TMPDIR to one that can."
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    hint = "The traceback is above." if debug else "This is a fault of edgekit's own; --debug shows the traceback."
    return 1, f"edgekit: error: {what.rstrip('.: ')}. {hint}"


def _usage_line(error: click.ClickException) -> str:
    """A click error as one line."""
    what = shortened(" ".join(error.format_message().split()), LONGEST).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    stop = "" if what.endswith("?") else "."
    return f"edgekit: error: {what}{stop}" + (f" Try `{context.command_path} --help`." if context else "")


def _missing_line(error: ImportError) -> str:
    """A missing or broken package of an extra as one line."""
    package = (error.name or "").partition(".")[0]
    how = install_hint(EXTRA_OF[package])
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        return f"edgekit: error: The package {package} is not installed. {how}"
    why = " ".join(str(error).split())[:200].rstrip(".")
    return f"edgekit: error: The package {package} cannot be imported: {why}. {how}"
