"""Keeps libraries from sending anything: OpenVINO reports its import over the network unless it cannot."""

import sys


def no_telemetry() -> None:
    """To be called before openvino or nncf is imported; what they report with then counts as not installed."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what makes an import fail
