"""The devices that a user has named, in a file of their configuration folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgekit.errors import InputError
from edgekit.json_files import json_file
from edgekit.runtime.home import expanded
from edgekit.store.root import no_home

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"[A-Za-z0-9_\[:][A-Za-z0-9._:\]%-]*")  # a leading "-" would be an option to ssh


@dataclass(frozen=True)
class Device:
    """A device and how to reach it.

    Attributes:
        host: a name or address, or an alias of the user's ssh configuration.
        user, port: None leaves them to that configuration.
        python: the interpreter there.
    """

    name: str
    host: str
    user: str | None = None
    port: int | None = None
    python: str = "python3"

    @property
    def url(self) -> str:
        """As `ssh://user@host:port`."""
        user = f"{self.user}@" if self.user else ""
        return f"ssh://{user}{self.host}{f':{self.port}' if self.port else ''}"


def parse(url: str, name: str | None = None, python: str = "python3") -> Device:
    """A device from `ssh://[user@]host[:port]`.

    Raises:
        InputError: it is no such URL, or the name has blanks or slashes.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host, user = parts.hostname or "", parts.username
    plain = parts.scheme == "ssh" and parts.path in ("", "/") and not (parts.query or parts.fragment or parts.password)
    if not plain or not _HOST.fullmatch(host) or (user is not None and not _NAME.fullmatch(user)):
        raise InputError(f"{url!r} is no address of a device", "Write it as ssh://user@host or ssh://user@host:port.")
    if name is not None and not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name for a device", "Use letters, digits, dots, dashes and underscores.")
    return Device(name or host, host, user, port, python)


def _of_file(name: str, told: Any) -> Device:
    """A device as the file has it.

    Raises:
        ValueError, TypeError: it makes no sense.
    """
    made = Device(name=name, **told)
    texts = all(isinstance(each, str) for each in (made.host, made.python, made.user or ""))
    if not texts or not _NAME.fullmatch(name) or not _HOST.fullmatch(made.host):
        raise ValueError(f"{name!r} is no device")
    if made.user is not None and not _NAME.fullmatch(made.user):
        raise ValueError(f"the user of {name} is {made.user!r}")
    if made.port is not None and (type(made.port) is not int or not 0 < made.port < 1 << 16):
        raise ValueError(f"the port of {name} is {made.port!r}")
    return made


def _config() -> Path:
    try:
        return Path(expanded(os.environ.get("XDG_CONFIG_HOME") or "~/.config"))
    except OSError as error:
        raise no_home(error) from error


class Registry:
    """The file of named devices; read each time, written whole."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _config() / "edgekit" / "devices.json"

    def all(self) -> Mapping[str, Device]:
        """Name: device.

        Raises:
            InputError: the file is damaged.
        """
        try:
            told = json_file(self.path)
            return {name: _of_file(name, each) for name, each in told.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path} cannot be read: {error}", "Mend it, or remove it and add again.") from error

    def add(self, device: Device) -> None:
        """Adds or replaces a device."""
        self._write({**self.all(), device.name: device})

    def remove(self, name: str) -> None:
        """Forgets a device.

        Raises:
            InputError: there is none of that name.
        """
        known = dict(self.all())
        if name not in known:
            raise self._unknown(name)
        del known[name]
        self._write(known)

    def find(self, name: str) -> Device:
        """The device of a name or of an ssh:// URL.

        Raises:
            InputError: there is none of that name; the nearest known one is named.
        """
        if "://" in name:
            return parse(name)
        known = self.all()
        if name not in known:
            raise self._unknown(name)
        return known[name]

    def _unknown(self, name: str) -> InputError:
        near = get_close_matches(name, self.all(), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`edgekit device add NAME ssh://user@host` adds one."
        return InputError(f"there is no device {name!r}", hint)

    def _write(self, devices: Mapping[str, Device]) -> None:
        def plain(device: Device) -> dict[str, str | int | None]:
            return {key: value for key, value in asdict(device).items() if key != "name"}

        told = {name: plain(device) for name, device in sorted(devices.items())}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self.path.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(json.dumps(told, indent=2) + "\n")
                os.replace(partial, self.path)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(partial)
                raise
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}", "Check its folder.") from error
