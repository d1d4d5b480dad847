"""All that edgekit reads from outside: what it is called, what it looks like, and what reads it.

`read` is given the path of the case, a file of the target's name in a folder of its own, and goes as far as edgekit
goes with what it has read before it computes: a report is rendered, a lock is written again, a bundle is checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import hostile_seeds as seeds
import readers
from graph_mutations import changed_graphs
from hypothesis import strategies as st
from mutations import IN_BYTES, IN_YAML, TEXTS, changed_bytes, changed_trees

Shape = Literal["bytes", "json", "yaml", "lines", "onnx"]

CORPUS: Final = Path(__file__).parents[1] / "fixtures" / "fuzz"
"""Cases that something was once found with, by target; each is read by every run."""


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        file: what the case is called; seeds: valid ones.
        read: the reader, given the case's path.
        shape: how it is changed: by bytes alone, or by its structure, too.
        beside: puts into the case's folder what must lie beside it.
        heavy: it imports much or takes long, and is left out of the quick tests.
        share: of a run's cases, beside the others' 1.
    """

    name: str
    file: str
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[Path], object]
    shape: Shape = "bytes"
    beside: Callable[[Path], None] = field(default=lambda folder: None)
    heavy: bool = False
    share: float = 1.0

    def cases(self) -> st.SearchStrategy[bytes]:
        """Hostile files of this kind."""
        given = list(self.seeds())
        tokens = [*IN_BYTES, *(each.encode("utf-8", "surrogatepass") for each in TEXTS)]
        if self.shape == "bytes":
            return changed_bytes(given)
        if self.shape == "onnx":
            return changed_graphs(given) | changed_graphs(given) | changed_bytes(given)
        if self.shape == "lines":
            return changed_bytes(given, tokens)
        if self.shape == "yaml":
            tokens += [each.encode() for each in IN_YAML]
        trees = [tree for each in given for tree in _trees(each, self.shape)]
        return changed_trees(trees) | changed_bytes(given, tokens)

    def known(self) -> Iterator[tuple[str, bytes]]:
        """The cases of the corpus by name."""
        for path in sorted((CORPUS / self.name).glob("*")):
            yield path.name, path.read_bytes()


@cache
def _trees(content: bytes, shape: Shape) -> tuple[Any, ...]:
    if shape == "yaml":
        import yaml

        return (yaml.safe_load(content),)
    text = content.decode()
    try:
        return (json.loads(text),)
    except ValueError:  # lines of JSON
        return tuple(json.loads(line) for line in text.splitlines() if line.strip())


TARGETS: Final = (
    Target("recipe", "recipe.yaml", seeds.recipes, readers.recipe, "yaml"),
    Target("training-recipe", "training.yaml", seeds.training_recipes, readers.training_recipe, "yaml"),
    Target("study-recipe", "study.yaml", seeds.study_recipes, readers.study_recipe, "yaml"),
    Target("matrix", "matrix.yaml", seeds.matrices, readers.matrix, "yaml"),
    Target("search-space", "space.yaml", seeds.spaces, readers.space, "yaml"),
    Target("lock", "recipe.lock.yaml", seeds.locks, readers.lock, "yaml"),
    Target("preprocessing", "preprocessor_config.json", seeds.presets, readers.preset, "yaml"),
    Target("class-names", "names.txt", seeds.names_in_lines, readers.class_names, "lines"),
    Target("class-names-json", "names.json", seeds.names_in_json, readers.class_names, "json"),
    Target("class-names-yaml", "names.yaml", seeds.names_in_yaml, readers.class_names, "yaml"),
    Target("table-csv", "labels.csv", seeds.tables, readers.table, "lines", seeds.put_pictures),
    Target("table-jsonl", "labels.jsonl", seeds.json_tables, readers.table, "json", seeds.put_pictures),
    Target("exclusions", "out.txt", seeds.exclusions, readers.exclusions, "lines"),
    Target("calibration", "calibration.json", seeds.calibrations, readers.calibration, "json"),
    Target("report", "report.json", seeds.reports, readers.report, "json", share=2),
    Target("manifest", "manifest.json", seeds.manifests, readers.manifest, "json", seeds.put_bundle, share=2),
    Target("golden", "golden.npz", seeds.golden, readers.golden),
    Target("answers", "answers.npz", seeds.answers, readers.answers),
    Target("image", "picture", seeds.pictures, readers.image, share=4),
    Target("graph-on-device", "model.onnx", seeds.graphs, readers.graph_on_device),
    Target("model-signature", "model.sig", seeds.model_signatures, readers.model_signature, "json"),
    Target("signed-statement", "statement.json", seeds.statements, readers.statement, "json"),
    Target("public-keys", "key.pub", seeds.public_keys, readers.public_keys, "lines"),
    Target("certificates", "authority.pem", seeds.certificates, readers.certificates, "lines"),
    Target("ssh-signature", "manifest.json.sig", seeds.ssh_signatures, readers.ssh_signature, "lines", share=0.1),
    Target("allowed-signers", "signers", seeds.allowed_signers, readers.allowed_signers, "lines", share=0.1),
    Target("search-journal", "trials.jsonl", seeds.journals, readers.journal, "json"),
    Target("search-settings", "settings.json", seeds.search_settings, readers.search_settings, "json"),
    Target("store-entry", "entry.json", seeds.entries, readers.store_entry, "json"),
    Target("store-intake", "body", seeds.intakes, readers.store_intake, "lines"),
    Target("store-answer", "answer.json", seeds.store_answers, readers.store_answer, "json"),
    Target("store-index", "index", seeds.indexes, readers.store_index),
    Target("artifact", "artifact.json", seeds.artifacts, readers.artifact, "json"),
    Target("devices", "devices.json", seeds.devices, readers.devices, "json"),
    Target("device-facts", "facts.json", seeds.device_facts, readers.device_facts, "json"),
    Target("frame", "frame", seeds.frames, readers.frame, "lines"),
    Target("tegrastats", "tegrastats.txt", seeds.tegrastats, readers.tegrastats, "lines"),
    Target("epochs", "epochs.jsonl", seeds.epochs, readers.epochs, "json", heavy=True),
    Target("training-plan", "plan.json", seeds.plans, readers.training_plan, "json", heavy=True),
    Target("onnx", "model.onnx", seeds.graphs, readers.onnx, "onnx", heavy=True, share=2),
    Target("onnx-beside", "model.onnx", seeds.graphs_with_files, readers.onnx, "onnx", seeds.put_weights, heavy=True),
    Target("class-names-onnx", "model.onnx", seeds.graphs_with_names, readers.class_names, heavy=True),
    Target("torch", "weights.pth", seeds.torch_files, readers.weights, heavy=True, share=2),
    Target("safetensors", "weights.safetensors", seeds.safetensors, readers.weights, heavy=True, share=2),
    Target("keras", "weights.h5", seeds.keras_files, readers.weights, heavy=True, share=0.2),
    Target("checkpoint", "checkpoint.pt", seeds.checkpoints, readers.checkpoint, heavy=True),
)
