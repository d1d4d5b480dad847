"""What compression changed, in the report: its schema, what the formats say of it, and the pictures in the page."""

from __future__ import annotations

import base64
import copy
import io
import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from samples import SAMPLE_REPORT

from edgekit.errors import InputError
from edgekit.report import RENDERERS, html, markdown, validate
from edgekit.validate.thumbnails import thumbnail

EVIL = '<img src=x onerror="alert(1)">|'
PICTURE = thumbnail(np.full((32, 32, 3), 90, np.uint8))


def flip(image: str, outcome: str, **more: Any) -> dict[str, Any]:
    told = {
        "image": image, "label": "circle-bar", "before": "circle-bar", "after": "circle-ring",
        "before_probability": 0.873, "after_probability": 0.514, "outcome": outcome, "thumbnail": PICTURE,
    }  # fmt: skip
    return {**told, **more}


FLIPS: dict[str, Any] = {
    "changed": 1234,
    "lost": 9,
    "won": 4,
    "shown": [flip("validation/7", "lost"), flip("validation/8", "won"), flip("validation/9", "other", after=None)],
}
CLASSES: dict[str, Any] = {
    "shown": [{"label": "circle-bar", "images": 1100, "right_before": 97, "right_after": 91, "lost": 8, "won": 2}],
    "left_out": 3,
}
SPREAD: dict[str, Any] = {"seeds": 3, "drops": [0.2, 0.5, -0.125], "min": -0.125, "max": 0.5, "mean": 0.19, "std": 0.31}


def report(told: object = FLIPS, classes: object = CLASSES) -> dict[str, Any]:
    whole = copy.deepcopy(SAMPLE_REPORT)
    chosen = next(each for each in whole["variants"] if each["name"] == whole["chosen"])
    chosen |= copy.deepcopy({key: value for key, value in (("flips", told), ("classes", classes)) if value})
    return whole


def changed(*path: Any, value: Any) -> dict[str, Any]:
    whole = report()
    inner: Any = whole["variants"][2]
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return whole


def judged(**more: Any) -> dict[str, Any]:
    whole = copy.deepcopy(SAMPLE_REPORT)
    whole["verdict"]["accuracy"] |= more
    return whole


@pytest.mark.parametrize("told", [None, FLIPS, {"changed": 0, "lost": None, "won": None, "shown": []}])
def test_the_schema_takes_what_builds_tell(told: object) -> None:
    validate(report(told))
    validate(report(told, None))


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (changed("flips", "surprise", value=1), "surprise"),
        (changed("flips", "lost", value=-1), "lost"),
        (changed("flips", "shown", value=[flip("a", "lost")] * 13), "shown"),
        (changed("flips", "shown", 0, "image", value=""), "image"),
        (changed("flips", "shown", 0, "outcome", value="stolen"), "outcome"),
        (changed("flips", "shown", 0, "before_probability", value=87.3), "before_probability"),
        (changed("flips", "shown", 0, "thumbnail", value='x" onload="alert(1)'), "thumbnail"),
        (changed("flips", "shown", 0, "thumbnail", value="A" * 9000), "thumbnail"),
        (changed("classes", "shown", value=CLASSES["shown"] * 21), "shown"),
        (changed("classes", "shown", 0, "images", value=0), "images"),
        (changed("classes", "left_out", value=None), "left_out"),
        (judged(decided="no"), "decided"),
        (judged(images_needed=0), "images_needed"),
        ({**SAMPLE_REPORT, "calibration": {**SAMPLE_REPORT["calibration"], "spread": {"seeds": 2}}}, "spread"),
    ],
)
def test_the_schema_refuses_what_is_no_such_thing(broken: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        validate(broken)


@pytest.mark.parametrize("form", RENDERERS)
def test_reports_without_it_say_nothing_of_it(form: str) -> None:
    assert "Which images changed" not in RENDERERS[form](validate(SAMPLE_REPORT))


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_facts_are_told(form: str) -> None:
    text = RENDERERS[form](validate(report()))
    for said in (
        "Which images changed", "another first answer than FP32 to 1,234 of 2,400 images",
        "9 right before and wrong after (lost), 4 the other way about, 1,221 were wrong before and after",
        "1,100", "97", "91", "3 more classes changed", "3 of the 1,234: the lost ones first",
        "validation/7", "circle-bar, 87.3 %", "circle-ring, 51.4 %", "no answer",
    ):  # fmt: skip
        assert said in text, said


def test_markdown_has_them_as_tables() -> None:
    lines = markdown(validate(report())).splitlines()
    assert "| class | images | right before | right after | lost | won |" in lines
    assert "| circle-bar | 1,100 | 97 | 91 | 8 | 2 |" in lines
    assert any(re.fullmatch(r"\| image \| class \| FP32 \| .* \| outcome \|", line) for line in lines)
    assert "| validation/7 | circle-bar | circle-bar, 87.3 % | circle-ring, 51.4 % | lost |" in lines
    assert PICTURE not in "\n".join(lines)


def test_the_page_has_the_pictures_inside_and_may_load_no_others() -> None:
    from PIL import Image

    page = html(validate(report()))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert {"default-src 'none'", "img-src data:"} < set(unescape(policy[1]).split("; "))
    sources = re.findall(r'<img src="([^"]*)"', page)
    assert len(sources) == page.count("<img") == 3
    for source in sources:
        kind, _, content = source.partition(",")
        assert kind == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content, validate=True))).size == (32, 32)
    assert page.count('class="tag lost"') == page.count('class="tag won"') == 1
    assert page.count("<section") == page.count("</section>")


