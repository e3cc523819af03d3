"""Masks that tell some groups of experts from the others, in whatever way they are written.

Such a mask has two values, that of the groups which an index names and that of the others. It begins with a scatter of
one number into a tensor of another, and whatever is done to it element by element is done to the two numbers here.
"""

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
    is_arange,
    is_call,
    is_dimension,
    is_view,
    operands,
    origin,
    shape,
    size,
)
from ascend_moe_gating.converters.fusion.reading import Reading

_POINTWISE = (
    *(aten.bitwise_not, aten.logical_not, aten.neg, aten.add, aten.sub, aten.rsub, aten.mul, aten.abs),
    *(aten.eq, aten.ne, aten.lt, aten.le, aten.gt, aten.ge),
)


class Masked(NamedTuple):
    """values where mask is not `drops`, else fill."""

    node: Node
    values: Node
    mask: Node
    fill: float
    drops: bool


class TwoValued(NamedTuple):
    """A mask: `kept` where the ids in `kept_groups` [..., k_group] name the group, `dropped` elsewhere.

    Its shape is one of three: [..., groups], whose width is 0; [..., groups, width]; [..., groups * width].
    """

    kept_groups: Node
    kept: Any
    dropped: Any
    rows: list[Any]  # the sizes in front of the groups: one row is one token
    groups: Any  # how many
    width: Any  # how often each group's value stands in a row

    @property
    def in_a_row(self) -> bool:
        """Whether each group's value is there more than once."""
        return not (type(self.width) is int and self.width in (0, 1))

    def covers(self, masked: Masked, rows: list[Any], group_count: Any, group_size: Any, reading: Reading) -> bool:
        """Whether each group of each row of what is masked has its own value of the mask."""
        of_mask, of_result = shape(masked.mask), shape(masked.node)
        if not (reading.same(self.groups, group_count) and reading.same(self.rows, rows)):
            return False
        in_groups, flat = (*rows, group_count, group_size), (*rows, group_count * group_size)
        if reading.same(of_result, in_groups):
            return reading.same(of_mask, in_groups) or reading.same(of_mask, (*rows, group_count, 1))
        return reading.same(self.width, group_size) and reading.same(of_result, flat) and reading.same(of_mask, flat)


def two_valued(mask: Node, reading: Reading) -> TwoValued | None:
    """Reads a mask; the nodes that make it join the gate. None: it is not of this kind."""
    if not isinstance(mask, Node):
        return None
    reading.inner.add(mask)
    if is_call(mask, aten.scatter):
        return _scattered(mask, reading)
    if is_view(mask) or is_call(mask, *EXPANDS, aten.repeat_interleave, aten.repeat):
        source = two_valued(mask.args[0], reading)  # type: ignore[arg-type]
        width = None if source is None else _width(mask, source, reading)
        return None if width is None else source._replace(width=width)  # type: ignore[union-attr]
    if is_call(mask, aten.sum, aten.any):
        return _compared(mask, reading)
    if cast_from(mask) is not None or is_call(mask, *_POINTWISE):
        return _elementwise(mask, reading)
    return None


def _scattered(mask: Node, reading: Reading) -> TwoValued | None:
    named = arguments(mask)
    base, index = named["self"], named["index"]
    kept, dropped = constant(named.get("value", named.get("src"))), constant(base)
    if "reduce" in named or kept is None or dropped is None or not is_dimension(mask, named["dim"], -1):
        return None
    *rows, groups = shape(mask)
    if not reading.same(rows, shape(index)[:-1]):  # rows that no index names keep the value of the base
        return None
    reading.inner.add(base)
    cast = torch.tensor([kept, dropped]).to(dtype(mask))
    return TwoValued(index, cast[0].item(), cast[1].item(), rows, groups, 0)


