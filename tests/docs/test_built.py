"""`make docs` builds the pages without a warning: links and anchors lead somewhere, and formulas are drawn."""

import re
import subprocess
import sys

import pytest

from tests.browser import measure
from tests.docs.pages import DOCS, PAGES
from tests.once import once
from tests.programs import ROOT

# As the Makefile has it.
(COMMAND,) = re.findall(r"^docs: .*\n\t\$\(BIN\)/python (-m sphinx .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
FORMULA = re.compile(r"\$\$\n.*?\n\$\$|(?<![$\w])\$[^$\n]+\$(?![$\w])", re.DOTALL)
IN_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def build(folder):
    arguments = COMMAND.replace("build/", f"{folder}/").split()
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    def make(folder):
        result = build(folder)
        assert result.returncode == 0, result.stderr
        return folder / "docs"

    return once(tmp_path_factory, "built", make)


def formulas(page):
    return FORMULA.findall(IN_CODE.sub("", page.read_text()))


def test_it_says_what_is_wrong_with_a_page(tmp_path, monkeypatch):
    wrong = tmp_path / "project"
    (wrong / "docs").mkdir(parents=True)
    for name in ("conf.py", "style.css"):
        (wrong / "docs" / name).write_bytes((DOCS / name).read_bytes())
    (wrong / "docs" / "index.md").write_text("# Title\n\n[a](other.md), [b](#nowhere)\n")
    monkeypatch.chdir(wrong)
    result = subprocess.run([sys.executable, *COMMAND.split()], capture_output=True, text=True)
    assert result.returncode == 1
    assert "'other.md'" in result.stderr
    assert "nowhere" in result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_formula_becomes_mathml(built, page):
    text = (built / page.relative_to(ROOT).with_suffix(".html")).read_text()
    math = re.findall("<math.*?</math>", text, re.DOTALL)
    assert len(math) == len(formulas(page))
    assert not any("\\" in each or "merror" in each for each in math)  # a command that the converter does not know
    assert "$$" not in text


def test_nothing_is_fetched_from_elsewhere(built):
    for page in built.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?:)?//", page.read_text())
        assert not fetched, page


@pytest.mark.needs("a browser")
@pytest.mark.parametrize("width", [1300, 500])
@pytest.mark.parametrize("page", ["operator", "operator.zh"])
def test_the_operators_page_is_drawn(built, page, width):
    """Each formula has a size, a fraction is higher than a line, and nothing makes the page wider than its window."""
    drawn = measure(
        built / "docs" / f"{page}.html",
        """{
            width: [document.documentElement.scrollWidth, innerWidth],
            formulas: [...document.querySelectorAll('math')].map(math => math.getBoundingClientRect()),
            fraction: document.querySelector('mfrac').getBoundingClientRect().height,
            line: document.querySelector('article p math').getBoundingClientRect().height,
            language: document.documentElement.lang,
        }""",
        width,
    )
    assert drawn["width"] == [width, width]
    assert len(drawn["formulas"]) == len(formulas(DOCS / f"{page}.md"))
    assert all(formula["width"] > 5 and formula["height"] > 8 for formula in drawn["formulas"])
    assert drawn["fraction"] > 1.5 * drawn["line"]
    assert drawn["language"] == ("zh-Hans" if page.endswith("zh") else "en")


@pytest.mark.needs("a browser")
@pytest.mark.parametrize("page", ["performance", "supported", "troubleshooting"])
def test_wide_tables_and_lines_stay_in_a_narrow_window(built, page):
    assert measure(built / "docs" / f"{page}.html", "document.documentElement.scrollWidth", 500) == 500
