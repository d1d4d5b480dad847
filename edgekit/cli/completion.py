"""What a shell completes names to: targets, models with their tags, saved devices."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


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


def known_devices(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Saved devices; of several between commas, the last one. Nothing where their file cannot be read: the verb says
    so when it runs.
    """
    from edgekit.devices.registry import Registry
    from edgekit.errors import EdgekitError

    before, comma, begun = incomplete.rpartition(",")
    try:
        known = Registry().all()
    except EdgekitError:
        return []
    taken = before.split(",")
    return [
        CompletionItem(before + comma + name, help=device.url)
        for name, device in known.items()
        if name.startswith(begun) and name not in taken
    ]
