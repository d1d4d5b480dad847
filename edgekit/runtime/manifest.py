"""What a bundle says of itself: manifest.json, read within bounds and believed only where it makes sense.

A manifest may come from anywhere. Every value that the runtime goes by is checked for its type and range before
anything is done with it; more keys than those are allowed.
"""

import json
import os
import re
import stat
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .contract import Contract, Output, Table, contract_of, is_whole_number, output_of
from .errors import BundleError
from .settings import Settings, engine_settings, plugin_of

KIND = "edgekit-bundle"
SCHEMA = 2
"""The newest manifest that this runtime knows: it rises when an older runtime would misread one, not with new keys.

Schema 2 may say that inputs are no squares, other resizing than a centre crop as Pillow resizes, that images are turned
by EXIF, and other outputs than classes by softmax."""

MANIFEST, SIGNATURE, MODEL_SIGNATURE = "manifest.json", "manifest.json.sig", "model.sig"
UNNAMED = (MANIFEST, SIGNATURE, MODEL_SIGNATURE)
"""Files that a manifest cannot name: itself, and signatures of it (by SSH; as OpenSSF Model Signing has it)."""

MAX_MANIFEST_BYTES = 16 << 20
MAX_SIDE = 1 << 14
MOST_DIGITS = 40
PRECISIONS = ("fp32", "bf16", "fp16", "int8", "mixed")


class FileFacts(NamedTuple):
    """A file of a bundle, by content."""

    sha256: str
    size_bytes: int


class Checked(NamedTuple):
    """What a manifest says that the runtime goes by, checked.

    name: of the network, None where it is not told; classes: 0 when unknown; labels: class names, empty when unknown.
    runtime: that it was built for; precision: of the network; settings: how a device builds its engine, and where.
    contract: what is done to images before it; output: what its outputs are.
    files: all but the manifest and its signatures, by name.
    content: all that manifest.json says, as JSON has it.
    """

    schema: int
    name: Optional[str]
    classes: int
    labels: List[str]
    runtime: str
    precision: str
    contract: Contract
    output: Output
    settings: Settings
    files: Dict[str, FileFacts]
    content: Table


def read_bounded(path: str, limit_bytes: int) -> bytes:
    """A regular file's bytes; links are not followed and nothing larger than the limit is read.

    Raises:
        BundleError: it is no regular file, or larger.
        OSError: it is not there, or cannot be read.
    """
    # A pipe must not make the opening wait.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise BundleError("%s is not a regular file" % path)
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise BundleError("%s is larger than %d bytes" % (path, limit_bytes))
    return content


def read_manifest(folder: str) -> Tuple[bytes, Checked]:
    """manifest.json of a bundle: its bytes, which a signature is of, and what they say, checked.

    Raises:
        BundleError: there is none, it is of another kind or a newer schema, or what it says makes no sense.
    """
    path = os.path.join(folder, MANIFEST)
    if os.path.islink(path):
        raise BundleError("%s is a symbolic link, which a bundle has none of" % MANIFEST)
    try:
        raw = read_bounded(path, MAX_MANIFEST_BYTES)
        told = json.loads(raw.decode("utf-8"), object_pairs_hook=each_key_once, parse_int=_integer)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError("%s holds no bundle: %s" % (folder, _words(error)))
    if not isinstance(told, dict) or told.get("kind") != KIND:
        raise BundleError("%s holds no bundle of edgekit's" % folder)
    schema: Any = told.get("schema")
    if not is_whole_number(schema, 1):
        raise BundleError("the manifest of %s is wrong: its schema is %r" % (folder, schema))
    if schema > SCHEMA:
        raise BundleError(
            "the bundle %s is of schema %d, this runtime knows up to %d; use a newer edgekit" % (folder, schema, SCHEMA)
        )
    try:
        return raw, _checked(told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError("the manifest of %s is wrong: %s" % (folder, _words(error)))


def is_file_name(name: Any) -> bool:
    """Whether this is the plain name of a file in the bundle: no folder, nothing hidden, all of it to be seen."""
    if not isinstance(name, str) or name.startswith(".") or not name.isprintable() or re.search(r"[/\\]", name):
        return False
    return 0 < len(name.encode("utf-8")) <= 255


def each_key_once(pairs: List[Tuple[str, Any]]) -> Table:
    """A JSON object, refused when it names a key twice: readers in other languages could take the other one."""
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key is there twice")
    return told


def _checked(told: Table) -> Checked:
    """A manifest's content; what is raised says in words what is wrong."""
    files = _files(_table(told, "files"))
    target = _table(told, "target")
    runtime = target.get("runtime")
    if not isinstance(runtime, str):
        raise ValueError("target.runtime is no text")
    if told["precision"] not in PRECISIONS:
        raise ValueError("precision is %r" % (told["precision"],))
    contract = contract_of(_table(told, "preprocessing"), _size(_table(told, "input")))
    output = output_of(told.get("output"))
    model = _table(told, "model")
    if not isinstance(model.get("name"), (str, type(None))):
        raise ValueError("model.name is no text")
    classes: Any = model.get("classes")
    if not is_whole_number(classes, 0):
        raise ValueError("model.classes is %r" % (classes,))
    labels = told["labels"]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels are no list of text")
    if labels and len(labels) != classes:
        raise ValueError("%d labels for %d classes" % (len(labels), classes))
    settings = engine_settings(told.get("engine_settings"))._replace(plugin=plugin_of(target.get("plugin")))
    facts = (told["schema"], model.get("name"), classes, labels, runtime, told["precision"])
    return Checked(*facts, contract=contract, output=output, settings=settings, files=files, content=told)


def _files(told: Table) -> Dict[str, FileFacts]:
    files: Dict[str, FileFacts] = {}
    for name, facts in told.items():
        if not is_file_name(name) or name in UNNAMED:
            raise ValueError("%s points out of the bundle" % _shown(name))
        if not isinstance(facts, dict) or not re.match(r"^[0-9a-f]{64}$", str(facts.get("sha256"))):
            raise ValueError("%s has no SHA-256" % name)
        if not is_whole_number(facts.get("size_bytes"), 0):
            raise ValueError("the size of %s is %r" % (name, facts.get("size_bytes")))
        files[name] = FileFacts(str(facts["sha256"]), int(facts["size_bytes"]))
    return files


def _size(told: Table) -> Tuple[int, int]:
    """Height and width of the input, pixels."""
    shape = told["shape"]
    if told.get("dtype") != "uint8" or told.get("layout") != "NHWC" or told.get("color") != "RGB":
        raise ValueError("the input is not uint8 NHWC RGB")
    sized = isinstance(shape, list) and len(shape) == 4 and all(is_whole_number(each, 1) for each in shape)
    if not sized or shape[0] != 1 or shape[3] != 3 or max(shape) > MAX_SIDE:
        raise ValueError("the input's shape is %r" % (shape,))
    return int(shape[1]), int(shape[2])


def _table(told: Table, key: str) -> Table:
    if not isinstance(told.get(key), dict):
        raise ValueError("it has no table %s" % key)
    return dict(told[key])


def _integer(text: str) -> int:
    """A number as JSON has it; one of hundreds of digits cannot even be divided."""
    if len(text) > MOST_DIGITS:
        raise ValueError("a number in it has more than %d digits" % MOST_DIGITS)
    return int(text)


def _shown(name: Any) -> str:
    return str(name) if str(name).isprintable() else repr(name)


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return "it says nothing of %s" % error.args[0]
    return " ".join(str(error).split()) or type(error).__name__
