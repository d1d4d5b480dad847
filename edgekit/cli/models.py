"""`edgekit models`: the model registry."""

from __future__ import annotations

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table


@click.command(
    epilog="\b\nExamples:\n  edgekit models\n  edgekit models --json\n  edgekit build --model inception_v4",
)
@json_option
def command(as_json: bool) -> None:
    """List the models that --model takes by name, with their weights' tags.

    Any ONNX file, any torch module (package.module:factory) and, with the extra timm, any classifier of timm
    (timm:NAME) work as well. Tags that end in in1k are fetched from the Hugging Face hub: HF_ENDPOINT, HF_HOME and
    HF_HUB_OFFLINE are heeded.
    """
    from edgekit.models.registry import MODELS

    if as_json:
        records = [
            {
                "name": name,
                "description": entry.description,
                "input_size": entry.input_size,
                "params": entry.params,
                "gmacs": entry.gmacs,
                "tags": list(entry.tags),
            }
            for name, entry in MODELS.items()
        ]
        emit_json({"models": records})
        return
    rows = [
        (
            name,
            f"{entry.input_size}x{entry.input_size}",
            f"{entry.params / 1e6:.2f} M",
            f"{entry.gmacs:.2f}",
            " ".join(entry.tags),
            entry.description,
        )
        for name, entry in MODELS.items()
    ]
    print_table(("model", "input", "parameters", "GMACs", "tags", "what it is"), rows, ("input", "GMACs"))
