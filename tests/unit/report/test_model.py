"""The typed report: what it reads, what it refuses and where, and that its JSON schema says the same."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from reports import at, full_report, paths, put
from samples import SAMPLE_REPORT

from edgekit.errors import InputError
from edgekit.report import read, schema, validate
from edgekit.report.model_variants import LatencyRatio
from edgekit.report.schema import DIALECT

FULL = full_report()
PLACES = list(paths(FULL))
CHECKER = Draft202012Validator(schema())
CURVES = ("quantiles do not rise", "percent and ms have different lengths")
NOT_IN_A_SCHEMA = ("is above", "two have the same name", "no variant is named", "two are to the same variant", *CURVES)
"""What the model refuses and a schema cannot say."""


def changed(*path: str | int, value: Any) -> dict[str, Any]:
    report = full_report()
    put(report, path, value)
    return report


def refusal(report: object) -> str | None:
    """What `validate` says of it; None where it is a report."""
    try:
        validate(report)
    except InputError as error:
        return error.what
    return None


def fault(report: object) -> str:
    said = refusal(report)
    assert said is not None
    return said


def agree(report: object) -> bool:
    """Whether the schema and the model say the same of it."""
    said = refusal(report)
    if said is not None and any(words in said for words in NOT_IN_A_SCHEMA):
        return True
    return CHECKER.is_valid(report) == (said is None)


@pytest.mark.parametrize("report", [SAMPLE_REPORT, FULL], ids=["least", "most"])
def test_a_report_is_read_and_written_as_it_was(report: dict[str, Any]) -> None:
    assert validate(report).as_dict() == report
    assert CHECKER.is_valid(report)


def test_the_schema_is_one_and_names_its_dialect() -> None:
    made = schema()
    Draft202012Validator.check_schema(made)
    assert (made["$schema"], made["$id"]) == (DIALECT, "urn:edgekit:report:1")
    assert set(made["required"]) == {
        *("schema", "edgekit", "created", "model", "target", "data", "calibration", "variants", "chosen", "verdict"),
        *("stages", "environment"),
    }
    assert json.loads(json.dumps(made)) == made


@given(
    st.sampled_from(PLACES),
    st.one_of(
        st.none(), st.booleans(), st.integers(-2, 200), st.floats(-2, 200), st.text(max_size=3), st.just("fp32"),
        st.just([]), st.just([2.0, 1.0]), st.just({}), st.just("a" * 64), st.just("2026-01-02T03:04"),
    ),
)  # fmt: skip
def test_the_schema_and_the_model_agree(path: tuple[str | int, ...], value: object) -> None:
    report = changed(*path, value=value)
    assert agree(report), refusal(report)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_no_object_takes_a_key_that_it_does_not_have_nor_lacks_one_silently(path: tuple[str | int, ...]) -> None:
    report = full_report()
    if isinstance(path[-1], str):
        del at(report, path[:-1])[path[-1]]
        said = refusal(report)
        assert agree(report), said
        assert said is None or path[-1] in said
    report = full_report()
    inner = at(report, path)
    if isinstance(inner, dict) and path != ("environment",):
        inner["surprise"] = 1
        assert "surprise" in fault(report)
        assert not CHECKER.is_valid(report)


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (changed("variants", 0, "accuracy", "top1", value=101), "$.variants[0].accuracy.top1:"),
        (changed("variants", 2, "flips", "shown", 1, "outcome", value="x"), "$.variants[2].flips.shown[1].outcome:"),
        (changed("variants", 0, "fidelity", "why", value=""), "$.variants[0].fidelity: agreement is null"),
        (changed("variants", 0, "latency", "cores", value=1), "$.variants[0].latency: cores"),
        (changed("variants", 1, "latency", "memory_peak", value=[]), "$.variants[1].latency.memory_peak:"),
        (changed("variants", 2, "ratios", 1, "base", value="fp32"), "$.variants[2].ratios: two are"),
        (changed("variants", 2, "ratios", 0, "ci95", value=[3.0, 2.0]), "$.variants[2].ratios[0].ci95: 3.0 is above"),
        (changed("verdict", "latency", "ci95", value=[2.0, 1.0]), "$.verdict.latency.ci95: 2.0 is above 1.0"),
        (changed("chosen", value="none"), "$.chosen: no variant is named 'none'"),
        (changed("tuning", "trials", value=[]), "$.tuning.trials:"),
        (changed("schema", value=True), "$.schema:"),
        (changed("environment", "cpu", value=["a"]), "$.environment.cpu:"),
        (changed("referee", "images", value="64"), "$.referee.images:"),
        (changed("pruning", "widths", value=[]), "$.pruning: it was kept, but has no widths"),
        ([], "$:"),
        (None, "$:"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(broken: object, place: str) -> None:
    assert f"The report is not valid at {place}" in fault(broken)


def test_reports_of_before_lack_the_new_keys() -> None:
    report = validate(SAMPLE_REPORT)
    assert (report.task, report.referee, report.pruning, report.precision_search) == ("classify", None, None, None)
    assert [(each.parent, each.beaten_by, each.ratios, each.layers) for each in report.variants] == 3 * [
        (None, None, (), ())
    ]
    told = full_report()
    del told["pruning"]["recovery"]["attempts"], told["pruning"]["recovery"]["cut"]
    pruning = validate(told).pruning
    assert pruning is not None
    assert pruning.recovery is not None
    assert (pruning.recovery.attempts, pruning.recovery.cut) == (None, None)


def test_values_are_attributes() -> None:
    report = validate(FULL)
    assert report.chosen_variant.name == "int8"
    assert report.chosen_variant.ratios[1].ci95 == (1.41, 1.52)
    assert report.variants[1].latency.model_extra == {
        "memory": 12,
        "memory_peak": None,
        "memory_note": "of the process",
    }
    assert report.environment == {
        "python": "3.11", "cpu": "a CPU", "throttled": False, "mean power, W": 11.5, "jetpack": None,
    }  # fmt: skip
    assert report.environment["throttled"] is False
    with pytest.raises(ValidationError, match="frozen"):
        report.chosen = "fp32"  # type: ignore[misc]


def test_json_has_one_kind_of_number_and_true_is_none() -> None:
    assert validate(changed("model", "params", value=5.0)).model.params == 5
    for value in (True, 5.5, "5"):
        assert "$.model.params" in fault(changed("model", "params", value=value))
    assert validate(changed("verdict", "accuracy", "budget", value=1)).verdict.accuracy.budget == 1.0


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_has_no_word_for_is_refused(number: float, tmp_path: Path) -> None:
    broken = changed("variants", 0, "latency", "p50", value=number)
    assert "cannot be written as JSON" in fault(broken)
    (tmp_path / "report.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match="cannot be written as JSON"):
        read(tmp_path)
    with pytest.raises(ValidationError, match="finite"):
        LatencyRatio(base="fp32", ratio=number, ci95=(1.0, 2.0))


def test_a_name_that_is_no_unicode_does_not_end_a_build() -> None:
    assert validate(changed("data", "name", value="phot\udcf6s")).data.name == "phot?s"


def test_tuples_are_lists_of_a_file() -> None:
    report = copy.deepcopy(SAMPLE_REPORT)
    report["variants"] = tuple(report["variants"])
    report["variants"][0]["latency"]["ci95"] = (11.0, 13.0)
    assert validate(report).as_dict()["variants"][0]["latency"]["ci95"] == [11.0, 13.0]


def test_reading_and_rendering_needs_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(FULL))
    script = (
        "import sys; from pathlib import Path; from edgekit.report import RENDERERS, read;"
        f" report = read(Path({str(tmp_path)!r})); print('jinja2' in sys.modules);"
        " print(len([render(report) for render in RENDERERS.values()]));"
        " print(sorted({'numpy', 'torch', 'PIL', 'jsonschema', 'openvino', 'onnx', 'nncf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", "2", "[]"]
