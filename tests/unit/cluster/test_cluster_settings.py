"""Which cluster is named, and what a process that works for one does with its settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from edgekit.build.code import ROOT
from edgekit.cli.cluster_options import cluster_options, cluster_settings
from edgekit.cluster import starting
from edgekit.cluster.connection import ClusterSettings, check_settings
from edgekit.cluster.workers import Place, pinned, thread_settings
from edgekit.errors import InputError


@pytest.mark.parametrize("where", ["local", "auto", "ray://head:10001", "ray://10.0.0.1:1", "ray://[::1]:10001"])
def test_clusters_that_can_be_named(where: str) -> None:
    check_settings(ClusterSettings(where))


@pytest.mark.parametrize("where", ["", "head", "ray://", "ray://head", "ray://:1", "ray://head:x", "ray://head:70000"])
def test_what_names_no_cluster(where: str) -> None:
    with pytest.raises(InputError, match="names no cluster") as refused:
        check_settings(ClusterSettings(where))
    assert "ray://HOST:PORT" in refused.value.hint


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], None),
        (["--cluster"], ClusterSettings()),
        (["--cluster", "--workers", "2"], ClusterSettings(workers=2)),
        (["--cluster", "auto"], ClusterSettings("auto")),
        (["--cluster=ray://h:1", "--wheel", "a.whl"], ClusterSettings("ray://h:1", None, Path("a.whl"))),
    ],
)
def test_options_say_which_cluster(arguments: list[str], found: ClusterSettings | None) -> None:
    @click.command()
    @cluster_options
    def verb(cluster: str | None, workers: int | None, wheel: str | None) -> ClusterSettings | None:
        return cluster_settings(cluster, workers, wheel)

    assert verb.main(arguments, standalone_mode=False) == found


def test_workers_need_a_cluster() -> None:
    with pytest.raises(click.UsageError, match="need --cluster"):
        cluster_settings(None, 2, None)


def test_a_worker_has_the_drivers_settings_and_its_own_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place((min(os.sched_getaffinity(0)),), thread_settings())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before, handler = os.sched_getaffinity(0), signal.getsignal(signal.SIGINT)
    try:
        with pinned(place):
            assert os.sched_getaffinity(0) == set(place.cores)
            assert os.environ.get("OMP_NUM_THREADS") == dict(place.settings).get("OMP_NUM_THREADS")
        assert os.sched_getaffinity(0) == before
    finally:
        signal.signal(signal.SIGINT, handler)


def test_folders_of_killed_runs_are_removed_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Path(os.path.realpath("/tmp")) / f"e{os.getpid()}"
    short.mkdir()
    monkeypatch.setattr(starting.tempfile, "gettempdir", lambda: str(short))
    hold = (
        "import time; from edgekit.cluster.starting import _temporary\nwith _temporary() as f: print(f, flush=True); "
    )
    try:
        living = subprocess.Popen([sys.executable, "-c", hold + "time.sleep(60)"], stdout=subprocess.PIPE, text=True,
                                  env=os.environ | {"TMPDIR": str(short)})  # fmt: skip
        assert living.stdout is not None
        folder = Path(living.stdout.readline().strip())
        (folder / "inside").touch()
        with starting._temporary() as own:
            assert folder.is_dir()
            assert own.stat().st_mode & 0o077 == 0
        assert not own.exists()
        living.kill()
        living.wait()
        assert folder.is_dir()
        with starting._temporary():
            assert not folder.exists()
    finally:
        living.stdout.close() if living.stdout else None
        for each in short.rglob("*"):
            each.unlink() if each.is_file() else None
        for each in short.iterdir():
            each.rmdir()
        short.rmdir()


def test_a_wheel_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no wheel at"):
        starting._unpacked(tmp_path / "missing.whl", tmp_path / "a")
    (tmp_path / "broken.whl").write_bytes(b"PK")
    with pytest.raises(InputError, match="no wheel at"):
        starting._unpacked(tmp_path / "broken.whl", tmp_path / "b")


def test_a_wheel_of_another_edgekit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("edgekit/__init__.py", "__version__ = '0'")
        archive.writestr("../outside.py", "")
    with pytest.raises(InputError, match="is not of the edgekit that runs here"):
        starting._unpacked(tmp_path / "other.whl", tmp_path / "inside" / "c")
    assert not list(tmp_path.rglob("outside.py"))


def test_a_wheel_of_this_edgekit_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "this.whl", "w") as archive:
        for path in ROOT.rglob("*.py"):
            archive.write(path, Path("edgekit") / path.relative_to(ROOT))
        archive.writestr("inception_edgekit-0.dist-info/METADATA", "")
    made = starting._unpacked(tmp_path / "this.whl", tmp_path / "d")
    assert made == tmp_path / "d" / "edgekit"
    assert [each.name for each in (tmp_path / "d").iterdir()] == ["edgekit"]


def test_where_ray_is_not_installed_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from edgekit.cli import failure\nfrom edgekit.cluster.connection import ClusterSettings, connected\n"
        "try:\n    connected(ClusterSettings()).__enter__()\n"
        "except ImportError as error:\n    print(failure(error))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("(4,")
    assert "[cluster]" in answer.stdout
