"""The device's side of `edgekit device`: one verb a process, spoken to in frames over the standard streams.

    python3 -m edgekit_runtime VERB

Its process ends when the host is gone or silent, so that nothing is left running here. Needs Python 3.6; numpy and an
inference runtime only for serve, bench and check.
"""

import errno
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import zlib
from functools import partial
from queue import Queue
from typing import Any, BinaryIO, Callable, Dict, Tuple  # noqa: F401  # in a type comment

from . import frames
from .agent_deployed import choose_verb, deploy_verb, give_verb, rollback_verb, take_verb
from .frames import Header
from .home import home as user_home

SILENCE_SECONDS = 90.0
"""A host that says nothing for so long (it says it is alive every ten seconds) is taken for gone."""

PIECE = 1 << 20
Talk = Callable[..., None]
Verb = Callable[[Header, BinaryIO, Talk], None]


def home() -> str:
    """The folder of everything that edgekit keeps on this device."""
    # As the host's shell commands name it, which know $HOME alone.
    return os.environ.get("EDGEKIT_DEVICE_HOME") or os.path.join(user_home() or "/", ".cache/edgekit/device")


def main() -> None:
    """Runs the verb that the command line names; answers are frames on what was standard output."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the frames
    if os.getpgrp() != os.getpid():  # under sshd it leads its group already
        os.setpgrp()

    def talk(header: Header, payload: bytes = b"") -> None:
        frames.send(out, header, payload)

    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        first = frames.receive(sys.stdin.buffer)
        if first is None:
            return
        if verb not in VERBS:
            raise ValueError("there is no verb %r" % verb)
        for folder in ("blobs", "bundles"):
            os.makedirs(os.path.join(home(), folder), exist_ok=True)
        VERBS[verb](first[0], sys.stdin.buffer, talk)
    except Exception as error:
        talk({"error": str(error) or type(error).__name__, "kind": _kind(error)})
        sys.exit(1)


def _kind(error: Exception) -> str:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "disk-full" if full else type(error).__name__


def _end() -> None:
    """Ends this process and its children at once; it leads their group."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


