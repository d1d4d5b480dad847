"""`edgekit cache`: the store of finished stages, and what is kept beside them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.store import Listed


@click.group(
    epilog="\b\nExamples:\n  edgekit cache ls\n  edgekit cache verify\n  edgekit cache prune --max-gb 5\n"
    "  edgekit cache serve --port 8321      # and elsewhere: edgekit build --store http://127.0.0.1:8321 ..."
)
def command() -> None:
    """List, verify, prune or serve the store of finished stages ($EDGEKIT_CACHE, or ~/.cache/edgekit)."""


@command.command("ls")
@json_option
def ls(as_json: bool) -> None:
    """List the entries, then what is kept beside them, the most recently used first."""
    from edgekit.store import Store

    store = Store()
    entries, others = store.ls(), store.others()
    total = sum(row.size_bytes for row in [*entries, *others])
    if as_json:
        emit_json(
            {
                "root": str(store.root),
                "size_bytes": total,
                "entries": [asdict(row) for row in entries],
                "others": [asdict(row) for row in others],
            }
        )
        return
    now = time.time()
    shown = [
        [
            row.kind,
            row.stage,
            row.key[:16],
            f"{row.size_bytes / 1e6:.1f}",
            f"{row.seconds:.1f}" if row.kind == "entry" else "",
            _ago(now - row.used),
            "in use" if row.in_use else row.problem,
        ]
        for row in [*entries, *others]
    ]
    print_table(["kind", "stage", "key", "MB", "took, s", "used", "problem"], shown, ("took, s",))
    say(f"{len(entries)} entries{_beside(others)}, {total / 1e6:.1f} MB in {store.root}")


def _beside(rows: Sequence[Listed]) -> str:
    """How many rows there are of each kind, entries left out: ", 1 unfinished, 2 index"."""
    counted = Counter(row.kind for row in rows if row.kind != "entry")
    return "".join(f", {count} {kind}" for kind, count in sorted(counted.items()))


def _ago(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now"


@command.command("verify")
@json_option
def verify(as_json: bool) -> int:
    """Read every file and compare it with its checksum; exit code 2 if one has changed.

    What killed builds left is no damage: `edgekit cache prune` removes it.
    """
    from edgekit.store import Store

    store = Store()
    entries, others = store.verify(), store.others(thorough=True)
    bad = [row for row in [*entries, *others] if row.problem is not None and row.kind not in ("work", "lock")]
    if as_json:
        emit_json({"entries": len(entries), "damaged": [asdict(row) for row in bad], "ok": not bad})
    else:
        for row in bad:
            say(f"{row.stage or row.kind} {row.key[:16]}: {row.problem}")
        whole = sum(row.problem is None for row in entries)
        say(f"{whole} of {len(entries)} entries are whole{_beside(others)} beside them")
    return 2 if bad else 0


@command.command("prune")
@click.option("--max-gb", type=click.FloatRange(min=0), metavar="GB", help="Keep the most recently used, up to GB.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what was not used for DAYS.")
@click.option("--all", "everything", is_flag=True, help="Remove everything that no running build holds.")
@json_option
def prune(max_gb: float | None, older_than: float | None, everything: bool, as_json: bool) -> None:
    """Remove damaged entries, what killed builds left, and what the options say."""
    from edgekit.store import Store

    busy: dict[str, Listed] = {}  # one row a key: a stage in the making has a folder and a lock

    def note_busy(row: Listed) -> None:
        if row.key not in busy or row.kind != "lock":
            busy[row.key] = row

    removed = Store().prune(None if max_gb is None else int(max_gb * 1e9), older_than, everything, note_busy)
    freed = sum(row.size_bytes for row in removed)
    gone = sum(row.kind == "entry" for row in removed)
    if as_json:
        rows = [asdict(row) for row in busy.values()]
        emit_json({"removed": len(removed), "freed_bytes": freed, "in_use": rows})
        return
    for row in busy.values():
        say(f"{row.kind} {row.stage} {row.key[:16]} stays: a running process holds it")
    say(f"removed {gone} entries{_beside(removed)}, {freed / 1e6:.1f} MB")


@command.command(
    "serve",
    epilog="\b\nExamples:\n  edgekit cache serve --port 8321\n"
    "  edgekit cache serve --host 0.0.0.0 --port 8321 --token-file token --write",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at: loopback without a token.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, show_default="a free one", metavar="N", help="Port of it."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Every request must bring the token in it. Needed beyond loopback, and to write.",
)
@click.option("--write", is_flag=True, help="Take what builds elsewhere have made.")
@json_option
def serve(host: str, port: int, token_file: Path | None, write: bool, as_json: bool) -> None:
    """Serve the finished stages of this store over HTTP until interrupted, for `--store http://HOST:PORT` elsewhere.

    Read-only and on loopback unless told otherwise. HTTP hides nothing, the token neither: beyond a network of your own
    put a proxy with TLS in front. Who may write decides what the builds of all others are made of.
    """
    import starlette  # noqa: F401  (what is missing is said before anything listens)
    import uvicorn  # noqa: F401

    from edgekit.errors import InputError
    from edgekit.store import Store
    from edgekit.store.server import Serving, listening, read_token
    from edgekit.store.server import serve as answer

    if write and token_file is None:
        raise InputError("there is no token, and whoever may write decides what others build", "Give --token-file.")
    token = None if token_file is None else read_token(token_file)
    store = Store()
    with listening(host, port, token is not None) as at:
        address = f"http://{f'[{host}]' if ':' in host else host}:{at.getsockname()[1]}"
        if as_json:
            emit_json({"address": address, "root": str(store.root), "writes": write})
        else:
            say(f"serving {store.root} at {address}, {'read and written' if write else 'read-only'}")
        answer(Serving(store, token, write), at)
