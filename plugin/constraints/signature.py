"""An operator's signature, written once as the text of its schema, and a call of it: what everything behind the public
function is given.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy
import torch

NAMESPACE = "npu"

# Numbers stand for each other as torch's dispatcher lets them: only a float is no int.
_INT = (int, numpy.integer, numpy.bool_, torch.SymInt, torch.SymBool)
_FLOAT = (float, numpy.floating, torch.SymFloat, *_INT)
_KINDS: dict[str, tuple[tuple[Any, ...], str]] = {
    "Tensor": ((torch.Tensor,), "a Tensor"),
    "int": (_INT, "an int"),
    "float": (_FLOAT, "a number"),
    "bool": (_FLOAT, "a bool"),
}


class Parameter(NamedTuple):
    """The Python types that an argument may have, in words too, and the constraint that owns the argument, if any."""

    name: str
    schema_type: str  # Tensor, int, float or bool, whether or not it may be None
    types: tuple[Any, ...]
    kind: str
    label: str


class Signature:
    """What the schema of an operator says, and `Call`, the named tuple of its arguments in the schema's order.

    `absent` names the parameters that the definition in this process lacks, once the operator is registered.

    Args:
        schema: `name(parameters) -> (results)` in torch's language for schemas.
        labels: Of the parameters that a constraint owns, its label.
    """

    def __init__(self, schema: str, labels: Mapping[str, str]) -> None:
        parsed = torch._C.parse_schema(f"{NAMESPACE}::{schema}")
        self.name: str = parsed.name.removeprefix(f"{NAMESPACE}::")
        self.schema = schema
        self.absent: tuple[str, ...] = ()
        self.parameters = tuple(_parameter(argument, labels) for argument in parsed.arguments)
        defaults = [argument.default_value for argument in parsed.arguments if argument.has_default_value()]
        names = [parameter.name for parameter in self.parameters]
        self.Call: Any = namedtuple("Call", names, defaults=defaults)  # type: ignore[misc]
        self._of_python = inspect.Signature(
            [
                inspect.Parameter(
                    argument.name,
                    inspect.Parameter.KEYWORD_ONLY if argument.kwarg_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
                )
                for argument in parsed.arguments
            ]
        )

    def implementation(self, function: Callable[[Any], Any]) -> Callable[..., Any]:
        """Let a function of a call be called as the operator is: by its arguments, of which some may be left out."""
        make = self.Call

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            return function(make(*args, **kwargs))

        called.__signature__ = self._of_python  # type: ignore[attr-defined]
        return called

    def converter(self, function: Callable[[Any], Any]) -> Callable[..., Any]:
        """The same for a GE converter: torchair up to 2.5 describes the results only of one that takes meta_outputs."""
        implementation = self.implementation(function)

        @functools.wraps(implementation)
        def called(*args: Any, meta_outputs: Any = None, **kwargs: Any) -> Any:
            return implementation(*args, **kwargs)

        meta_outputs = inspect.Parameter("meta_outputs", inspect.Parameter.KEYWORD_ONLY, default=None)
        parameters = [*self._of_python.parameters.values(), meta_outputs]
        called.__signature__ = self._of_python.replace(parameters=parameters)  # type: ignore[attr-defined]
        return called

    def described(self, call: Any) -> Any:
        """A call of torchair's tensors as one of the tensors that describe them."""
        tensors = {name: value.meta for name, value in self.tensors(call).items() if value is not None}
        return call._replace(**tensors)

    def in_numbers(self, call: Any) -> Any:
        """A call that has passed check_types, with the numbers that torch makes of what stands for them."""
        odd = {
            p.name: number_of(value)
            for p, value in zip(self.parameters, call, strict=True)
            if p.schema_type != "Tensor" and not isinstance(value, p.types)
        }
        return self.Call(*call)._replace(**odd)

    def tensors(self, call: Any) -> dict[str, Any]:
        """The arguments of a call that are tensors or None, by their names in the schema's order."""
        return {p.name: getattr(call, p.name) for p in self.parameters if p.schema_type == "Tensor"}

    def numbers(self, call: Any) -> dict[str, Any]:
        """The other arguments."""
        return {p.name: getattr(call, p.name) for p in self.parameters if p.schema_type != "Tensor"}

    def compare(self, overload: Any) -> None:
        """Note which parameters the operator's definition in this process lacks: torch_npu's may be older than ours."""
        defined = {argument.name for argument in overload._schema.arguments}
        self.absent = tuple(parameter.name for parameter in self.parameters if parameter.name not in defined)


def stands_for_a_number(value: Any) -> bool:
    """Whether torch's dispatcher takes a value for a number that is none of Python's: a tensor of one element, or what
    has an index."""
    return value.numel() == 1 if isinstance(value, torch.Tensor) else hasattr(value, "__index__")


def number_of(value: Any) -> Any:
    """The number that such a value stands for."""
    return value.item() if isinstance(value, torch.Tensor) else operator.index(value)


def _parameter(argument: Any, labels: Mapping[str, str]) -> Parameter:
    schema_type = str(argument.type)
    required = schema_type.removeprefix("Optional[").removesuffix("]")
    types, kind = _KINDS[required]
    if required != schema_type:
        types, kind = (*types, type(None)), f"{kind} or None"
    return Parameter(argument.name, required, types, kind, labels.get(argument.name, ""))
