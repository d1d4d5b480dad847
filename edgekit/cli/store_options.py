"""--store of the verbs whose stages others may have made already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.stacking import AnyFunction, stack

if TYPE_CHECKING:
    from edgekit.store import Store
    from edgekit.store.opening import StoreSettings


def store_options(function: AnyFunction) -> AnyFunction:
    """Add --store and --store-token-file; the verb's function gets store (text) and store_token_file (a path)."""
    return stack(
        function,
        click.option(
            "--store",
            metavar="WHERE",
            help="Finished stages: a folder, http://HOST:PORT of `edgekit cache serve`, or with --cluster ray: the"
            " workers share this machine's. Default: $EDGEKIT_CACHE, or ~/.cache/edgekit.",
        ),
        click.option(
            "--store-token-file",
            type=click.Path(path_type=Path),
            envvar="EDGEKIT_STORE_TOKEN_FILE",
            metavar="FILE",
            help="The token of an HTTP store. Default: $EDGEKIT_STORE_TOKEN_FILE.",
        ),
    )


def store_told(store: str | None, token_file: Path | None) -> StoreSettings:
    """The store that the options say.

    Raises:
        InputError: see edgekit.store.opening.store_settings.
    """
    from edgekit.store.opening import store_settings

    over_http = store is not None and "://" in store
    return store_settings(store, token_file if over_http or not _from_environment() else None)


def driver_store(told: str | None, token_file: Path | None, on_cluster: bool) -> Store:
    """The store of the process that a verb begins in.

    Raises:
        click.UsageError: `ray` without a cluster.
        InputError: see edgekit.store.opening.store_settings.
    """
    settings = store_told(told, token_file)
    if settings.by_ray and not on_cluster:
        raise click.UsageError("--store ray is for --cluster")
    return settings.open()


@contextmanager
def opened_store(told: str | None, token_file: Path | None, no_cache: bool) -> Iterator[Store]:
    """The store of a verb that works here alone; with --no-cache one that is gone afterwards.

    Raises:
        click.UsageError: --no-cache and --store, or a store that takes a cluster.
        InputError: see edgekit.store.opening.store_settings.
    """
    from edgekit.store import Store

    if no_cache:
        if told is not None:
            raise click.UsageError("--no-cache takes no --store")
        from edgekit.temporary import temporary_folder

        with temporary_folder() as folder:
            yield Store(folder)
        return
    yield driver_store(told, token_file, on_cluster=False)


def _from_environment() -> bool:
    context = click.get_current_context(silent=True)
    source = None if context is None else context.get_parameter_source("store_token_file")
    return source is click.core.ParameterSource.ENVIRONMENT
