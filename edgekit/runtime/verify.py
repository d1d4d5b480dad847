"""Everything that can be asked of a bundle before it is trusted, each as a check with its answer."""

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from .errors import BundleError, MissingError
from .files import problems
from .kernels import JUDGED
from .manifest import MODEL_SIGNATURE, SIGNATURE, Checked, read_manifest
from .model_signature import Keys, check_listed, check_model_signature
from .processor import what_differs
from .shown import line
from .signature import check_untampered
from .signers import Signed, signer_of

if TYPE_CHECKING:
    from .bundle import Bundle

UNSIGNED = "not signed"
"""What is said where there is no signature, and none is asked for."""


class Check(NamedTuple):
    """One check: whether it is good (None: not made), in words, and whether something was missing to make it.

    A warning is of a bundle that is whole, and not what it could be on this machine.
    """

    name: str
    ok: Optional[bool]
    detail: str
    missing: bool = False
    warning: bool = False


def verify(
    folder: str,
    allowed_signers: Optional[str] = None,
    identity: Optional[str] = None,
    golden: bool = True,
    runtime: Optional[str] = None,
    key: Optional[Union[str, Keys]] = None,
) -> List[Check]:
    """Checks a bundle: manifest, files, signatures that are there or must be, golden outputs and kernels here.

    Args:
        allowed_signers, identity: who may, and who must have signed; see edgekit.runtime.signers.
        golden: whether the golden inputs are run on this machine; runtime: with what.
        key: a file of public keys in PEM: model.sig must be by one of them; or what tells the keys that are trusted.
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
    signed = Signed(folder, raw, manifest.files)
    checks += _asked(signed, allowed_signers, identity, key) or _unasked(signed)
    differs = _differs(manifest, runtime)
    if differs is not None:
        checks.append(Check("int8 sums", None, differs, warning=True))
    if golden:
        checks.extend(_computed(folder, runtime))
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
    told: List[Dict[str, Any]] = []
    for check in checks:
        told.append({"name": check.name, "ok": check.ok, "detail": check.detail})
        if check.warning:
            told[-1]["warning"] = True
    return {"bundle": os.path.abspath(folder), "ok": exit_code(checks) == 0, "checks": told}


def as_text(checks: List[Check]) -> List[str]:
    """The checks as lines."""
    return ["%-16s %-5s %s" % (check.name, _word(check), line(check.detail)) for check in checks]


def _word(check: Check) -> str:
    if check.missing or check.warning:
        return "?" if check.missing else "warn"
    return {True: "good", False: "BAD", None: "-"}[check.ok]


def _made(name: str, check: Callable[[], Tuple[Optional[bool], str]]) -> Check:
    try:
        return Check(name, *check())
    except MissingError as error:
        return Check(name, False, str(error), missing=True)
    except BundleError as error:
        return Check(name, False, str(error))


def _asked(
    signed: Signed, allowed_signers: Optional[str], identity: Optional[str], key: Optional[Union[str, Keys]]
) -> List[Check]:
    """Whether those have signed who must have; nothing where nobody must."""
    checks = []
    if allowed_signers is not None:
        signer = partial(signer_of, signed, allowed_signers, identity)
        checks.append(_made("signature", lambda: (True, "by %s" % signer())))
    if key is not None:
        by = partial(check_model_signature, *signed, key=key)
        checks.append(_made("model signature", lambda: (True, "by the key %s" % by())))
    return checks


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
    return what_differs(manifest.content.get("arithmetic"), used) if on_processor else None


def _unasked(signed: Signed) -> List[Check]:
    """Whether the signatures that are there are of this bundle, whoever they are by."""
    checks = []
    if os.path.lexists(os.path.join(signed.folder, SIGNATURE)):
        checks.append(_made("signature", lambda: _whole(signed)))
    if os.path.lexists(os.path.join(signed.folder, MODEL_SIGNATURE)):
        checks.append(_made("model signature", lambda: _listed(signed)))
    return checks or [Check("signature", None, UNSIGNED)]


def _whole(signed: Signed) -> Tuple[bool, str]:
    key = check_untampered(signed.folder, signed.manifest)
    return True, "by the key %s, whose owner was not looked up" % key


def _listed(signed: Signed) -> Tuple[None, str]:
    hint = check_listed(*signed)
    return None, "said to be by the key %s; not checked, no public key was given" % (hint or "of someone")


def _computed(folder: str, runtime: Optional[str]) -> List[Check]:
    """Golden outputs and, where they are right and the precision promises some, the kernels that gave them."""
    from .bundle import Bundle

    found: List[Check] = []

    def golden() -> Tuple[bool, str]:
        with Bundle.open(folder, verify=False, runtime=runtime) as bundle:
            told = "%s, with %s" % (bundle.compare_golden(), bundle.runtime)
            if bundle.manifest["precision"] in JUDGED:
                found.extend(_kernels(bundle))
            return True, told

    return [_made("golden outputs", golden)] + found


def _kernels(bundle: "Bundle") -> List[Check]:
    """Nothing where the runtime does not tell."""
    try:
        told = bundle.kernels()
    except BundleError as error:
        return [Check("kernels", None, str(error))]
    if not told.layers:
        return []
    return [Check("kernels", None if told.wrong else True, told.sentence(), warning=told.wrong)]
