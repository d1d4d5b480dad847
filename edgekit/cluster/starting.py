"""Ray started on this machine alone, or joined: what it is told, where it keeps things, what is put back after it."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import signal
import site
import socket
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from edgekit.build.code import ROOT
from edgekit.cluster.versions import code_of, software_here
from edgekit.errors import InputError, UnavailableError
from edgekit.temporary import SUFFIX, temporary_folder

if TYPE_CHECKING:
    from edgekit.cluster.connection import ClusterSettings

Init: TypeAlias = "partial[Any]"
"""ray.init with what it is told so far."""

LOOPBACK: Final = "127.0.0.1"
TIMING: Final = "edgekit_timing"
"""Ray's name for the right to time on a node, which has one of it."""

STORE_BYTES: Final = 512 << 20
"""Of Ray's object store on this machine; what does not fit goes to its temporary folder."""

PREFIX: Final = "edgekit-ray-"
SOCKET_BYTES: Final = 107 - len("/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
"""What a folder's path may have: paths of sockets have at most 107 bytes."""

QUIET: Final[Mapping[str, str]] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
    "RAY_num_workers_soft_limit": "0",
}
"""Nothing is sent, and nothing but edgekit writes to the terminal. Workers of a Ray that is started here have the
priority of their driver (Ray's own default lets them wait for all else on the machine, timings too), and processes
without work end."""


@contextmanager
def started(settings: ClusterSettings) -> Iterator[Any]:
    """Ray, connected as told, for as long as the block runs; gives the module `ray`.

    Raises:
        UnavailableError: the cluster cannot be reached, or refuses this driver.
        InputError: there is no such wheel.
        ImportError: Ray is not installed.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_environment(QUIET))
        import ray

        if ray.is_initialized():
            raise RuntimeError("this process is connected to a cluster of Ray already")
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # ray.init takes it
        init = partial(ray.init, log_to_driver=False, logging_level=logging.CRITICAL)
        folder = stack.enter_context(_temporary())
        if settings.wheel is not None:
            init = partial(init, runtime_env={"py_modules": [str(_unpacked(settings.wheel, folder / "wheel"))]})
        inherited: Mapping[str, str] = {}
        if settings.where == "local":
            init = stack.enter_context(_on_loopback(init, folder))
            inherited = {"TMPDIR": str(folder), **_paths(settings.wheel is None)}
        else:
            init = partial(init, address=settings.where)
        stack.enter_context(_unheard(ray))
        stack.callback(_leave, ray)
        with _environment(inherited):
            _connect(ray, folder, init, settings.where)
        yield ray


def _connect(ray: Any, folder: Path, init: Callable[[], Any], where: str) -> None:
    """Ray's workers import from the folder that their driver stands in before all others: it stands in an empty one."""
    handler, before = signal.getsignal(signal.SIGTERM), os.getcwd()
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            init()
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise _unreachable(where, error) from error
    except Exception as error:
        if type(error) is not Exception:  # Ray says so that its processes were not ready in time
            raise
        raise _unreachable(where, error) from error
    finally:
        os.chdir(before)
        signal.signal(signal.SIGTERM, handler)
    if where == "local":
        _lighten(ray)
        beyond = [node["NodeManagerAddress"] for node in ray.nodes() if node["NodeManagerAddress"] != LOOPBACK]
        if beyond:
            raise UnavailableError(
                f"this Ray ({ray.__version__}) listens on {beyond[0]}, not on this machine alone", "Use Ray 2.60."
            )


def _lighten(ray: Any) -> None:
    """Ends what a Ray of one machine and one run has no use for, and what takes a percent of two cores where it idles:
    what reads the logs of workers to print them, and what would start further machines.
    """
    node = ray._private.worker._global_node
    node.kill_log_monitor(check_alive=False)
    node.kill_monitor(check_alive=False)