def _compared(mask: Node, reading: Reading) -> TwoValued | None:
    """Reads one_hot(ids).sum(-2), or (ids[..., None, :] == arange[:, None]).any(-1)."""
    named = arguments(mask)
    node, rank = named["self"], len(shape(named["self"]))
    while cast_from(node) is not None:
        reading.inner.add(node)
        node = node.args[0]
    if not is_call(node, aten.eq) or not all(isinstance(operand, Node) for operand in operands(node)):
        return None
    along = next((place for place in (-1, -2) if is_dimension(named["self"], named.get("dim"), place)), None)
    *rows, groups = shape(mask)
    for ids, numbers in (operands(node), operands(node)[::-1]):
        index = origin(ids)
        k = shape(index)[-1:]
        of_ids = (*rows, 1, *k) if along == -1 else (*rows, *k, 1)
        of_numbers = (groups, 1) if along == -1 else (groups,)
        broadcast = (1,) * (rank - len(of_numbers)) + of_numbers
        in_place = reading.same(shape(numbers), of_numbers) or reading.same(shape(numbers), broadcast)
        if along and reading.same(shape(ids), of_ids) and in_place and is_arange(origin(numbers), groups):
            reading.inner |= {node}
            reading.base(ids)
            reading.base(numbers)
            kept, dropped = torch.tensor([1, 0]).to(dtype(mask))
            return TwoValued(index, kept.item(), dropped.item(), rows, groups, 0)
    return None


def _elementwise(mask: Node, reading: Reading) -> TwoValued | None:
    """Does to the two values what the graph does to all."""
    tensors = [argument for argument in (*mask.args, *mask.kwargs.values()) if isinstance(argument, Node)]
    varying = [operand for operand in tensors if constant(operand) is None]
    source = two_valued(varying[0], reading) if len(varying) == 1 else None
    if source is None or not reading.same(shape(mask), shape(varying[0])):
        return None
    pair = torch.tensor([source.kept, source.dropped], dtype=dtype(varying[0]))
    if cast_from(mask) is not None:
        pair = pair.to(dtype(mask))
    else:

        def value(argument: Any) -> Any:
            if argument is varying[0]:
                return pair
            return torch.tensor(constant(argument), dtype=dtype(argument)) if isinstance(argument, Node) else argument

        reading.inner.update(tensors)
        try:
            pair = mask.target(*map(value, mask.args), **{name: value(a) for name, a in mask.kwargs.items()})  # type: ignore
        except RuntimeError:  # not of this dtype
            return None
    return source._replace(kept=pair[0].item(), dropped=pair[1].item())


def _width(mask: Node, source: TwoValued, reading: Reading) -> Any:
    """How often each group's value stands in a row after a change of sizes; None when the groups are mixed up."""
    before, after = shape(mask.args[0]), shape(mask)  # type: ignore[arg-type]
    rows, groups, width = source.rows, source.groups, source.width
    in_groups = (*rows, groups, 1)
    if is_view(mask):
        forms = [(width, (*rows, groups)), (1, in_groups)]
        if source.in_a_row:
            forms = [(width, (*rows, groups, width)), (width, (*rows, groups * width))]
        return next((found for found, form in forms if reading.same(after, form)), None)
    if is_call(mask, *EXPANDS):
        return after[-1] if reading.same(before, in_groups) and reading.same(after[:-1], in_groups[:-1]) else None
    if is_call(mask, aten.repeat):
        repeats = [size(repeat) for repeat in mask.args[1]]  # type: ignore[union-attr]
        whole = reading.same(before, in_groups) and reading.same(repeats[:-1], [1] * len(before[:-1]))
        return repeats[-1] if whole else None
    named = arguments(mask)
    whole = reading.same(before, (*rows, groups)) and is_dimension(mask, named.get("dim"), -1)
    repeats = named["repeats"]  # a number, or a tensor
    return size(repeats) if whole and not (isinstance(repeats, Node) and shape(repeats)) else None


def read_masked(node: Node, reading: Reading) -> Masked | None:
    """Reads an operation that drops what a mask names, however the mask is made; None: it is another operation."""
    masked = _read_masked(node)
    # What is masked must not be repeated for other rows of the mask.
    return masked if masked is not None and reading.same(shape(node), shape(masked.values)) else None


def _read_masked(node: Node) -> Masked | None:
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
            ones: TwoValued | None = two_valued(mask, Reading())
            if ones is not None and (ones.kept, ones.dropped) == (1, 0):
                return Masked(node, values, mask, 0.0, False)
    return None
