"""Whatever answers in a device's place: what it says is taken apart in words, and never believed to make sense."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from edgekit.devices import noise, remote, transfer
from edgekit.devices.registry import Registry, parse
from edgekit.devices.ssh import Connection, DeviceError
from edgekit.errors import InputError
from edgekit.runtime.frames import receive

DEVICE = Connection(parse("ssh://nobody@nowhere"))

ASKED: dict[str, Callable[[], object]] = {
    "probe": lambda: remote.probe(DEVICE),
    "check": lambda: remote.check_golden(DEVICE, "x"),
    "deploy": lambda: remote.deploy(DEVICE, "x", "y"),
    "rollback": lambda: remote.rollback(DEVICE, "y"),
    "look": lambda: noise.look_there(DEVICE),
}


@pytest.mark.parametrize("verb", ASKED)
@pytest.mark.parametrize("answer", [{}, {"cosine": "x"}, {"model": []}, {"verdict": {}}, {"cosine": None}])
def test_an_answer_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch, verb: str, answer: dict[str, Any]) -> None:
    for module in (remote, transfer):
        monkeypatch.setattr(module, "ask", lambda *given: answer)
    with pytest.raises(DeviceError, match="answers what makes no sense"):
        ASKED[verb]()


def test_a_device_that_has_less_than_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    for have in ({}, {"d": {"size_bytes": -9, "whole": False}}, {"d": {"size_bytes": "x", "whole": 1}}, [], None):
        monkeypatch.setattr(transfer, "ask", lambda *given, have=have: {"have": have, "free_bytes": 1 << 40})
        with pytest.raises(DeviceError, match="answers what makes no sense"):
            transfer.ensure(DEVICE, {"d": tmp_path / "x"})


HEADERS = (
    *(b"[]", b'{"bytes": -1}', b'{"bytes": null}', b'{"bytes": "5"}', b'{"bytes": 1e999}', b'{"bytes": 1.5}'),
    *(b'{"bytes": 99999999999999}', b"x", b"\xff", b"[" * 9000),
)


@pytest.mark.parametrize("header", HEADERS, ids=lambda each: str(each[:25]))
def test_a_frame_that_is_none(header: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (JSON's own among them)
        receive(io.BytesIO(struct.pack(">I", len(header)) + header + b"x" * 100))


FILES: tuple[Any, ...] = (
    *({"x": {"host": "-oProxyCommand=id"}}, {"x": {"host": 5}}, {"x": {"host": "a", "user": "-x"}}, [], {"x": 1}),
    *({"../x": {"host": "a"}}, {"x": {"host": "a", "port": "22"}}, {"x": {"host": "a", "port": 0}}),
    {"x": {"host": "a", "python": 3}},
)


@pytest.mark.parametrize("told", FILES, ids=str)
def test_a_file_of_devices_that_makes_no_sense(tmp_path: Any, told: Any) -> None:
    (tmp_path / "devices.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="cannot be read"):
        Registry(tmp_path / "devices.json").all()
