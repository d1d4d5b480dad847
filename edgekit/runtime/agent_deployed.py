"""Verbs of the agent about what is deployed on a device: the path that leads to it, its engines and which it takes.

Each answers with one frame; see edgekit.runtime.agent.
"""

from typing import BinaryIO, Callable

from .frames import Header

Talk = Callable[..., None]


def deploy_verb(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Lets a path lead to a bundle."""
    from .links import deploy

    talk({"before": deploy(header["folder"], header["to"])})


def choose_verb(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Keeps whether INT8 or FP16 of a bundle is taken here."""
    from .forms import choose_form

    choose_form(header["runtime"], header["folder"], header["taken"], header["why"])
    talk({"taken": header["taken"]})


def give_verb(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Sends the engine that is kept of a bundle."""
    from .settings import engine_settings
    from .tensorrt_engine import give

    facts, content = give(header["folder"], header["precision"], engine_settings(header.get("settings")))
    talk({"identity": facts}, content)


def take_verb(header: Header, source: BinaryIO, talk: Talk) -> None:
    """The engine follows in a frame of its own."""
    from .agent import Inbox
    from .settings import engine_settings
    from .tensorrt_engine import take

    told, content = Inbox(source).next()
    settings = engine_settings(header.get("settings"))
    take(header["folder"], header["precision"], settings, told["identity"], content)
    talk({"kept": True})


def rollback_verb(header: Header, source: BinaryIO, talk: Talk) -> None:
    """Lets a path lead to the bundle before."""
    from .links import rollback

    talk({"folder": rollback(header["to"])})
