"""The table of networks at home here. Only data: nothing heavy is imported before a network is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from edgekit.errors import InputError

WEIGHTS_DIR = Path(__file__).resolve().parent / "trained"


@dataclass(frozen=True)
class TagEntry:
    """Weights that belong to a model: where they are, and what network they fit.

    Attributes:
        source: a file in the package, or `hub:OWNER/NAME` on the Hugging Face hub.
        width: channel multiplier of that network.
        classes: its number of classes.
        data: the data set it was trained on, if edgekit has it.
        crop_fraction: of the evaluation crop.
        revision: on the hub, if it is pinned; main otherwise.
        sha256: of the file on the hub, if it is known.
    """

    source: str
    description: str
    width: float
    classes: int
    data: str | None = None
    crop_fraction: float = 0.875
    revision: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class ModelEntry:
    """One architecture.

    Attributes:
        factory: `module:Class`, called with num_classes and width.
        input_size: side of the square input, pixels.
        params, gmacs: at width 1 with `outputs` outputs.
        default_tag: the weights that it has when none are named; None while it has none.
        task: what its outputs are, as a recipe names it: "classify", or "embed" for vectors to compare by cosine.
        outputs: how many it has where neither the weights nor the recipe say so.
        crop_fraction: of the evaluation crop, where no tag says so.
    """

    name: str
    description: str
    factory: str
    input_size: int
    params: int
    gmacs: float
    default_tag: str | None
    tags: Mapping[str, TagEntry]
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: str = "bicubic"
    task: Literal["classify", "multilabel", "embed"] = "classify"
    outputs: int = 1000
    crop_fraction: float = 0.875
    aliases: tuple[str, ...] = field(default=())


def _signs(model: str) -> TagEntry:
    return TagEntry(
        source=f"{model}.signs.safetensors",
        description="quarter width, trained by this project on the rendered signs; shipped in the package",
        width=0.25,
        classes=24,
        data="signs",
        crop_fraction=1.0,
    )


# Neither revisions nor hashes are pinned: the hub could not be asked where this was written, and they are not invented.
# What is fetched is checked against the SHA-256 that the hub announces, which the report then tells.
_TF_IN1K = TagEntry(
    source="hub:timm/inception_v4.tf_in1k",
    description="public ImageNet-1k weights, from the Hugging Face hub (171 MB)",
    width=1.0,
    classes=1000,
)
_RESNET_TF_IN1K = TagEntry(
    source="hub:timm/inception_resnet_v2.tf_in1k",
    description="public ImageNet-1k weights, from the Hugging Face hub (224 MB)",
    width=1.0,
    classes=1000,
    crop_fraction=0.8975,
)
_RESNET_TF_ENS_ADV_IN1K = TagEntry(
    source="hub:timm/inception_resnet_v2.tf_ens_adv_in1k",
    description="public ImageNet-1k weights from ensemble adversarial training, from the Hugging Face hub (224 MB)",
    width=1.0,
    classes=1000,
    crop_fraction=0.8975,
)

MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        "inception_v4": ModelEntry(
            name="inception_v4",
            description="Inception-v4 (Szegedy et al. 2016)",
            factory="edgekit.models.inception_v4:InceptionV4",
            input_size=299,
            params=42_679_816,
            gmacs=12.254,
            default_tag="signs",
            tags=MappingProxyType({"signs": _signs("inception_v4"), "tf_in1k": _TF_IN1K}),
        ),
        "inception_resnet_v1": ModelEntry(
            name="inception_resnet_v1",
            description="Inception-ResNet-v1 (Szegedy et al. 2016)",
            factory="edgekit.models.inception_resnet:InceptionResNetV1",
            input_size=299,
            params=22_756_328,
            gmacs=6.206,
            default_tag="signs",
            tags=MappingProxyType({"signs": _signs("inception_resnet_v1")}),
        ),
        "inception_resnet_v1_face": ModelEntry(
            name="inception_resnet_v1_face",
            description="Inception-ResNet-v1 for faces, 160x160 to 512 or 128 numbers, as facenet-pytorch has it",
            factory="edgekit.models.inception_resnet_face:InceptionResNetV1Face",
            input_size=160,
            params=23_482_624,
            gmacs=1.418,
            default_tag=None,
            tags=MappingProxyType({}),
            # (x - 127.5) / 128, of pictures that hold a face and little else
            mean=(127.5 / 255,) * 3,
            std=(128 / 255,) * 3,
            interpolation="bilinear",
            task="embed",
            outputs=512,
            crop_fraction=1.0,
        ),
        "inception_resnet_v2": ModelEntry(
            name="inception_resnet_v2",
            description="Inception-ResNet-v2 as the public weights have it, 10/20/10 blocks",
            factory="edgekit.models.inception_resnet:InceptionResNetV2",
            input_size=299,
            params=55_843_464,
            gmacs=13.156,
            default_tag="signs",
            tags=MappingProxyType(
                {
                    "signs": _signs("inception_resnet_v2"),
                    "tf_in1k": _RESNET_TF_IN1K,
                    "tf_ens_adv_in1k": _RESNET_TF_ENS_ADV_IN1K,
                }
            ),
        ),
        "inception_resnet_v2_paper": ModelEntry(
            name="inception_resnet_v2_paper",
            description="Inception-ResNet-v2 as the paper has it, 5/10/5 blocks (Szegedy et al. 2016)",
            factory="edgekit.models.inception_resnet:InceptionResNetV2Paper",
            input_size=299,
            params=32_433_928,
            gmacs=9.258,
            default_tag=None,
            tags=MappingProxyType({}),
        ),
    }
)


def find_model(name: str) -> tuple[ModelEntry, str | None]:
    """The entry and the tag of `NAME` or `NAME.TAG`; no tag if none is named and the model has no weights of its own.

    Raises:
        InputError: there is no such model or tag; the nearest is named.
    """
    base, _, tag = name.partition(".")
    if base not in MODELS:
        near = get_close_matches(base, MODELS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise InputError(f"there is no model {name!r}", f"{hint}`edgekit models` lists them.")
    entry = MODELS[base]
    if tag and tag not in entry.tags:
        raise InputError(f"{base} has no weights {tag!r}", f"It has: {', '.join(entry.tags) or 'none yet'}.")
    return entry, tag or entry.default_tag
