"""Calls that break a constraint, of all three operators, and whether an error is the one that they must end with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE
from ascend_moe_gating.plugin.verify import softmax_violations, violations
from ascend_moe_gating.plugin.verify.question import GATING, SOFTMAX, SOFTMAX_V2, written
from ascend_moe_gating.plugin.verify.routing_cases import STRAYS


class Broken(NamedTuple):
    """A call that breaks a constraint; `arguments` gives its tensors and numbers, the tensors on the CPU."""

    operator: str
    label: str
    error: type[Exception]
    message: str
    tensors: dict[str, Any]
    numbers: dict[str, Any]
    positional: tuple[Any, ...] = ()
    types_only: bool = False  # what torch's dispatcher refuses before any kernel sees it
    values: bool = False  # of tensors, which only a CPU reads
    stays: str = ""  # the tensor that is left on the CPU

    def __str__(self) -> str:
        return written(self.operator, self.tensors, self.numbers)


def broken_calls(on_npu: bool) -> Iterator[Broken]:
    """One or more per constraint, of all three operators."""
    for violation in violations.VIOLATIONS:
        x, k, options = violation.arguments()
        tensors = {n: v for n, v in options.items() if isinstance(v, torch.Tensor)}
        numbers = {n: v for n, v in options.items() if n not in tensors and (v is not None or n not in _TENSORS)}
        types_only = not isinstance(k, int) or any(name in numbers for name in _TENSORS)
        yield Broken(
            GATING, violation.label, violation.error, violation.message, {"x": x, **tensors}, {"k": k, **numbers},
            types_only=types_only,
        )  # fmt: skip
    for operator, letter in ((SOFTMAX, "T"), (SOFTMAX_V2, "S")):
        for softmax in softmax_violations.VIOLATIONS:
            if operator == SOFTMAX and softmax.label == "S6":
                continue
            x, options = softmax.arguments()
            tensors = {"x": x, **{n: v for n, v in options.items() if isinstance(v, torch.Tensor)}}
            numbers = {n: v for n, v in options.items() if n not in tensors}
            label = softmax.label.replace("S", letter)
            yield Broken(operator, label, softmax.error, softmax.message, tensors, numbers)
    by_position = "must be given by keyword, got"
    x = torch.zeros(4, 256)
    yield Broken(GATING, "C13", TypeError, by_position, {"x": x}, {}, (8, None, 1), types_only=True)
    yield Broken(SOFTMAX_V2, "S7", TypeError, by_position, {"x": x}, {}, (2,), types_only=True)
    for ids, table, message in STRAYS:
        tensors = {"x": torch.zeros(3, 8), "input_ids": torch.tensor(ids), "tid2eid": torch.tensor(table)}
        yield Broken(GATING, "C19", ValueError, message, tensors, {"k": 2}, values=True)
    if on_npu:
        yield from _on_two_devices()


_TENSORS = tuple(p.name for p in SIGNATURE.parameters if p.schema_type == "Tensor")


def _on_two_devices() -> Iterator[Broken]:
    x = torch.zeros(4, 256)
    ids, table = torch.zeros(4).int(), torch.zeros(9, 8).int()
    for label, name, tensors in (
        ("C4", "bias", {"bias": torch.zeros(256)}),
        ("C15", "input_ids", {"input_ids": ids, "tid2eid": table}),
        ("C16", "tid2eid", {"input_ids": ids, "tid2eid": table}),
    ):
        message = f"{name} must be on the device of x, npu:0, got cpu"
        yield Broken(GATING, label, ValueError, message, {"x": x, **tensors}, {"k": 8}, stays=name)


def held(error: BaseException, kind: type[Exception], *texts: str) -> bool:
    """Whether an error is of this type and has these texts, or dynamo has wrapped such a one."""
    links = list(chain(error))
    said = "\n".join(map(str, links))
    return all(text in said for text in texts) and (
        any(isinstance(link, kind) for link in links) or f"{kind.__name__}(" in str(error)
    )


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came of."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__
