"""How a report's numbers were measured: subjects and texts that all formats share."""

from __future__ import annotations

from edgekit.report.conditions import measuring
from edgekit.report.metrics import metric
from edgekit.report.model import CalibrationVariance, InputSize, Int8Sums, Report
from edgekit.report.summary import MISSING, interval, model_name, number, times
from edgekit.size import shown


def method(report: Report) -> list[tuple[str, str]]:
    """How it was measured: subject and text."""
    model, target, latency = report.model, report.target, report.chosen_variant.latency
    shape = " x ".join(str(side) for side in model.input)
    weights = f"weights sha256 {model.weights_sha256[:16]}…" if model.weights_sha256 else "weights without a hash"
    classes = f", {model.classes} classes" if model.classes else ""
    where = " ".join(filter(None, (target.runtime, target.runtime_version)))
    lines = [
        ("Model", f"{model_name(report)}, input {shape}{classes}, {weights}"),
        ("Target", f"{target.name}: {where}{' on ' + target.device if target.device else ''}"),
    ]
    if target.features:
        lines.append(("Features", ", ".join(target.features)))
    lines += _sizes(report)
    lines += _images(report)
    if report.verdict.accuracy.p_value is not None:
        text = f"Paired on the same images, 95 % interval, {metric(report).test}"
        lines.append(("Accuracy drop", f"{text}: p = {report.verdict.accuracy.p_value:.2g}"))
    lines += _thresholds(report)
    if latency.runs and latency.p50 is not None:
        runs = f"{latency.runs} runs after {latency.warmup or 0} warm-up runs"
        text = f"{runs}, one fresh process, variants interleaved"
        lines.append(("Latency", f"{text}, batch {model.input[0]}; speedup is the ratio of the medians"))
    return [*lines, *measuring(report), *_ratios(report), *_kernels(report), *_referee(report)]


def _sizes(report: Report) -> list[tuple[str, str]]:
    """Other input sizes that were tried, and what came of each."""
    return [(f"Input of {shown(each.size)}", _size(each)) for each in report.sizes]


def _size(told: InputSize) -> str:
    if told.variant is None:
        return f"left out: {told.why}"
    text = told.variant
    if told.drop is not None and told.images is not None:
        text += f", {number(told.drop, 2)} points lost on {number(told.images, 0)} images to choose by"
    return text + ("; what follows was done at this size" if told.begun else "")


def _kernels(report: Report) -> list[tuple[str, str]]:
    """Which kernels the runtime took, of variants that promise kernels of their own."""
    return [(f"Kernels of {each.name}", each.kernels.sentence) for each in report.variants if each.kernels is not None]


def _thresholds(report: Report) -> list[tuple[str, str]]:
    """From where on two pictures are one class, or a label is given, and how many pairs were looked at."""
    told = report.chosen_variant.accuracy
    if told.threshold is not None:
        return [("Labels", f"given from a probability of {told.threshold:g} on")]
    pairs = told.pairs
    if pairs is None:
        return []
    text = f"of one class from a cosine of {number(pairs.threshold, 4)} on, the same for all variants"
    if pairs.compared is not None and pairs.of is not None:
        sample = "all" if pairs.compared == pairs.of else f"{number(pairs.compared, 0)} drawn of"
        text += f"; {sample} {number(pairs.of, 0)} pairs of images"
    return [("Pairs", text)]


def _images(report: Report) -> list[tuple[str, str]]:
    """What it was evaluated and calibrated with."""
    lines, data, pinned = [], report.data, report.calibration
    if data.name:
        text = f"{data.name}, {data.images} images, digest {_short(data.digest)}"
        seen = max((each.accuracy.images or 0 for each in report.variants), default=0)
        if data.images and 0 < seen < data.images and report.verdict.accuracy.drop is not None:
            text += f"; after {number(seen, 0)} of them, in a random order, every drop was known"
        lines.append(("Evaluation", text))
    if pinned and pinned.images is not None:
        seed = f", seed {pinned.seed}" if pinned.seed is not None else ""
        text = f"{pinned.images} images, {pinned.strategy}{seed}, digest {_short(pinned.digest)}"
        lines.append(("Calibration", text + "; no image is in both sets"))
        if pinned.spread:
            lines.append(("Other calibration sets", _spread(pinned.spread)))
        if pinned.int8_sums and pinned.int8_sums.how == "16-bit":
            lines.append(("INT8 sums", sums(pinned.int8_sums)))
    return lines


def sums(told: Int8Sums) -> str:
    """What keeps INT8 sums from saturating on a processor that adds them up in 16 bits."""
    start = "this processor adds products two at a time in 16 bits (no VNNI); no sum can saturate"
    if not told.widened_channels:
        return start
    channels = f"{number(told.widened_channels, 0)} of {number(told.channels, 0)} channels"
    layers = f"{number(told.widened_layers, 0)} of {number(told.layers, 0)} layers"
    most = f"{number(told.largest_factor, 2)} times at most"
    return f"{start}: the scales of {channels} in {layers} are wider for it, {most}"


def _spread(spread: CalibrationVariance) -> str:
    """How the drop varies with the images that calibrate, all else being equal."""
    drops = ", ".join(number(each, 2) for each in spread.drops)
    return (
        f"with {spread.seeds} sets, chosen the same way, unpruned INT8 drops {drops} points (the first is this"
        f" build's); mean {number(spread.mean, 2)}, standard deviation {number(spread.std, 2)}"
    )


def _ratios(report: Report) -> list[tuple[str, str]]:
    """How each variant stands against those it must beat, where that was measured in pairs."""
    said = [
        f"{each.name} against {ratio.base} {times(ratio.ratio)}{interval(ratio.ci95, 2)}"
        for each in report.variants
        for ratio in each.ratios
    ]
    return [("Paired speed", "; ".join(said))] if said else []


def _referee(report: Report) -> list[tuple[str, str]]:
    """Whether what was compressed answers as the network that came."""
    referee = report.referee
    if referee is None:
        return []
    against = "" if referee.runtime is None else f" against {referee.runtime} in FP32"
    parts = [f"the network as it came in {referee.reference}{against}, {number(referee.images, 0)} images"]
    if referee.agreement is not None:
        parts.append(f"same first answer to {number(referee.agreement, 2)} %")
    if referee.max_logit_difference is not None:
        allowed = "" if referee.tolerance is None else f" ({referee.tolerance:.3g} may)"
        parts.append(f"outputs differ by {referee.max_logit_difference:.3g} at most{allowed}")
    if referee.operator is not None:
        parts.append(f"first at {referee.operator}")
    return [("Referee", ", ".join(parts))]


def _short(digest: str | None) -> str:
    return MISSING if digest is None else digest if len(digest) <= 20 else f"{digest[:16]}…"
