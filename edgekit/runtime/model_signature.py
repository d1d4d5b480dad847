"""Whose bundle it is, in the form of OpenSSF Model Signing 1.0: model.sig, checked with a public key and nothing else.

The file is a Sigstore bundle: a DSSE envelope with an in-toto statement, which lists every file with its SHA-256. What
is taken is what `model_signing sign key` makes by default: whole files (no shards), SHA-256, an ECDSA key.
"""

import base64
import hashlib
import json
import os
import re
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from .contract import Table
from .ecdsa import PublicKey, read_public_keys, verify
from .errors import BundleError
from .manifest import MANIFEST, MODEL_SIGNATURE, SIGNATURE, FileFacts, each_key_once, read_bounded

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

Keys = Callable[[Table], List[PublicKey]]
"""The keys that a signature may be by, given the bundle's verificationMaterial; raises ValueError or BundleError."""

MAX_BYTES = 4 << 20
MAX_KEY_BYTES = 1 << 16


class Statement(NamedTuple):
    """What was signed: the files by name with their SHA-256, and paths that were left out.

    key: that signed it; None where none was given to check with. hint: the fingerprint that the file tells of its key.
    """

    key: Optional[PublicKey]
    hint: Optional[str]
    files: Dict[str, str]
    ignored: Tuple[str, ...]


def check_model_signature(folder: str, manifest: bytes, files: Dict[str, FileFacts], key: Union[str, Keys]) -> str:
    """Checks that model.sig is by a key that is trusted, and of this bundle; returns the key's fingerprint.

    Args:
        manifest: what manifest.json holds; files: as it names them, compared with what is there already.
        key: a file of public keys, PEM; or what tells the keys that are trusted.
    Raises:
        BundleError: there is no signature, it is of other files, or by another key; or the file holds no public key.
    """
    statement = read_statement(_signature(folder), keys_in(key) if isinstance(key, str) else key)
    if statement.key is None:
        raise BundleError("%s was not checked with a key" % MODEL_SIGNATURE)
    _compare(folder, manifest, files, statement)
    return statement.key.fingerprint


def keys_in(path: str) -> Keys:
    """The public keys in a file, PEM, of which a signature may be by any.

    Raises:
        BundleError: it cannot be read, or holds none.
    """
    try:
        return named_among(read_public_keys(read_bounded(os.path.realpath(path), MAX_KEY_BYTES)))
    except OSError as error:
        raise BundleError("cannot read the key %s: %s" % (path, error.strerror))
    except ValueError as error:
        raise BundleError("%s is no file of public keys: %s" % (path, error))


def named_among(keys: List[PublicKey]) -> Keys:
    """Of keys that are trusted the one that a signature says it is by; all, where it says none."""

    def named(material: Table) -> List[PublicKey]:
        if "publicKey" not in material or "certificate" in material or "x509CertificateChain" in material:
            raise ValueError("it is by a certificate, not by a key")
        hint = _hint(material)
        found = [key for key in keys if not hint or key.fingerprint == hint]
        if not found:
            raise BundleError("%s is by another key, %s" % (MODEL_SIGNATURE, hint))
        return found

    return named


def check_listed(folder: str, manifest: bytes, files: Dict[str, FileFacts]) -> Optional[str]:
    """Checks that model.sig lists this bundle's files, whoever made it; returns what it names its key by.

    Raises:
        BundleError: it is damaged, or lists others.
    """
    statement = read_statement(_signature(folder), None)
    _compare(folder, manifest, files, statement)
    return statement.hint


def read_statement(content: bytes, keys: Optional[Keys]) -> Statement:
    """What a model.sig says; not believed before the signature of it has been checked, where keys are given.

    Raises:
        BundleError: it is damaged, of another form, or by none of the keys.
    """
    try:
        bundle = _object(json.loads(content.decode("utf-8"), object_pairs_hook=each_key_once))
        if bundle.get("mediaType") != MEDIA_TYPE:
            raise ValueError("its mediaType is %r" % (bundle.get("mediaType"),))
        material, envelope = _object(bundle.get("verificationMaterial")), _object(bundle.get("dsseEnvelope"))
        if envelope.get("payloadType") != PAYLOAD_TYPE:
            raise ValueError("its payloadType is %r" % (envelope.get("payloadType"),))
        payload = base64.b64decode(_text(envelope, "payload"), validate=True)
        hint = _hint(material)
        key = None if keys is None else _signer(envelope, payload, keys(material))
        told = _object(json.loads(payload.decode("utf-8"), object_pairs_hook=each_key_once))
        return Statement(key, hint, *_files(told))
    except (ValueError, RecursionError) as error:
        raise BundleError("%s is damaged, or of a form that is not known here: %s" % (MODEL_SIGNATURE, error))


