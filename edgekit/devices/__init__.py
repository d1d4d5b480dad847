"""Devices over SSH: which there are, how they are talked to, what is sent to them and what they measure."""

from __future__ import annotations

from edgekit.devices.registry import Device, Registry
from edgekit.devices.ssh import Connection

__all__ = ["Connection", "Device", "Registry"]
