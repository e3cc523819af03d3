"""The few pieces that the page is made of; everything that is not markup is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["card", "cell", "code", "details", "escape", "number", "table"]


def code(text: object) -> str:
    return f"<code>{escape(str(text))}</code>"


def cell(inner: str, kind: str = "") -> str:
    return f'<td class="{kind}">{inner}</td>' if kind else f"<td>{inner}</td>"


def number(value: object, kind: str = "") -> str:
    text = f"{value:,}" if isinstance(value, int) else value if isinstance(value, str) else f"{value:.6g}"
    return cell(escape(str(text)), f"number {kind}".strip())


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows are of cells that are markup already; the first of each is its head. It scrolls where it is too wide."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    head = f"<thead><tr>{head}</tr></thead>" if heads else ""
    body = "".join(f"<tr><th>{first}</th>{''.join(cells)}</tr>" for first, *cells in rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def details(summary: str, inner: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>"


def card(kind: str, *paragraphs: str) -> str:
    return f'<div class="card {kind}">{"".join(paragraphs)}</div>'
