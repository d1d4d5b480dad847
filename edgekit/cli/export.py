"""`edgekit export`: a bundle for other servers."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, say


@click.command(
    epilog="\b\nExamples:\n  edgekit export build/inception_v4-jetson --triton models/\n"
    "  edgekit export build/inception_v4-jetson --deepstream nvinfer/",
)
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--triton", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="A model repository.")
@click.option(
    "--deepstream", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="A folder for nvinfer."
)
@click.option("--name", metavar="NAME", help="Of the entry in Triton's repository. Default: the bundle's folder.")
@json_option
def command(bundle: Path, triton: Path | None, deepstream: Path | None, name: str | None, as_json: bool) -> None:
    """Write BUNDLE as an entry of Triton's model repository, or as a configuration of DeepStream's nvinfer.

    Both take pixels at the network's size; how images are resized and cropped is told in the configuration.
    """
    if (triton is None) == (deepstream is None):
        raise click.UsageError("Give --triton or --deepstream")
    from edgekit.bundle import serving

    if triton is not None:
        written = serving.triton(bundle, triton, name or bundle.resolve().name)
    else:
        assert deepstream is not None
        written = serving.deepstream(bundle, deepstream)
    if as_json:
        emit_json({"files": [str(path) for path in written]})
    else:
        for path in written:
            say(path)
