"""Reads what becomes of the scores of the chosen experts: divided by their sum, times a number."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    EXPANDS,
    arguments,
    aten,
    cast_from,
    constant,
    dtype,
    is_call,
    is_dimension,
    operands,
    origin,
    shape,
)
from ascend_moe_gating.converters.fusion.reading import Reading, equivalent

OUTSIDE = object()  # in place of a number: a tensor of one element, with which the operator does nothing
_CLAMPS = (aten.clamp, aten.clamp_min)
_NORMS = (aten.linalg_vector_norm, aten.norm)
LEAST_SUM = 1e-6  # the largest scores of a softmax of up to 2048 experts, in whatever groups, sum to more


class Step(NamedTuple):
    """One thing that is done to the weights: `node` has them afterwards, `inner` are the nodes that do it."""

    node: Node
    inner: frozenset[Node]
    eps: Any = None  # what is added to the sum by which they are divided; None where they are not
    scale: Any = None


class Tail:
    """What is done to the `weights` of a gate, as far as the operator can do it too.

    Args:
        scalars: Inputs that stand for a Python float of the user's code, and the number.
        sum_is_large: The sum of the weights is never so small that a clamp would change it.
    """

    def __init__(self, weights: Node, reading: Reading, scalars: dict[Node, Any], sum_is_large: bool) -> None:
        self.reading, self.scalars, self.sum_is_large = reading, scalars, sum_is_large
        self.reason, self.place = "not divided by their sum, as the operator does", weights
        self.steps = self._steps(weights)

    def _steps(self, weights: Node) -> list[Step]:
        divided, scaled = self._divided(weights, weights), self._scaled(weights)
        if divided is not None:
            after = self._scaled(divided.node)
            return [divided] if after is None else [divided, after]
        if scaled is None:
            return []
        divided = self._divided(scaled.node, weights)  # (w * scale) / sum(w)
        if divided is None:
            return [scaled]
        return [Step(divided.node, scaled.inner | divided.inner, divided.eps, scaled.scale)]

    def _divided(self, dividend: Node, weights: Node) -> Step | None:
        """The step that divides by the sum of the weights, and what is added to it."""
        for user in dividend.users:
            if is_call(user, aten.div) and arguments(user).get("rounding_mode") is None:
                numerator, divisor = operands(user)
            elif is_call(user, aten.mul):
                factors = [(one, reciprocal(other)) for one, other in (operands(user), operands(user)[::-1])]
                numerator, divisor = next((pair for pair in factors if pair[1] is not None), (None, None))
            else:
                continue
            if numerator is not dividend or not isinstance(divisor, Node):
                continue
            inner, eps = self._sum(divisor, weights)
            if inner is not None and dtype(user) == torch.float32:
                by = operands(user)
                return Step(user, inner | {user, *(node for node in by if node is not dividend)}, eps=eps)
            self.place = user
            self.reason = "divided by something else than their sum and a number"
        return None

    def _sum(self, divisor: Node, weights: Node) -> tuple[frozenset[Node] | None, Any]:
        """The nodes of a sum of the weights, perhaps with something added, and that; None: it is another divisor."""
        own, eps = Reading(), 0.0
        if is_call(divisor, *EXPANDS):
            own.inner.add(divisor)
            divisor = divisor.args[0]  # type: ignore[assignment]
        if not self.reading.same(shape(divisor), (*shape(weights)[:-1], 1)):
            return None, 0.0
        node = own.base(divisor)
        if is_call(node, aten.add) and arguments(node)["alpha"] == 1:
            for first, second in (operands(node), operands(node)[::-1]):
                if isinstance(first, Node) and is_sum(origin(first)) and self.number(second) is not None:
                    node, eps = own.base(first), self.number(second)
                    break
        elif is_call(node, *_CLAMPS) and self.sum_is_large and arguments(node).get("max") is None:
            least = constant(arguments(node)["min"])
            if least is not None and least <= LEAST_SUM:
                node = own.base(arguments(node)["self"])
        named = arguments(node) if is_sum(node) else {}
        right = named and equivalent(named["self"], weights) and is_dimension(weights, named.get("dim"), -1)
        return (frozenset(own.inner), eps) if right and dtype(node) == torch.float32 else (None, 0.0)

    def _scaled(self, weights: Node) -> Step | None:
        """The step that multiplies by a number, or divides by one."""
        for user in weights.users:
            if dtype(user) != torch.float32 or not self.reading.same(shape(user), shape(weights)):
                continue
            if is_call(user, aten.mul):
                factor = next((other for other in operands(user) if other is not weights), None)
                scale = self.number(factor)
            elif is_call(user, aten.div) and arguments(user).get("rounding_mode") is None:
                dividend, factor = operands(user)
                scale = self.number(factor) if dividend is weights else None
                scale = scale if scale is None or scale is OUTSIDE else _inverse(scale)
            else:
                continue
            if scale is not None:
                return Step(user, frozenset({user}), scale=scale)
        return None

    def number(self, value: object) -> Any:
        """The number, perhaps symbolic, that an argument is or that an input stands for; OUTSIDE for a tensor of one
        element; None for all else."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        while isinstance(value, Node) and cast_from(value) and dtype(value) in (torch.float32, torch.float64):
            value = cast_from(value)
        if not isinstance(value, Node):
            return None
        if value in self.scalars:
            return self.scalars[value]
        described = value.meta.get("val")
        if isinstance(described, (torch.SymInt, torch.SymFloat)):
            return described
        one = isinstance(described, torch.Tensor) and all(type(size) is int and size == 1 for size in described.shape)
        return OUTSIDE if one and dtype(value) in (torch.float32, torch.float64) else None


def _inverse(number: Any) -> Any:
    if isinstance(number, (int, float)):
        return 1 / number if number != 0 else OUTSIDE
    return 1 / number


def reciprocal(node: object) -> Node | None:
    """Of what a node is one divided by."""
    if is_call(node, aten.mul):  # torch writes 1 / x as reciprocal(x) * 1
        by_one = [one for one, other in (operands(node), operands(node)[::-1]) if constant(other) == 1.0]  # type: ignore[arg-type]
        return reciprocal(by_one[0]) if by_one and isinstance(by_one[0], Node) else None
    if is_call(node, aten.reciprocal):
        return arguments(node)["self"]  # type: ignore[arg-type]
    if is_call(node, aten.div) and constant(operands(node)[0]) == 1.0:  # type: ignore[arg-type]
        return operands(node)[1]  # type: ignore[arg-type]
    if is_call(node, aten.pow) and constant(arguments(node)["exponent"]) == -1.0:  # type: ignore[arg-type]
        return arguments(node)["self"]  # type: ignore[arg-type]
    return None


def is_sum(node: Node) -> bool:
    """Whether a node sums, or takes the 1-norm: weights are not negative."""
    named = arguments(node) if is_call(node, aten.sum, *_NORMS) else None
    return named is not None and (is_call(node, aten.sum) or constant(named.get("ord", named.get("p"))) == 1.0)
