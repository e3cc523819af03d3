"""What the two operators of a softmax have in common: the rules of their logits, of `finished` and of k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.rules import Constraint, check_constraints, check_types, name_of, names_of
from ascend_moe_gating.plugin.constraints.signature import Signature

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_K = 1024


def rows(call: Any) -> list[int]:
    return list(call.x.shape[:-1])


def largest_k(call: Any) -> int:
    return min(call.x.shape[-1], MAX_K)


def rules_of(letter: str) -> tuple[Constraint, ...]:
    """The rules 1 to 5 of an operator whose labels have this letter; a rule may rely on those above it."""
    return (
        Constraint(
            f"{letter}1",
            ValueError,
            lambda c: c.x.dim() not in (2, 3),
            lambda c: f"x must have 2 or 3 dimensions (tokens, experts), got shape {list(c.x.shape)}",
        ),
        Constraint(
            f"{letter}2",
            TypeError,
            lambda c: c.x.dtype not in DTYPES,
            lambda c: f"x must be {names_of(DTYPES)}, got {name_of(c.x.dtype)}",
        ),
        Constraint(
            f"{letter}3",
            ValueError,
            lambda c: c.x.shape[-1] < 1,
            lambda c: f"x must have at least 1 expert (its last dimension), got {c.x.shape[-1]}",
        ),
        Constraint(
            f"{letter}4",
            ValueError,
            lambda c: c.finished is not None and list(c.finished.shape) != rows(c),
            lambda c: (
                f"finished must have the shape of x without experts, {rows(c)}, got shape {list(c.finished.shape)}"
            ),
        ),
        Constraint(
            f"{letter}4",
            TypeError,
            lambda c: c.finished is not None and c.finished.dtype != torch.bool,
            lambda c: f"finished must be bool, got {name_of(c.finished.dtype)}",
        ),
        Constraint(
            f"{letter}4",
            ValueError,
            lambda c: c.finished is not None and c.finished.device != c.x.device,
            lambda c: f"finished must be on the device of x, {c.x.device}, got {c.finished.device}",
        ),
        Constraint(
            f"{letter}5",
            ValueError,
            lambda c: not 1 <= c.k <= largest_k(c),
            lambda c: f"k must be between 1 and {largest_k(c)} (= experts, at most {MAX_K}), got {c.k}",
        ),
    )


def checker(signature: Signature, constraints: tuple[Constraint, ...]) -> Callable[[tuple[Any, ...]], None]:
    """The function that holds a call of an operator to its constraints."""

    def check(call: tuple[Any, ...]) -> None:
        """Raise the error of the first constraint that a call breaks, a Call or its values in the same order; sizes may
        be symbolic.

        Raises:
            TypeError: a wrong Python type or dtype.
            ValueError: a wrong shape, device or number.
        """
        check_types(call, signature.parameters)
        check_constraints(signature.in_numbers(call), constraints)

    return check


FUNCTIONS = (rows, largest_k)