def differences(signed: Dict[str, str], there: Dict[str, str]) -> Iterator[str]:
    """What of files by name and SHA-256 is otherwise than it was signed, in words."""
    for name in sorted(set(signed) - set(there)):
        yield "%s was signed and is not there" % name
    for name in sorted(set(there) - set(signed)):
        yield "%s was not signed" % name
    for name in sorted(set(there) & set(signed)):
        if signed[name] != there[name]:
            yield "%s is not what was signed" % name


def signed_bytes(payload: bytes) -> bytes:
    """What a DSSE signature is of: the payload with its type and lengths (the protocol's PAE)."""
    kind = PAYLOAD_TYPE.encode("ascii")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def root_digest(digests: List[str]) -> str:
    """SHA-256 of SHA-256s in hexadecimal, in the order of their files: what the statement's subject is named by."""
    return hashlib.sha256(b"".join(bytes.fromhex(each) for each in digests)).hexdigest()


def _signature(folder: str) -> bytes:
    try:
        return read_bounded(os.path.join(folder, MODEL_SIGNATURE), MAX_BYTES)
    except FileNotFoundError:
        raise BundleError("the bundle is not signed with such a key: there is no %s" % MODEL_SIGNATURE)
    except OSError as error:
        raise BundleError("cannot read %s: %s" % (MODEL_SIGNATURE, error.strerror))


def _compare(folder: str, manifest: bytes, files: Dict[str, FileFacts], statement: Statement) -> None:
    there = {name: facts.sha256 for name, facts in files.items()}
    there[MANIFEST] = hashlib.sha256(manifest).hexdigest()
    path = os.path.join(folder, SIGNATURE)
    if SIGNATURE in statement.files and os.path.lexists(path):  # whoever signs last may sign that there was one
        there[SIGNATURE] = hashlib.sha256(read_bounded(path, MAX_BYTES)).hexdigest()
    for difference in differences(statement.files, there):
        raise BundleError("%s is not of this bundle: %s" % (MODEL_SIGNATURE, difference))


def _hint(material: Table) -> Optional[str]:
    """The fingerprint of the key that a signature is said to be by."""
    hint = _object(material.get("publicKey", {})).get("hint")
    if hint is not None and not isinstance(hint, str):
        raise ValueError("the key's hint is %r" % (hint,))
    return hint


def _signer(envelope: Table, payload: bytes, keys: List[PublicKey]) -> PublicKey:
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise ValueError("it does not have one signature")
    signature = base64.b64decode(_text(_object(signatures[0]), "sig"), validate=True)
    for key in keys:
        if verify(key, signed_bytes(payload), signature):
            return key
    raise BundleError("%s was changed, or is by another key: the signature does not hold" % MODEL_SIGNATURE)


def _files(told: Table) -> Tuple[Dict[str, str], Tuple[str, ...]]:
    """The files of a statement by name, and the paths that it leaves out."""
    for key, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if told.get(key) != wanted:
            raise ValueError("its %s is %r" % (key, told.get(key)))
    predicate = _object(told.get("predicate"))
    form = _object(predicate.get("serialization"))
    if form.get("method") != "files" or form.get("hash_type") != "sha256" or "shard_size" in form:
        raise ValueError("it is of %s by %s, not of files by sha256" % (form.get("method"), form.get("hash_type")))
    resources, ignored = predicate.get("resources"), form.get("ignore_paths", [])
    if not isinstance(resources, list) or not resources:
        raise ValueError("it lists no files")
    if not isinstance(ignored, list) or not all(isinstance(each, str) for each in ignored):
        raise ValueError("its ignore_paths are no list of text")
    files = [_file(_object(each)) for each in resources]
    if len(dict(files)) != len(files):
        raise ValueError("it lists a file twice")
    subjects = told.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise ValueError("it does not have one subject")
    if _object(_object(subjects[0]).get("digest")).get("sha256") != root_digest([digest for _, digest in files]):
        raise ValueError("its subject is not what it lists")
    return dict(files), tuple(ignored)


def _file(told: Table) -> Tuple[str, str]:
    name, digest = _text(told, "name"), _text(told, "digest")
    if told.get("algorithm") != "sha256" or not re.match("^[0-9a-f]{64}$", digest):
        raise ValueError("%r has no SHA-256" % name)
    return name, digest


def _object(value: Any) -> Table:
    if not isinstance(value, dict):
        raise ValueError("an object is missing")
    return value


def _text(told: Table, key: str) -> str:
    value = told.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError("it has no %s" % key)
    return value
