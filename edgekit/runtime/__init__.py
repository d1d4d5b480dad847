"""What runs on the device: opens a bundle, checks it, classifies. Python 3.6, numpy and one inference runtime."""

from .bundle import Bundle
from .errors import BundleError, DeviceWarning, ImageError, MissingError
from .session import Session

__all__ = ["Bundle", "BundleError", "DeviceWarning", "ImageError", "MissingError", "Session"]
