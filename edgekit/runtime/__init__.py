"""What runs on the device: opens a bundle, checks it, classifies. Needs numpy and OpenVINO; Python 3.6 or newer."""

from edgekit.runtime.bundle import Bundle, BundleError

__all__ = ["Bundle", "BundleError"]
