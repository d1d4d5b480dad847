"""`edgekit targets`: the target table."""

from __future__ import annotations

import click

from edgekit.cli.completion import known_targets
from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table, say


@click.command(
    epilog="\b\nExamples:\n  edgekit targets\n  edgekit targets raspberry-pi-5\n"
    "  edgekit targets jetson-orin-nx\n  edgekit targets --json",
)
@click.argument("name", required=False, shell_complete=known_targets)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the targets that edgekit knows, or say all about the one called NAME."""
    from edgekit.targets.table import ALIASES, TARGETS, find

    if name is not None:
        record = find(name).as_dict()
        if as_json:
            emit_json(record)
        else:
            told = [(key, _shown(value)) for key, value in record.items() if value not in ("", None, [], {})]
            print_table(("what", "value"), told)
        return
    if as_json:
        emit_json({"targets": [target.as_dict() for target in TARGETS.values()], "aliases": dict(ALIASES)})
        return
    rows = [
        (
            target.name,
            target.runtime,
            " ".join(target.precisions),
            ", ".join(target.compute_capabilities),
            " ".join(release.jetpack for release in target.releases if release.jetpack and release.shipped),
            target.description,
        )
        for target in TARGETS.values()
    ]
    print_table(
        ("target", "runtime", "fast precisions", "capability", "JetPack", "what it is"), rows, ("capability", "JetPack")
    )
    for alias, known in ALIASES.items():
        say(f"{alias} means {known}.")


def _shown(value: object) -> str:
    """A value of a record for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(_shown, value))
    if isinstance(value, dict) and "shipped" in value:
        beside = "" if value["shipped"] else ", beside its own"
        jetpack = f"JetPack {value['jetpack']}{beside}: " if value["jetpack"] else ""
        return f"{jetpack}TensorRT {value['tensorrt']}, CUDA {value['cuda']}, Python {value['python']}"
    if isinstance(value, dict):
        return "; ".join(
            f"{key}: {each}" if isinstance(each, str) else f"{key}: one of {', '.join(each)}"
            for key, each in value.items()
        )
    return str(value)
