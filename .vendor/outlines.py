"""Writes the graphs of the registry's networks without their weights again, and their hashes: `make outlines`.

To be run where the architectures, the exporter or the canonical form of graphs change.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

import onnx
from torch import nn

from edgekit.models import create, outline
from edgekit.models.export import export_network
from edgekit.models.registry import MODELS

NAMES = ("inception_v4", "inception_resnet_v1", "inception_resnet_v2", "inception_resnet_v2_paper")
WIDTH, OUTPUTS = 0.25, 10


def biased(network: nn.Module) -> nn.Module:
    """The network with biases of its own in every layer: the exporter leaves zeros out, and writes equal ones once."""
    for name, parameter in network.named_parameters():
        if name.endswith(".bias"):
            nn.init.uniform_(parameter, 0.5, 1.5)
    return network


def main() -> None:
    outline.FOLDER.mkdir(exist_ok=True)
    rows = []
    for name in NAMES:
        network = biased(create(name, num_classes=OUTPUTS, width=WIDTH).eval())
        side = MODELS[name].input_size
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export_network(network, (side, side), path)
            content = outline.emptied(onnx.load(str(path)))
        (outline.FOLDER / f"{name}.onnx").write_bytes(content)
        rows.append(f'        "{name}": "{hashlib.sha256(content).hexdigest()}",\n')
        print(f"{name}: {len(content):,} bytes")
    source = Path(outline.__file__)
    source.write_text(re.sub(r"(MappingProxyType\(\n    \{\n)[^}]*", rf"\g<1>{''.join(rows)}    ", source.read_text()))


if __name__ == "__main__":
    main()
