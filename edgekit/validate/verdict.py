"""From evidence to a verdict: which variant is kept, which are taken back, and whether the budgets are met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgekit.validate.accuracy import PairedDrop, decides, images_needed
from edgekit.validate.rounding import about
from edgekit.validate.variants import is_pruned, precision_of

NOT_REQUESTED = "stands beside the others for comparison"


@dataclass(frozen=True)
class Evidence:
    """What was measured, by variant; edgekit.validate.evaluation and edgekit.validate.latency tell the inner mappings.

    Attributes:
        accuracy: what `judge` tells: {"images", "labelled", "variants"}.
        latency: what `Measured.as_dict` tells; where nothing was measured it holds nothing and "why" says why.
        sizes: bytes; runtimes: what each is for; layers: of engines, where an inspector told them.
        facts: of the network as it came, with "params" and "macs"; pruned_facts: of the pruned one.
        why_no_accuracy: said where accuracy is missing.
    """

    accuracy: Mapping[str, Any]
    latency: Mapping[str, Any]
    sizes: Mapping[str, int]
    runtimes: Mapping[str, str]
    facts: Mapping[str, Any]
    why_no_accuracy: str | None
    pruned_facts: Mapping[str, Any] | None = None
    layers: Mapping[str, list[dict[str, str]] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The variants and the verdict as report.json has them, the name of the chosen variant, and warnings."""

    variants: list[dict[str, Any]]
    verdict: dict[str, Any]
    chosen: str
    warnings: list[str]


def decide(evidence: Evidence, wanted: str, max_drop: float, latency_budget_ms: float | None) -> Verdict:
    """Keeps the wanted variant if it pays, else the fastest other one that keeps the accuracy budget.

    Args:
        wanted: name of the variant that was asked for.
        max_drop: points of top-1; latency_budget_ms: of p50.
    """
    refusals = {name: _refusal(evidence, name, max_drop) for name in evidence.accuracy["variants"]}
    chosen, warnings = wanted, list(evidence.latency["warnings"])
    if refusals[wanted] is not None and wanted != "fp32":
        chosen = _fallback(evidence, refusals, wanted)
        warnings.append(f"{wanted} was taken back: {refusals[wanted]}; {chosen} is in the bundle")
    judged = [chosen] if chosen == wanted or not _is_over(evidence, wanted, max_drop) else [chosen, wanted]
    warnings += [line for name in judged if (line := _undecided(evidence, name, max_drop)) is not None]
    variants = [_variant(evidence, name, wanted, chosen, refusals[name]) for name in refusals]
    if "torch-eager" in evidence.latency["latency"]:
        variants.append(_eager(evidence))
    accuracy = _accuracy_verdict(evidence, chosen, max_drop)
    latency = _latency_verdict(evidence, chosen, latency_budget_ms)
    # Who asks for a mix of precisions asks for a network within the budget: a fallback to another is none.
    missed = precision_of(wanted) == "mixed" and _is_over(evidence, wanted, max_drop)
    ok = accuracy["ok"] is not False and latency["ok"] is not False and not missed
    return Verdict(variants, {"ok": ok, "accuracy": accuracy, "latency": latency}, chosen, warnings)


def _refusal(evidence: Evidence, name: str, max_drop: float) -> str | None:
    """Why a step does not pay on this target; None if it does."""
    if name == "fp32":
        return None
    if _is_over(evidence, name, max_drop):
        drop = evidence.accuracy["variants"][name]["drop"]["drop"]
        return f"it costs {drop:.2f} points, more than the budget of {max_drop:g}"
    speedup, _, high = evidence.latency["speedup"].get(name, (None, None, None))
    if high is not None and high <= 1.0:
        return f"it is not faster than FP32 on this target ({speedup:.2f}x)"
    gain, low, _ = evidence.latency.get("gain", {}).get(name, (None, None, None))
    if low is not None and low <= 1.0:
        dense = precision_of(name)
        return f"pruning does not make it faster than {dense} on this target ({gain:.2f}x, interval from {low:.2f})"
    return None


def _is_over(evidence: Evidence, name: str, max_drop: float) -> bool:
    drop = evidence.accuracy["variants"][name]["drop"]
    return drop is not None and bool(drop["drop"] > max_drop)


def _facts(evidence: Evidence, name: str) -> Mapping[str, Any]:
    """Of the network that a variant runs."""
    pruned = evidence.pruned_facts if is_pruned(name) else None
    return evidence.facts if pruned is None else pruned


def _fallback(evidence: Evidence, refusals: Mapping[str, str | None], wanted: str) -> str:
    open_to = [name for name, why in refusals.items() if why is None and name != wanted]
    timed = evidence.latency["latency"]
    if not timed:  # the narrowest that is left, by the size that it takes
        return min(open_to, key=lambda name: evidence.sizes[name])
    return min(open_to, key=lambda name: float(timed[name]["p50"]))


