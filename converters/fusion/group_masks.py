"""Masks that tell some groups of experts from the others, in whatever way they are written.

Such a mask has two values, that of the groups which an index names and that of the others. It begins with a scatter of
one number into a tensor of another, and whatever is done to it element by element is done to the two numbers here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    arguments,
    aten,
    cast_from,
    constant,
    dtype,
    is_call,
    is_dimension,
    is_view,
    shape,
    size,
)

_POINTWISE = (
    *(aten.bitwise_not, aten.logical_not, aten.neg, aten.add, aten.sub, aten.rsub, aten.mul, aten.abs),
    *(aten.eq, aten.ne, aten.lt, aten.le, aten.gt, aten.ge),
)


class TwoValued(NamedTuple):
    """A mask: `kept` where the ids in `kept_groups` [tokens, k_group] name the group, `dropped` elsewhere."""

    kept_groups: Node
    kept: Any
    dropped: Any
    groups: Any  # how many
    width: Any  # 0: [tokens, groups]; else each group's value, so many times in a row

    def covers(self, masked: Node, group_count: Any, group_size: Any) -> bool:
        """Whether the mask, broadcast to what it masks, has one value for each group of this size."""
        if self.groups != group_count:
            return False
        return self.width == group_size or (self.width == 1 and len(shape(masked)) == 3)


def two_valued(mask: Node, inner: set[Node]) -> TwoValued | None:
    """Reads a mask; the nodes that make it join `inner`. None: it is not of this kind."""
    if not isinstance(mask, Node):
        return None
    inner.add(mask)
    if is_call(mask, aten.scatter):
        return _scattered(mask, inner)
    if is_view(mask) or is_call(mask, aten.expand, aten.repeat_interleave, aten.repeat):
        source = two_valued(mask.args[0], inner)  # type: ignore[arg-type]
        width = None if source is None else _width(mask, source)
        return None if width is None else source._replace(width=width)  # type: ignore[union-attr]
    if cast_from(mask) is not None or is_call(mask, *_POINTWISE):
        return _elementwise(mask, inner)
    return None


def _scattered(mask: Node, inner: set[Node]) -> TwoValued | None:
    named = arguments(mask)
    base, index = named["self"], named["index"]
    kept, dropped = constant(named.get("value", named.get("src"))), constant(base)
    if "reduce" in named or kept is None or dropped is None or len(shape(base)) != 2:
        return None
    if not is_dimension(mask, named["dim"], -1):
        return None
    inner.add(base)
    cast = torch.tensor([kept, dropped]).to(dtype(mask))
    return TwoValued(index, cast[0].item(), cast[1].item(), shape(mask)[-1], 0)


def _elementwise(mask: Node, inner: set[Node]) -> TwoValued | None:
    """Does to the two values what the graph does to all."""
    operands = [argument for argument in (*mask.args, *mask.kwargs.values()) if isinstance(argument, Node)]
    varying = [operand for operand in operands if constant(operand) is None]
    source = two_valued(varying[0], inner) if len(varying) == 1 else None
    if source is None:
        return None
    pair = torch.tensor([source.kept, source.dropped], dtype=dtype(varying[0]))
    if cast_from(mask) is not None:
        pair = pair.to(dtype(mask))
    else:

        def value(argument: Any) -> Any:
            if argument is varying[0]:
                return pair
            return torch.tensor(constant(argument), dtype=dtype(argument)) if isinstance(argument, Node) else argument

        inner.update(operands)
        pair = mask.target(*map(value, mask.args), **{name: value(a) for name, a in mask.kwargs.items()})  # type: ignore[operator]
    return source._replace(kept=pair[0].item(), dropped=pair[1].item())


def _width(mask: Node, source: TwoValued) -> Any:
    """How often each group's value stands in a row after a change of sizes; None when the groups are mixed up."""
    before, after = shape(mask.args[0]), shape(mask)  # type: ignore[arg-type]
    groups, width = source.groups, source.width
    if is_view(mask):
        if width == 0 and after[-2:] == (groups, 1) and len(after) == 3:
            return 1
        flat = len(after) == 2 and after[-1] == groups * max(width, 1)
        return width if flat or (len(after) == 3 and after[-2:] == (groups, width)) else None
    if is_call(mask, aten.expand):
        return after[-1] if len(before) == 3 and width == 1 and after[-2] == groups else None
    if is_call(mask, aten.repeat):
        repeats = [size(repeat) for repeat in mask.args[1]]  # type: ignore[union-attr]
        return repeats[2] if len(before) == 3 and width == 1 and repeats[:2] == [1, 1] else None
    named = arguments(mask)
    whole = len(before) == 2 and width == 0 and is_dimension(mask, named.get("dim"), -1)
    repeats = named["repeats"]  # a number, or a tensor
    return size(repeats) if whole and not (isinstance(repeats, Node) and shape(repeats)) else None


class Masked(NamedTuple):
    """values where mask is not `drops`, else fill."""

    node: Node
    values: Node
    mask: Node
    fill: float
    drops: bool


def read_masked(node: Node) -> Masked | None:
    """Reads an operation that drops what a mask names, however the mask is made; None: it is another operation."""
    if not is_call(node, aten.masked_fill, aten.where, aten.mul):
        return None
    named = arguments(node)
    if is_call(node, aten.masked_fill):
        fill = constant(named["value"])
        return None if fill is None else Masked(node, named["self"], named["mask"], fill, True)
    if is_call(node, aten.where):
        if "other" not in named:
            return None
        for values, other, drops in ((named["self"], named["other"], False), (named["other"], named["self"], True)):
            fill = constant(other)
            if fill is not None and isinstance(values, Node) and constant(values) is None:
                return Masked(node, values, named["condition"], fill, drops)
        return None
    for values, mask in ((named["self"], named["other"]), (named["other"], named["self"])):
        if isinstance(values, Node) and isinstance(mask, Node):
            ones: TwoValued | None = two_valued(mask, set())
            if ones is not None and (ones.kept, ones.dropped) == (1, 0):
                return Masked(node, values, mask, 0.0, False)
    return None
