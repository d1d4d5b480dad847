"""What a shell completes names to: targets, models with their tags, saved devices, shipped recipes and sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pathlib import Path


def known_targets(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names and aliases of targets."""
    from edgekit.targets.table import ALIASES, TARGETS

    told = {name: target.description for name, target in TARGETS.items()}
    told |= {alias: f"means {name}" for alias, name in ALIASES.items()}
    return [CompletionItem(name, help=text) for name, text in told.items() if name.startswith(incomplete)]


def known_models(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Networks and, from the dot on, their tags; files where no name begins so, as a model may be one."""
    from edgekit.models.registry import MODELS

    found = known_networks(ctx, parameter, incomplete) + [
        CompletionItem(f"{name}.{tag}", help=told.description)
        for name, entry in MODELS.items()
        for tag, told in entry.tags.items()
        if f"{name}.{tag}".startswith(incomplete)
    ]
    return found or [CompletionItem(incomplete, type="file")]


def known_networks(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Networks alone, where tags and files are not taken."""
    from edgekit.models.registry import MODELS

    return [CompletionItem(name, help=MODELS[name].description) for name in MODELS if name.startswith(incomplete)]


def known_members(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Networks with their tags; of several between commas, the last one. Files where no name begins so."""
    before, comma, begun = incomplete.rpartition(",")
    offered = [each for each in known_models(ctx, parameter, begun) if each.type == "plain"]
    if not offered and not comma:
        return [CompletionItem(incomplete, type="file")]
    return _after_comma(before, comma, {each.value: each.help or "" for each in offered})


def known_device(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """One saved device. None where their file cannot be read: the verb says so when it runs."""
    return [CompletionItem(name, help=url) for name, url in _devices().items() if name.startswith(incomplete)]


def known_devices(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Saved devices; of several between commas, the last one."""
    before, comma, begun = incomplete.rpartition(",")
    return _after_comma(before, comma, {name: url for name, url in _devices().items() if name.startswith(begun)})


def _after_comma(before: str, comma: str, offered: dict[str, str]) -> list[CompletionItem]:
    """What may stand last in a list between commas: no name twice."""
    taken = before.split(",")
    return [CompletionItem(before + comma + name, help=told) for name, told in offered.items() if name not in taken]


def _devices() -> dict[str, str]:
    from edgekit.devices.registry import Registry
    from edgekit.errors import EdgekitError

    try:
        return {name: device.url for name, device in Registry().all().items()}
    except EdgekitError:
        return {}


def image_sources(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The set that is drawn, and files and folders."""
    drawn = [CompletionItem("signs", help="rendered traffic signs")] if "signs".startswith(incomplete) else []
    return [CompletionItem(incomplete, type="file"), *drawn]  # files first: bash forgets what comes before them


def build_recipes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shipped recipes of builds by their paths, and files."""
    import os

    offered = []
    for path in _shipped("jetson.yaml"):
        shown = os.path.relpath(path)
        shown = str(path) if shown.startswith("..") else shown
        if shown.startswith(incomplete):
            offered.append(CompletionItem(shown, help="shipped"))
    return [CompletionItem(incomplete, type="file"), *offered]


def training_recipes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shipped recipes of trainings by name, and files."""
    return _by_name("training/paper.yaml", incomplete)


def study_recipes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shipped recipes of studies by name, and files."""
    return _by_name("study/residual.yaml", incomplete)


def _by_name(one: str, incomplete: str) -> list[CompletionItem]:
    names = [path.stem for path in _shipped(one)]
    return [
        CompletionItem(incomplete, type="file"),
        *(CompletionItem(name, help="shipped") for name in names if name.startswith(incomplete)),
    ]


def _shipped(one: str) -> list[Path]:
    """The shipped recipes beside one of them."""
    from edgekit.recipe import find_shipped

    found = find_shipped("recipes", one)
    return [] if found is None else sorted(found.parent.glob("*.yaml"))
