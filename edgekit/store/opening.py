"""Which store is meant by `--store`: the user's own, one in another folder, or the own one with a shared one behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgekit.errors import InputError
from edgekit.store.over_http import OverHttp
from edgekit.store.server import read_token
from edgekit.store.shared import Shared
from edgekit.store.sharing import Sharing
from edgekit.store.stages import Store

RAY: Final = "ray"
_SCHEMES: Final = ("http://", "https://")


@dataclass(frozen=True)
class StoreSettings:
    """A store before it is opened: goes to other processes, and is opened there.

    Attributes:
        root: its folder; None is the user's own, of whoever opens it.
        shared: where entries are fetched from and offered to, if anywhere.
        by_ray: whether workers of a cluster share the driver's, which is then in `shared`.
    """

    root: Path | None = None
    shared: Shared | None = field(default=None)
    by_ray: bool = False

    def open(self) -> Store:
        """The store, for one process."""
        return Store(self.root, None if self.shared is None else Sharing(self.shared))


def store_settings(told: str | None, token_file: Path | None = None) -> StoreSettings:
    """What `--store` and `--store-token-file` say.

    Args:
        told: a folder, http://HOST:PORT, `ray`, or None for the user's own.
    Raises:
        InputError: it is no address, no folder can be there, or the token file is no good.
    """
    if told is not None and told.startswith(_SCHEMES):
        token = None if token_file is None else read_token(token_file)
        return StoreSettings(shared=OverHttp(told.rstrip("/"), token))
    if token_file is not None:
        raise InputError("a token is for a store over HTTP", "Give --store http://HOST:PORT beside it.")
    if told is None or told == RAY:
        return StoreSettings(by_ray=told == RAY)
    if "://" in told:
        raise InputError(f"{told!r} is no address of a store", "Give a folder, http://HOST:PORT or ray.")
    root = Path(told).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise InputError(f"{told} is not a folder", "Give a folder for the store.")
    return StoreSettings(root)
