"""The card of a bundle in a hub: what its metadata says, valid to the hub's own library."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from samples import SAMPLE_REPORT
from tracked_bundles import reported

from edgekit.report.hub_card import LICENCES, hub_card

pytest.importorskip("huggingface_hub")


def read(card: bytes) -> Any:
    from huggingface_hub import ModelCard

    return ModelCard(card.decode()).data


def test_a_card(tmp_path: Path) -> None:
    bundle = reported(tmp_path / "bundle")
    card = hub_card(bundle, "me/signs")
    data = read(card)
    assert (data.license, data.pipeline_tag, data.library_name) == ("apache-2.0", "image-classification", "edgekit")
    assert data.tags == ["edgekit", "int8", "openvino", "cpu", "inception_v4"]
    (result,) = data.eval_results
    assert (result.dataset_name, result.dataset_revision, result.metric_value) == ("signs", "b" * 64, 0.962)
    assert hub_card(bundle, "me/signs") == card


def test_what_was_not_measured_is_no_result(tmp_path: Path) -> None:
    report = copy.deepcopy(SAMPLE_REPORT)
    for variant in report["variants"]:
        variant["accuracy"].update(top1=None, top5=None, agreement=99.0, ci95=None, why="no labels")
    report["verdict"]["accuracy"].update(drop=None, ci95=None, p_value=None, ok=None, why="no labels")
    card = hub_card(reported(tmp_path / "bundle", report), "me/signs")
    assert read(card).eval_results is None
    assert b"model-index" not in card
    assert b"model_name" not in card


def test_labels_that_prove_nothing_are_no_result(tmp_path: Path) -> None:
    report = copy.deepcopy(SAMPLE_REPORT)
    report["verdict"]["accuracy"].update(ok=None, why="the labels have nothing to do with the answers")
    assert read(hub_card(reported(tmp_path / "bundle", report), "me/signs")).eval_results is None


@pytest.mark.parametrize(
    ("spdx", "licence", "name"),
    [
        ("MIT", "mit", None),
        ("GPL-3.0-only", "gpl-3.0", None),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", None),
        ("LicenseRef-Our own", "other", "licenseref-our-own"),
        (None, None, None),
    ],
)
def test_licences(spdx: str | None, licence: str | None, name: str | None, tmp_path: Path) -> None:
    data = read(hub_card(reported(tmp_path / "bundle", licence=spdx), "me/signs"))
    assert (data.get("license"), data.get("license_name")) == (licence, name)
    assert licence in (*LICENCES, "other", None)


def test_a_name_that_yaml_could_misread(tmp_path: Path) -> None:
    report = copy.deepcopy(SAMPLE_REPORT)
    report["model"]["name"] = "a: b\n---\n- x"
    data = read(hub_card(reported(tmp_path / "bundle", report), "me/signs"))
    assert data.tags[-1] == "a: b\n---\n- x"
