"""What was found, as text for a terminal and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ascend_moe_gating.plugin.doctor.examination import Examination, Problem, Row
from ascend_moe_gating.plugin.doctor.paths import PATHS

_WIDTH = 100
_MARKS = {"works": "ok", "refused": "-", "absent": "-", "broken": "BROKEN"}
FACTS = {
    "python": "Python",
    "torch": "torch",
    "torch_npu": "torch_npu",
    "torchair": "torchair",
    "cann": "CANN",
    "npu": "NPU",
    "numpy": "NumPy",
    "glibc": "glibc",
    "processor": "processor",
    "kernel": "its kernel",
}


def as_json(found: Examination) -> dict[str, Any]:
    """The keys are described by `--help`; more may be added, none is taken away."""
    return {
        "healthy": not found.problems,
        "facts": found.facts,
        "paths": [
            {
                "name": name,
                "title": PATHS[name].title,
                "tensors": PATHS[name].tensors,
                "state": row.state,
                "text": row.text,
                "problem": row.problem,
            }
            for name, row in _rows(found)
        ],
        "problems": [
            {
                "number": number,
                "label": problem.label,
                "words": problem.words,
                "meaning": problem.meaning,
                "commands": [{"for": case, "command": command} for case, command in problem.commands],
            }
            for number, problem in enumerate(found.problems, 1)
        ],
        "notes": found.notes,
    }


def as_text(found: Examination) -> str:
    return "\n".join([_verdict(found), "", *_facts(found), "", *_paths(found), *_problems(found), *_notes(found)])


def _verdict(found: Examination) -> str:
    broken = sum(row.state == "broken" for row in found.rows.values())
    works = sum(row.state == "works" for row in found.rows.values())
    name = f"ascend_moe_gating {found.facts.get('package')}"
    if not found.problems:
        return f"{name}: healthy, {works} of {len(found.rows)} ways to call the operator work, none is broken"
    things = "1 thing is" if len(found.problems) == 1 else f"{len(found.problems)} things are"
    return f"{name}: {things} to be mended, {broken} of {len(found.rows)} ways to call the operator are BROKEN"


def _facts(found: Examination) -> Iterator[str]:
    for name, title in FACTS.items():
        yield from _wrapped(f"  {title:11}", found.facts.get(name) or "-")


def _paths(found: Examination) -> Iterator[str]:
    for tensors in ("CPU", "NPU"):
        yield f"{tensors} tensors"
        rows = [(PATHS[name].title, row) for name, row in _rows(found) if PATHS[name].tensors == tensors]
        for (state, text, problem), group in groupby(rows, lambda entry: _key(entry[1])):
            titles = [title for title, _ in group]
            several = len(titles) > 2 and state != "works"
            for title in [f"{len(titles)} ways"] if several else titles:
                see = f" (see {problem})" if problem else ""
                yield from _wrapped(f"  {_MARKS[state]:7} {title:25}", f"{text}{see}")


def _rows(found: Examination) -> list[tuple[str, Row]]:
    return [(name, found.rows[name]) for name in PATHS]


def _key(row: Row) -> tuple[str, str, int | None]:
    return row.state, row.text, row.problem


def _problems(found: Examination) -> Iterator[str]:
    for number, problem in enumerate(found.problems, 1):
        yield ""
        yield from _problem(number, problem)


def _problem(number: int, problem: Problem) -> Iterator[str]:
    yield from _wrapped(f"{number}. ", problem.words)
    yield from _wrapped("   ", problem.meaning)
    width = max(len(case) for case, _ in problem.commands)
    for case, command in problem.commands:
        yield f"   {case + ':' if case else '':{width + 2 if width else 0}}{command}"


def _notes(found: Examination) -> Iterator[str]:
    if found.notes:
        yield ""
    for note in found.notes:
        yield from _wrapped("note: ", note)


def _wrapped(head: str, text: str) -> list[str]:
    indent = " " * len(head)
    wrapped = textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return wrapped or [head.rstrip()]
