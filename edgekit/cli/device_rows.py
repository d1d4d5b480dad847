"""What the verbs of `edgekit device` tell of one device: as JSON, and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.cli.output import emit_json, note, print_table, say, warn

if TYPE_CHECKING:
    from edgekit.devices.facts import DeviceFacts
    from edgekit.devices.forms import Taken
    from edgekit.devices.timed import BenchConditions
    from edgekit.validate.accuracy import Accuracy
    from edgekit.validate.latency import Measured

Json = dict[str, Any]


class Row(Protocol):
    """What a verb found on one device."""

    def as_json(self) -> Json:
        """What --json prints of it."""
        ...

    def say(self) -> None:
        """Prints it for people."""
        ...


def tell(rows: Sequence[Row], as_json: bool, **beside: Any) -> None:
    """Prints rows; in JSON one device's as it is, several under "devices", and what is told beside them."""
    if not as_json:
        for row in rows:
            row.say()
    elif len(rows) == 1:
        emit_json({**rows[0].as_json(), **beside})
    else:
        emit_json({"devices": [row.as_json() for row in rows], **beside})


@dataclass(frozen=True)
class ProbedDevice:
    """What a device is."""

    device: str
    facts: DeviceFacts

    def as_json(self) -> Json:
        """Its name, then the facts."""
        return {"device": self.device, **asdict(self.facts)}

    def say(self) -> None:
        """A table of the facts."""
        print_table(("what", "value"), [(key, _shown(value)) for key, value in self.as_json().items()])


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_shown(each)}" for key, each in value.items() if each is not None) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return "not known" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Deployed:
    """A bundle that is on a device: where, what had to be sent, and the least cosine of its golden outputs there.

    golden_cosine is None where they were not compared; to: the path that leads to it, and before where that led; form:
    INT8 or FP16, where it has both.
    """

    device: str
    folder: str
    sent_bytes: int
    golden_cosine: float | None
    to: str | None = None
    before: str | None = None
    form: Taken | None = None

    def as_json(self) -> Json:
        """The fields; those of a path, and of a choice between INT8 and FP16, only where there was one."""
        told = asdict(self)
        without = [*(["to", "before"] if self.to is None else []), *(["form"] if self.form is None else [])]
        return {key: value for key, value in told.items() if key not in without}

    def say(self) -> None:
        """One line."""
        checked = "" if self.golden_cosine is None else f", golden outputs agree (cosine {self.golden_cosine:.4f})"
        place = "" if self.to is None else f"; {self.to} leads to it"
        if self.form is not None:
            note(f"{self.device}: {self.form.form} is taken: {self.form.why}")
        say(f"{self.device}: {self.sent_bytes / 1e6:.2f} MB sent to {self.folder}{checked}{place}")


@dataclass(frozen=True)
class RolledBack:
    """A path on a device, and the bundle that it leads to again."""

    device: str
    to: str
    folder: str

    def as_json(self) -> Json:
        """The fields."""
        return asdict(self)

    def say(self) -> None:
        """One line."""
        say(f"{self.device}: {self.to} leads to {self.folder} again")


@dataclass(frozen=True)
class Benched:
    """What was timed on a device, and under what conditions."""

    device: str
    measured: Measured
    conditions: BenchConditions

    def as_json(self) -> Json:
        """`subjects` are the bundles, `latency` is the first of them."""
        energy_j = self.measured.energy_j
        figures = {name: {**each.as_dict(), "energy_j": energy_j[name]} for name, each in self.measured.latency.items()}
        return {
            "device": self.device,
            "latency": next(iter(figures.values())),
            "subjects": [{"name": name, **each} for name, each in figures.items()],
            "warnings": list(self.measured.warnings),
            "conditions": self.conditions.as_json(),
        }

    def say(self) -> None:
        """A table of the bundles, and what is doubtful."""
        lines = []
        for name, each in self.measured.latency.items():
            figures = (each.p50, each.p90, each.p99, each.mean, each.throughput_ips)
            lines.append([name, *(f"{figure:.2f}" for figure in figures), _shown(self.measured.energy_j[name])])
        say(self.device)
        print_table(
            ["bundle", "p50, ms", "p90, ms", "p99, ms", "mean, ms", "images/s", "J an image"], lines, ("mean, ms",)
        )
        for name, each in self.measured.latency.items():
            if each.by_batch is not None:
                told = ", ".join(f"{count} at once {ips:.1f}" for count, ips in each.by_batch.items())
                say(f"{name}, images/s: {told}")
        if self.conditions.mean_power_w is None:
            note(f"power: not measured: {self.conditions.why}")
        for text in self.measured.warnings:
            warn(text)


@dataclass(frozen=True)
class Evaluated:
    """How accurate a bundle is on a device; data is what the images are called."""

    device: str
    data: str
    accuracy: Accuracy

    def as_json(self) -> Json:
        """The accuracy in percent, with its 95 % interval."""
        from edgekit.report.protocols import accuracy_values

        return {"device": self.device, "accuracy": accuracy_values(self.accuracy)}

    def say(self) -> None:
        """One line."""
        made = self.accuracy
        say(
            f"{self.device}: {made.images} images of {self.data}: top-1 {made.top1:.2f} % (95 % interval"
            f" {made.ci95[0]:.2f} to {made.ci95[1]:.2f}), top-5 {made.top5:.2f} %"
        )