@pytest.mark.parametrize("form", ["html", "md"])
def test_names_from_outside_cannot_inject(form: str) -> None:
    whole = changed("flips", "shown", 0, value=flip(EVIL, "lost", label=EVIL, before=EVIL, after=EVIL))
    whole["variants"][2]["classes"]["shown"][0]["label"] = EVIL
    text = RENDERERS[form](validate(whole))
    assert "<img src=x" not in text
    assert not re.search(r'alt="[^"]*"[^ >]*onerror', text)
    if form == "md":  # nor tear a table's rows
        assert len(re.findall(r"^\| &lt;img .*\\\|", text, re.MULTILINE)) == 2


@pytest.mark.parametrize("form", ["html", "md"])
def test_without_labels_nobody_knows_which_is_right(form: str) -> None:
    shown = [flip("a.png", "other", label=None, before="3", after="4")]
    whole = report({"changed": 1, "lost": None, "won": None, "shown": shown}, None)
    text = RENDERERS[form](validate(whole))
    assert "without labels nobody knows which of the two is right" in text
    assert "All of them: by how sure FP32 was" in text
    assert "By class" not in text
    assert "right before" not in text


@pytest.mark.parametrize("form", ["html", "md"])
def test_nothing_changed_is_said(form: str) -> None:
    nothing = {"changed": 0, "lost": 0, "won": 0, "shown": []}
    text = RENDERERS[form](validate(report(nothing, {"shown": [], "left_out": 0})))
    assert "the same first answer as FP32 to all 2,400 images" in text
    assert "lost" not in text.partition("Which images changed")[2].partition("Stages")[0]


def test_where_fp32_was_kept_the_last_one_tried_is_told() -> None:
    whole = report()
    whole["chosen"] = "fp32"
    assert "INT8 gives another first answer" in markdown(validate(whole))


@pytest.mark.parametrize("form", ["html", "md"])
@pytest.mark.parametrize(("needed", "said"), [(5823, "about 5,900 would"), (None, "no number of them would")])
def test_what_the_images_cannot_decide_is_said(form: str, needed: int | None, said: str) -> None:
    whole = judged(drop=0.9, ci95=[0.2, 1.6], decided=False, images_needed=needed)
    assert f"2,400 images cannot tell, {said}" in RENDERERS[form](validate(whole))


@pytest.mark.parametrize("form", ["html", "md"])
def test_what_is_decided_and_what_old_reports_do_not_tell_is_not_doubted(form: str) -> None:
    for whole in (judged(decided=True, images_needed=900), judged(decided=None, images_needed=None), SAMPLE_REPORT):
        assert "cannot tell" not in RENDERERS[form](validate(whole))


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_spread_over_calibration_sets_is_told(form: str) -> None:
    whole = report()
    whole["calibration"]["spread"] = SPREAD
    text = RENDERERS[form](validate(whole))
    assert "Other calibration sets" in text
    assert "0.20, 0.50, −0.12 points" in text
    assert "standard deviation 0.31" in text
