"""What a matrix file asks for, and what is refused of it before anything is built."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import yaml
from doc_commands import TOP, snippets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.build.matrix_file import Member, read_matrix
from edgekit.errors import InputError


def members(folder: Path, text: str, **flags: object) -> tuple[Member, ...]:
    """Of a matrix with this text."""
    path = folder / "matrix.yaml"
    path.write_text(text)
    return read_matrix(path, {}, flags)  # type: ignore[arg-type]


def names(found: tuple[Member, ...]) -> list[str]:
    return [each.name for each in found]


PRODUCT = """
recipe: {prune: none, calibration: {images: 50}, max_drop: 2}
models: [inception_v4, {model: inception_resnet_v1, max_drop: 3}]
targets: [cpu, {target: jetson, tensorrt: {workspace_mb: 64}}]
"""


def test_models_for_targets(tmp_path: Path) -> None:
    found = members(tmp_path, PRODUCT)
    stems = ("inception_v4", "inception_resnet_v1")
    assert names(found) == [f"{model}-{target}" for model, target in product(stems, ("cpu", "jetson"))]
    assert [each.recipe.max_drop for each in found] == [2, 2, 3, 3]
    assert [each.recipe.tensorrt.workspace_mb for each in found] == [None, 64, None, 64]
    assert {(each.recipe.prune, each.recipe.calibration.images) for each in found} == {("none", 50)}


def test_flags_are_above_all_and_keep_what_is_beside_them(tmp_path: Path) -> None:
    found = members(tmp_path, PRODUCT, max_drop=5.0, calibration={"strategy": "random", "images": None}, prune=None)
    assert {each.recipe.max_drop for each in found} == {5.0}
    assert {(each.recipe.calibration.images, each.recipe.calibration.strategy) for each in found} == {(50, "random")}


def test_variants_exclusions_and_single_builds(tmp_path: Path) -> None:
    text = """
    models: [inception_v4, {model: inception_resnet_v1, name: v1}]
    targets: [cpu, {target: jetson, name: orin}]
    recipes: {plain: {prune: none}, mixed: {precision: mixed}}
    exclude: [{target: orin, recipe: mixed}, {model: inception_resnet_v1, target: cpu}]
    builds: [{model: inception_resnet_v2, name: extra}, {target: rtx}]
    """
    found = members(tmp_path, text)
    assert names(found) == [
        *("inception_v4-cpu-plain", "inception_v4-cpu-mixed", "inception_v4-orin-plain", "v1-orin-plain"),
        *("extra", "inception_v4-rtx"),
    ]
    assert [each.variant for each in found] == ["plain", "mixed", "plain", "plain", "", ""]
    assert found[1].recipe.precision == "mixed"


def test_a_list_is_one_of_builds(tmp_path: Path) -> None:
    assert names(members(tmp_path, "[{target: cpu}, {target: jetson}]")) == ["inception_v4-cpu", "inception_v4-jetson"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modles: [x]", "unknown key 'modles' in the matrix"),
        ("builds: [{targte: cpu}]", "`builds` 1: unknown key 'targte' in the recipe (Did you mean 'target'?)"),
        ("builds: [{target: cpx}]", "there is no target 'cpx' (Did you mean"),
        ("builds: [{model: inception_v5}]", "there is no model 'inception_v5'"),
        ("builds: [{model: inception_v4.nothing}]", "has no weights 'nothing'"),
        ("builds: [{model: missing.onnx, name: a}]", "`builds` 1 (a): there is no file or folder missing.onnx (model)"),
        ("builds: [{data: missing}]", "there is no file or folder missing (data)"),
        ("builds: [{calibration: {data: missing}}]", "missing (calibration.data)"),
        ("builds: [{pruning: {train_data: missing}}]", "missing (pruning.train_data)"),
        ("builds: [{runtime: tflite}]", "has no runtime tflite"),
        ("builds: [{target: jetson, tensorrt: {jetpack: '1.0'}}]", "has no JetPack 1.0"),
        ("builds: [{max_drop: -1}]", "'max_drop' in the recipe is wrong"),
        ("builds: [{}, {}]", "two builds of the matrix would be written to inception_v4-cpu"),
        ("builds: [{name: A}, {name: a}]", "two builds of the matrix would be written to a"),
        ("builds: [{name: ../x}]", "is no name of a folder"),
        ("builds: [{name: 3}]", "a `name` that is no text"),
        ("models: [inception_v4]", "has no `targets`"),
        ("targets: [cpu]", "has no `models`"),
        ("models: [{prune: none}]\ntargets: [cpu]", "`models` 1 of the matrix has no `model`"),
        ("models: [inception_v4]\ntargets: [cpu]\nexclude: [{target: jetson}]", "`exclude` 1 of the matrix leaves"),
        ("models: [inception_v4]\ntargets: [cpu]\nexclude: [{}]", "`exclude` 1 of the matrix leaves nothing out"),
        ("models: [inception_v4]\ntargets: [cpu]\nexclude: [{targte: cpu}]", "Did you mean 'target'?"),
        ("models: [inception_v4]\ntargets: [cpu]\nexclude: [{target: cpu}]", "asks for no build"),
        ("{}", "asks for no build"),
        ("just words", "neither a list of builds nor a mapping"),
        ("[1, 2", "cannot read the matrix"),
        ("builds: [1]", "in the matrix"),
        ("builds: [{seed: 2020-01-01}]", "in the matrix"),
        ("builds: [{target: a}, {target: b}, {target: c}, {target: d}]", "4 builds of"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        members(tmp_path, text)
    assert says in error.value.line()


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the matrix"):
        read_matrix(tmp_path / "none.yaml", {}, {})


def test_the_matrices_of_the_documentation_are_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "net.onnx").touch()
    found = [text for page, _, text in snippets("yaml") if page == "docs/matrix.md" and "jobs:" not in text]
    assert [names(members(tmp_path, text)) for text in found] == [
        ["inception_v4-cpu", "inception_v4-orin", "net-cpu", "net-desktop"],
        ["inception_v4-cpu-plain", "inception_v4-cpu-careful"],
    ]
    shipped = sorted((TOP / "recipes" / "matrix").glob("*.yaml"))
    assert [len(read_matrix(path, {}, {})) for path in shipped] == [9]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
KEYS = ("recipe", "models", "targets", "recipes", "exclude", "builds", "model", "target", "name", "prune")
KEYED = st.recursive(
    ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ANY | KEYED)
def test_anything_is_a_matrix_or_bad_input(tmp_path: Path, value: object) -> None:
    try:
        found = members(tmp_path, yaml.safe_dump(value))
    except InputError:
        return
    assert len({each.name for each in found}) == len(found)