def _unreachable(where: str, error: BaseException) -> UnavailableError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = lines[0][:200].rstrip(".:") if lines else type(error).__name__
    if where == "local":
        hint = "If the machine is busy, try again when it is less so; --debug tells more."
        return UnavailableError(f"Ray cannot be started on this machine: {why}", hint)
    if where == "auto":
        hint = "Start one with `ray start --head`, name its address in RAY_ADDRESS, or use --cluster local."
        return UnavailableError(f"no running cluster of Ray can be joined from this machine: {why}", hint)
    hint = "Give the address of its client server, ray://HEAD:10001; see docs/cluster.md."
    return UnavailableError(f"the cluster at {where} cannot be reached: {why}", hint)


def _leave(ray: Any) -> None:
    """Ends what was started, and leaves what was joined. A second Ctrl-C does not stop it half-way."""
    before = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ray.shutdown()
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, before)


@contextmanager
def _unheard(ray: Any) -> Iterator[None]:
    """Ray tells of workers that die on stdout, where results belong, whatever `log_to_driver` says: here it does not.

    Who works on the cluster hears of it from the task that is lost, and says it.
    """
    module = ray._private.worker
    before = module.print_to_stdstream
    module.print_to_stdstream = lambda data, ignore_prefix: None
    try:
        yield
    finally:
        module.print_to_stdstream = before


@contextmanager
def _on_loopback(init: Init, folder: Path) -> Iterator[Init]:
    """How Ray is started on this machine so that nothing listens beyond it; who connects needs a token of this run.

    Ray takes the address that others reach this machine at, also where it is told another one, except where it is built
    for one machine alone (`ENABLE_RAY_CLUSTER`, in its own processes by a variable). With reports and dashboard off it
    still starts the dashboard's process, which asks the metadata services of three clouds where it is; where the port
    is taken it goes without.
    """
    import ray._private.ray_constants as constants

    told = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0",
    }
    before = constants.ENABLE_RAY_CLUSTER
    with _environment(told), socket.create_server((LOOPBACK, 0)) as taken:
        _read_again()
        constants.ENABLE_RAY_CLUSTER = False
        try:
            yield partial(
                init,
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                resources={TIMING: 1},
                include_dashboard=False,
                dashboard_host=LOOPBACK,
                dashboard_port=taken.getsockname()[1],
                object_store_memory=STORE_BYTES,
                _node_ip_address=LOOPBACK,
                _temp_dir=str(folder),
            )
        finally:
            constants.ENABLE_RAY_CLUSTER = before
    _read_again()


def _paths(own_code: bool) -> Mapping[str, str]:
    """Where workers on this machine find modules: this edgekit first, where it is not installed."""
    is_installed = str(ROOT.parent) in (*site.getsitepackages(), site.getusersitepackages())
    paths = [str(ROOT.parent)] if own_code and not is_installed else []
    paths += filter(None, [os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": os.pathsep.join(paths)} if paths else {}


def _read_again() -> None:
    """Ray reads how it is connected to when it is imported, and a token when it is first needed: both anew."""
    native: Any = importlib.import_module("ray._raylet")
    native.Config.initialize("")
    native.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment while the block runs, which what is started inherits."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _temporary() -> Iterator[Path]:
    """An empty folder of this user's alone, removed after; those of killed runs are removed too."""
    parent = next((each for each in (tempfile.gettempdir(), "/tmp") if _is_short(each)), None)
    if parent is None:
        raise InputError(
            "the folder of temporary files has too long a name for Ray's sockets", "Set TMPDIR to another."
        )
    with temporary_folder(PREFIX, Path(parent)) as folder:
        yield folder


def _is_short(parent: str) -> bool:
    longest = os.path.join(parent, f"{PREFIX}12345678{SUFFIX}")
    return len(os.fsencode(longest)) <= SOCKET_BYTES and os.access(parent, os.W_OK)


def _unpacked(wheel: Path, folder: Path) -> Path:
    """The package in a wheel of the edgekit that runs here, as Ray sends it to workers.

    Ray would have pip install the wheel with all that it needs, over what the nodes have.

    Raises:
        InputError: there is none, or it is of another edgekit.
    """
    hint = "Make one with `pip wheel --no-deps -w dist .` where this edgekit comes from, and give that."
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith("edgekit/")])
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"there is no wheel at {wheel}", hint) from error
    package = folder / "edgekit"
    if code_of(package) != software_here().code:
        raise InputError(f"the wheel {wheel} is not of the edgekit that runs here", hint)
    return package
