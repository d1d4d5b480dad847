"""The device's command where it is stopped, and where its locale lacks what it has to say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.runtime.kept import keep

WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup, which is respected
from edgekit.runtime import command
def wait(told):
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("put away", flush=True)
command._verify = wait
sys.exit(command.main(["verify", "bundle"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_blocks_in_order(number: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "put away\n"
    assert process.returncode == 128 + number


SAYS = """
from edgekit.runtime import command
def say(told):
    print("caf\\u00e9 \\u2581 \\udcff")
    return 0
command._verify = say
assert command.main(["verify", "bundle"]) == 0
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_label_can_be_said(encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"caf")


def test_what_is_being_kept_is_removed_where_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(source: str, target: str) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(SystemExit):
        keep(str(tmp_path / "x.blob"), b"content", {})
    assert list(tmp_path.iterdir()) == []
