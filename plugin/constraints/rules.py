"""What the tables of constraints are made of, and how a call is held to one: the same for every operator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn

import torch
from torch.compiler import is_dynamo_compiling

from ascend_moe_gating.plugin.constraints.signature import Parameter, stands_for_a_number


class Constraint(NamedTuple):
    """A rule, broken by a call if `broken` is true; `describe` then says which argument, which rule, which value.

    No published CANN takes what breaks it. What some take is a Need.
    """

    label: str
    error: type[Exception]
    broken: Callable[[Any], Any]
    describe: Callable[[Any], str]


def check_types(call: Iterable[object], parameters: tuple[Parameter, ...]) -> None:
    """Raise for the first argument whose Python type its parameter does not take, or whose integer no float holds."""
    for value, (name, schema_type, types, kind, label) in zip(call, parameters, strict=True):
        if isinstance(value, types):
            if schema_type == "float" and isinstance(value, int) and abs(value) > sys.float_info.max:
                raise ValueError(f"{name} must be a number that a float holds, got {value}")
            continue
        # Of a float that dynamo has made a symbol nothing else may be asked.
        if schema_type == "Tensor" or isinstance(value, float) or not stands_for_a_number(value):
            if is_dynamo_compiling() and not isinstance(value, _IN_GRAPHS):
                refuse_type(name, kind, label, f"an object of type {type(value).__name__}")
            refuse_type(name, kind, label, value=value)


_IN_GRAPHS = (torch.Tensor, bool, int, float, str, type(None), list, tuple, torch.dtype)  # what dynamo can hand over


def refuse_type(name: str, kind: str, label: str, given: str = "", value: object = None) -> NoReturn:
    """Raise the error of an argument of the wrong Python type: it was given this value, or what `given` says."""
    if not given:
        value = value if isinstance(value, torch.Tensor) else _in_numbers(value)
        type_in_a_graph = type(value).__name__
        given = f"{value!r} of type {type_in_a_graph.removeprefix('immutable_').removeprefix('Fake')}"
    owner = f" ({label})" if label else ""
    raise TypeError(f"{name} must be {kind}, got {given}{owner}")


def check_constraints(call: Any, constraints: tuple[Constraint, ...]) -> None:
    """Raise the error of the first constraint that a call breaks whose arguments have the right Python types."""
    for constraint in constraints:
        if constraint.broken(call):
            numbers = type(call)(*map(_in_numbers, call))
            raise constraint.error(f"{constraint.describe(numbers)} ({constraint.label})")


class Described(NamedTuple):
    """What the constraints look at of a tensor."""

    shape: list[Any]
    dtype: torch.dtype
    device: torch.device = torch.device("cpu")

    def dim(self) -> int:
        return len(self.shape)


def _in_numbers(value: Any) -> Any:
    """An argument as an error should show it: in a dynamic graph a size is a symbol, and known all the same."""
    if isinstance(value, torch.Tensor):
        return Described([_in_numbers(size) for size in value.shape], value.dtype, value.device)
    if isinstance(value, list) or type(value) is tuple:
        return (list if isinstance(value, list) else tuple)(map(_in_numbers, value))
    if isinstance(value, (torch.SymInt, torch.SymFloat)) and value.node.hint is not None:
        return value.node.hint
    return value


def nothing_to_do(x: torch.Tensor) -> bool:
    """Whether x is on an NPU and has no tokens: CANN's kernels divide by their number, or refuse it."""
    return type(x) in _PLAIN and x.numel() == 0 and x.device.type == "npu"


_PLAIN = (torch.Tensor, torch.nn.Parameter)  # of a fake tensor a size would become fixed


def check_keyword_only(positional: tuple[object, ...], first: str, label: str) -> None:
    """For functions that take `*positional` in the place where `first` and what follows are keywords.

    Raises:
        TypeError: anything was given by position.
    """
    if positional:
        refuse_positional(len(positional), first, label)


def refuse_positional(number: int, first: str, label: str) -> NoReturn:
    raise TypeError(
        f"{first} and all later parameters must be given by keyword, got {number} more by position ({label})"
    )


def name_of(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")


def names_of(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(map(name_of, dtypes[:-1])) + " or " + name_of(dtypes[-1])


def make_known_to_dynamo(
    functions: Iterable[Any], constraints: tuple[Constraint, ...], refusals: Iterable[Any] = ()
) -> None:
    """Let dynamo not compile the checks by themselves, and lose no error; call it once torch._dynamo is imported.

    Where dynamo leaves a user's function to Python, it would next compile each function that is called there by itself:
    arithmetic on sizes, about which torchair would complain before the check does. The functions that only raise go
    into the graph as they are: dynamo runs them at once, where in code that it traces it would lose the text up to
    torch 2.8.
    """
    from torch._dynamo import allow_in_graph
    from torch._dynamo.eval_frame import skip_code

    for refusal in (refuse_type, refuse_positional, *refusals):
        allow_in_graph(refusal)
    checks = (check_types, check_constraints, check_keyword_only, name_of, names_of, _in_numbers)
    rules = (function for constraint in constraints for function in (constraint.broken, constraint.describe))
    for function in (*checks, *functions, *rules):
        skip_code(function.__code__)
