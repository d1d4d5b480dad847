"""Options of the verbs that can work on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgekit.cli.stacking import AnyFunction
from edgekit.cli.stacking import stack as _stack

if TYPE_CHECKING:
    from edgekit.cluster.connection import ClusterSettings


def cluster_options(function: AnyFunction) -> AnyFunction:
    """Add --cluster, --workers and --wheel.

    The verb's function gets cluster (text, None where it was not given), workers (int) and wheel (text).
    """
    return _stack(
        function,
        click.option(
            "--cluster",
            is_flag=False,
            flag_value="local",
            metavar="[local|auto|ray://HOST:PORT]",
            help="Work on a Ray cluster: one started here for this run (local, where nothing is said), the running one"
            " that this machine is part of, or that of an address. See docs/cluster.md.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="With --cluster: workers in all. Default: one a node, with all of its processors.",
        ),
        click.option(
            "--wheel",
            metavar="FILE",
            help="With --cluster: a wheel of this edgekit, which nodes that have none, or another one, are given.",
        ),
    )


def cluster_settings(cluster: str | None, workers: int | None, wheel: str | None) -> ClusterSettings | None:
    """What the options say; None without --cluster.

    Raises:
        click.UsageError: --workers or --wheel without --cluster.
        InputError: --cluster names no cluster.
    """
    if cluster is None:
        if workers is not None or wheel is not None:
            raise click.UsageError("--workers and --wheel need --cluster")
        return None
    from pathlib import Path

    from edgekit.cluster.connection import ClusterSettings, check_settings

    settings = ClusterSettings(cluster, workers, None if wheel is None else Path(wheel))
    check_settings(settings)
    return settings
