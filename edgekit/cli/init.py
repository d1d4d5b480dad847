"""`edgekit init`: a commented starter recipe."""

from __future__ import annotations

import click

from edgekit.cli.completion import known_models, known_targets

STARTER = """\
# An edgekit recipe. Build it with:  edgekit build --recipe {name}
# Every line below `model` and `target` may be left out; a commented line shows the default or an example.
# Options on the command line go before what stands here.

model: {model}           # NAME or NAME.TAG of `edgekit models`, a .onnx file, or package.module:factory
target: {target}         # see `edgekit targets`

# weights: weights.safetensors   # a safetensors or torch file, or `random` for latency work; default: the tag's own
# width: 0.25                    # channel multiplier of a registry model
# num_classes: 16                # of a registry model

# data: signs                    # labelled images: `signs`, a folder (one sub-folder a class), or a CSV/JSONL file
# images: 2000                   # how many of them, evenly spread; default: all
# calibration:                   # the images that quantization looks at
#   images: 300
#   strategy: stratified         # random, stratified or coverage
#   file: calibration.json       # or a set pinned with `edgekit calibrate`

# prune: auto                    # as many channels as pay; a share of every layer, such as 0.3; or none
# pruning:
#   train_data: photos-to-train/ # images to recover with; without labels it distils; default: signs for signs networks
#   minutes: 4                   # of recovery
#   importance: fisher           # what channels are worth by: fisher, taylor or magnitude

# precision: int8                # or fp16, bf16, fp32; `edgekit targets` says what is fast where; mixed looks for the
#                                # fastest network within max_drop
# tuning:
#   minutes: 10                  # that mixed may look for it
# max_drop: 1.0                  # top-1 points that compression may cost
# latency_budget_ms: 20.0        # p50 at batch 1
# seed: 0

# license: Apache-2.0            # of the weights, for the manifest; known for those of edgekit's own models
# sbom: true                     # a CycloneDX bill of materials in the bundle
# keep_answers: true             # which images were right, so that `edgekit compare` can pair two builds

# device: orin                   # compile, judge and time there: a saved device, or ssh://user@host
# tensorrt:                      # for gpu, rtx and Jetsons
#   jetpack: "6.2"               # of the Jetson
#   compute_capabilities: ["8.9"] # GPUs that rtx builds for
#   optimization_level: 3        # how hard the builder tries, 0 to 5
#   workspace_mb: 1024
#   dla: false                   # run on the deep-learning accelerator what can
#   dla_core: 0                  # which of them

# preprocessing:                 # what the network was trained with; set it for a model of your own
#   size: 299                    # or height x width: 48x192
#   resize: crop                 # the centre; or squash, letterbox, pad
#   crop_fraction: 0.875
#   interpolation: bicubic
#   antialias: true              # as Pillow resizes; false: as OpenCV does
#   mean: [0.5, 0.5, 0.5]
#   std: [0.5, 0.5, 0.5]
#   scale: 1                     # what white is for mean and std: 1 or 255
#   color: rgb                   # or bgr, grey
#   exif: false                  # turn images as they say
"""
"""The recipe that is written; `{name}`, `{model}` and `{target}` are filled in."""


@click.command(
    epilog="\b\nExamples:\n  edgekit init\n  edgekit init mine.yaml --model m.onnx\n"
    "  edgekit init --schema > recipe.schema.json\n  edgekit build --recipe mine.yaml",
)
@click.argument("path", default="recipe.yaml", type=click.Path(dir_okay=False))
@click.option(
    "--model",
    shell_complete=known_models,
    default="inception_v4",
    show_default=True,
    help="Model that the recipe names.",
)
@click.option(
    "--target", shell_complete=known_targets, default="cpu", show_default=True, help="Target that the recipe names."
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of recipes instead.")
def command(path: str, model: str, target: str, force: bool, schema: bool) -> None:
    """Write a commented starter recipe to PATH (default recipe.yaml), and its schema beside it.

    Editors that have YAML's language server complete the keys of the recipe and say what they mean.
    """
    from edgekit.cli.output import note, print_document, say
    from edgekit.file_names import readable
    from edgekit.recipe_schema import FILE, LINE, is_schema, schema_text

    if schema:
        print_document(schema_text())
        return
    import json
    from pathlib import Path

    from edgekit.errors import InputError
    from edgekit.targets import find

    find(target)
    file = Path(path)
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {str(file.parent)!r}", "Make it first, or give another path.")
    beside = file.parent / FILE
    if file.name == FILE:
        raise InputError(f"{FILE} is the schema's own name", "Give the recipe another one.")
    if beside.exists() and not is_schema(beside):
        raise InputError(f"{beside} is no schema of recipes", "Move it, or give a path in another folder.")
    plain = model.replace("_", "").replace(".", "").isalnum()
    text = f"{LINE}\n" + STARTER.format(
        name=readable(file.name), model=model if plain else json.dumps(model), target=target
    )
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
        beside.write_text(schema_text(), encoding="utf-8")
    except FileExistsError:
        raise InputError(f"{path} exists", "Give another path, or --force to overwrite it.") from None
    except PermissionError:
        raise InputError(f"{path} and {FILE} cannot be written", "Give a path in a folder of yours.") from None
    say(path)
    note(f"Next: edgekit build --recipe {path}")