def _variant(evidence: Evidence, name: str, wanted: str, chosen: str, refusal: str | None) -> dict[str, Any]:
    if name == chosen:
        reason = "the baseline" if name == "fp32" else _paid(evidence, name)
        if name == "fp32" and wanted != "fp32":
            reason = "the steps after it did not pay"
    else:
        reason = refusal or ("the baseline" if name == "fp32" else NOT_REQUESTED)
    return {
        "name": name,
        "kind": "chosen" if name == chosen else "baseline" if name == "fp32" else "step",
        "runtime": evidence.runtimes[name],
        "precision": precision_of(name),
        "params": _facts(evidence, name)["params"],
        "macs": _facts(evidence, name)["macs"],
        "size_bytes": evidence.sizes[name],
        "accuracy": _accuracy(evidence, name),
        "latency": _latency(evidence, name),
        "memory_bytes": None,
        "energy_j": evidence.latency.get("energy_j", {}).get(name),
        "fidelity": dict(evidence.accuracy["variants"][name]["fidelity"]),
        "kept": name == chosen,
        "reason": reason,
        **({"layers": evidence.layers[name]} if evidence.layers.get(name) else {}),
        **{key: told for key in ("flips", "classes") if (told := evidence.accuracy["variants"][name].get(key))},
    }


def _paid(evidence: Evidence, name: str) -> str:
    """Why a variant was kept."""
    within = "within the accuracy budget" if evidence.accuracy["labelled"] else "accuracy not measured"
    if not evidence.latency["latency"]:
        return f"latency not measured, {within}"
    gain = evidence.latency.get("gain", {}).get(name)
    if gain is None:
        return f"faster than FP32 on this target, {within}"
    dense = precision_of(name)
    return f"{gain[0]:.2f} times faster than {dense} ({gain[1]:.2f} to {gain[2]:.2f}) on this target, {within}"


def _accuracy(evidence: Evidence, name: str) -> dict[str, Any]:
    told = evidence.accuracy["variants"][name]
    out = {"agreement": told["fidelity"]["agreement"], "images": evidence.accuracy["images"]}
    if told["accuracy"] is None:
        return {"top1": None, "top5": None, **out, "why": evidence.why_no_accuracy or "the images have no labels"}
    accuracy = told["accuracy"]
    return {"top1": accuracy["top1"], "top5": accuracy["top5"], **out, "ci95": list(accuracy["ci95"])}


def _latency(evidence: Evidence, name: str) -> dict[str, Any]:
    if name not in evidence.latency["latency"]:
        nothing = dict.fromkeys(("p50", "p90", "p99", "mean", "ci95", "throughput_ips", "runs", "warmup"))
        return {**nothing, "why": evidence.latency["why"]}
    told = {key: value for key, value in evidence.latency["latency"][name].items() if key != "steady"}
    return {**told, "ci95": list(told["ci95"])}


def _eager(evidence: Evidence) -> dict[str, Any]:
    why = "a latency reference: its network and weights are those of fp32"
    return {
        "name": "torch-eager",
        "kind": "baseline",
        "runtime": "torch",
        "precision": "fp32",
        "params": evidence.facts["params"],
        "macs": evidence.facts["macs"],
        "size_bytes": None,
        "accuracy": {"top1": None, "top5": None, "agreement": None, "images": None, "why": why},
        "latency": _latency(evidence, "torch-eager"),
        "memory_bytes": None,
        "energy_j": None,
        "kept": False,
        "reason": "what the network takes without compilation",
    }


def _accuracy_verdict(evidence: Evidence, chosen: str, max_drop: float) -> dict[str, Any]:
    drop = _drop(evidence, chosen)
    if drop is None:
        why = evidence.why_no_accuracy or "the images have no labels"
        nothing = dict.fromkeys(("drop", "ci95", "p_value", "decided", "images_needed"))
        return {**nothing, "budget": max_drop, "ok": None, "why": why}
    return {
        "drop": drop.drop,
        "ci95": list(drop.ci95),
        "p_value": drop.p_value,
        "budget": max_drop,
        "ok": drop.drop <= max_drop,
        # fp32 is its own baseline: it cannot drop, however few the images
        "decided": chosen == "fp32" or decides(drop.ci95, max_drop),
        "images_needed": None if chosen == "fp32" else images_needed(drop, max_drop),
    }


def _drop(evidence: Evidence, name: str) -> PairedDrop | None:
    told = evidence.accuracy["variants"][name]["drop"]
    if told is None:
        return None
    low, high = told["ci95"]
    return PairedDrop(
        told["drop"], (low, high), told["p_value"], told["lost"], told["won"], evidence.accuracy["images"]
    )


def _undecided(evidence: Evidence, name: str, max_drop: float) -> str | None:
    """A warning where the interval of a drop holds the budget, so that chance may have decided; None where it does not.

    What is decided by stays the drop itself.
    """
    drop = _drop(evidence, name)
    if drop is None or name == "fp32" or decides(drop.ci95, max_drop):
        return None
    needed = images_needed(drop, max_drop)
    more = "no number of them would" if needed is None else f"{about(needed)} would"
    low, high = drop.ci95
    return (
        f"{drop.images:,} images cannot tell whether the drop of {name} ({drop.drop:.2f} points, {low:.2f} to"
        f" {high:.2f}) is within the budget of {max_drop:g}: {more}"
    )


def _latency_verdict(evidence: Evidence, chosen: str, budget: float | None) -> dict[str, Any]:
    if not evidence.latency["latency"]:
        nothing = {"speedup_vs_fp32": None, "ci95": None, "p50": None}
        return {**nothing, "budget": budget, "ok": None, "why": evidence.latency["why"]}
    p50 = evidence.latency["latency"][chosen]["p50"]
    speedup, low, high = evidence.latency["speedup"][chosen]
    ok = None if budget is None else p50 <= budget
    return {"speedup_vs_fp32": speedup, "ci95": [low, high], "p50": p50, "budget": budget, "ok": ok}
