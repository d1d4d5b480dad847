"""The pages: what they show stays text whatever it holds, and every part of a report is on them."""

from __future__ import annotations

import copy
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from reports import FREE_TEXTS, Path, at, full_report, put

from edgekit.report import RENDERERS, html, markdown, validate
from edgekit.report.explained import page
from edgekit.report.explanation import Explanation
from edgekit.report.lines import Series, chart
from edgekit.report.page import markup, render

EVIL = "</title><script>alert(1)</script><img src=x onerror='alert(2)' \" {{ 7 * 7 }} {% x %} &amp; ]]>|"

SILENT = {("variants", 2, "parent")}
"""What no format shows."""

EXPLAINED: dict[str, object] = {
    "images": 6,
    "kl": 0.12345,
    "causes": [{"code": "input", "text": "the input"}],
    "worst": [
        {
            "name": "Conv_1", "kind": "Conv", "own_db": 10.0, "total_db": 8.5, "kl_won": 0.01,
            "activation": {
                "tensor": "x", "producer": "Relu_1", "low": -1.0, "high": 5.0, "quantizer_low": -0.5,
                "quantizer_high": 4.0, "saturating": 0.1, "cut_noise": 0.2, "histogram": [1, 0, 5, 2],
                "channels": [1.0, 2.5], "spans": [1.0, 2.0], "per_channel": False, "joined": {"a": 1.0}, "pooled": True,
            },
            "causes": [{"code": "outliers", "text": "few values are far"}],
        },
        {
            "name": "Gemm_1", "kind": "Gemm", "own_db": 1, "total_db": 2.0, "kl_won": 0.0, "activation": None,
            "causes": [],
        },
    ],
    "operators": [{"name": "Conv_9", "kind": "Conv", "own_db": 1.0, "total_db": 2.0, "kl_won": None}],
}  # fmt: skip
EXPLAINED_TEXTS: tuple[Path, ...] = (
    ("causes", 0, "text"),
    ("worst", 0, "name"),
    ("worst", 0, "kind"),
    ("worst", 0, "activation", "tensor"),
    ("worst", 0, "activation", "producer"),
    ("worst", 0, "causes", 0, "code"),
    ("worst", 0, "causes", 0, "text"),
    ("operators", 0, "name"),
    ("operators", 0, "kind"),
)


