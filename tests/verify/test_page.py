"""The page in a browser: it loads nothing, complains of nothing, fits any width, and shows what differs."""

from dataclasses import asdict

import pytest

from ascend_moe_gating.plugin.verify.outcome import Expert, Mismatch, Outcome
from ascend_moe_gating.plugin.verify.page import page as written
from ascend_moe_gating.plugin.verify.report import Report
from tests.verify.chromium import opened

pytestmark = [pytest.mark.stand_in, pytest.mark.needs("a browser", "a compiler")]
WIDTHS = (1280, 390)
LUMINANCE = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"


@pytest.fixture(params=[(width, dark) for width in WIDTHS for dark in (False, True)], ids=str)
def shown(request, wrong_run, tmp_path):
    width, dark = request.param
    with opened(wrong_run.page.as_uri(), tmp_path, width, dark=dark) as page:
        yield page, width, dark


def test_the_page_of_a_run_with_a_wrong_kernel(shown, wrong_run):
    page, width, dark = shown
    requests = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in requests if not url.startswith("data:")] == [wrong_run.page.as_uri()]
    said = [
        e
        for e in page.events
        if e["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    ]
    assert said == []
    assert page.of("document.scripts.length") == 0
    # Nothing is wider than the page: tables that are scroll in a frame of their own.
    assert page.of("document.documentElement.scrollWidth") <= width
    over = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
    assert page.of(f"{over} && !e.closest('.scroll')).map(e => e.outerHTML.slice(0, 80))") == []
    assert (page.of(LUMINANCE) < 200) == dark
    contrast = page.of("getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)")
    assert (contrast > 500) == dark

    charts = page.of(
        "[...document.querySelectorAll('svg')].map(s => (r => [r.width, r.height])(s.getBoundingClientRect()))"
    )
    assert len(charts) == len(wrong_run.json["accuracy"])
    assert all(150 < wide <= width and 40 < high < 300 for wide, high in charts)
    assert page.of("[...document.querySelectorAll('svg rect')].every(r => r.getBoundingClientRect().height >= 1)")

    cards = page.of("[...document.querySelectorAll('.card:not(.near)')].map(c => [c.innerText, c.offsetHeight])")
    wrong = [m for m in wrong_run.json["mismatches"] if not m["near_tie"]]
    assert len(cards) == len(wrong) > 5
    for (text, height), mismatch in zip(cards, wrong, strict=True):
        assert height > 40
        assert mismatch["says"] in text
    assert page.of("document.querySelector('.verdict').innerText") == "something differs"
    assert page.of("document.title") == "MoE gating verified on the stand-in for an NPU"
    assert "Not an NPU." in page.of("document.querySelector('.banner').innerText")


def test_the_page_of_a_good_run(right_run, tmp_path):
    with opened(right_run.page.as_uri(), tmp_path) as page:
        assert page.of("document.querySelector('.verdict').innerText") == "all as expected"
        assert page.of("document.querySelectorAll('.card:not(.near)').length") == 0
        heads = page.of("[...document.querySelectorAll('h2')].map(h => h.innerText)")
        assert heads == [
            "What it ran on", "What was run", "What differs", "What the CANN takes and refuses", "Accuracy",
            "Time of a call", "What was not run", "How to read it",
        ]  # fmt: skip
        paths = page.of(
            "[...document.querySelectorAll('table')][1].tHead.innerText.split('\\t').slice(1).map(t => t.trim())"
        )
        assert paths == list(dict.fromkeys(tally["path"] for tally in right_run.json["tallies"]))


def test_a_row_with_other_experts_is_shown_with_its_scores(tmp_path):
    """And what a call says is text, whatever is in it."""
    experts = [
        Expert(7, 1.5, -0.25, 0.8175745, 0.5675745, 0, 1),
        Expert(3, float("nan"), None, 0.5, 0.5, -1, 0, 0.5, 0.25),
    ]
    mismatch = Mismatch("f(<script>alert(1)</script>)", "expert_idx", "chooses other experts", row=4, experts=experts)
    report = Report(device="npu")
    report.add("a path", "a group", asdict(Outcome(rows=9, wrong=1, mismatches=[mismatch])), 0.1)
    report.end("complete")
    file = tmp_path / "page.html"
    file.write_text(written(report), encoding="utf-8")
    with opened(file.as_uri(), tmp_path / "profile") as page:
        cells = page.of("[...document.querySelectorAll('.card tbody tr')].map(r => [...r.cells].map(c => c.innerText))")
        assert cells == [
            ["7", "1.5", "-0.25", "0.8175745", "0.5675745", "0", "1", "-", "-"],
            ["3", "nan", "-", "0.5", "0.5", "not chosen", "0", "0.5", "0.25"],
        ]
        assert page.of("document.querySelectorAll('td.here').length") == 2
        assert "f(<script>alert(1)</script>)" in page.of("document.querySelector('.card').innerText")
        assert page.of("document.scripts.length") == 0
