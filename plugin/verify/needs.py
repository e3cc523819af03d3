"""Calls that differ in what a need or a rule asks for: which of them a device takes, and which it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import Call, check
from ascend_moe_gating.plugin.verify.question import GATING, Question


def grid() -> Iterator[Any]:
    """Calls of few tokens, legal and not, of all numbers that a need or a rule asks for."""
    for experts, group_count in [
        (1, 1),
        (2, 1),
        (2, 2),
        (3, 1),
        (4, 2),
        (6, 2),
        (8, 8),
        (64, 32),
        (258, 86),
        (2048, 2),
    ]:
        size = experts // group_count
        for k_group, mode in itertools.product(sorted({0, 1, group_count // 2, group_count, group_count + 1}), (0, 1)):
            for k in sorted({0, 1, k_group * size, k_group * size + 1}):
                groups = {"k_group": k_group, "group_count": group_count, "group_select_mode": mode}
                yield from (
                    Call(torch.zeros(1, experts), k, renorm=renorm, norm_type=norm_type, **groups)
                    for renorm, norm_type in [(0, 0), (1, 0), (0, 1), (1, 2), (2, 1), (0, 3), (-1, 0)]
                )


def broken(call: Any) -> str:
    """What rule a call breaks, or nothing."""
    try:
        check(call)
    except ValueError as error:
        return str(error)
    return ""


def asked(some: int, legal: bool) -> list[tuple[Question, str]]:
    """Every so-many-th call of the grid as a question, with the rule that it breaks; all of them, or the legal ones."""
    chosen = []
    for call in itertools.islice(grid(), 0, None, some):
        rule = broken(call)
        if not (legal and rule):
            given = {name: value for name, value in call._asdict().items() if value != Call._field_defaults.get(name)}
            chosen.append((Question(GATING, {"x": given.pop("x")}, given), rule))
    return chosen