class Structure(HTMLParser):
    """The tags of a page with the names of their attributes, its texts, and the values of its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.texts += [value for _, value in attrs if value]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile(path: Path, text: str = EVIL) -> dict[str, object]:
    report = full_report()
    put(report, path, text)
    return report


def test_every_part_is_on_the_page_and_its_sections_are_whole() -> None:
    drawn = html(validate(full_report()))
    found = Structure(drawn)
    texts = " ".join(found.texts)
    for said in (
        "inception_v4.signs on cpu", "Which images changed", "circle-bar, 87.3 %", "no answer",
        "3 more classes changed",
        "2 attempts; half of the steps: the time was over; the clock was set back", "features.1.left", "64 → 16",
        "The budget loop", "In 16 bits: Conv_1.", "Fidelity to FP32", "Other calibration sets", "memory, MB",
        "int8 against fp32 3.0x (2.90 to 3.10); int8 against bf16 1.47x (1.41 to 1.52)",
        "the network as it came in onnxruntime 1.22, CPU against openvino in FP32, 64 images",
        "outputs differ by 0.75 at most (0.1 may), first at Conv_12",
        "11.5", "10.0 s in all; 0 of 1 stages came from the store.",
    ):  # fmt: skip
        assert said in texts, said
    for tag in ("section", "table", "svg", "figure", "details", "ul", "dl", "div", "span"):
        assert sum(each[0] == tag for each in found.tags) == sum(each == (f"/{tag}",) for each in found.tags) > 0, tag
    for svg in drawn.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + svg[: svg.index("</svg>")] + "</svg>")


@pytest.mark.parametrize("path", FREE_TEXTS, ids=lambda path: ".".join(map(str, path)))
def test_no_text_of_a_report_becomes_markup(path: Path) -> None:
    """The page has the tags and attributes that it has with a plain text of the same length."""
    calm = "x" * len(EVIL)
    evil, plain = (Structure(html(validate(hostile(path, text)))) for text in (EVIL, calm))
    assert evil.tags == plain.tags
    assert any(EVIL in text for text in evil.texts) or path in SILENT
    assert "<script" not in markdown(validate(hostile(path)))


def test_the_free_texts_are_there() -> None:
    report = full_report()
    assert all(isinstance(at(report, path), str | None) for path in FREE_TEXTS)
    for path in set(FREE_TEXTS) - SILENT:
        for name, render_as in RENDERERS.items():
            assert "Zyzzyva" in render_as(validate(hostile(path, "Zyzzyva"))), (path, name)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40), st.sampled_from(FREE_TEXTS))
def test_any_text_leaves_the_structure_alone(text: str, path: Path) -> None:
    name = text.encode("utf-8", "replace").decode() or "x"
    if "/" in path or path[-1] in ("why", "tag", "label", "before", "after", "operator", "cut", "device"):
        name += "x"  # null and empty are shown otherwise than a text
    drawn = html(validate(hostile(path, name)))
    assert Structure(drawn).tags == Structure(html(validate(hostile(path, "x" * max(len(name), 1))))).tags
    assert all(c.isprintable() or c in "\n\t" for c in drawn)


def test_control_characters_are_replaced_everywhere() -> None:
    for path in FREE_TEXTS:
        drawn = html(validate(hostile(path, "a\x00\x1b[31m\u202eb")))
        assert not {"\x00", "\x1b", "\u202e"} & set(drawn), path
    assert "a��[31m�b" in html(validate(hostile(("warnings", 0), "a\x00\x1b[31m\u202eb")))
    assert "a��[31m�b" in html(validate(hostile(("variants", 1, "name"), "a\x00\x1b[31m\u202eb"))).split("</svg>")[0]


def test_a_template_that_names_what_it_does_not_get_is_a_fault() -> None:
    with pytest.raises(UndefinedError, match="explanation"):
        render("explained.html.j2", title="x")


def test_only_what_this_package_drew_is_markup() -> None:
    values = {"explanation": Explanation.of(EXPLAINED), "figures": [], "titles": ("<b>",), "rows": []}  # type: ignore[arg-type]
    assert "<b>" not in render("explained.html.j2", title="<i>", **values).partition("<main>")[2]
    drawn = render("explained.html.j2", title=markup("<i>"), **values)
    assert "<h1><i></h1>" in drawn


@pytest.mark.parametrize("path", EXPLAINED_TEXTS, ids=lambda path: ".".join(map(str, path)))
def test_no_text_of_an_explanation_becomes_markup(path: Path) -> None:
    told, calm = copy.deepcopy(EXPLAINED), copy.deepcopy(EXPLAINED)
    put(told, path, EVIL)
    put(calm, path, "calm")
    evil = page(Explanation.of(told), EVIL)  # type: ignore[arg-type]
    assert Structure(evil).tags == Structure(page(Explanation.of(calm), "calm")).tags  # type: ignore[arg-type]
    assert "{{ 7 * 7 }}" in evil


def test_an_explanation_is_drawn_whole() -> None:
    drawn = page(Explanation.of(EXPLAINED), "net")  # type: ignore[arg-type]
    assert "<title>net: what INT8 costs</title>" in drawn
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" in drawn
    for said in (
        "INT8 answers diverge from FP32 by 0.1235 nats in the mean of 6 images.", "the input", "<b>outliers</b>: few",
        "own noise 10.0 dB, all noise 8.5 dB below the signal; 0.01 nats won", "2 channels, up to 2.5",
        "All 1 quantized operators", 'aria-labelledby="layer1"',
    ):  # fmt: skip
        assert said in drawn, said
    assert drawn.count("<svg") == 2


def test_the_titles_of_a_chart_are_text() -> None:
    drawn = chart(EVIL, [Series("<a>\x00", ((1.0, 2.0),))], EVIL, EVIL)
    tags = [each[0] for each in Structure(drawn).tags]
    assert "script" not in tags
    assert "img" not in tags
    assert "\x00" not in drawn
