"""What differs, on the page: wrong rows, near-ties, lost checks, and refusals in both directions."""

from __future__ import annotations

from typing import Any

from ascend_moe_gating.plugin.verify.html import card, cell, code, details, escape, number, table
from ascend_moe_gating.plugin.verify.report import Report

_HEADS = ("expert", "logit", "bias", "score", "score + bias", "expected place", "place", "expected weight", "weight")


def differences(report: Report) -> str:
    wrong = [_mismatch(m) for m in report.mismatches if not m["near_tie"]]
    near = [_mismatch(m) for m in report.mismatches if m["near_tie"]]
    lost = [_lost(one) for one in report.lost]
    parts = ["<h2>What differs</h2>"]
    if not wrong and not lost:
        parts.append("<p>No row is wrong, and no check was lost.</p>")
    else:
        parts.append(f'<p class="soft">{len(wrong)} findings are shown; the table above counts all rows.</p>')
    parts += lost + wrong
    if near:
        some = f"{len(near)} of the rows that order near-ties otherwise, within the rounding of their scores"
        parts.append(details(some, "".join(near)))
    return "".join(parts)


def _mismatch(found: dict[str, Any]) -> str:
    row = f", row {found['row']}" if found["row"] >= 0 else ""
    where = f"<p><strong>{escape(found['path'])}, {escape(found['group'])}: {escape(found['result'])}{row}</strong></p>"
    parts = [where, f"<p>{escape(found['says'])}</p>", f"<p>{code(found['call'])}</p>"]
    if found["experts"]:
        parts.append(_experts(found["experts"]))
    return card("near" if found["near_tie"] else "", *parts)


def _experts(experts: list[dict[str, Any]]) -> str:
    rows = []
    for expert in experts:
        differs = "here" if expert["expected_place"] != expert["place"] else ""
        rows.append(
            (
                str(expert["expert"]),
                *(_value(expert[name]) for name in ("logit", "bias", "score", "choice")),
                _place(expert["expected_place"]),
                _place(expert["place"], differs),
                _value(expert["expected_weight"]),
                _value(expert["weight"]),
            )
        )
    with_weights = any(expert["weight"] is not None for expert in experts)
    heads = _HEADS if with_weights else _HEADS[:-2]
    return table(heads, [row[: len(heads)] for row in rows])


def _value(value: Any) -> str:
    return cell('<span class="soft">-</span>', "number") if value is None else number(f"{float(value):.9g}")


def _place(place: int, kind: str = "") -> str:
    return number("not chosen" if place < 0 else str(place), kind)


def _lost(one: dict[str, Any]) -> str:
    parts = [f"<p><strong>{escape(one['path'])}, {escape(one['group'])}: {escape(one['how'])}</strong></p>"]
    parts.append(f"<p>{code(one['call'])}</p>")
    if one["words"]:
        parts.append(details("what the process printed last", f"<p>{code(one['words'])}</p>"))
    return card("", *parts)


def refusals(report: Report) -> str:
    if report.device != "npu":
        surprises = [r for r in report.refusals if not r["as_expected"]]
        return f"<h2>What was refused</h2>{_refusals(surprises)}" if surprises else ""
    parts = ["<h2>What the CANN takes and refuses</h2>"]
    for title, refused in (("Refused, but expected to be taken", True), ("Taken, but expected to be refused", False)):
        some = [r for r in report.refusals if not r["as_expected"] and r["refused"] == refused]
        parts.append(f"<h3>{title}: {sum(r['count'] for r in some)}</h3>{_refusals(some) if some else '<p>None.</p>'}")
    expected = [r for r in report.refusals if r["as_expected"]]
    if expected:
        calls = sum(refusal["count"] for refusal in expected)
        parts.append(details(f"Refused, as expected: {calls} calls, in CANN's words", _refusals(expected)))
    return "".join(parts)


def _refusals(some: list[dict[str, Any]]) -> str:
    rows = [
        (
            escape(refusal["path"]),
            number(refusal["count"]),
            cell(escape(refusal["expected"])),
            cell(code(refusal["call"])),
            cell(code(refusal["words"]) if refusal["words"] else '<span class="soft">it was taken</span>'),
        )
        for refusal in some
    ]
    return table(("path", "calls", "expected", "the first of them", "its words"), rows)
