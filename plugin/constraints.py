"""What `npu_moe_gating_top_k` accepts: one table, from which every check and every message comes.

The labels C1 to C13 are cited by the messages, the tests and the documentation. The rules are the intersection of the
operator's documentation and of what its kernel on Atlas A2 and A3 takes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_EXPERTS = 2048


class Call(NamedTuple):
    """The arguments of one call, as the constraints see them."""

    x: torch.Tensor
    bias: Any  # a Tensor or None
    k: int
    k_group: int
    group_count: int
    group_select_mode: int
    renorm: int
    norm_type: int
    out_flag: bool
    routed_scaling_factor: float
    eps: float

    @property
    def experts(self) -> int:
        return self.x.shape[1]


class Constraint(NamedTuple):
    """A rule, broken by a call if `broken` is true; `describe` then says which argument, which rule, which value."""

    label: str
    error: type[Exception]
    broken: Callable[[Call], Any]
    describe: Callable[[Call], str]


def _align32(n: int) -> int:
    return (n + 31) // 32 * 32


def _names(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(map(_name, dtypes[:-1])) + " or " + _name(dtypes[-1])


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# In this order: a rule may rely on those above it.
CONSTRAINTS = (
    Constraint(
        "C1",
        ValueError,
        lambda c: c.x.dim() != 2,
        lambda c: f"x must have 2 dimensions (tokens, experts), got shape {list(c.x.shape)}",
    ),
    Constraint(
        "C2",
        TypeError,
        lambda c: c.x.dtype not in DTYPES,
        lambda c: f"x must be {_names(DTYPES)}, got {_name(c.x.dtype)}",
    ),
    Constraint(
        "C3",
        ValueError,
        lambda c: not 1 <= c.experts <= MAX_EXPERTS,
        lambda c: f"x must have between 1 and {MAX_EXPERTS} experts (its last dimension), got {c.experts}",
    ),
    Constraint(
        "C4",
        ValueError,
        lambda c: c.bias is not None and (c.bias.dim() != 1 or c.bias.shape[0] != c.experts),
        lambda c: f"bias must have one dimension of {c.experts} experts as x has, got shape {list(c.bias.shape)}",
    ),
    Constraint(
        "C4",
        TypeError,
        lambda c: c.bias is not None and c.bias.dtype != c.x.dtype,
        lambda c: f"bias must have the dtype of x, {_name(c.x.dtype)}, got {_name(c.bias.dtype)}",
    ),
    Constraint(
        "C4",
        ValueError,
        lambda c: c.bias is not None and c.bias.device != c.x.device,
        lambda c: f"bias must be on the device of x, {c.x.device}, got {c.bias.device}",
    ),
    Constraint(
        "C5",
        ValueError,
        lambda c: c.group_count < 1 or c.experts % c.group_count != 0,
        lambda c: f"group_count must be at least 1 and divide the {c.experts} experts, got {c.group_count}",
    ),
    Constraint(
        "C6",
        ValueError,
        lambda c: c.experts // c.group_count <= 2,
        lambda c: (
            f"group_count must leave more than 2 experts in a group, got {c.group_count}, "
            f"which makes groups of {c.experts // c.group_count}"
        ),
    ),
    Constraint(
        "C7",
        ValueError,
        lambda c: _align32(c.experts // c.group_count) * c.group_count > MAX_EXPERTS,
        lambda c: (
            f"group_count times the experts of a group rounded up to a multiple of 32 must be at most {MAX_EXPERTS}, "
            f"got {c.group_count} * {_align32(c.experts // c.group_count)} = "
            f"{_align32(c.experts // c.group_count) * c.group_count}"
        ),
    ),
    Constraint(
        "C8",
        ValueError,
        lambda c: not 1 <= c.k_group <= c.group_count,
        lambda c: f"k_group must be between 1 and {c.group_count} (= group_count), got {c.k_group}",
    ),
    Constraint(
        "C9",
        ValueError,
        lambda c: not 1 <= c.k <= c.k_group * (c.experts // c.group_count),
        lambda c: (
            f"k must be between 1 and {c.k_group * (c.experts // c.group_count)} "
            f"(= k_group * experts / group_count), got {c.k}"
        ),
    ),
    Constraint(
        "C10",
        ValueError,
        lambda c: c.group_select_mode not in (0, 1),
        lambda c: f"group_select_mode must be 0 (maximum) or 1 (sum of the two largest), got {c.group_select_mode}",
    ),
    Constraint("C11", ValueError, lambda c: c.renorm != 0, lambda c: f"renorm must be 0, got {c.renorm}"),
    Constraint(
        "C12",
        ValueError,
        lambda c: c.norm_type not in (0, 1),
        lambda c: f"norm_type must be 0 (softmax) or 1 (sigmoid), got {c.norm_type}",
    ),
)

# For each argument the accepted Python types, the rule in words, and the constraint that owns the argument.
_INT = (int, numpy.integer, torch.SymInt)
_NUMBER = (float, numpy.floating, torch.SymFloat, *_INT)
_TYPES: tuple[tuple[str, Any, str, str], ...] = (
    ("x", torch.Tensor, "a Tensor", " (C1)"),
    ("bias", (torch.Tensor, type(None)), "a Tensor or None", " (C4)"),
    ("k", _INT, "an int", " (C9)"),
    ("k_group", _INT, "an int", " (C8)"),
    ("group_count", _INT, "an int", " (C5)"),
    ("group_select_mode", _INT, "an int", " (C10)"),
    ("renorm", _INT, "an int", " (C11)"),
    ("norm_type", _INT, "an int", " (C12)"),
    ("out_flag", (bool, numpy.bool_, torch.SymBool), "a bool", ""),
    ("routed_scaling_factor", _NUMBER, "a number", ""),
    ("eps", _NUMBER, "a number", ""),
)


def check(
    x: torch.Tensor,
    k: int,
    bias: torch.Tensor | None = None,
    k_group: int = 1,
    group_count: int = 1,
    group_select_mode: int = 0,
    renorm: int = 0,
    norm_type: int = 0,
    out_flag: bool = False,
    routed_scaling_factor: float = 1.0,
    eps: float = 1e-20,
) -> None:
    """Raise the error of the first constraint that these arguments break; sizes may be symbolic.

    Raises:
        TypeError: a wrong Python type or dtype.
        ValueError: a wrong shape, device or number.
    """
    numbers = (k, k_group, group_count, group_select_mode, renorm, norm_type, out_flag, routed_scaling_factor, eps)
    passed: list[bool] = []
    if type(x) is Tensor and not is_dynamo_compiling():
        shape = x.shape
        experts = shape[1] if len(shape) == 2 else shape
        try:
            if bias is None:
                passed = _passed(experts, x.dtype, None, None, None, *numbers)
            else:
                passed = _passed(experts, x.dtype, bias.dtype, bias.shape, bias.device == x.device, *numbers)
        except (AttributeError, TypeError):
            pass  # bias is no tensor, or something is not hashable: the check below says it
        if passed:
            return
    _check(Call(x, bias, *numbers))
    passed.append(True)


@functools.lru_cache(maxsize=4096, typed=True)  # 8, 8.0 and True are different arguments
def _passed(*facts: object) -> list[bool]:
    """Empty until a call with these facts has passed: all that the constraints read, which is not the tokens."""
    return []


def _check(call: Call) -> None:
    for value, (name, types, kind, label) in zip(call, _TYPES, strict=True):
        if not isinstance(value, types):
            raise TypeError(f"{name} must be {kind}, got {value!r} of type {type(value).__name__}{label}")
    check_rules(call)


def check_rules(call: Call) -> None:
    """Raise the error of the first constraint that a call breaks whose arguments have the right Python types."""
    for constraint in CONSTRAINTS:
        if constraint.broken(call):
            raise constraint.error(f"{constraint.describe(call)} ({constraint.label})")


def check_keyword_only(positional: tuple[object, ...]) -> None:
    """Constraint C13, for functions that take `*positional` behind k.

    Raises:
        TypeError: anything was given by position.
    """
    if positional:
        raise TypeError(
            f"bias and all later parameters must be given by keyword, got {len(positional)} more by position (C13)"
        )


def keep_out_of_graphs_of_their_own() -> None:
    """Let dynamo trace the checks as a part of a user's function only; call it once torch._dynamo is imported.

    When a check fails, dynamo leaves the user's function to Python, and would next compile each function that is called
    there by itself: arithmetic on sizes, about which torchair would complain before the check does.
    """
    from torch._dynamo.eval_frame import skip_code

    experts: Any = Call.experts
    functions = [check, _check, check_rules, _align32, experts.fget]
    functions += [function for constraint in CONSTRAINTS for function in (constraint.broken, constraint.describe)]
    for function in functions:
        skip_code(function.__code__)
