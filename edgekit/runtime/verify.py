"""Everything that can be asked of a bundle before it is trusted, each as a check with its answer."""

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .errors import BundleError, MissingError
from .files import problems
from .manifest import Checked, read_manifest
from .processor import what_differs
from .signature import check_signature, check_untampered, is_signed


class Check(NamedTuple):
    """One check: whether it is good (None: not made), in words, and whether something was missing to make it."""

    name: str
    ok: Optional[bool]
    detail: str
    missing: bool = False


def verify(
    folder: str,
    allowed_signers: Optional[str] = None,
    identity: Optional[str] = None,
    golden: bool = True,
    runtime: Optional[str] = None,
) -> List[Check]:
    """Checks a bundle: manifest, files, signature where there is one or one is asked for, golden outputs here.

    Args:
        allowed_signers, identity: who may, and who must have signed; see edgekit.runtime.signature.
        golden: whether the golden inputs are run on this machine; runtime: with what.
    Returns:
        the checks, none after one of manifest or files that failed: then nothing else means anything.
    """
    try:
        raw, manifest = read_manifest(folder)
    except BundleError as error:
        return [Check("manifest", False, str(error))]
    checks = [Check("manifest", True, "schema %d, %s" % (manifest.schema, manifest.name))]
    found = list(problems(folder, manifest.files))
    if found:
        return checks + [Check("files", False, problem) for problem in found]
    size = sum(facts.size_bytes for facts in manifest.files.values())
    checks.append(Check("files", True, "%d files, %.2f MB" % (len(manifest.files), size / 1e6)))
    checks.append(_made("signature", lambda: _signed(folder, raw, allowed_signers, identity)))
    differs = _differs(manifest, runtime)
    if differs is not None:
        checks.append(Check("int8 sums", None, differs))
    if golden:
        checks.append(_made("golden outputs", lambda: _computes(folder, runtime)))
    else:
        checks.append(Check("golden outputs", None, "not run"))
    return checks


def exit_code(checks: List[Check]) -> int:
    """0 when all is good, 2 when something is bad, 4 when something could not be looked at."""
    if any(check.ok is False and not check.missing for check in checks):
        return 2
    return 4 if any(check.missing for check in checks) else 0


def as_json(folder: str, checks: List[Check]) -> Dict[str, Any]:
    """The checks as plain values."""
    told = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks]
    return {"bundle": os.path.abspath(folder), "ok": exit_code(checks) == 0, "checks": told}


def as_text(checks: List[Check]) -> List[str]:
    """The checks as lines."""
    words = {True: "good", False: "BAD", None: "-"}
    return ["%-16s %-5s %s" % (check.name, "?" if check.missing else words[check.ok], check.detail) for check in checks]


def _made(name: str, check: Callable[[], Tuple[Optional[bool], str]]) -> Check:
    try:
        return Check(name, *check())
    except MissingError as error:
        return Check(name, False, str(error), missing=True)
    except BundleError as error:
        return Check(name, False, str(error))


def _signed(
    folder: str, raw: bytes, allowed_signers: Optional[str], identity: Optional[str]
) -> Tuple[Optional[bool], str]:
    if allowed_signers is not None:
        return True, "by %s" % check_signature(folder, raw, allowed_signers, identity)
    if not is_signed(folder):
        return None, "not signed"
    return True, "by the key %s, whose owner was not looked up" % check_untampered(folder, raw)


def _differs(manifest: Checked, runtime: Optional[str]) -> Optional[str]:
    """What differs in how this processor adds INT8 products up."""
    from .bundle import plugin_here
    from .engines import choose
    from .openvino_plugins import PROCESSOR

    try:
        used = runtime or choose(manifest.runtime, manifest.files)
    except BundleError:  # none that could run it is here
        used = manifest.runtime
    on_processor = plugin_here(manifest.settings.plugin, used)[0] == PROCESSOR
    return what_differs(manifest.content, used) if on_processor else None


def _computes(folder: str, runtime: Optional[str]) -> Tuple[bool, str]:
    from .bundle import Bundle

    with Bundle.open(folder, verify=False, runtime=runtime) as bundle:
        return True, "%s, with %s" % (bundle.compare_golden(), bundle.runtime)
