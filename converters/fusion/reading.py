"""What reading a gate has passed and taken for granted; why a choice of experts is no gate."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import cast_from, dtype, is_view, known_equal


class NotAGate(Exception):
    """Why a choice of experts is left as it is; `node` is where it differs from the operator."""

    def __init__(self, reason: str, node: Node) -> None:
        super().__init__(reason)
        self.node = node


class NoChoiceOfExperts(Exception):
    """The k largest of something that has nothing to do with scores of experts."""


class Reading:
    """The nodes that belong to the gate, and the sizes that were found equal.

    A symbolic size is not settled while a graph is read, as that would be in the way of graphs that hold no gate: sizes
    that are equal in the example only are noted, and settled when the gate is fused.
    """

    def __init__(self) -> None:
        self.inner: set[Node] = set()
        self.assumed: list[tuple[Any, Any]] = []

    def base(self, node: Node) -> Node:
        """Where the elements of a node come from, unchanged and in the same order."""
        while is_view(node):
            self.inner.add(node)
            node = node.args[0]  # type: ignore[assignment]
        self.inner.add(node)
        return node

    def same(self, one: Any, other: Any) -> bool:
        """Whether two sizes, or two lists of sizes, are equal."""
        if isinstance(one, (tuple, list)):
            return len(one) == len(other) and all(map(self.same, one, other))
        if known_equal(one, other):
            return True
        hints = hint(one), hint(other)
        if None in hints or hints[0] != hints[1]:
            return False
        self.assumed.append((one, other))
        return True

    def settle(self) -> bool:
        """Let what was taken for equal be so in every call of the compiled graph."""
        return all(bool(one == other) for one, other in self.assumed)


def hint(number: Any) -> Any:
    """The number in the example that a graph was traced with; None if it depends on data."""
    if isinstance(number, (torch.SymInt, torch.SymFloat)):
        return number.node.hint if number.node.has_hint() else None
    return number


def uncast(node: Node) -> Node:
    """A node without casts and views that change nothing."""
    while is_view(node) and cast_from(node) is not None:
        node = node.args[0]  # type: ignore[assignment]
    return node


def equivalent(one: object, other: object, steps: int = 8) -> bool:
    """Whether two nodes compute the same: they are one, or the same call of operands that are equivalent."""
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(equivalent(a, b, steps) for a, b in zip(one, other, strict=True))
    if one is other or not (isinstance(one, Node) and isinstance(other, Node)):
        return one is other or (not isinstance(one, Node) and type(one) is type(other) and one == other)
    if steps == 0 or one.op != "call_function" or one.target is not other.target or dtype(one) != dtype(other):
        return False
    if not hasattr(one.target, "_schema") or torch.Tag.nondeterministic_seeded in one.target.tags:  # type: ignore[union-attr]
        return False
    if one.target._schema.is_mutable or one.kwargs.keys() != other.kwargs.keys():
        return False
    named = all(equivalent(one.kwargs[name], other.kwargs[name], steps - 1) for name in one.kwargs)
    return named and equivalent(one.args, other.args, steps - 1)
