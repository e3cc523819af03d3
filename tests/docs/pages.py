"""The Markdown pages: the samples of one run in order, in one namespace, and print what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

from tests.programs import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is written in, its text, and the line of the page on which the text begins."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = re.finditer(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1) for match in found]


def between(page: Path, marker: str) -> str:
    """What stands between `<!-- marker: ... -->` and `<!-- /marker -->`: a table that has a source elsewhere."""
    (text,) = re.findall(rf"<!-- {marker}\b[^\n]*-->\n(.*?)<!-- /{marker} -->", page.read_text(), re.DOTALL)
    return text


def cells(table: str) -> list[list[str]]:
    """The rows of a table in Markdown below its head."""
    rows = [line.strip("|").split("|") for line in table.strip().splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def samples(page: Path) -> list[tuple[Block, str | None]]:
    """The blocks of Python, each with the output that the page shows right behind it, if there is one."""
    lines, found = page.read_text().splitlines(), blocks(page)
    pairs = []
    for block, following in zip(found, [*found[1:], None], strict=False):
        if block.language == "python":
            end = block.line + block.text.count("\n")  # the line of the closing fence
            shown = following is not None and following.language == "text" and following.line <= end + 3
            assert not shown or not "".join(lines[end : following.line - 2]), page  # nothing but an empty line
            pairs.append((block, following.text if shown else None))
    return pairs


def run(page: Path, folder: Path) -> None:
    """Run the samples of a page. An error is printed as Python prints it, and is the test's if the page shows none.

    The code is written to `folder` at the lines that it has on the page: errors name them, and code can be inspected.
    """
    pairs = samples(page)
    script = folder / f"{page.stem.replace('.', '_').replace('-', '_').lower()}_page.py"
    lines = [""] * len(page.read_text().splitlines())
    for block, _ in pairs:
        code = block.text.splitlines()
        lines[block.line - 1 : block.line - 1 + len(code)] = code
    script.write_text("\n".join(lines))
    module = types.ModuleType(script.stem)
    module.__file__ = str(script)
    sys.modules[script.stem] = module
    try:
        for block, shown in pairs:
            printed = _printed_by(block, script, module, raises=shown is not None)
            if shown is not None:
                assert re.fullmatch(pattern(shown), printed), (
                    f"{page.name}:{block.line} prints\n{printed}\nnot\n{shown}"
                )
    finally:
        del sys.modules[script.stem]


def pattern(shown: str) -> str:
    """Of what a page shows, in which three dots stand for anything."""
    return re.escape(shown.strip()).replace(re.escape("..."), r"[\s\S]*?") + r"\s*"


def _printed_by(block: Block, script: Path, module: types.ModuleType, raises: bool) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            exec(compile("\n" * (block.line - 1) + block.text, str(script), "exec"), module.__dict__)
        except Exception as error:
            if not raises:
                raise
            print("".join(traceback.format_exception_only(error)))
    return output.getvalue()
