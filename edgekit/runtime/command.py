"""`python3 edgekit_runtime.pyz classify BUNDLE IMAGE...` and `verify BUNDLE`: what a device without edgekit has.

Exit codes: 0 done, 2 a bad bundle, image or use, 4 something is missing on this device, 130 interrupted, 143 and 129
stopped by SIGTERM and SIGHUP.
"""

import argparse
import json
import signal
import sys
import threading
from typing import Any, List, Optional

from .errors import BundleError, ImageError, MissingError
from .quiet import any_character, device_warnings_in_a_line, no_image_warnings, nobody_reads
from .shown import shown


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs one verb; returns the exit code."""
    told = _parser().parse_args(arguments)
    no_image_warnings()
    device_warnings_in_a_line()
    any_character()
    before = _stop_in_order()
    try:
        return int(told.run(told))
    except MissingError as error:
        return _fail(error, 4)
    except BundleError as error:
        return _fail(error, 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        nobody_reads()
        return 0
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)


def _stop_in_order() -> List[int]:
    """Lets SIGTERM and SIGHUP leave blocks in order; the first process of a container would not end by them at all.

    Those that are handled or ignored already stay so; what is told are the others.
    """

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        return []
    taken = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    return [int(number) for number in taken]


def _fail(error: BundleError, code: int) -> int:
    sys.stderr.write("edgekit: error: %s.\n" % str(error).rstrip("."))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgekit_runtime", description="Runs and checks bundles of edgekit.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.required = True
    classify = verbs.add_parser("classify", help="classify images with a bundle")
    classify.add_argument("bundle", metavar="BUNDLE")
    classify.add_argument("images", metavar="IMAGE", nargs="+", help="JPEG and PNG files, or - for paths on stdin")
    classify.add_argument("--top", type=int, default=5, metavar="N", help="classes to tell of (default: 5)")
    classify.add_argument("--jsonl", action="store_true", help="print one JSON object a line")
    classify.add_argument("--threads", type=int, metavar="N", help="processor threads")
    classify.set_defaults(run=_classify)
    check = verbs.add_parser("verify", help="check a bundle: files, signature, golden outputs")
    check.add_argument("bundle", metavar="BUNDLE")
    check.add_argument("--identity", metavar="NAME", help="who must have signed it")
    check.add_argument("--key", metavar="FILE", help="public keys (PEM): model.sig must be by one of them")
    check.add_argument("--no-golden", action="store_true", help="run nothing")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=_verify)
    for each in (classify, check):
        each.add_argument("--runtime", metavar="NAME", help="openvino, onnxruntime, tensorrt or tensorrt-rtx")
        each.add_argument(
            "--allowed-signers", metavar="FILE", help="one of these must have signed it (SSH or PEM keys)"
        )
    return parser


def _classify(told: argparse.Namespace) -> int:
    from .bundle import Bundle

    bad = 0
    lines = (line.rstrip("\n") for line in sys.stdin)
    paths = (path for given in told.images for path in (lines if given == "-" else [given]) if path)
    asked = {"threads": told.threads, "runtime": told.runtime, "allowed_signers": told.allowed_signers}
    with Bundle.open(told.bundle, **asked) as bundle:
        session = bundle.session()
        for path in paths:
            try:
                answer = session.classify(path, told.top)
            except ImageError as error:
                bad += 1
                _fail(error, 2)
                continue
            if told.jsonl:
                classes = [{"label": label, "probability": share} for label, share in answer]
                print(json.dumps({"image": path, "classes": classes}), flush=True)
            else:
                ranked = ", ".join("%s %.1f %%" % (label, share * 100) for label, share in answer)
                print(shown("%s: %s" % (path, ranked)))
    return 2 if bad else 0


def _verify(told: argparse.Namespace) -> int:
    from . import verify

    checks = verify.verify(told.bundle, told.allowed_signers, told.identity, not told.no_golden, told.runtime, told.key)
    if told.json:
        print(json.dumps(verify.as_json(told.bundle, checks), indent=2))
    else:
        print("\n".join(verify.as_text(checks)))
    return verify.exit_code(checks)
