"""The one error of the device runtime."""


class BundleError(Exception):
    """A bundle that is missing, damaged, not for this device, or does not compute what it did where it was built."""