class Inbox:
    """Frames from the host, read by a thread, which ends the process when the host is gone."""

    def __init__(self, source: BinaryIO) -> None:
        self._queue: Queue[Tuple[Header, bytes]] = Queue()
        self._source, self._heard = source, time.time()
        for target in (self._read, self._watch):
            threading.Thread(target=target, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                frame = frames.receive(self._source)
            except (OSError, ValueError):
                frame = None
            if frame is None:
                _end()
                return
            self._heard = time.time()
            if not frame[0].get("alive"):
                self._queue.put(frame)

    def _watch(self) -> None:
        while time.time() - self._heard < SILENCE_SECONDS:
            time.sleep(1)
        _end()

    def next(self) -> Tuple[Header, bytes]:
        """The next frame that is no sign of life."""
        return self._queue.get()


def _probe(header: Header, source: BinaryIO, talk: Talk) -> None:
    from .probe import probe

    Inbox(source)
    talk(probe(home()))


def _look(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Whether this device can be measured now."""
    from .noise import as_json, look

    Inbox(source)
    talk(as_json(look()))


def _blob(digest: str) -> str:
    if len(digest) != 64 or any(each not in "0123456789abcdef" for each in digest):
        raise ValueError("no SHA-256: %r" % digest)
    return os.path.join(home(), "blobs", digest)


def _have(header: Header, source: BinaryIO, talk: Talk) -> None:
    told = {}
    for digest in header["sha256"]:
        path = _blob(digest)
        whole = os.path.exists(path)
        part = path + ".part"
        size = os.path.getsize(path) if whole else os.path.getsize(part) if os.path.exists(part) else 0
        told[digest] = {"size_bytes": size, "whole": whole}
    talk({"have": told, "free_bytes": shutil.disk_usage(home()).free})


def _put(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Takes blobs, each a frame and then its bytes from an offset on, until the host has no more."""
    while True:
        frame = frames.receive(source)
        if frame is None or not _take(frame[0], source):
            return
        talk({"whole": True})


def _take(header: Header, source: BinaryIO) -> bool:
    """One blob; False when the host went away. What came before a cut stays, what has a wrong hash does not."""
    path, size = _blob(header["sha256"]), int(header["size_bytes"])
    part = path + ".part"
    with open(part, "ab") as file:
        _lock(file)
        if file.tell() != header["offset"]:
            raise ValueError("the device has %d bytes, not %d" % (file.tell(), header["offset"]))
        left = size - file.tell()
        while left:
            piece = source.read(min(PIECE, left))
            if not piece:
                return False
            file.write(piece)
            file.flush()
            left -= len(piece)
        os.fsync(file.fileno())
    if _sha256(part) != header["sha256"]:
        os.unlink(part)
        raise ValueError("what arrived is not what was sent: its SHA-256 differs")
    os.rename(part, path)
    return True


def _lock(file: Any) -> None:
    import fcntl

    fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    file.seek(0, os.SEEK_END)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()


def _link(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Makes bundles/DIGEST of blobs that are here; whole or not at all."""
    folder = os.path.join(home(), "bundles", os.path.basename(_blob(header["digest"])))
    if not os.path.isdir(folder):
        work = tempfile.mkdtemp(dir=os.path.join(home(), "bundles"))
        for name, digest in header["files"].items():
            if os.path.basename(name) != name or name in ("", ".", ".."):
                raise ValueError("no file name: %r" % name)
            try:
                os.link(_blob(digest), os.path.join(work, name))
            except OSError:  # a file system without links
                shutil.copyfile(_blob(digest), os.path.join(work, name))
        try:
            os.rename(work, folder)
        except OSError:  # another host was faster
            shutil.rmtree(work, ignore_errors=True)
            if not os.path.isdir(folder):
                raise
    talk({"folder": folder})


def _loaded(header: Header) -> Any:
    """The network that a host describes."""
    from .engines import load
    from .settings import engine_settings

    return load(header["runtime"], header["folder"], header["precision"], engine_settings(header.get("settings")))


def _serve(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Loads a network, then answers frames of pictures with their logits."""
    inbox = Inbox(source)
    import numpy as np

    infer = _loaded(header)
    talk({"ready": True})
    while True:
        told, payload = inbox.next()
        raw = zlib.decompress(payload)
        pictures = np.frombuffer(raw, np.uint8).reshape(told["shape"])
        step = max(infer.batches)
        rows = [infer(pictures[i : i + step]) for i in range(0, len(pictures), step)]
        logits = np.concatenate(rows).astype(np.float32)
        talk({"shape": list(logits.shape)}, logits.tobytes())


def _bench(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Times networks side by side, and looks at power, temperatures and clocks while it does."""
    Inbox(source)
    import numpy as np

    from .timing import bench, threads, throughput_ips, throughput_seconds

    def noise(shape: Any) -> Any:
        return np.random.RandomState(0).randint(0, 256, tuple(shape), dtype=np.uint8)

    networks = {str(each["name"]): _loaded(each) for each in header["networks"]}
    picture = noise(header["shape"])
    timed: Dict[str, Callable[[Any], Any]] = dict(networks)
    for each in header["networks"]:
        if each.get("shape") not in (None, header["shape"]):
            timed[each["name"]] = _OwnSize(networks[each["name"]], noise(each["shape"]))

    def many(name: str) -> Callable[[Any], None]:
        return partial(_in_groups, timed[name], max(networks[name].batches))

    def tell(done: int, total: int) -> None:
        talk({"done": done, "total": total})

    max_seconds = float(header["max_seconds"])
    told = bench(timed, many, picture, int(header["runs"]), max_seconds, tell)
    seconds = throughput_seconds(max_seconds, len(networks))
    told["conditions"]["process"]["threads"] = threads(networks)
    for name, network in networks.items():
        if len(network.batches) > 1:
            told["timed"][name]["by_batch"] = {
                str(size): throughput_ips(partial(_in_groups, timed[name], size), picture, seconds)
                for size in network.batches
            }
    talk(told)


class _OwnSize:
    """A network that is given as many pictures of its own size in the place of those that all others are given."""

    def __init__(self, network: Any, picture: Any) -> None:
        self._network, self._picture, self._made = network, picture, {}  # type: Any, Any, Dict[int, Any]

    def __call__(self, pictures: Any) -> Any:
        count = len(pictures)
        if count not in self._made:
            self._made[count] = self._picture.repeat(count, 0)
        return self._network(self._made[count])


def _in_groups(network: Any, size: int, pictures: Any) -> None:
    """Runs pictures, so many at once."""
    for first in range(0, len(pictures), size):
        network(pictures[first : first + size])


def _check(header: Header, source: BinaryIO, talk: Talk) -> None:
    Inbox(source)
    from .bundle import Bundle
    from .errors import MissingError
    from .manifest import read_manifest

    # A device stands for the runtime that the bundle was built for: no other takes its place unasked.
    runtime = header.get("runtime") or read_manifest(header["folder"])[1].runtime
    with Bundle.open(header["folder"], runtime=runtime) as bundle:
        if bundle.warnings and not header.get("runtime"):
            raise MissingError(bundle.warnings[0])
        talk({"cosine": bundle.check_golden()})


VERBS: Dict[str, Verb] = {
    "probe": _probe,
    "look": _look,
    "have": _have,
    "put": _put,
    "link": _link,
    "serve": _serve,
    "bench": _bench,
    "check": _check,
    "choose": choose_verb,
    "give": give_verb,
    "take": take_verb,
    "deploy": deploy_verb,
    "rollback": rollback_verb,
}
"""Verb: what it does with the first frame, what follows it, and how it answers."""
