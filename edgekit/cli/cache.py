"""`edgekit cache`: the store of finished stages."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table


@click.group(epilog="\b\nExamples:\n  edgekit cache ls\n  edgekit cache verify\n  edgekit cache prune --max-gb 5")
def command() -> None:
    """List, verify or prune the store of finished stages ($EDGEKIT_CACHE, or ~/.cache/edgekit)."""


@command.command("ls")
@json_option
def ls(as_json: bool) -> None:
    """List the entries, the most recently used first."""
    from edgekit.store import Store

    store = Store()
    rows = store.ls()
    total = sum(row.size_bytes for row in rows)
    if as_json:
        emit_json({"root": str(store.root), "size_bytes": total, "entries": [asdict(row) for row in rows]})
        return
    now = time.time()
    shown = [
        [
            row.stage,
            row.key[:16],
            f"{row.size_bytes / 1e6:.1f}",
            f"{row.seconds:.1f}",
            _ago(now - row.used),
            row.problem,
        ]
        for row in rows
    ]
    print_table(["stage", "key", "MB", "took, s", "used", "problem"], shown)
    click.echo(f"{len(rows)} entries, {total / 1e6:.1f} MB in {store.root}")


def _ago(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now"


@command.command("verify")
@json_option
def verify(as_json: bool) -> int:
    """Read every file and compare it with its checksum; exit code 2 if one has changed."""
    from edgekit.store import Store

    rows = Store().verify()
    bad = [row for row in rows if row.problem is not None]
    if as_json:
        emit_json({"entries": len(rows), "damaged": [asdict(row) for row in bad], "ok": not bad})
    else:
        for row in bad:
            click.echo(f"{row.stage} {row.key[:16]}: {row.problem}")
        click.echo(f"{len(rows) - len(bad)} of {len(rows)} entries are whole")
    return 2 if bad else 0


@command.command("prune")
@click.option("--max-gb", type=click.FloatRange(min=0), metavar="GB", help="Keep the most recently used, up to GB.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what was not used for DAYS.")
@click.option("--all", "everything", is_flag=True, help="Remove every entry.")
@json_option
def prune(max_gb: float | None, older_than: float | None, everything: bool, as_json: bool) -> None:
    """Remove damaged entries, what killed builds left, and what the options say."""
    from edgekit.store import Store

    removed = Store().prune(None if max_gb is None else int(max_gb * 1e9), older_than, everything)
    freed = sum(row.size_bytes for row in removed)
    if as_json:
        emit_json({"removed": len(removed), "freed_bytes": freed})
    else:
        click.echo(f"removed {len(removed)} entries, {freed / 1e6:.1f} MB")
