"""The errors of the device runtime: each message is one line that says what is wrong."""

from .shown import line


class BundleError(Exception):
    """A bundle that is missing, damaged, not for this device, or does not compute what it did where it was built."""

    def __init__(self, what: str) -> None:
        super().__init__(line(what))


class ImageError(BundleError):
    """An image that cannot be read, is too large, or is no image."""


class MissingError(BundleError):
    """Something that this device lacks: an inference runtime, Pillow, ssh-keygen. The message says how to get it."""


class DeviceWarning(UserWarning):
    """A bundle runs on another device, or another kind of processor, than it was built and measured for."""
