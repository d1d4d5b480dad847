"""What is told about a network's input and answers before its graph is read; light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Answer:
    """What the user says of a network; None where the graph is to say it.

    Attributes:
        task: "classify", "multilabel" or "embed".
        output: name of the output that holds the answers.
        activation: "none", "softmax" or "sigmoid".
        layout: "nchw" or "nhwc", of the input.
    """

    task: str = "classify"
    output: str | None = None
    activation: str | None = None
    layout: str | None = None


TOLD_NOTHING: Final = Answer()
