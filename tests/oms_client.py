"""Signs and checks any folder as OpenSSF Model Signing has it, by edgekit's functions: what a conformance suite runs.

    python tests/oms_client.py sign-model --method key --model-path DIR --output-bundle FILE --private-key PEM
    python tests/oms_client.py verify-model --method key --model-path DIR --bundle FILE --public-key PEM

and with `--method certificate --signing-cert PEM --cert-chain PEM`, to check `--cert-chain PEM`.

Bundles of edgekit's have neither folders nor links, so that what walks through these is here. `--ignore-paths PATH` and
`--ignore-unsigned-files` are as the suite has them. Exit code 0: signed, or good.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import stat
import sys
from collections.abc import Collection
from pathlib import Path

from edgekit.bundle.certificates import read_certificates, vouched_for
from edgekit.bundle.oms_signing import Signer, private_key, signature_of, signer_of
from edgekit.errors import EdgekitError
from edgekit.runtime.errors import BundleError
from edgekit.runtime.model_signature import Keys, differences, keys_in, read_statement

GIT = (".git", ".gitattributes", ".github", ".gitignore")


def digests(model: Path, left_out: Collection[str]) -> dict[str, str]:
    """SHA-256 of each file of a model, a folder or one file, by its path in it."""
    if not model.is_dir():
        return {model.name: hashlib.sha256(model.read_bytes()).hexdigest()}
    found = {}
    for folder, folders, names in os.walk(model):
        for name in [*folders, *names]:
            path = Path(folder) / name
            inside = path.relative_to(model)
            if any(inside.is_relative_to(each) for each in left_out):
                continue
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found[inside.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif not stat.S_ISDIR(mode):
                raise BundleError(f"{inside} is a link, or no file")
    if not found:
        raise BundleError("there are no files")
    return found


def sign(model: Path, out: Path, signer: Signer, ignored: Collection[Path]) -> None:
    """Writes the signature of a model."""
    left_out = _inside(model, [*ignored, out])
    out.write_bytes(signature_of(model.resolve().name, digests(model, left_out), signer, left_out))


def verify(model: Path, signature: Path, keys: Keys, ignored: Collection[Path], unsigned: bool = False) -> None:
    """Checks the signature of a model.

    Args:
        keys: that it may be by; unsigned: whether files may be there that were not signed.
    Raises:
        BundleError: it does not hold.
    """
    told = read_statement(signature.read_bytes(), keys)
    there = digests(model, {*_inside(model, [*ignored, signature]), *told.ignored})
    signed = told.files
    if not model.is_dir() and list(signed) == ["."]:  # as the first releases of others named a single file
        signed = {model.name: signed["."]}
    if unsigned:
        there = {name: digest for name, digest in there.items() if name in signed}
    for difference in differences(signed, there):
        raise BundleError(difference)


def _inside(model: Path, paths: Collection[Path]) -> list[str]:
    root = model.resolve()
    resolved = [path.resolve() for path in paths]
    return [*GIT, *(each.relative_to(root).as_posix() for each in resolved if each.is_relative_to(root))]


def main() -> int:
    """Runs one verb of the suite's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["sign-model", "verify-model"])
    parser.add_argument("--method", required=True)
    for name in ("--model-path", "--output-bundle", "--bundle", "--private-key", "--public-key", "--signing-cert"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--cert-chain", type=Path, action="append", default=[])
    parser.add_argument("--ignore-paths", type=Path, action="append", default=[])
    parser.add_argument("--ignore-unsigned-files", action="store_true")
    told, _ = parser.parse_known_args()
    if told.method not in ("key", "certificate"):
        print(f"edgekit signs with keys and certificates, not by {told.method}", file=sys.stderr)
        return 2
    by_key = told.method == "key"
    try:
        if told.verb == "sign-model":
            chain = [] if by_key else [told.signing_cert, *told.cert_chain]
            sign(
                told.model_path, told.output_bundle, signer_of(private_key(told.private_key), chain), told.ignore_paths
            )
        else:
            authorities = [each for path in told.cert_chain for each in read_certificates(path)]
            keys = keys_in(str(told.public_key)) if by_key else vouched_for(authorities)
            verify(told.model_path, told.bundle, keys, told.ignore_paths, told.ignore_unsigned_files)
    except (EdgekitError, BundleError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
